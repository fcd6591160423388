"""What is found of a corpus whose duplicates are known, as a part of `make bench-dedup`."""

from pathlib import Path

from benchmarks.dedup_parts import Outcome, Scale
from benchmarks.dedup_quality import DOCUMENTS, PAIRS_PER_BIN, rows_and_details

QUICK_DOCUMENTS, QUICK_PAIRS = 5_000, 1_500


def measure_labels(scale: Scale, folder: Path) -> Outcome:
    """The LSH curve beside theory, and the clusters of the whole stage beside the labels."""
    full = scale.rounds > 1
    documents, pairs = (DOCUMENTS, PAIRS_PER_BIN) if full else (QUICK_DOCUMENTS, QUICK_PAIRS)
    return Outcome(*rows_and_details(folder, documents, pairs))
