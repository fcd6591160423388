"""Limits of one page, the recipe's section `extract`."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ExtractConfig:
    """Limits of one page. A page beyond them is a typed failure, never cut in silence."""

    max_html_characters: int = 20_000_000
    """Characters of the source; the largest pages that people write have about two million."""
    max_nodes: int = 50_000
    """Text and image nodes of the result."""
    max_characters: int = 5_000_000
    """Characters of text of the result; a long book has three million."""
    max_alt_characters: int = 4_000
    """Characters kept of an alt, title or figcaption; no caption is longer."""
    max_seconds: float = 20.0
    """Time a page may take, looked at between steps and while its nodes are written; no page of a
    real crawl comes near it."""

    def __post_init__(self) -> None:
        if not 0 < self.max_seconds < math.inf:
            raise ValueError(f"max_seconds is a number above 0, not {self.max_seconds}")
