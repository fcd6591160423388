"""Slices of the rows that a gate judged, and what each rule takes of each: who loses more.

A slice is a value of a dimension: a language, a script, a domain suffix, an orientation, a size.
Of what a row does not have, as a text without an image, it is in no slice.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspection.rejudge import JudgedRows
from pipeline.inspection.streams import Json

UNKNOWN = "unknown"
SHOWN = 12
"""Values of a dimension that are told, the most frequent first."""
FLAG_ROWS = 30
"""Rows that a slice has at least, and that it would lose, before it is flagged: below that chance
tells more than the rule."""
FLAG_TIMES = 2.0

_SIDES = (200, 400, 800)
_SIZES = ("below 200", "200 to 399", "400 to 799", "800 and more")
_SCRIPTS = (
    ("Japanese", r"[\p{Hiragana}\p{Katakana}]"),
    ("Han", r"\p{Han}"),
    ("Hangul", r"\p{Hangul}"),
    ("Arabic", r"\p{Arabic}"),
    ("Hebrew", r"\p{Hebrew}"),
    ("Cyrillic", r"\p{Cyrillic}"),
    ("Greek", r"\p{Greek}"),
    ("Devanagari", r"\p{Devanagari}"),
    ("Thai", r"\p{Thai}"),
    ("Latin", r"\p{Latin}"),
)
"""A text is of the first script that it has a letter of: a Russian text may name a Latin brand."""
_NOT_LATIN = "[" + "".join(pattern.strip("[]") for _, pattern in _SCRIPTS[:-1]) + "]"
_LETTER = "[" + "".join(pattern.strip("[]") for _, pattern in _SCRIPTS) + "]"
_SUFFIX = (
    r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?[^/?#:]*?"
    r"(?P<suffix>\.[A-Za-z][A-Za-z0-9\-]*)\.?(?:[:/?#]|$)"
)
"""The last label of a host that has a name, of scheme://user@host:port/path."""

Codes = npt.NDArray[np.int64]


def language_of(rows: pa.Table) -> Any:
    """The language of each row."""
    if "language" not in rows.column_names:
        return pa.array([UNKNOWN]).take(pa.array(np.zeros(rows.num_rows, np.int64)))
    found = pc.fill_null(rows["language"], UNKNOWN)
    return pc.if_else(pc.equal(found, ""), UNKNOWN, found)


def dimensions_of(rows: pa.Table) -> Iterator[tuple[str, Any]]:
    """Name and value of each row for each dimension that the rows have; null: in no slice."""
    names = rows.column_names
    if "language" in names:
        yield "language", language_of(rows)
    # Of a caption its own; of a page its title. Paragraphs are as their page, and many.
    text = next((name for name in ("caption_id", "page_title", "title") if name in names), None)
    if (text is not None and "node" not in names) or "caption_id" in names:
        yield "script", _script(rows["text" if text == "caption_id" else text])
    url = next((name for name in ("page_url", "url") if name in names), None)
    if url is not None:
        yield "domain suffix", _suffix(rows[url])
    if "width" in names:
        width, height = rows["width"], rows["height"]
        shape = pc.if_else(
            pc.equal(width, height),
            "square",
            pc.if_else(pc.greater(width, height), "landscape", "portrait"),
        )
        yield "orientation", shape
        least = pc.min_element_wise(width, height, skip_nulls=False)
        yield "image size", _size(least)


def _suffix(urls: Any) -> Any:
    """The last label of each host; null of an address and of a URL without a host."""
    # All that stands on a page has one URL: each is looked at once.
    encoded = urls.combine_chunks().dictionary_encode()
    found = pc.struct_field(pc.extract_regex(encoded.dictionary, _SUFFIX), "suffix")
    return pc.utf8_lower(found).take(encoded.indices)


