"""Evaluation items: tables and tars of questions, captions and pictures that no corpus may hold.

Parquet, JSON Lines, CSV, TSV and WebDataset tars, whatever their columns are called. Benchmarks
have all kinds of layouts, so what a table has of the columns that are asked for is read. A row that
cannot be read is the user's mistake and ends the run: an item that is passed over would stay in the
corpus.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from schemas.errors import ImageError, InputError, InputRowError, RecipeError
from transforms.byte_streams import COMPRESSED_ENDINGS
from transforms.contamination_tables import column_names, has_schema, read_table_rows
from transforms.corpus_webdataset import member_text
from transforms.image_facts import ImageFactsConfig, read_image_facts
from transforms.input_rows import BadRow
from transforms.input_tables import MAX_FIELD_CHARACTERS

MAX_DISTANCE = 16

_BENCHMARKS = ("benchmark",)
_ITEMS = ("id", "item", "item_id", "question_id", "uid", "key", "__key__")
_TEXTS = (
    "question", "query", "prompt", "problem", "instruction", "caption", "captions", "text",
    "answer", "answers", "solution",
)  # fmt: skip
_IMAGES = ("image", "images")
_SHA256, _PHASH = ("sha256",), ("phash",)

_MAX_DEPTH = 8
_MAX_NAME = 200
_SHARD = re.compile(r"-[0-9]+(?:-of-[0-9]+)?$")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_HEX = re.compile(r"[0-9a-fA-F]{16}")
_WHOLE = re.compile(r"[+\-]?[0-9]{1,20}")
_MEND = "mend or remove the row, for an item that is passed over would stay in the corpus"


@dataclass(frozen=True, slots=True)
class DecontaminationConfig:
    """The recipe's section `decontamination`: what no sample may share with evaluation items.

    Without tables nothing is looked for. Names of columns are compared without regard to case.
    """

    tables: tuple[str, ...] = ()
    """Files, globs or fsspec URLs: Parquet, JSON Lines, CSV, TSV, or WebDataset tars."""
    benchmark: str = ""
    """Column with the name of the benchmark. Unset: `benchmark`, else the file's name."""
    item: str = ""
    """Column that names an item. Unset: `id`, `item`, `question_id`, ..., else the row's place."""
    texts: tuple[str, ...] = ()
    """Columns of texts or of lists of texts. Unset: `question`, `prompt`, `caption`, `answer`, ...
    """
    images: tuple[str, ...] = ()
    """Columns of the bytes of images. Unset: `image`, `images`; of a tar its image members."""
    sha256: str = ""
    """Column of hashes of images as received. Unset: `sha256`."""
    phash: str = ""
    """Column of perceptual hashes: 16 hex digits, or whole numbers of 64 bits. Unset: `phash`."""
    ngram: int = 13
    """Words of an n-gram: GPT-3 (Brown et al. 2020, appendix C)."""
    min_words: int = 8
    """A text of fewer than `ngram` words is looked for as a whole; of fewer than this, not at all:
    GPT-3's shortest n-gram."""
    min_overlap: float = 0.5
    """Share of an item's n-grams that a page or caption must hold to be removed. Cosmopedia's
    decontamination discards what matches more than half of a benchmark's sample."""
    phash_distance: int = 4
    """Bits by which a perceptual hash may differ from that of an item's image, 0 to 16."""

    def __post_init__(self) -> None:
        checks = {
            "ngram: must be from 2 to 100": 2 <= self.ngram <= 100,
            "min_words: must be from 1 to ngram": 1 <= self.min_words <= self.ngram,
            "min_overlap: must be above 0 and at most 1": 0 < self.min_overlap <= 1,
            f"phash_distance: must be from 0 to {MAX_DISTANCE}": (
                0 <= self.phash_distance <= MAX_DISTANCE
            ),
        }
        for message, holds in checks.items():
            if not holds:
                raise RecipeError(f"decontamination.{message}")


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """Which columns of a table mean what; empty where it has none of the kind."""

    benchmark: str
    item: str
    texts: tuple[str, ...]
    images: tuple[str, ...]
    sha256: str
    phash: str

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        single = (self.benchmark, self.item, self.sha256, self.phash)
        return tuple(dict.fromkeys(n for n in (*single, *self.texts, *self.images) if n))


