"""What each library makes of a list of texts, as a program of its own, run by whoever has it.

`python dedup_sides.py NAME TEXTS.json SECONDS` signs documents for so long and prints a line of
JSON: how many, the seconds, a checksum, versions. Everybody starts from the same strings and ends
with 112 hashes of word 5-grams; what a library leaves to its user (words, shingles) is done here in
the way that costs least.
"""

import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

Sign = Callable[[Sequence[str]], bytes]
"""From texts to their signatures, in a row, in whatever form the library gives them."""

BANDS, ROWS, NGRAM, SEED = 14, 8, 5, 1
HASHES = BANDS * ROWS
BATCH = 50
"""Documents between two looks at the clock."""


def word_shingles(text: str) -> list[str]:
    """Runs of words between white space; case and punctuation stay, which costs nothing."""
    words = text.split()
    return [" ".join(words[i : i + NGRAM]) for i in range(max(len(words) - NGRAM, 0) + 1)]


def ours(unit: str = "word") -> Sign:
    """`transforms.minhash.signatures`; folding and case included."""
    from transforms.minhash import MinHashConfig, signatures

    config = MinHashConfig(unit=unit, ngram=NGRAM, bands=BANDS, rows=ROWS, seed=SEED)  # type: ignore[arg-type]
    return lambda texts: signatures(texts, config).tobytes()


def datasketch(hashed_by: str) -> Sign:
    """`MinHash.bulk`, which takes `update_batch`; SHA-1 is its default."""
    import xxhash
    from datasketch import MinHash

    options: dict[str, Any] = {"num_perm": HASHES, "seed": SEED}
    if hashed_by == "xxh32":
        options["hashfunc"] = xxhash.xxh32_intdigest

    def sign(texts: Sequence[str]) -> bytes:
        sets = ([shingle.encode() for shingle in word_shingles(text)] for text in texts)
        return b"".join(each.hashvalues.tobytes() for each in MinHash.bulk(sets, **options))

    return sign


def datatrove() -> Sign:
    """The two calls that its `MinhashDedupSignature` makes for a document, at its defaults."""
    import tempfile

    import numpy
    from datatrove.pipeline.dedup.minhash import (  # type: ignore[import-not-found]  # its own
        MinhashConfig,
        MinhashDedupSignature,
    )

    config = MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS, seed=SEED)
    step = MinhashDedupSignature(tempfile.gettempdir(), config)

    def sign(texts: Sequence[str]) -> bytes:
        found = [step.get_signature(step.get_shingles(text)) for text in texts]
        return numpy.array(found, dtype=numpy.uint64).tobytes()

    return sign


def rensa(in_batches: bool) -> Sign:
    """`RMinHash`, a document at a time as its manual shows or many at once.

    Its `rho` mode, which hashes only a sample of the shingles, is another estimate and left out.
    """
    from rensa import RMinHash  # type: ignore[import-not-found]  # in an environment of its own

    def digests(texts: Sequence[str]) -> list[list[int]]:
        if in_batches:
            sets = [word_shingles(text) for text in texts]
            return list(RMinHash.digests_from_token_sets(sets, HASHES, SEED))
        found = []
        for text in texts:
            sketch = RMinHash(num_perm=HASHES, seed=SEED)
            sketch.update(word_shingles(text))
            found.append(sketch.digest())
        return found

    return lambda texts: repr(digests(texts)[0]).encode()


SIDES: dict[str, tuple[Callable[[], Sign], tuple[str, ...]]] = {
    "ours": (ours, ("numpy",)),
    "ours, characters": (lambda: ours("character"), ("numpy",)),
    "datasketch, sha1": (lambda: datasketch("sha1"), ("datasketch",)),
    "datasketch, xxh32": (lambda: datasketch("xxh32"), ("datasketch",)),
    "datatrove": (datatrove, ("datatrove", "spacy")),
    "rensa": (lambda: rensa(in_batches=False), ("rensa",)),
    "rensa, in batches": (lambda: rensa(in_batches=True), ("rensa",)),
}
"""How a side signs, and the distributions that shape its speed."""


def measure(sign: Sign, documents: Sequence[str], seconds: float) -> dict[str, Any]:
    """Sign documents, from the first again after the last, until the time is over.

    One batch goes first untimed: tables that a library makes at its first call are no cost of a
    corpus.
    """
    check = zlib.crc32(sign(documents[:BATCH]))
    done = 0
    begin, begin_cpu = time.perf_counter(), time.process_time()
    while (wall := time.perf_counter() - begin) < seconds:
        first = done % len(documents)
        batch = documents[first : first + BATCH]
        sign(batch)
        done += len(batch)
    cpu = time.process_time() - begin_cpu
    return {"documents": done, "wall": wall, "cpu": cpu, "crc32": check}


def main() -> None:
    """Program entry."""
    name, path, seconds = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with open(path, encoding="utf-8") as file:
        documents = json.load(file)
    make, distributions = SIDES[name]
    found = measure(make(), documents, float(seconds))
    print(json.dumps({**found, "versions": {each: version(each) for each in distributions}}))


if __name__ == "__main__":
    main()
