"""Signatures against datasketch, band keys against theory, texts that are hardly texts."""

import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import hang_guard
from transforms import minhash_kernel
from transforms.minhash import (
    EMPTY,
    MinHashConfig,
    Unit,
    band_keys,
    catch_probability,
    estimate_similarity,
    has_words,
    shingle_hash,
    shingles,
    signatures,
    text_hash,
    words,
)

ROOT = Path(__file__).resolve().parents[2]


def datasketch_signature(text: str, config: MinHashConfig) -> np.ndarray:
    hashfunc = partial(shingle_hash, unit=config.unit)
    sketch = MinHash(config.bands * config.rows, seed=config.seed, hashfunc=hashfunc)
    sketch.update_batch(shingles(text, config))
    return sketch.hashvalues


def random_text(rng: random.Random, count: int) -> str:
    return " ".join(
        "".join(rng.choices("abcdefgäß語ो-", k=rng.randint(1, 9))) for _ in range(count)
    )


@pytest.mark.parametrize(
    "config",
    [
        MinHashConfig(),
        MinHashConfig(ngram=1, bands=3, rows=2),
        MinHashConfig(ngram=13, seed=7),
        MinHashConfig(unit="character", ngram=24),
        MinHashConfig(unit="character", ngram=1, bands=2, rows=5),
        MinHashConfig(bands=1, rows=1),
        MinHashConfig(bands=450, rows=20),
    ],
    ids=["default", "words", "seeded", "characters", "letters", "one hash", "many hashes"],
)
def test_signatures_equal_datasketch_bit_for_bit(config):
    rng = random.Random(5)
    # Lengths around the shingle and around the inner block of 512 shingles.
    counts = [0, 1, 4, 5, 6, 511, 516, 517, 1, 0, 2000, 3, 12, 13, 14, 1030]
    texts = [random_text(rng, count) for count in counts]
    found = signatures(texts, config)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, [datasketch_signature(text, config) for text in texts])


@given(
    st.lists(st.text(max_size=80), max_size=5), st.integers(1, 6), st.sampled_from(get_args(Unit))
)
@settings(max_examples=80, deadline=None)
def test_signatures_of_any_text_equal_datasketch(texts, ngram, unit):
    config = MinHashConfig(unit=unit, ngram=ngram, bands=2, rows=3)
    found = signatures(texts, config)
    assert found.shape == (len(texts), 6)
    for row, text in zip(found, texts, strict=True):
        np.testing.assert_array_equal(row, datasketch_signature(text, config))


def test_signatures_do_not_depend_on_the_batch():
    rng = random.Random(6)
    texts = [random_text(rng, rng.randint(0, 900)) for _ in range(50)]
    config = MinHashConfig()
    together = signatures(texts, config)
    alone = np.concatenate([signatures([text], config) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_signatures_and_keys_of_a_known_text_stay():
    # Golden: a change here needs a new STEP_VERSION.
    config = MinHashConfig()
    found = signatures(["The quick brown fox jumps over the lazy dog. Größe: 東京!"], config)
    assert found[0, :3].tolist() == [249823762, 98619873, 81943469]
    assert band_keys(found, config)[0, :2].tolist() == [3337348511671432024, 2459642283362691561]
    assert text_hash(" A  b\n") == "a6649cbc635a005a88822966d48a578e"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n--- ... !?", []),
        ("One, two; THREE_four", ["one", "two", "three", "four"]),
        ("don’t “quote”\u00a0me", ["don", "t", "quote", "me"]),
        ("ﬁne Ｆｕｌｌ ＧＲÖSSE", ["fine", "full", "grösse"]),
        ("Straße", ["strasse"]),
        ("東京タワー tower", ["東", "京", "タ", "ワ", "ー", "tower"]),
        ("Привет МИР", ["привет", "мир"]),
        ("5 apples x86", ["5", "apples", "x86"]),
    ],
    ids=["empty", "no-word", "ascii", "quotes", "nfkc", "casefold", "cjk", "cyrillic", "digits"],
)
def test_words_of_text(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 0), (1, 1), (4, 1), (5, 1), (6, 2), (10, 6)], ids=str
)
def test_shingles_of_short_text_are_one(count, expected):
    text = " ".join(f"w{i}" for i in range(count))
    assert len(shingles(text, MinHashConfig())) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("…", []),
        ("a", ["a"]),
        ("Ab, c!", ["ab c"]),
        ("Ab, cd!", ["ab cd"]),
        ("Ab, cde", ["ab cd", "b cde"]),
        ("東京 é", ["東 京 é"]),
    ],
    ids=["empty", "no-word", "one", "short", "exact", "two", "unspaced"],
)
def test_shingles_of_characters_are_runs_of_folded_text(text, expected):
    assert shingles(text, MinHashConfig(unit="character")) == expected


