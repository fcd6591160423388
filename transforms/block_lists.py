"""Block lists given as tables: domains, URLs, images by their bytes, images by their looks.

A list is kept as sorted digests of 16 bytes, or as 64-bit hashes: ten million entries take 160 MB
(perceptual hashes: 80 MB for each chunk of the index). What cannot be an entry is the user's
mistake, named by file and line: an entry that is passed over would let through what was meant to be
blocked.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import xxhash

from schemas.errors import FetchError, RecipeError
from transforms.block_files import Entry, mistake, read_entries
from transforms.phash_index import Hashes, PhashIndex
from transforms.urls import normalize_url

MAX_DISTANCE = 16

_DIGEST = 16
_PLAIN_DOMAIN = re.compile(r"(?:[a-z0-9\-]+\.)+[a-z][a-z\-]*")
_NOT_IN_NAME = re.compile(r"[/\\?#@:\s]")
_NAME = re.compile(r"[a-z0-9_.:\-]+")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_HEX = re.compile(r"[0-9a-fA-F]{16}")
_WHOLE = re.compile(r"[+\-]?[0-9]{1,20}")

Digests = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class BlockListConfig:
    """The recipe's section `block_lists`: files or fsspec URLs.

    Text has one entry a line; `#` begins a comment at the start of a line or behind a blank. CSV,
    TSV, JSONL and Parquet have a column of the kind's name (`domain`, `url`, `sha256`, `phash`), or
    one column of any name; CSV and TSV begin with a line of names. All but Parquet may be
    compressed (`.gz`).
    """

    domains: tuple[str, ...] = ()
    """Names of hosts: each blocks itself and all names below it."""
    urls: tuple[str, ...] = ()
    """Image URLs, compared as normalised."""
    sha256: tuple[str, ...] = ()
    """Hashes of images as received: 64 hex digits."""
    phash: tuple[str, ...] = ()
    """Perceptual hashes, as column `phash` of table `images`: signed or unsigned whole numbers of
    64 bits, or 16 hex digits each, but one way throughout a file. A picture of one colour has 0."""
    phash_distance: int = 4
    """Bits by which a perceptual hash may differ from a listed one, 0 to 16."""

    def __post_init__(self) -> None:
        if not 0 <= self.phash_distance <= MAX_DISTANCE:
            raise RecipeError(
                f"block_lists.phash_distance: 0 to {MAX_DISTANCE}, not {self.phash_distance}"
            )


def _digest(text: str) -> bytes:
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


def _host(url: str) -> str:
    """The host of a normalised URL, less a dot at its end."""
    return (urlsplit(url).hostname or "").removesuffix(".")


def _domain(value: Entry) -> bytes:
    """The digest of a listed domain; `*.` before it says what holds anyway."""
    name = value.lower().removeprefix("*.").removeprefix(".") if isinstance(value, str) else ""
    if not _PLAIN_DOMAIN.fullmatch(name):
        address = name.startswith("[") and name.endswith("]")
        url = normalize_url(f"http://{name}/") if address or not _NOT_IN_NAME.search(name) else None
        name = _host(url) if url else ""
        if not _NAME.fullmatch(name):
            raise ValueError("not a domain")
    return _digest(name)


def _url(value: Entry) -> bytes:
    url = normalize_url(value) if isinstance(value, str) else None
    if url is None:
        raise ValueError("not an http or https URL")
    return _digest(url)


def _sha256(value: Entry) -> bytes:
    if isinstance(value, bytes) and len(value) == 32:
        return value[:_DIGEST]
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("not a sha256 of 64 hex digits")
    return bytes.fromhex(value[: 2 * _DIGEST])


def _read_digests(files: Iterable[str], column: str, digest: Callable[[Entry], bytes]) -> Digests:
    """The digests of all entries, sorted, each once."""
    found = bytearray()
    for file in files:
        for line, value in read_entries(file, column):
            try:
                found += digest(value)
            except ValueError as error:
                raise mistake(file, line, f"{error}: {str(value)[:200]!r}") from None
    if not found:
        return np.zeros(0, f"S{_DIGEST}")
    digests: Digests = np.frombuffer(found, f"S{_DIGEST}")
    digests.sort()
    is_first = np.ones(len(digests), np.bool_)
    is_first[1:] = digests[1:] != digests[:-1]
    unique: Digests = digests[is_first]
    return unique


def _read_phashes(file: str) -> Hashes:
    """The hashes of a file, whose entries are all written one way.

    Sixteen decimal digits may be meant either way; what stands beside them decides, and hex if
    nothing does.
    """
    as_hex, as_whole = bytearray(), bytearray()
    may_be_hex = may_be_whole = True
    for line, value in read_entries(file, "phash"):
        text = str(value)
        may_be_hex = may_be_hex and isinstance(value, str) and _HEX.fullmatch(text) is not None
        may_be_whole = (
            may_be_whole
            and not isinstance(value, bytes)
            and _WHOLE.fullmatch(text) is not None
            and -(1 << 63) <= int(text) < 1 << 64
        )
        if may_be_hex:
            as_hex += int(text, 16).to_bytes(8, "little")
        if may_be_whole:
            as_whole += (int(text) % (1 << 64)).to_bytes(8, "little")
        if not (may_be_hex or may_be_whole):
            what = "neither 16 hex digits nor a number of 64 bits, as the lines above"
            raise mistake(file, line, f"{what}: {text[:200]!r}")
    return np.frombuffer(as_hex if may_be_hex else as_whole, "<u8").astype(np.uint64)


def _hits(digests: Digests, wanted: Sequence[bytes]) -> list[bool]:
    """Which of the wanted digests are listed."""
    if not len(digests) or not wanted:
        return [False] * len(wanted)
    asked = np.array(wanted, digests.dtype)
    places = np.minimum(np.searchsorted(digests, asked), len(digests) - 1)
    return list(digests[places] == asked)


class BlockLists:
    """What must not be asked for, and what must not be kept."""

    def __init__(
        self, domains: Digests, urls: Digests, sha256: Digests, phashes: PhashIndex
    ) -> None:
        self._domains, self._urls, self._sha256, self._phashes = domains, urls, sha256, phashes

    @classmethod
    def load(cls, config: BlockListConfig) -> Self:
        """Read the lists: seconds for each million of entries, so once a process.

        Raises:
            InputError: A file that cannot be read, or an entry that is none, with file and line.
        """
        hashes = [np.zeros(0, np.uint64), *map(_read_phashes, config.phash)]
        return cls(
            _read_digests(config.domains, "domain", _domain),
            _read_digests(config.urls, "url", _url),
            _read_digests(config.sha256, "sha256", _sha256),
            PhashIndex(np.concatenate(hashes), config.phash_distance),
        )

    @property
    def identity(self) -> str:
        """A hash of what is listed, for fingerprints: equal lists in any files have the same."""
        whole = hashlib.sha256()
        phashes = self._phashes.hashes
        for part in (self._domains, self._urls, self._sha256, phashes.astype("<u8")):
            whole.update(f"{len(part)} ".encode())
            whole.update(part.tobytes())
        if len(phashes):
            whole.update(f"within {self._phashes.distance}".encode())
        return whole.hexdigest()

    def url(self, url: str) -> FetchError | None:
        """Why a URL is not asked for: `blocked_domain` or `blocked_url`; None if it may be."""
        if not len(self._domains) and not len(self._urls):
            return None
        normal = normalize_url(url)
        if normal is None:
            return None
        if len(self._domains):
            labels = _host(normal).split(".")
            names = [".".join(labels[at:]) for at in range(len(labels))]
            for name, listed in zip(
                names, _hits(self._domains, list(map(_digest, names))), strict=True
            ):
                if listed:
                    return FetchError("blocked_domain", f"{name} is on a block list")
        if _hits(self._urls, [_digest(normal)])[0]:
            return FetchError("blocked_url", "the URL is on a block list")
        return None

    def image(self, sha256: str | None, phash: int | None) -> FetchError | None:
        """Why an image is not kept: `blocked_image` or `blocked_phash`; None if it may be."""
        return self.images([sha256], [phash])[0]

    def answer(
        self, image_url: str, final_url: str | None, sha256: str | None, phash: int | None
    ) -> FetchError | None:
        """Why the answer to a URL is not used: by the URL, where it led to, or what came."""
        return (
            self.url(image_url)
            or (self.url(final_url) if final_url else None)
            or self.image(sha256, phash)
        )

    def images(
        self, sha256: Sequence[str | None], phash: Sequence[int | None]
    ) -> list[FetchError | None]:
        """As `image`, for many at once; what an image lacks is not looked at."""
        found: list[FetchError | None] = [None] * len(sha256)
        if len(self._sha256):
            known = [(at, text) for at, text in enumerate(sha256) if text is not None]
            digests = [bytes.fromhex(text[: 2 * _DIGEST]) for _, text in known]
            for (at, _), listed in zip(known, _hits(self._sha256, digests), strict=True):
                if listed:
                    found[at] = FetchError("blocked_image", "its sha256 is on a block list")
        if len(self._phashes):
            for at, value in enumerate(phash):
                if value is None or found[at]:
                    continue
                bits = self._phashes.nearest(value)
                if bits is not None:
                    message = f"its perceptual hash is {bits} bits from one on a block list"
                    found[at] = FetchError("blocked_phash", message)
        return found
