"""MinHash signatures of texts, and the band keys under which near-duplicates meet.

Signatures are those of `datasketch.MinHash` (scheme `affine32`) with `shingle_hash` as its hash
function, bit for bit, so an index of either library reads the other's. A word is hashed once, a
shingle is a polynomial of its words' hashes, and the permutations run over blocks that fit a cache.
All of that is done by a kernel in C where it was built (`minhash_kernel.py`); the numpy code here
is its description. The trade-off: 32-bit shingle hashes collide in texts of many million words,
where the estimate then is a little high.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xxhash
from datasketch import MinHash

from schemas.ids import digest
from transforms import minhash_kernel
from transforms.text_words import pieces, tokens, words_of_token
from transforms.text_words import words as words

STEP_VERSION = 1

Unit = Literal["word", "character"]

Signatures = npt.NDArray[np.uint32]

EMPTY = np.uint32(0xFFFF_FFFF)
"""Every value of the signature of a text without a word (as in an empty `datasketch.MinHash`)."""

_CACHED_TOKENS = 1 << 18
_CACHED_TOKEN_BYTES = 64
_BLOCK_SHINGLES = 512
_BATCH_SHINGLES = 1 << 18
_MASK64 = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15
_MIX = 0xFF51AFD7ED558CCD


@dataclass(frozen=True)
class MinHashConfig:
    """What a shingle is and how many hashes a signature has."""

    unit: Unit = "word"
    """What a shingle is a run of. Characters are those of the words, with one space between two: so
    case, punctuation and marks say nothing here either."""
    ngram: int = 5
    """Words or characters of a shingle. FineWeb (arXiv 2406.17557) and datatrove's `MinhashConfig`:
    5 words; NeMo Curator's `MinHash`: 24 characters."""
    bands: int = 14
    """Bands of the LSH: two texts meet if all rows of one band agree. FineWeb: 14."""
    rows: int = 8
    """Hashes of a band. FineWeb: 8, so 112 hashes; 57% of pairs at Jaccard 0.7 meet, 92% at 0.8."""
    seed: int = 1
    """Seed of the permutations; datasketch's and datatrove's default."""

    def __post_init__(self) -> None:
        if min(self.ngram, self.bands, self.rows) < 1:
            raise ValueError(f"ngram, bands and rows must be at least 1: {self}")
        if self.unit not in get_args(Unit):
            raise ValueError(f"unit must be one of {', '.join(get_args(Unit))}: {self}")

    @property
    def hashes(self) -> int:
        """Values of a signature."""
        return self.bands * self.rows


def catch_probability(similarity: float, config: MinHashConfig) -> float:
    """Probability that two texts of this Jaccard similarity share a band key.

    Source: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4.2.
    """
    return float(1.0 - (1.0 - similarity**config.rows) ** config.bands)


def shingles(text: str, config: MinHashConfig) -> list[str]:
    """The shingles of a text: every run of `ngram` words, joined by a space, or of characters.

    Characters are those of all words joined by a space. A shorter text is one shingle; a text
    without a word has none. `signatures` does not use it: it is the definition that tests and other
    programs go by.
    """
    found = words(text)
    if not found:
        return []
    if config.unit == "character":
        joined = " ".join(found)
        return [joined[i : i + config.ngram] for i in _starts(len(joined), config)]
    return [" ".join(found[i : i + config.ngram]) for i in _starts(len(found), config)]


def shingle_hash(shingle: str, unit: Unit = "word") -> int:
    """The 32-bit hash of a shingle, in the form that `datasketch.MinHash(hashfunc=...)` takes.

    A polynomial over the xxh64 of the words, or characters, first one at the highest power, modulo
    2^64, mixed, upper half.
    """
    value = 0
    for item in shingle.split(" ") if unit == "word" else shingle:
        value = (value * _BASE + _item_hash(item)) & _MASK64
    value ^= value >> 33
    return ((value * _MIX) & _MASK64) >> 32


def signatures(texts: Sequence[str], config: MinHashConfig) -> Signatures:
    """MinHash signatures of texts.

    Returns:
        Shape [texts, bands * rows]; equal to `datasketch.MinHash(bands * rows, seed,
        hashfunc=shingle_hash)` updated with `shingles(text)`; for another unit than words the hash
        function is `partial(shingle_hash, unit=...)`. A text without a word gets a row of `EMPTY`
        (see `has_words`).
    """
    return sign(texts, config)[0]


def sign(texts: Sequence[str], config: MinHashConfig) -> tuple[Signatures, npt.NDArray[np.uint64]]:
    """The `signatures` of texts, and a number for each that is the same for the same shingles.

    Texts of one signature may differ a little; those of one number have each shingle as often. It
    is the sum of the mixed `shingle_values`, modulo 2^64: 0 for a text without a word.
    """
    a, b = _permutations(config.hashes, config.seed)
    if minhash_kernel.AVAILABLE:
        return minhash_kernel.sign_texts(texts, a, b, config.ngram, config.unit == "character")
    result = np.full((len(texts), config.hashes), EMPTY, dtype=np.uint32)
    sums = np.zeros(len(texts), dtype=np.uint64)
    known = TokenHashes()
    pending: list[npt.NDArray[np.uint32]] = []
    owners: list[int] = []
    waiting = 0
    for index, text in enumerate(texts):
        values = shingle_values(text, config, known)
        if not len(values):
            continue
        sums[index] = (values ^ values >> np.uint64(29)).sum(dtype=np.uint64)
        hashes = (values >> np.uint64(32)).astype(np.uint32)
        pending.append(hashes)
        owners.append(index)
        waiting += len(hashes)
        if waiting >= _BATCH_SHINGLES:
            _reduce(pending, owners, a, b, result)
            pending, owners, waiting = [], [], 0
    if pending:
        _reduce(pending, owners, a, b, result)
    return result, sums


