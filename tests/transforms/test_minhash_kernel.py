"""The kernel gives the bits of the numpy code, folds as `words` says, and is built if it can be."""

import random
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plain_kernels import build_plain_kernel
from transforms import minhash_kernel, text_words
from transforms.minhash import (
    MinHashConfig,
    Signatures,
    TokenHashes,
    shingle_values,
    sign,
    signatures,
    words,
)

ROOT = Path(__file__).resolve().parents[2]

needs_kernel = pytest.mark.skipif(
    not minhash_kernel.AVAILABLE, reason="the kernel was not built: there was no C compiler"
)

SMALL = MinHashConfig(ngram=2, bands=2, rows=3)
BY_CHARACTER = MinHashConfig(unit="character", ngram=3, bands=2, rows=3)

# What depends on its neighbours, or folds to more than itself, among what does not.
ODD = (
    "aA \u00a0z0_.\n-éÉßÄ ªµ½…™ﬁﬃİıſẞΣς"
    "\u0300\u0301\u0308\u0316\u0323\u0327\u0334\u0338\u0345\u0344\u034f"
    "\u1e69\u1fb3\u0390\u03b1가각힣\u1100\u1161\u11a8\u200b\u200d\u00ad\ufeff\ufdfa\u3300\u337f東京ガか\u3099\u309a"
    "ｶﾞﾊﾟ\uff9e\u0e17\u0e35\u0e48\u0e39\u0e33\u0eb3\u1025\u102e\u1037\u1039\u17d2\u0915\u093c\u0958\u094d\u09c7\u09be"
    "\u0627\u0653\u064e\u05d0\u05b0\u0f71\u0f72\u0f73\u212b\u2126\u2260\u226e=<\U0001d400\U0001f600\U00020000"
    "\U000e0100\ud800\udfff\0\x1c\u2028\U0001d158\U0001d165\U0001d15e\U0001109a\U00011099\U000110ba"
)
odd_texts = st.text(st.one_of(st.sampled_from(ODD), st.characters()), max_size=40)


@contextmanager
def numpy_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minhash_kernel, "AVAILABLE", False)
        yield


def check_equal(texts: list[str], config: MinHashConfig) -> Signatures:
    """That both give the same; what that is."""
    found, sums = sign(texts, config)
    with numpy_only():
        expected, expected_sums = sign(texts, config)
    assert sums.dtype == expected_sums.dtype == np.uint64
    np.testing.assert_array_equal(sums, expected_sums)
    assert found.dtype == expected.dtype == np.uint32
    assert found.shape == expected.shape
    assert found.flags.writeable == expected.flags.writeable
    np.testing.assert_array_equal(found, expected)
    for text in texts:
        values = shingle_values(text, config, TokenHashes())
        with numpy_only():
            expected_values = shingle_values(text, config, TokenHashes())
        assert values.dtype == expected_values.dtype == np.uint64
        np.testing.assert_array_equal(values, expected_values)
    return found


@needs_kernel
@given(st.lists(odd_texts, max_size=4), st.sampled_from([SMALL, BY_CHARACTER]))
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
def test_kernel_gives_the_bits_of_numpy_on_any_text(
    texts: list[str], config: MinHashConfig
) -> None:
    check_equal(texts, config)


@needs_kernel
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (3, 5), (1, 16), (14, 8), (450, 20)],
    ids=lambda shape: f"{shape[0]}x{shape[1]}",
)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 511, 516, 517, 2000])
def test_kernel_gives_the_bits_of_numpy_at_any_size(shape: tuple[int, int], count: int) -> None:
    rng = random.Random(count)
    text = " ".join("x" * rng.randint(0, 40) + str(rng.randint(0, 99)) for _ in range(count))
    check_equal([text], MinHashConfig(bands=shape[0], rows=shape[1]))


@needs_kernel
@pytest.mark.parametrize("unit", ["word", "character"])
@pytest.mark.parametrize("ngram", [1, 2, 64, 65, 700, 10**9])
def test_kernel_gives_the_bits_of_numpy_for_any_ngram(unit: Any, ngram: int) -> None:
    config = MinHashConfig(unit=unit, ngram=ngram, bands=2, rows=2)
    check_equal([" ".join(map(str, range(600))), "one", "größer als"], config)


@needs_kernel
def test_words_of_every_length_have_their_hash() -> None:
    check_equal(["x" * size for size in range(1, 150)], MinHashConfig(ngram=1, bands=1, rows=1))


block_of = lru_cache(None)(text_words.fold_block)


def fold(text: str) -> str:
    """A text as the table folds it, token by token as the kernel goes."""
    folded = []
    for token in text.encode("utf-8", "surrogatepass").translate(text_words.FOLD).split():
        characters = token.decode("utf-8", "surrogatepass")
        entries = [entry_of(character) for character in characters]
        folded.append(
            text_words.fold_token(token).decode("utf-8", "surrogatepass")
            if None in entries
            else "".join(entry or "" for entry in entries)
        )
    return " ".join(" ".join(folded).split(" ")).strip()


def entry_of(character: str) -> str | None:
    if character.isascii():
        return character
    number, place = divmod(ord(character), text_words.BLOCK)
    size = text_words.ENTRY_BYTES
    entry = block_of(number)[place * size : (place + 1) * size]
    if entry[0] == text_words.NEEDS_TOKEN:
        return None
    return entry[1 : 1 + entry[0]].decode("utf-8", "surrogatepass")