def test_signatures_of_characters_of_a_known_text_stay():
    config = MinHashConfig(unit="character", ngram=8)
    found = signatures(["The quick brown fox jumps over the lazy dog. Größe: 東京!"], config)
    assert found[0, :3].tolist() == [157474030, 21387385, 92243046]


def test_has_words_marks_texts_without_a_word():
    found = signatures(["", "a", "…", "a b c d e f"], MinHashConfig())
    assert has_words(found).tolist() == [False, True, False, True]
    assert (found[[0, 2]] == EMPTY).all()


@pytest.mark.parametrize("similarity", [0.7, 0.8, 0.9])
def test_pairs_meet_as_often_as_theory_says(similarity):
    config = MinHashConfig(ngram=1)
    pairs, union = 1500, 100
    shared = round(similarity * union)
    left, right = [], []
    for pair in range(pairs):
        vocabulary = [f"p{pair}w{word}" for word in range(union)]
        half = (union - shared) // 2
        left.append(" ".join(vocabulary[: shared + half]))
        right.append(" ".join(vocabulary[:shared] + vocabulary[shared + half :]))
    sig_left, sig_right = signatures(left, config), signatures(right, config)
    met = (band_keys(sig_left, config) == band_keys(sig_right, config)).any(axis=1).mean()
    assert met == pytest.approx(catch_probability(similarity, config), abs=0.03)
    estimates = estimate_similarity(sig_left, sig_right)
    assert estimates.mean() == pytest.approx(similarity, abs=0.01)
    error = np.sqrt(similarity * (1 - similarity) / config.hashes)
    assert estimates.std() == pytest.approx(error, rel=0.15)


@pytest.mark.parametrize(
    ("similarity", "expected"), [(0.7, 0.565), (0.8, 0.924), (0.9, 1.0), (0.0, 0.0), (1.0, 1.0)]
)
def test_catch_probability_of_fineweb_bands(similarity, expected):
    assert catch_probability(similarity, MinHashConfig()) == pytest.approx(expected, abs=1e-3)


def test_estimate_of_edited_article_is_close_to_exact_jaccard():
    rng = random.Random(9)
    config = MinHashConfig(bands=64)
    for edits in (1, 5, 20):
        article = [rng.choice("abcdefghij") + str(rng.randint(0, 400)) for _ in range(600)]
        changed = list(article)
        for place in rng.sample(range(600), edits):
            changed[place] = "edited"
        texts = [" ".join(article), " ".join(changed)]
        left, right = (set(shingles(text, config)) for text in texts)
        found = signatures(texts, config)
        exact = len(left & right) / len(left | right)
        assert float(estimate_similarity(found[0], found[1])) == pytest.approx(exact, abs=0.07)


def test_band_keys_depend_on_band_and_rows():
    config = MinHashConfig(bands=3, rows=2)
    same = np.array([[7, 8, 7, 8, 7, 8]], dtype=np.uint32)
    keys = band_keys(np.concatenate([same, same, same[:, ::-1]]), config)
    assert len(set(keys[0].tolist())) == 3
    assert (keys[0] == keys[1]).all()
    assert not (keys[0] == keys[2]).any()


