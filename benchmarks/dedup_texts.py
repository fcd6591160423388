"""The texts of `make bench-dedup`: documents of one length, generated or cut from real pages."""

import random
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

from benchmarks.extraction_data import DATA, load_set

WORDS = 500
"""Of a document."""
VOCABULARY = 50_000
REAL_SET = "wcxb"

_LETTERS = "etaoinshrdlucmfwygpbvkxqjz"
_ENDINGS = (", ", ". ", "; ", ": ", "? ", "! ")


def generate_documents(count: int, seed: int = 1) -> list[str]:
    """English as far as lengths and frequencies go: words after Zipf, sentences, ASCII."""
    rng = random.Random(seed)
    letters = list(accumulate(1 / (place + 2) for place in range(len(_LETTERS))))
    vocabulary = [
        "".join(rng.choices(_LETTERS, cum_weights=letters, k=rng.choice((2, 3, 3, 4, 5, 6, 7, 9))))
        for _ in range(VOCABULARY)
    ]
    frequencies = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
    documents = []
    for _ in range(count):
        found = rng.choices(vocabulary, cum_weights=frequencies, k=WORDS)
        pieces = []
        begins = True
        for word in found:
            ends = rng.random() < 0.12
            pieces += [word.capitalize() if begins else word, rng.choice(_ENDINGS) if ends else " "]
            begins = ends
        documents.append("".join(pieces).rstrip())
    return documents


def real_documents(count: int) -> list[str]:
    """Runs of words of real pages, as they stand there; none where the set is not at hand."""
    if not (DATA / "extraction" / REAL_SET).is_dir():
        return []
    documents: list[str] = []
    for page in load_set(REAL_SET):
        documents += cut(page.text)
        if len(documents) >= count:
            break
    return documents[:count]


def cut(text: str) -> Sequence[str]:
    """A text in documents of `WORDS` words between white space; what is left over is left out."""
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    places = [*starts[::WORDS], len(text)] if len(starts) % WORDS == 0 else starts[::WORDS]
    return [text[a:b].rstrip() for a, b in pairwise(places)]