@given(st.text(st.sampled_from(ODD), max_size=12))
@settings(max_examples=300, deadline=None)
def test_characters_fold_alone_as_they_do_together(text: str) -> None:
    assert fold(text).split() == words(text)


def test_every_character_folds_between_others_as_words_say() -> None:
    others = ("a", "\u1e69", "\u1fb3", "\uac00", "か", "東", "\u0316")
    for code in range(0x80, sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) in ("Cn", "Co") or entry_of(character) is None:
            continue
        text = " ".join(f"{other}{character}{other}" for other in others)
        assert fold(text).split() == words(text), hex(code)


def test_no_character_beyond_those_looked_at_is_composed_of_two() -> None:
    for code in range(text_words._PAIRS_END, sys.maxunicode + 1):
        assert not unicodedata.decomposition(chr(code))


@needs_kernel
@needs_kernel
def test_a_mark_that_folds_to_a_letter_is_put_behind_those_that_stand_before_it() -> None:
    check_equal(["\u037a\u1dfdZ and more", "\u037a", "a\u037a\u0301b"], MinHashConfig())


@needs_kernel
def test_runs_of_marks_are_bounded() -> None:
    marks = "\u0301\u0316"
    assert words("a" + marks * 500_000 + "b c") == words("a" + marks * 15 + "b c")
    texts = ["a" + marks * 500_000 + "b c d", "\u0301" * 31 + "x" + "\u0308" * 40 + "y"]
    check_equal(texts, MinHashConfig())


def test_threads_share_the_table_and_nothing_else() -> None:
    rng = random.Random(3)
    texts = [
        "".join(chr(rng.choice((0x20, rng.randint(0x61, 0x2FFF)))) for _ in range(3000))
        for _ in range(40)
    ]
    expected = signatures(texts, SMALL)
    minhash_kernel._folds.cache_clear()
    found: list[Signatures] = []

    def sign() -> None:
        found.append(signatures(texts, SMALL))

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for each in found:
        np.testing.assert_array_equal(each, expected)


@needs_kernel
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pieces": [b"a\xff"]}, "no UTF-8"),
        ({"pieces": [b"a\xe6\x9d"]}, "no UTF-8"),
        ({"pieces": [b"\xf4\xbf\xbf\xbf"]}, "no UTF-8"),
        ({"factors": b"1234567"}, "sizes do not agree"),
        ({"addends": b"1234" * 3}, "sizes do not agree"),
        ({"ngram": 0}, "sizes do not agree"),
    ],
    ids=["lead", "cut off", "too high", "part of a hash", "more addends", "no items"],
)
def test_what_does_not_agree_is_refused(change: dict[str, Any], error: str) -> None:
    row = np.zeros(2, dtype=np.uint32)
    given = {"pieces": [b"a"], "factors": b"1234" * 2, "addends": b"1234" * 2, "ngram": 5}
    given |= change
    with pytest.raises(ValueError, match=error):
        minhash_kernel._minhash_kernel.sign(
            minhash_kernel._folds(), given["pieces"], given["factors"], given["addends"],
            given["ngram"], False, row,
        )  # fmt: skip


@needs_kernel
def test_what_python_raises_while_a_text_is_read_comes_out() -> None:
    def block(number: int) -> bytes:
        raise KeyError(number)

    def pieces() -> Iterator[bytes]:
        yield b"a"
        raise OSError("gone")

    folds = minhash_kernel._minhash_kernel.folds(block, len)
    row = np.zeros(1, dtype=np.uint32)
    with pytest.raises(KeyError):
        minhash_kernel._minhash_kernel.sign(folds, ["é".encode()], b"1234", b"1234", 1, False, row)
    with pytest.raises(OSError, match="gone"):
        minhash_kernel._minhash_kernel.sign(folds, pieces(), b"1234", b"1234", 1, False, row)
    with pytest.raises(TypeError):
        minhash_kernel._minhash_kernel.sign(folds, ["a"], b"1234", b"1234", 1, False, row)
    with pytest.raises(OSError, match="gone"):
        minhash_kernel._minhash_kernel.shingles(folds, pieces(), 1, False)
    with pytest.raises(ValueError, match="of no items"):
        minhash_kernel._minhash_kernel.shingles(folds, pieces(), 0, False)


def test_texts_are_signed_where_the_kernel_was_not_built() -> None:
    code = """if True:
        import sys
        sys.modules["transforms._minhash_kernel"] = None
        from transforms import minhash, minhash_kernel
        assert not minhash_kernel.AVAILABLE
        print(minhash.signatures(["a b c"], minhash.MinHashConfig(bands=1, rows=2)).tolist())
    """
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == f"{signatures(['a b c'], MinHashConfig(bands=1, rows=2)).tolist()}\n"


def test_kernel_for_plain_registers_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = build_plain_kernel("minhash", tmp_path, "WIDEST=")
    monkeypatch.setattr(minhash_kernel, "_minhash_kernel", plain, raising=False)
    monkeypatch.setattr(minhash_kernel, "AVAILABLE", True)
    minhash_kernel._folds.cache_clear()
    check_equal(["a b c d e f " * 200, "Größe é 東京", ""], MinHashConfig())
    minhash_kernel._folds.cache_clear()
