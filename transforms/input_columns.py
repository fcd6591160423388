"""Which column of a table means what: the recipe's `[input]`, presets, and names known by default.

A field of ours (`image_url`, `text`, ...) is found in this order: what the recipe maps, what the
preset knows, the names that such tables usually have. Names are compared without regard to case.
Columns that nothing names are not read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from schemas.errors import RecipeError


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The columns of a table that holds URLs of images and their texts.

    Each is a name, or a position from 0 in a CSV or TSV file without a header line. Empty: as the
    preset says, else one of `COMMON_NAMES`.
    """

    image_url: str | int = ""
    text: str | int = ""
    """What is said of the image: its alt text, as a rule."""
    page_url: str | int = ""
    """The page that the image stands on."""
    key: str | int = ""
    """The row's own key; without one a row is known by its place in its file."""
    width: str | int = ""
    """In pixels, as the table says: column `declared_width`, before any byte is fetched."""
    height: str | int = ""
    language: str | int = ""
    license: str | int = ""
    title: str | int = ""
    """The page's title."""
    date: str | int = ""
    """When the page was fetched, ISO 8601."""


FIELDS = tuple(column.name for column in fields(ColumnMap))
REQUIRED = ("image_url", "text")

COMMON_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image_url": ("image_url", "img_url", "imageurl", "image_link", "url", "img"),
        "text": ("text", "caption", "alt_text", "alttext", "alt", "description"),
        "page_url": ("page_url", "webpage_url", "pageurl"),
        "key": ("key", "id", "uid", "sample_id"),
        "width": ("width", "original_width", "image_width"),
        "height": ("height", "original_height", "image_height"),
        "language": ("language", "lang"),
        "license": ("license", "licence"),
        "title": ("title", "page_title"),
        "date": (),
    }
)
"""Names by which a field is found where neither recipe nor preset says one, best first."""


@dataclass(frozen=True, slots=True)
class Preset:
    """The layout of a known table. Source of each: the files as published [recalled]."""

    positions: Mapping[str, int] = field(default_factory=dict)
    """Of a file without a header line."""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a file that has names, best first; `COMMON_NAMES` are tried behind them."""


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # cc12m.tsv: url, caption. Copies with a header line, or as Parquet, name them so.
        "cc12m": Preset({"image_url": 0, "text": 1}, {"image_url": ("url",), "text": ("caption",)}),
        # Train_GCC-training.tsv, Validation_GCC-...tsv: caption, url.
        "cc3m": Preset({"text": 0, "image_url": 1}, {"image_url": ("url",), "text": ("caption",)}),
        # id, url, text, width, height, image_phash, text_length, word_count, num_tokens_bert, ...
        "coyo": Preset(names={"key": ("id",), "image_url": ("url",), "text": ("text",)}),
        # LAION-400M, 2B, 5B: SAMPLE_ID, URL, TEXT, HEIGHT, WIDTH, LICENSE, LANGUAGE, NSFW,
        # similarity; later releases: url, caption, key, hash, original_width, original_height, ...
        "laion": Preset(
            names={
                "key": ("sample_id", "key", "hash"),
                "image_url": ("url",),
                "text": ("text", "caption", "top_caption"),
                "width": ("width", "original_width"),
                "height": ("height", "original_height"),
            }
        ),
        # uid, url, text, original_width, original_height, clip_b32_similarity_score, ...,
        # face_bboxes, sha256
        "datacomp": Preset(
            names={
                "key": ("uid",),
                "image_url": ("url",),
                "text": ("text",),
                "width": ("original_width",),
                "height": ("original_height",),
            }
        ),
    }
)


@dataclass(frozen=True, slots=True)
class InputConfig:
    """What the input files are, and how they are cut into parts."""

    part_bytes: int = 256 * 1024 * 1024
    """Largest slice of a compressed file, in bytes: the unit of work, of resuming and of memory.
    A slice of a table is `TABLE_PART_BYTES` at most, as its rows are many and small."""
    format: str = "auto"
    """`warc`, `parquet`, `csv`, `tsv`, `jsonl`, or a corpus by name; `auto` goes by the name of a
    file and, where that leaves a choice, by what the first file of the kind holds."""
    preset: str = ""
    """A known layout of a table: one of `PRESETS`."""
    quoted: bool | None = None
    """Whether a field of a CSV or TSV file may stand in quotes, with separators and line ends in
    it. Unset: in CSV yes, in TSV no. A file without quotes can be cut into parts."""
    columns: ColumnMap = field(default_factory=ColumnMap)


TABLE_PART_BYTES = 32 * 1024 * 1024
"""Bytes of a table that make a part: some 100,000 to 300,000 rows, which later steps hold at
once."""


def check_config(config: InputConfig, formats: Sequence[str]) -> None:
    """Raise `RecipeError` for what is wrong whatever the input is."""
    if config.part_bytes < 65536:
        raise RecipeError("input.part_bytes: must be at least 65536")
    if config.format not in formats:
        raise RecipeError(f"input.format: {config.format!a} is not one of {', '.join(formats)}")
    if config.preset and config.preset not in PRESETS:
        raise RecipeError(f"input.preset: {config.preset!a} is not one of {', '.join(PRESETS)}")
    mapped = [getattr(config.columns, name) for name in FIELDS]
    for name, value in zip(FIELDS, mapped, strict=True):
        if isinstance(value, int) and not 0 <= value < 10_000:
            raise RecipeError(f"input.columns.{name}: a position is from 0 to 9999, not {value}")
    kinds = {isinstance(value, int) for value in mapped if value != ""}
    if len(kinds) > 1:
        raise RecipeError("input.columns: give names or positions, not both")
    if kinds == {True} and any(getattr(config.columns, name) == "" for name in REQUIRED):
        raise RecipeError("input.columns: positions are needed for image_url and text")


def mapped_positions(config: InputConfig) -> dict[str, int]:
    """Field -> position, where the recipe says that the file has no header line; else empty."""
    return {
        name: value for name in FIELDS if isinstance(value := getattr(config.columns, name), int)
    }


def find_columns(names: Sequence[str], config: InputConfig) -> dict[str, str]:
    """Field -> name of the column that holds it, of a table with these columns.

    Raises `LookupError` with a message for the user: a column that the recipe maps is not there, or
    nothing looks like the URL of an image, or like its text.
    """
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(name.strip().lower(), name)
    preset = PRESETS.get(config.preset, Preset())
    found: dict[str, str] = {}
    for column in FIELDS:
        wanted = getattr(config.columns, column)
        if isinstance(wanted, str) and wanted:
            if wanted in names:
                found[column] = wanted
            elif wanted.lower() in known:
                found[column] = known[wanted.lower()]
            else:
                raise LookupError(
                    f"input.columns.{column}: there is no column {wanted!a}; {_told(names)}"
                )
            continue
        for name in (*preset.names.get(column, ()), *COMMON_NAMES[column]):
            # A column has one meaning, so `url` is no second name of another field.
            if name in known and known[name] not in found.values():
                found[column] = known[name]
                break
        else:
            if column in REQUIRED:
                raise LookupError(
                    f"no column for {column}; {_told(names)}; name it with "
                    f"--set input.columns.{column}=NAME, or set input.preset"
                )
    return found


def _told(names: Sequence[str]) -> str:
    shown = ", ".join(ascii(name[:60])[1:-1] for name in names[:30])
    return f"columns: {shown}{', ...' if len(names) > 30 else ''}" if names else "it has no columns"