@dataclass(slots=True)
class EvaluationItem:
    """One row of a table."""

    benchmark: str
    item: str
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Column and text."""
    images: list[tuple[str | None, int | None]] = field(default_factory=list)
    """sha256 and perceptual hash."""


def table_columns(url: str, config: DecontaminationConfig) -> ItemColumns:
    """The columns of a table that are read.

    Raises:
        InputError: The file cannot be read, or has none of the columns that hold an item.
    """
    try:
        names = column_names(url)
    except InputRowError as e:
        raise InputError(f"decontamination: {url}: {e}") from e
    except OSError as e:
        raise InputError(f"decontamination: {url}: cannot be read: {e}") from e
    shown = ", ".join(ascii(name[:60])[1:-1] for name in names[:30]) or "none"
    known = {name.strip().lower() for name in names}
    for key in ("benchmark", "item"):
        wanted = getattr(config, key)
        if wanted and wanted.lower() not in known:
            raise InputError(
                f"decontamination: {url}: has no column {wanted!a}, which decontamination.{key} "
                f"names; its columns: {shown}. Set decontamination.{key} to one of them, or to ''"
            )
    try:
        found = _columns(tuple(names), config)
    except InputRowError as e:
        raise InputError(f"decontamination: {url}: {e}") from e
    if not (found.texts or found.images or found.sha256 or found.phash):
        looked = (*(config.texts or _TEXTS), *(config.images or _IMAGES), "sha256", "phash")
        raise InputError(
            f"decontamination: {url}: has none of the columns {', '.join(looked)}; its columns: "
            f"{shown}. Name those that hold texts in decontamination.texts, those that hold images "
            "in decontamination.images"
        )
    return found


@lru_cache(256)
def _columns(names: tuple[str, ...], config: DecontaminationConfig) -> ItemColumns:
    """Which of some columns are read, whatever the case of their names."""
    known: dict[str, list[str]] = {}
    for name in names:
        known.setdefault(name.strip().lower(), []).append(name)

    def some(wanted: Sequence[str], common: Sequence[str]) -> tuple[str, ...]:
        found = [known[name.lower()] for name in wanted or common if name.lower() in known]
        for same in found:
            if len(same) > 1:
                raise InputRowError(f"has two columns {same[0]!a} and {same[1]!a}; rename one")
        return tuple(dict.fromkeys(same[0] for same in found))

    def one(wanted: str, common: Sequence[str]) -> str:
        return next(iter(some([wanted] if wanted else [], common)), "")

    return ItemColumns(
        one(config.benchmark, _BENCHMARKS),
        one(config.item, _ITEMS),
        some(config.texts, _TEXTS),
        some(config.images, _IMAGES),
        one(config.sha256, _SHA256),
        one(config.phash, _PHASH),
    )


def read_items(url: str, config: DecontaminationConfig) -> Iterator[EvaluationItem]:
    """The items of a table, in its order; one without text and image too.

    Raises:
        InputError: The table, or a row of it, cannot be read; the message names file and row.
    """
    columns = table_columns(url, config)
    with_schema = has_schema(url)
    try:
        for row in read_table_rows(url, columns.names):
            if isinstance(row, BadRow):
                raise InputError(f"decontamination: {url}, row {row.key}: {row.error}; {_MEND}")
            try:
                # Rows of a file without a schema may have columns that the first ones lack.
                own = columns if with_schema else _columns(tuple(row[1]), config)
                item = _item(url, *row, own)
            except InputRowError as e:
                raise InputError(f"decontamination: {url}, row {row[0]}: {e}; {_MEND}") from e
            yield item
    except InputRowError as e:
        raise InputError(f"decontamination: {url}: {e}") from e
    except OSError as e:
        raise InputError(f"decontamination: {url}: cannot be read: {e}") from e


def benchmark_of(url: str) -> str:
    """The name of a file without its ending and the number of a shard: `mmlu-00001-of-00004`."""
    name = posixpath.basename(url)
    for packed in COMPRESSED_ENDINGS:
        name = name.removesuffix(packed)
    return _SHARD.sub("", posixpath.splitext(name)[0])


# --- a row as an item


def _item(url: str, key: str, row: dict[str, Any], columns: ItemColumns) -> EvaluationItem:
    named = row.get(columns.benchmark) if columns.benchmark else None
    own = row.get(columns.item) if columns.item else None
    item = EvaluationItem(
        _name("benchmark", named) or _name("benchmark", benchmark_of(url)),
        _name("item", own) or _name("item", key),
    )
    for name in columns.texts:
        for text in _texts(name, row.get(name)):
            if len(text) > MAX_FIELD_CHARACTERS:
                told = f"{len(text)} characters, more than {MAX_FIELD_CHARACTERS}"
                raise InputRowError(f"column {name!a}: {told}")
            item.texts.append((_name("column", name), text))
    for name in columns.images:
        item.images += [_hashes(data) for data in _blobs(name, row.get(name))]
    sha256 = _sha256(row.get(columns.sha256)) if columns.sha256 else None
    phash = _phash(row.get(columns.phash)) if columns.phash else None
    if sha256 is not None or phash is not None:
        item.images.append((sha256, phash))
    return item


def _name(what: str, value: Any) -> str:
    """A name as bounded text that any table can hold; empty for no value."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str | int | float):
        raise InputRowError(f"{what}: a {type(value).__name__}, not a text or number")
    return str(value)[:_MAX_NAME].encode("utf-8", "replace").decode()


