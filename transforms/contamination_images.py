"""Which images are those of evaluation items: the same bytes, or nearly the same looks.

Pictures without structure have no look of their own (`phash_index.has_structure`): only their
bytes count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.phash_index import PhashIndex, has_structure

SHA256, PHASH = "sha256", "phash"


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image of an item that an image is."""

    row: int
    """Its row among the images of items."""
    match: str
    """`sha256` or `phash`."""
    distance: int
    """Bits in which the perceptual hashes differ; 0 for the same bytes."""


def _has_look(phash: int) -> bool:
    return bool(has_structure(np.array([phash % (1 << 64)], np.uint64))[0])


class ImageIndex:
    """The images of evaluation items."""

    def __init__(
        self, sha256: Sequence[str | None], phash: Sequence[int | None], distance: int
    ) -> None:
        """Build the index.

        Args:
            sha256: Of each image the hash of its bytes as received, 64 hex digits.
            phash: Of each image the perceptual hash, a signed integer.
            distance: Bits by which a perceptual hash may differ.
        """
        self._by_sha256: dict[str, list[int]] = {}
        for row, text in enumerate(sha256):
            if text is not None:
                self._by_sha256.setdefault(text, []).append(row)
        looks = [(value % (1 << 64), row) for row, value in enumerate(phash) if value is not None]
        looks.sort()
        self._phash = np.array([value for value, _ in looks], np.uint64)
        self._phash_rows = np.array([row for _, row in looks], np.int64)
        self._near = PhashIndex(self._phash, distance)

    def find(self, sha256: str | None, phash: int | None) -> list[FoundImage]:
        """The images of items that an image is, by row; those of the same bytes only as such.

        Args:
            sha256: Of the image, as above.
            phash: Of the image, as above.
        """
        found: dict[int, FoundImage] = {}
        if phash is not None and len(self._phash) and _has_look(phash):
            near = self._near.within(phash)
            bits = np.bitwise_count(near ^ np.uint64(phash % (1 << 64))).tolist()
            begins = np.searchsorted(self._phash, near, "left").tolist()
            ends = np.searchsorted(self._phash, near, "right").tolist()
            for distance, begin, end in zip(bits, begins, ends, strict=True):
                for row in self._phash_rows[begin:end].tolist():
                    found[row] = FoundImage(row, PHASH, distance)
        for row in self._by_sha256.get(sha256 or "", []):
            found[row] = FoundImage(row, SHA256, 0)
        return [found[row] for row in sorted(found)]
