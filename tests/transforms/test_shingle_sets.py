"""Sets of hashed shingles against sets of shingles."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.minhash import MinHashConfig, TokenHashes, shingle_hash, shingles, sign
from transforms.shingle_sets import jaccard, of_column, shingle_set, to_column

CONFIGS = [MinHashConfig(ngram=2), MinHashConfig("character", 3)]
texts = st.text(st.sampled_from("ab cd.é京\u0301\ud800\0\n"), max_size=30)


@pytest.mark.parametrize("config", CONFIGS, ids=["words", "characters"])
@given(one=texts, other=texts)
@settings(max_examples=150, deadline=None)
def test_jaccard_is_that_of_sets_of_shingles(config: MinHashConfig, one: str, other: str) -> None:
    a, b = set(shingles(one, config)), set(shingles(other, config))
    known = TokenHashes()
    found = [shingle_set(text, config, known) for text in (one, other)]
    assert [len(hashes) for hashes in found] == [len(a), len(b)]
    assert jaccard(*found) == (len(a & b) / len(a | b) if a | b else 0.0)
    assert jaccard(*found) == jaccard(*reversed(found))
    # The signature is made of the upper halves of the same hashes.
    unit = partial(shingle_hash, unit=config.unit)
    assert set((found[0] >> np.uint64(32)).tolist()) == set(map(unit, a))


@given(st.lists(texts, max_size=5))
@settings(max_examples=150, deadline=None)
def test_sums_are_equal_where_shingles_are(many: list[str]) -> None:
    config = CONFIGS[0]
    told = dict(zip((tuple(sorted(shingles(t, config))) for t in many), many, strict=True))
    _, sums = sign(many, config)
    assert len(set(sums.tolist())) == len(told)
    assert [total == 0 for total in sums.tolist()] == [not shingles(t, config) for t in many]


def test_sums_tell_texts_of_one_signature_apart() -> None:
    texts = ["a b a b a b", "a b a b", "a b a b a", "A; b, a b!", "a a b b a b"]
    _, sums = sign(texts, MinHashConfig(ngram=2))
    assert sums[1] == sums[3]
    assert len(set(sums.tolist())) == 4


def test_sets_come_back_from_their_column() -> None:
    known = TokenHashes()
    sets = [shingle_set(text, CONFIGS[0], known) for text in ("a b c a b", "", "d e")]
    found = of_column(pa.chunked_array([to_column([*sets, None])]))
    assert found[3] is None
    for one, other in zip(sets, found, strict=False):
        np.testing.assert_array_equal(one, other)