def has_words(values: Signatures) -> npt.NDArray[np.bool_]:
    """Which signatures are of a text with a word: the others say nothing and must not be banded."""
    return np.asarray((values != EMPTY).any(axis=1))


def band_keys(values: Signatures, config: MinHashConfig) -> npt.NDArray[np.uint64]:
    """A 64-bit key per band, shape [n, bands]: equal for equal rows of the same band.

    The number of the band is mixed in, so different bands do not meet.
    """
    parts = values.reshape(len(values), config.bands, config.rows).astype(np.uint64)
    keys = np.broadcast_to(
        np.arange(1, config.bands + 1, dtype=np.uint64) * np.uint64(_BASE),
        (len(values), config.bands),
    ).copy()
    for row in range(config.rows):
        keys ^= parts[:, :, row]
        keys *= np.uint64(_MIX)
        keys ^= keys >> np.uint64(32)
    return keys


def estimate_similarity(sig_a: Signatures, sig_b: Signatures) -> npt.NDArray[np.float64]:
    """Estimated Jaccard similarity, 0.0 to 1.0, of signatures, pairwise along the last axis.

    The standard error is sqrt(J (1 - J) / hashes): 0.038 at J = 0.8 and 112 hashes (Broder 1997).
    """
    return np.asarray((sig_a == sig_b).mean(axis=-1), dtype=np.float64)


def text_hash(text: str) -> str:
    """The key of an exact text: 128 bits of SHA-256, as hex, over the text.

    Runs of white space count as one space, those at the ends as none. Case and punctuation count. A
    cryptographic hash, so nobody can write a page that passes for another one.
    """
    return digest("exact text", " ".join(text.split()))


def _starts(items: int, config: MinHashConfig) -> range:
    """Where the shingles of so many words or characters begin."""
    return range(max(items - config.ngram, 0) + 1)


def _item_hash(item: str) -> int:
    return int(xxhash.xxh64_intdigest(item.encode("utf-8", "surrogatepass")))


class TokenHashes(dict[bytes, bytes]):
    """The xxh64 of the words of a token, 8 bytes each; an ASCII token is one word.

    Remembered up to a bound: text from strangers may have any number of distinct tokens.
    """

    def __missing__(self, token: bytes) -> bytes:
        value = b"".join(_item_hash(word).to_bytes(8, "little") for word in words_of_token(token))
        if len(self) < _CACHED_TOKENS and len(token) <= _CACHED_TOKEN_BYTES:
            self[token] = value
        return value


def word_hashes(text: str, known: TokenHashes) -> npt.NDArray[np.uint64]:
    """The xxh64 of each of the `words` of a text, in order; read-only.

    Args:
        text: The text.
        known: A cache that several texts share.
    """
    data = b"".join(b"".join(map(known.__getitem__, tokens(piece))) for piece in pieces(text))
    return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)


def _character_hashes(text: str) -> npt.NDArray[np.uint64]:
    codes = np.frombuffer(" ".join(words(text)).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    distinct, places = np.unique(codes, return_inverse=True)
    hashes = [_item_hash(chr(code)) for code in distinct.tolist()]
    return np.array(hashes, dtype=np.uint64)[places]


def shingle_values(text: str, config: MinHashConfig, known: TokenHashes) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of every shingle of a text, in order; its upper half is `shingle_hash`.

    Args:
        text: The text; one without a word has no shingle.
        config: What a shingle is.
        known: A cache that several texts share; the kernel needs none.
    """
    by_word = config.unit == "word"
    if minhash_kernel.AVAILABLE:
        return minhash_kernel.shingle_values(text, config.ngram, not by_word)
    hashes = word_hashes(text, known) if by_word else _character_hashes(text)
    if not len(hashes):
        return np.empty(0, dtype=np.uint64)
    width = min(config.ngram, len(hashes))
    count = len(hashes) - width + 1
    value = hashes[:count].copy()
    for offset in range(1, width):
        value *= np.uint64(_BASE)
        value += hashes[offset : offset + count]
    value ^= value >> np.uint64(33)
    value *= np.uint64(_MIX)
    return value


@cache
def _permutations(hashes: int, seed: int) -> tuple[Any, Any]:
    a, b = MinHash(num_perm=hashes, seed=seed, scheme="affine32").permutations
    return a, b


def _premix(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The finalizer of MurmurHash3, which datasketch's `affine32` puts before its permutations."""
    values = values ^ (values >> np.uint32(16))
    values *= np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def _reduce(
    pending: list[npt.NDArray[np.uint32]],
    owners: list[int],
    a: npt.NDArray[np.uint32],
    b: npt.NDArray[np.uint32],
    result: Signatures,
) -> None:
    """Permute the shingles of several texts and put the minima into their rows of `result`."""
    mixed = _premix(np.concatenate(pending))
    starts = np.concatenate([[0], np.cumsum([len(item) for item in pending])])
    rows = np.asarray(owners)
    buffer = np.empty((_BLOCK_SHINGLES, len(a)), dtype=np.uint32)
    for begin in range(0, len(mixed), _BLOCK_SHINGLES):
        end = min(begin + _BLOCK_SHINGLES, len(mixed))
        block = buffer[: end - begin]
        np.multiply(mixed[begin:end, None], a, out=block)
        block += b
        # The texts that this block touches; the first one may have begun in the block before.
        first = int(np.searchsorted(starts, begin, side="right")) - 1
        last = int(np.searchsorted(starts, end, side="left"))
        offsets = np.maximum(starts[first:last] - begin, 0)
        touched = rows[first:last]
        result[touched] = np.minimum(result[touched], np.minimum.reduceat(block, offsets, axis=0))
