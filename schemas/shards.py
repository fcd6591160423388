"""The format of a shard: names, keys, members, the JSON of an interleaved document, the manifest.

A shard is a tar that follows the WebDataset convention. The key of a sample is itself a hash, so
its shard is simply the top bits of its key: keys sort across shards as they do inside one, and
doubling the number of shards cuts each in two. The price is that shard sizes vary with the hash.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import msgspec

from schemas.errors import InputError, RecipeError
from schemas.ids import digest

SCHEMA_VERSION = 1
"""Version of everything below `OUT/shards`; readers refuse another one."""

STREAMS = ("captioned", "interleaved", "text")
IMAGE_FORMATS = {"jpeg": "jpg", "webp": "webp", "keep": "img"}
"""Shard image formats and the one extension that all images of a stream then have."""

MAX_BITS = 19
"""2^19 shards a split is what six digits can number."""

_PILLOW_PIXEL_LIMIT = 178_956_970
"""Pixels above which Pillow refuses to open an image at all."""

_KEY = re.compile(r"[0-9a-f]{8,64}")
_SPLIT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_SHARD = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,31})-([0-9]{6})\.tar")
_SUFFIX = re.compile(r"(?:[0-9]{2,4}\.)?[a-z]{3,5}")


@dataclass(frozen=True)
class ShardFormat:
    """How samples are written.

    Raises:
        RecipeError: A value is out of range; the message begins with the key.
    """

    image_format: str = "jpeg"
    """`jpeg`, `webp` (every image becomes WebP) or `keep` (every image stays what it is)."""
    quality: int = 95
    """Quality of an image that must be encoded, 1 to 100."""
    max_side: int | None = None
    """Longest side in pixels; larger images are shrunk. Unset: none is."""
    background: tuple[int, int, int] = (255, 255, 255)
    """RGB colour under transparent pixels."""
    max_pixels: int = 100_000_000
    """Width times height above which an image is refused: the square of MM1's largest side."""
    target_samples: int = 10_000
    """Samples a shard should hold at most, on average."""
    target_bytes: int = 256 * 1024 * 1024
    """Bytes a shard should hold at most, on average."""

    def __post_init__(self) -> None:
        checks = {
            f"image_format must be one of {', '.join(IMAGE_FORMATS)}": (
                self.image_format in IMAGE_FORMATS
            ),
            "quality must be 1 to 100": 1 <= self.quality <= 100,
            "max_side must be at least 16 pixels": self.max_side is None or self.max_side >= 16,
            "background must be three numbers from 0 to 255": len(self.background) == 3
            and all(0 <= value <= 255 for value in self.background),
            f"max_pixels must be 1 to {_PILLOW_PIXEL_LIMIT}": (
                1 <= self.max_pixels <= _PILLOW_PIXEL_LIMIT
            ),
            "target_samples must be at least 1": self.target_samples >= 1,
            "target_bytes must be at least 1": self.target_bytes >= 1,
        }
        for message, holds in checks.items():
            if not holds:
                raise RecipeError(message)

    @property
    def extension(self) -> str:
        """The extension of every image of a stream, without a dot."""
        return IMAGE_FORMATS[self.image_format]


def shard_name(split: str, number: int) -> str:
    """The file name of a shard: `<split>-NNNNNN.tar`."""
    if not _SPLIT.fullmatch(split) or not 0 <= number < 1_000_000:
        raise ValueError(f"no shard is called {split!r} {number}")
    return f"{split}-{number:06d}.tar"


def parse_shard_name(name: str) -> tuple[str, int]:
    """Split and number of a shard's file name."""
    match = _SHARD.fullmatch(name)
    if not match:
        raise ValueError(f"not the name of a shard: {name!r}")
    return match[1], int(match[2])


def sample_key(stream: str, *fields: str | int) -> str:
    """The key of a sample: a hash of its stream and of its parts, unique over all shards."""
    return digest("sample", stream, *fields)


def member_name(key: str, suffix: str) -> str:
    """The name of a tar member. The key has no dot: readers cut the name at the first one."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"the key of a sample is 8 to 64 lower-case hex digits, not {key!r}")
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"not the suffix of a member: {suffix!r}")
    return f"{key}.{suffix}"


def parse_member_name(name: str) -> tuple[str, str]:
    """Key and suffix of a tar member's name.

    Raises:
        ValueError: The name is not one that `member_name` makes.
    """
    key, dot, suffix = name.partition(".")
    if not dot or not _KEY.fullmatch(key) or not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"not the name of a member: {name!r}")
    return key, suffix


def image_suffixes(stream: str, images: int, extension: str) -> list[str]:
    """Suffixes of a sample's images: `jpg`, or `00.jpg`, `01.jpg`, ... in an interleaved one."""
    if stream == "interleaved":
        return [f"{number:02d}.{extension}" for number in range(images)]
    if images != (1 if stream == "captioned" else 0):
        raise ValueError(f"a sample of stream {stream} has not {images} images")
    return [extension] * images