def _texts(name: str, value: Any, depth: int = 0) -> Iterator[str]:
    """The texts of a value: itself, or those in its lists and members (`choices`, turns)."""
    if depth > _MAX_DEPTH:
        raise InputRowError(f"column {name!a}: lists inside lists, more than {_MAX_DEPTH} deep")
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield member_text(value)
    elif isinstance(value, list | tuple | dict):  # a map of Parquet is a list of pairs
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(name, each, depth + 1)
    elif value is not None and not isinstance(value, int | float):
        raise InputRowError(f"column {name!a}: a {type(value).__name__}, not a text")


def _blobs(name: str, value: Any) -> Iterator[bytes]:
    """The bytes of a value: itself, its member `bytes` (as `datasets` writes), or a list of such.

    Nothing for a path or a URL: what is behind it is not read.
    """
    if isinstance(value, bytes):
        if value:
            yield value
    elif isinstance(value, dict):
        yield from _blobs(name, value.get("bytes"))
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, bytes | dict):
                yield from _blobs(name, each)


def _hashes(data: bytes) -> tuple[str, int | None]:
    """sha256 and perceptual hash; what does not decode is known by its bytes alone."""
    try:
        phash = read_image_facts(data, ImageFactsConfig()).phash
    except ImageError:
        return hashlib.sha256(data).hexdigest(), None
    return hashlib.sha256(data).hexdigest(), _telling(phash)


def _telling(phash: int) -> int | None:
    """A hash that tells pictures apart: that of any picture of one colour is 0."""
    return phash or None


def _sha256(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bytes) and len(value) == 32:
        return value.hex()
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value.lower()
    raise InputRowError(f"sha256: not 64 hex digits: {str(value)[:80]!a}")


def _phash(value: Any) -> int | None:
    """A hash as a signed integer. Text of 16 digits is hexadecimal, of any other length decimal."""
    if value is None or value == "":
        return None
    number = None
    if isinstance(value, str) and _HEX.fullmatch(value):
        number = int(value, 16)
    elif isinstance(value, str) and _WHOLE.fullmatch(value):
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number is None or not -(1 << 63) <= number < 1 << 64:
        raise InputRowError(f"phash: neither 16 hex digits nor 64 bits: {str(value)[:80]!a}")
    return _telling(number - (1 << 64) if number >= 1 << 63 else number)