def test_band_keys_of_many_random_bands_do_not_collide():
    config = MinHashConfig(bands=10, rows=2)
    values = np.random.default_rng(3).integers(0, 1 << 32, (20_000, 20), dtype=np.uint32)
    assert len(np.unique(band_keys(values, config))) == 200_000


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("a b", " a \n\t b ", True),
        ("a b", "a\u00a0b", True),
        ("a b", "ab", False),
        ("A", "a", False),
        ("a.", "a", False),
        ("", " ", True),
    ],
    ids=["runs", "nbsp", "joined", "case", "punctuation", "empty"],
)
def test_text_hash_looks_through_white_space_only(left, right, same):
    assert (text_hash(left) == text_hash(right)) is same
    assert len(text_hash(left)) == 32


@pytest.mark.parametrize(
    ("text", "shingle"),
    [("word", "word"), ("again " * 1_000_000, "again again again again again")],
    ids=["one-word", "one-word-repeated"],
)
def test_monotonous_text_has_the_signature_of_its_only_shingle(text, shingle):
    config = MinHashConfig()
    sketch = MinHash(config.hashes, seed=1, hashfunc=shingle_hash)
    sketch.update(shingle)
    np.testing.assert_array_equal(signatures([text], config)[0], sketch.hashvalues)


def numbers_as_text(count: int) -> str:
    numbers = np.random.default_rng(1).integers(10**8, 10**9, count)
    return " ".join(map(str, numbers.tolist()))


def test_signatures_of_five_megabytes_take_linear_time():
    text = numbers_as_text(500_000)
    with hang_guard():
        found = signatures([text], MinHashConfig(bands=4))
    assert len(set(found[0].tolist())) > 16


def test_signatures_of_long_text_lose_no_shingle_between_pieces():
    text = numbers_as_text(250_000)
    config = MinHashConfig(bands=4)
    parts = text.split()
    # Runs that overlap by a shingle less one word have the shingles of the whole between them.
    runs = [" ".join(parts[i : i + 50_004]) for i in range(0, len(parts), 50_000)]
    whole = signatures([text], config)
    np.testing.assert_array_equal(whole[0], signatures(runs, config).min(axis=0))


@pytest.mark.parametrize(
    "text",
    ["x" * 5_000_000, "\ufdfa" * 40_000, "\ud800 lone \udfff", "a\u0301" * 100_000, "\0" * 10],
    ids=["unbroken", "expanding", "surrogates", "marks", "nul"],
)
def test_signatures_of_hostile_text_end(text):
    config = MinHashConfig(bands=2, rows=2)
    found = signatures([text], config)
    np.testing.assert_array_equal(found[0], datasketch_signature(text, config))


@pytest.mark.skipif(sys.platform != "linux", reason="`ru_maxrss` counts something else there")
@pytest.mark.skipif(not minhash_kernel.AVAILABLE, reason="numpy keeps a hash of every word")
def test_signatures_of_thirty_megabytes_take_the_memory_of_a_piece():
    code = """if True:
        import resource
        from transforms.minhash import MinHashConfig, signatures

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

        config = MinHashConfig(bands=2, rows=2)
        for line in ("so many words ", "größer als 東京 ", "a\u0301 "):
            text = line * ((30 << 20) // len(line.encode()))
            signatures([text[: 1 << 21]], config)
            before = peak()
            signatures([text], config)
            print(peak() - before)
            del text
    """
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    grown = [int(line) for line in run.stdout.split()]
    assert max(grown) < 15, f"{grown} MB for the words of 30 MB"


@pytest.mark.parametrize("field", ["ngram", "bands", "rows"])
def test_config_below_one_is_refused(field):
    with pytest.raises(ValueError, match=field):
        MinHashConfig(**{field: 0})


def test_config_of_another_unit_is_refused():
    with pytest.raises(ValueError, match="one of word, character"):
        MinHashConfig(unit="byte")