def shard_of(key: str, bits: int) -> int:
    """The shard of a sample: the top `bits` bits of its key, which is a hash."""
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"bits must be 0 to {MAX_BITS}, not {bits}")
    return int(key[:8], 16) >> (32 - bits)


def choose_bits(
    samples: int, payload_bytes: int, target_samples: int, target_bytes: int, previous: int | None
) -> int:
    """The k of a split: 2^k shards of about the target size, whichever target binds.

    Args:
        samples: Samples of the split.
        payload_bytes: Their bytes.
        target_samples: Samples a shard should hold.
        target_bytes: Bytes a shard should hold.
        previous: The k of the last run. It stays while the mean shard is within a factor of two of
            the target, so that a corpus that grows a little rewrites only what changed.

    Returns:
        0 to `MAX_BITS`. A fresh k leaves the mean within sqrt(2) of the target where that range
        allows.
    """
    # Ideal number of shards as a fraction; integers only, so that every machine agrees.
    wanted, unit = samples, target_samples
    if payload_bytes * target_samples > samples * target_bytes:
        wanted, unit = payload_bytes, target_bytes
    if previous is not None and 0 <= previous <= MAX_BITS:
        shards = 1 << previous
        too_large = wanted > 2 * unit * shards and previous < MAX_BITS
        too_small = 2 * wanted < unit * shards and previous > 0
        if not too_large and not too_small:
            return previous
    bits = 0
    while bits < MAX_BITS and wanted * wanted > unit * unit << (2 * bits + 1):
        bits += 1
    return bits


def check_interleaved(layout: Mapping[str, object], suffixes: Sequence[str]) -> None:
    """Check the JSON of an interleaved sample.

    `texts` and `images` are lists of one length; at each position exactly one of them is null. An
    image is named by the suffix of its member, and the members appear in order, each once.

    Args:
        layout: The decoded JSON.
        suffixes: Suffixes of the sample's image members, in order.

    Raises:
        ValueError: The layout breaks a rule; the message says which.
    """
    texts, images = layout.get("texts"), layout.get("images")
    if not isinstance(texts, list) or not isinstance(images, list):
        raise ValueError("texts and images must be lists")
    if len(texts) != len(images):
        raise ValueError(f"{len(texts)} texts beside {len(images)} images")
    for position, (text, image) in enumerate(zip(texts, images, strict=True)):
        if (text is None) == (image is None):
            raise ValueError(f"position {position}: exactly one of text and image must be null")
        if not isinstance(text if image is None else image, str):
            raise ValueError(f"position {position}: neither a text nor the name of an image")
    named = [image for image in images if image is not None]
    if named != list(suffixes):
        raise ValueError(f"images named {named}, members {list(suffixes)}")


@dataclass(frozen=True)
class ShardEntry:
    """A published shard, as the manifest lists it."""

    name: str
    samples: int
    bytes: int
    """Size of the file."""
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a stream consists of: a function of input and recipe, without time or machine."""

    stream: str
    recipe_fingerprint: str
    bits: dict[str, int]
    """k of each split: it has at most 2^k shards (a shard without samples is not written)."""
    shards: list[ShardEntry]
    schema_version: int = SCHEMA_VERSION

    @property
    def totals(self) -> dict[str, int]:
        """Shards, samples and bytes of the stream."""
        return {
            "bytes": sum(shard.bytes for shard in self.shards),
            "samples": sum(shard.samples for shard in self.shards),
            "shards": len(self.shards),
        }

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, shards by name."""
        values = asdict(self) | {"totals": self.totals}
        values["shards"].sort(key=lambda shard: shard["name"])
        return json.dumps(values, sort_keys=True, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """The manifest of `to_json`.

        Raises:
            InputError: Not a manifest, of another schema version, or its totals do not add up.
        """
        try:
            values = msgspec.json.decode(text, type=dict[str, object])
            manifest = msgspec.convert(values, cls)
        except msgspec.MsgspecError as error:
            raise InputError(f"not a manifest: {error}") from error
        if manifest.schema_version != SCHEMA_VERSION:
            raise InputError(
                f"manifest of schema version {manifest.schema_version}, not {SCHEMA_VERSION}"
            )
        if values.get("totals") != manifest.totals:
            raise InputError("the totals of the manifest are not the sums of its shards")
        return manifest
