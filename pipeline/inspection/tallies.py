"""Counts over samples that are read once: small whatever the number of samples, and added up."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.inspection.distributions import ASPECT_EDGES, Json, ValueCounts

MAX_NAMES = 1000
"""Distinct names of strangers (suffixes, languages) that are counted; what comes later is `other`.
"""
OTHER = "other"


@dataclass
class Tally:
    """What samples hold."""

    samples: int = 0
    damaged: int = 0
    """Samples, or places of a tar, that cannot be read."""
    members: Counter[str] = field(default_factory=Counter)
    """Suffix, its numbers as `N`, -> members."""
    member_bytes: Counter[str] = field(default_factory=Counter)
    text_lengths: Counter[int] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    images: Counter[int] = field(default_factory=Counter)
    """Images of a sample -> samples."""
    image_formats: Counter[str] = field(default_factory=Counter)
    widths: Counter[int] = field(default_factory=Counter)
    heights: Counter[int] = field(default_factory=Counter)
    aspects: Counter[float] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add the counts of another."""
        for name in (column.name for column in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                for value, count in theirs.items():
                    count_name(mine, value, count)
            else:
                setattr(self, name, mine + theirs)

    def add_image(self, width: int, height: int) -> None:
        """Count the size of an image."""
        self.widths[width] += 1
        self.heights[height] += 1
        self.aspects[round(max(width, height) / min(width, height), 4)] += 1
        shape = "square" if width == height else "landscape" if width > height else "portrait"
        self.shapes[shape] += 1


def count_name(counts: Counter[Any], name: Any, times: int = 1) -> None:
    """Count a stranger's name, as `OTHER` where there are `MAX_NAMES` of them already."""
    if isinstance(name, str) and name not in counts and len(counts) >= MAX_NAMES:
        name = OTHER
    counts[name] += times


def ranked(counts: Counter[str], name: str, unit: str) -> list[Json]:
    """Counts as rows, by count, then name."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{name: value, unit: count} for value, count in ordered]


def tally_facts(tally: Tally) -> Json:
    """The measures of samples under the names that those of a stream have.

    `samples`, `damaged`, `members` (`suffix`, `members`, `bytes`), `images`, `text_length`,
    `languages` (null where no sample names one), `images_per_sample`, `image_formats`,
    `image_width`, `image_height`, `image_aspect`, `image_shape`.
    """
    members = ranked(tally.members, "suffix", "members")
    return {
        "samples": tally.samples,
        "damaged": tally.damaged,
        "members": [row | {"bytes": tally.member_bytes[row["suffix"]]} for row in members],
        "images": sum(images * samples for images, samples in tally.images.items()),
        "characters": sum(length * samples for length, samples in tally.text_lengths.items()),
        "text_length": ValueCounts.of(tally.text_lengths).distribution(),
        "languages": ranked(tally.languages, "language", "samples") or None,
        "images_per_sample": ValueCounts.of(tally.images).distribution(),
        "image_formats": ranked(tally.image_formats, "format", "images"),
        "image_width": ValueCounts.of(tally.widths).distribution(),
        "image_height": ValueCounts.of(tally.heights).distribution(),
        "image_aspect": ValueCounts.of(tally.aspects).distribution(ASPECT_EDGES),
        "image_shape": {
            shape: tally.shapes[shape] for shape in ("landscape", "portrait", "square")
        },
    }
