"""Section `recaption` of a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recaptioner.engines.server_config import ServerConfig
from recaptioner.engines.vllm_config import VllmConfig
from recaptioner.prompts import DESCRIBE, FUSE, REWRITE, Template, parse_templates
from recaptioner.validators import CheckConfig
from schemas.errors import RecipeError

OFF, VECAP = "off", "vecap"
MODES = {
    OFF: (),
    DESCRIBE: (DESCRIBE,),
    REWRITE: (REWRITE,),
    VECAP: (DESCRIBE, FUSE),
}
"""Mode of a recipe -> the modes of the templates that it asks, in order."""
IN_PROCESS, SERVER = "vllm", "server"


@dataclass(frozen=True)
class RecaptionConfig:
    """Which captions a model writes, by which questions, and when an answer counts."""

    mode: str = OFF
    """`off`; `describe` the picture (Recap-DataComp); `rewrite` the alt text (LaCLIP); `vecap`:
    describe, then fuse the description with the alt text."""
    engine: str = IN_PROCESS
    """`vllm`: in each worker; `server`: any that speaks OpenAI's protocol."""
    describe: str = "describe_short"
    """Name of the template that describes."""
    fuse: str = "fuse_short"
    rewrite: str = "rewrite_short"
    templates: Mapping[str, Any] = field(default_factory=dict)
    """More templates, by name: mode, user, system, stricter, length, max_tokens, sees_image,
    version."""
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0
    resamples: int = 1
    """Times that a question is asked again with another seed when its answer is refused."""
    resample_temperature: float = 0.7
    max_side: int = 1024
    """Longest side in pixels of what the model is shown."""
    max_fallback_fraction: float = 0.2
    """Share of captions that may fall back before the run fails. 1: all."""
    buckets: int = 64
    """Buckets of the plan."""
    part_images: int = 4096
    """Images of a part."""
    decoders: int = 2
    """Threads that decode in each worker."""
    checks: CheckConfig = field(default_factory=CheckConfig)
    vllm: VllmConfig = field(default_factory=VllmConfig)
    server: ServerConfig = field(default_factory=ServerConfig)

    def __post_init__(self) -> None:
        checks = {
            f"mode must be one of {', '.join(MODES)}": self.mode in MODES,
            f"engine must be {IN_PROCESS} or {SERVER}": self.engine in (IN_PROCESS, SERVER),
            "temperature must be 0 to 2": 0 <= self.temperature <= 2,
            "top_p must be above 0, and 1 at most": 0 < self.top_p <= 1,
            "repetition_penalty must be above 0, and 2 at most": 0 < self.repetition_penalty <= 2,
            "resamples must be 0 to 8": 0 <= self.resamples <= 8,
            "resample_temperature must be above 0, and 2 at most": (
                0 < self.resample_temperature <= 2
            ),
            "max_side must be 16 to 8192": 16 <= self.max_side <= 8192,
            "max_fallback_fraction must be 0 to 1": 0 <= self.max_fallback_fraction <= 1,
            "buckets must be 1 to 65536": 1 <= self.buckets <= 65536,
            "part_images must be at least 1": self.part_images >= 1,
            "decoders must be 1 to 256": 1 <= self.decoders <= 256,
        }
        for message, holds in checks.items():
            if not holds:
                raise RecipeError(f"recaption.{message}")

    @property
    def is_on(self) -> bool:
        """Whether a model writes anything."""
        return self.mode != OFF

    @property
    def engine_config(self) -> VllmConfig | ServerConfig:
        """The section of the engine."""
        return self.vllm if self.engine == IN_PROCESS else self.server

    @property
    def origin(self) -> str:
        """The origin of the captions that a recipe of this mode asks for."""
        return MODES[self.mode][-1]


def asked_templates(config: RecaptionConfig) -> dict[str, tuple[str, Template]]:
    """Mode -> name and template of each question.

    Raises:
        RecipeError: A template that is not there, or of another mode.
    """
    known = parse_templates(config.templates)
    found = {}
    for mode in MODES[config.mode]:
        name = getattr(config, mode)
        if name not in known:
            raise RecipeError(
                f"recaption.{mode}: no template {name!r}; there are: {', '.join(sorted(known))}"
            )
        if known[name].mode != mode:
            raise RecipeError(
                f"recaption.{mode}: template {name} is of mode {known[name].mode}, not {mode}"
            )
        found[mode] = name, known[name]
    return found
