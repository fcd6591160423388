"""What a recipe says of its report."""

from dataclasses import dataclass, field

from schemas.errors import RecipeError
from schemas.shards import STREAMS


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """Section `[report]`. Nothing here shapes a shard.

    Raises:
        RecipeError: A value that cannot be.
    """

    mixture: dict[str, float] = field(
        default_factory=lambda: {"captioned": 45.0, "interleaved": 45.0, "text": 10.0}
    )
    """Shares that the streams are to have in training, as parts of their sum; by default MM1's
    (arXiv 2403.09611, section 3.2)."""
    tokens_per_image: int = 144
    """Of the estimate of tokens: what the connector of MM1 makes of an image."""
    characters_per_token: float = 4.0
    """Of the estimate of tokens."""
    examples: int = 6
    """Rows kept and dropped that are shown of each rule."""
    rows: int = 2_000_000
    """Rows of a gate that are judged again, at most about; 0: all. Beyond it some parts stand for
    all, spread evenly."""
    blur: list[str] = field(default_factory=lambda: ["nsfw", "unsafe", "safety", "porn"])
    """A rule is about safety where one of these stands in its name or its expression: the pictures
    that it drops are blurred."""

    def __post_init__(self) -> None:
        checks = {
            f"mixture: shares of {', '.join(STREAMS)}, at least 0 and not all 0": (
                set(self.mixture) <= set(STREAMS)
                and all(0 <= share < float("inf") for share in self.mixture.values())
                and sum(self.mixture.values()) > 0
            ),
            "tokens_per_image: must be from 0 to 100000": 0 <= self.tokens_per_image <= 100_000,
            "characters_per_token: must be from 0.1 to 1000": (
                0.1 <= self.characters_per_token <= 1000
            ),
            "examples: must be from 0 to 100": 0 <= self.examples <= 100,
            "rows: must be at least 0": self.rows >= 0,
            "blur: no empty text": all(self.blur),
        }
        for message, holds in checks.items():
            if not holds:
                raise RecipeError(f"report.{message}")