def _script(texts: Any) -> Any:
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    found = np.full(len(texts), -1)
    open_rows = np.flatnonzero(_has(texts, _LETTER))
    # Nearly all texts are Latin and nothing else: each regular expression looks at what is left.
    other = _has(texts.take(pa.array(open_rows)), _NOT_LATIN)
    found[open_rows[~other]] = len(_SCRIPTS) - 1
    open_rows = open_rows[other]
    for at, (_, pattern) in enumerate(_SCRIPTS):
        has = _has(texts.take(pa.array(open_rows)), pattern)
        found[open_rows[has]] = at
        open_rows = open_rows[~has]
    names = pa.array([name for name, _ in _SCRIPTS])
    return names.take(pa.array(found, mask=found < 0))


def _has(texts: Any, pattern: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.asarray(
        pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    )
    return found


def _size(sides: Any) -> Any:
    values = sides.cast(pa.float64()).to_numpy(zero_copy_only=False)
    at = np.digitize(values, _SIDES)
    return pa.array(_SIZES).take(pa.array(at, mask=np.isnan(values)))


class SliceTally:
    """Counts of a gate's rows by slice, over the rows that it is given."""

    def __init__(self) -> None:
        self._rules: list[str] = []
        self._counts: dict[str, dict[str, Codes]] = defaultdict(dict)
        self._total: Codes = np.zeros(0, np.int64)

    def add(self, judged: JudgedRows) -> None:
        """Count some rows of the gate."""
        self._rules = [outcome.rule for outcome in judged.decisions.outcomes]
        count = len(judged.ids)
        if not count:
            return
        # A column each: the rows themselves, those that are kept, those that each rule refuses.
        columns = [np.ones(count, np.bool_), judged.decisions.keep]
        columns += [outcome.failed for outcome in judged.decisions.outcomes]
        total = np.array([np.count_nonzero(column) for column in columns])
        self._total = total if not len(self._total) else self._total + total
        for name, values in dimensions_of(judged.rows):
            self._add(name, values, columns)

    def _add(self, name: str, values: Any, columns: list[npt.NDArray[np.bool_]]) -> None:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        encoded = values.dictionary_encode()
        codes = np.asarray(pc.fill_null(encoded.indices, -1))
        known = codes >= 0
        size = len(encoded.dictionary)
        counts = np.stack(
            [np.bincount(codes[known & column], minlength=size) for column in columns], axis=1
        )
        found = self._counts[name]
        for value, row in zip(encoded.dictionary.to_pylist(), counts, strict=True):
            found[value] = found[value] + row if value in found else row

    def facts(self) -> Json | None:
        """What the report tells; None where no row was counted."""
        if not len(self._total):
            return None
        dimensions, flags = [], []
        for name, found in self._counts.items():
            ordered = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
            flags += [flag for value, row in ordered for flag in self._flags(name, value, row)]
            dimensions.append({
                "name": name,
                "distinct": len(ordered),
                "values": [{"value": value, **_told(row)} for value, row in ordered[:SHOWN]],
            })  # fmt: skip
        return {
            "rules": self._rules,
            **_told(self._total),
            "dimensions": dimensions,
            "flags": sorted(flags, key=lambda flag: (-flag["rate"] / flag["mean"], flag["rule"])),
        }

    def _flags(self, dimension: str, value: str, row: Codes) -> Iterator[Json]:
        rows = int(row[0])
        for at, rule in enumerate(self._rules):
            mean = float(self._total[2 + at] / self._total[0])
            lost = int(row[2 + at])
            if rows >= FLAG_ROWS and lost >= FLAG_ROWS and lost / rows > FLAG_TIMES * mean:
                yield {
                    "rule": rule, "dimension": dimension, "value": value, "rate": lost / rows,
                    "mean": mean, "rows": rows,
                }  # fmt: skip


def _told(row: Codes) -> Json:
    rows, kept, *failed = (int(count) for count in row)
    return {"rows": rows, "kept": kept, "failed": failed}
