"""Edges between duplicate pages, before any download: the shuffle in which signed pages meet.

Step `edges` brings pages together that share a URL, an exact text or a MinHash band, and verifies
those that only may be alike; what holds is kept as a table. Keys and nodes are all that travels to
find pairs; what is compared, a signature or the set of the shingles of a text, travels once to each
part that holds a candidate for its page.

``keys -> pairs by key -> to the part of a: its pages -> to the part of b: verified, kept``

What follows from edges is in `cluster_pages.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.duplicate_rows import Edge
from schemas.tables import schema_of
from transforms.compare_pages import iter_sets, read_compared
from transforms.duplicate_keys import (
    KINDS,
    NEAR_TEXT,
    PAIR_SCHEMA,
    SPLIT,
    Indices,
    Numbers,
    distinct_pairs,
    key_rows,
    pairs_of_keys,
    part_of,
    row_of,
)
from transforms.minhash import Signatures, estimate_similarity
from transforms.pages import known_columns, take_or_null
from transforms.shingle_sets import jaccard, of_column
from transforms.shuffle import Block, split_rows
from transforms.signed_pages import DedupConfig, SignedFiles, read_signed, to_signatures
from transforms.sink import Part, PartSink

STEP_VERSION = 5
LINKS = "links"
"""Fact: edges between different pages, which are those of every kind but `record`."""

_PAGE = 254
"""Code of a row that tells of the page of node `a`."""
_MEET_SCHEMA = pa.schema(
    [
        *PAIR_SCHEMA,
        pa.field("id", pa.string()),
        pa.field("date", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("score", pa.float64()),
        pa.field("published", pa.bool_()),
        pa.field("split", pa.string()),
        pa.field("compared", pa.large_binary()),
    ]
)
"""Pairs, and the pages of their first ends: what travels to the parts of the second ends.
`compared` is the signature, or the shingles of a page with a candidate."""
_VERIFY_PAIRS = 1 << 15


@dataclass(eq=False)
class EmitKeys:
    """Map side: the keys of a part's pages, each to its bucket. A part's spec is its number."""

    output: str
    config: DedupConfig
    signed: Sequence[SignedFiles]

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield rows of `KEY_SCHEMA` by bucket, and an empty block for the part itself."""
        number: int = part.spec
        pages = read_signed(self.output, self.signed[number], self.config.minhash)
        rows = key_rows(
            number,
            pages["id"].to_pylist(),
            pages["text_key"].to_pylist(),
            pages["url"].to_pylist(),
            to_signatures(pages["signature"], self.config.minhash),
            self.config.minhash,
            pages["shingle_sum"].to_numpy() if self.config.verify == "texts" else None,
        )
        buckets = rows["key"].to_numpy() % np.uint64(self.config.buckets)
        yield from split_rows(rows, [f"keys {bucket:05d}" for bucket in buckets.tolist()])
        yield f"part {number}", rows.slice(0, 0)


def link_keys(bucket: str, rows: pa.Table) -> Iterator[Block]:
    """First reduce: the pairs of a bucket of keys, each to the part of its first end."""
    kind, _, name = bucket.partition(" ")
    if kind == "part":
        yield name, PAIR_SCHEMA.empty_table()
        return
    pairs = pairs_of_keys(rows)
    yield from split_rows(pairs, _names(part_of(pairs["a"].to_numpy())))


def _names(parts: Indices) -> list[str]:
    return [str(part) for part in parts.tolist()]


@dataclass(eq=False)
class AttachPages:
    """Second reduce: the pages of first ends, with their pairs, to the parts of the second ends."""

    output: str
    config: DedupConfig
    signed: Sequence[SignedFiles]

    def __call__(self, bucket: str, rows: pa.Table) -> Iterator[Block]:
        """Yield pairs and pages for every part that has a second end, and for this part itself."""
        files = self.signed[int(bucket)]
        pages = read_signed(self.output, files, self.config.minhash)
        pairs = distinct_pairs(*(rows[name].to_numpy() for name in PAIR_SCHEMA.names))
        a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        # What a report of a split says of `b` is no node: it stays here.
        kinds = pairs["kind"].to_numpy()
        target = part_of(np.where(kinds == SPLIT, a, b))
        rows = np.unique(row_of(a[kinds == NEAR_TEXT]))
        values = read_compared(self.output, self.config, files, pages, rows)
        compared = take_or_null(values, _places(rows, len(pages)))
        pages = pages.append_column("compared", compared)
        yield bucket, _MEET_SCHEMA.empty_table()
        for number in np.unique(target).tolist():
            chosen = np.flatnonzero(target == number)
            nodes = np.unique(a[chosen])
            yield str(number), _pair_rows(pairs.take(pa.array(chosen)))
            yield str(number), _page_rows(nodes, pages.take(pa.array(row_of(nodes))))


def _places(rows: Indices, count: int) -> Indices:
    """For each of so many rows its place among some distinct ones, -1 where it is none of them."""
    places = np.full(count, -1, np.int64)
    places[rows] = np.arange(len(rows))
    return places


def _pair_rows(pairs: pa.Table) -> pa.Table:
    known = dict(zip(pairs.column_names, pairs.columns, strict=True))
    return known_columns(known, _MEET_SCHEMA, len(pairs))


def _page_rows(nodes: Numbers, pages: pa.Table) -> pa.Table:
    facts = [pages[name] for name in _MEET_SCHEMA.names[len(PAIR_SCHEMA) :]]
    kind, column = pa.array(np.full(len(nodes), _PAGE, np.uint8)), pa.array(nodes)
    return pa.table([kind, column, column, *facts], schema=_MEET_SCHEMA)


@dataclass(eq=False)
class CommitEdges:
    """Last reduce: pairs whose second ends are in one part, verified and kept."""

    output: str
    config: DedupConfig
    signed: Sequence[SignedFiles]

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Write `edges`; tell how many candidates there were, and what was split."""
        number: int = part.spec
        is_page = pc.equal(rows["kind"], _PAGE)
        first = rows.filter(is_page).sort_by("a")
        second = read_signed(self.output, self.signed[number], self.config.minhash)
        found = rows.filter(pc.invert(is_page))
        pairs = distinct_pairs(*(found[name].to_numpy() for name in PAIR_SCHEMA.names))
        is_split = pc.equal(pairs["kind"], SPLIT)
        splits, pairs = pairs.filter(is_split), pairs.filter(pc.invert(is_split))
        near = pc.equal(pairs["kind"], NEAR_TEXT).to_numpy()
        a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        ends = np.searchsorted(first["a"].to_numpy(), a), row_of(b)
        similarity = np.ones(len(pairs))
        if self.config.verify == "texts":
            files = self.signed[number]
            similarity[near] = self._exact(first, ends[0][near], second, ends[1][near], files)
        else:
            similarity[near] = self._estimated(first, ends[0][near], second, ends[1][near])
        holds = ~near | (similarity >= self.config.min_similarity)
        sink.fact("split_groups", len(splits))
        sink.fact("split_group_rows", int(pc.sum(splits["b"]).as_py() or 0))
        sink.fact("candidate_pairs", int(near.sum()))
        sink.fact("similar_pairs", int(holds[near].sum()))
        kept = np.flatnonzero(holds)
        kinds = pa.array(KINDS).take(pairs["kind"].take(pa.array(kept)))
        sink.fact(LINKS, int(pc.sum(pc.not_equal(kinds, "record"), min_count=0).as_py()))
        edges = [
            kinds,
            pa.array(similarity[kept]),
            *self._facts(first, ends[0][kept], part_of(a[kept])),
            *self._facts(second, ends[1][kept], part_of(b[kept])),
        ]
        order = [(name, "ascending") for name in ("kind", "a_id", "b_id", "a_part", "b_part")]
        schema = schema_of(Edge)
        sink.write("edges", pa.table(edges, names=schema.names).cast(schema).sort_by(order))

    def _estimated(
        self, first: pa.Table, at_a: Indices, second: pa.Table, at_b: Indices
    ) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        found = np.empty(len(at_a))
        for start in range(0, len(at_a), _VERIFY_PAIRS):
            chosen = slice(start, start + _VERIFY_PAIRS)
            found[chosen] = estimate_similarity(
                self._signatures(first["compared"], at_a[chosen]),
                self._signatures(second["signature"], at_b[chosen]),
            )
        return found

    def _signatures(self, column: pa.ChunkedArray, places: Indices) -> Signatures:
        return to_signatures(column.take(pa.array(places)), self.config.minhash)

    def _exact(
        self,
        first: pa.Table,
        at_a: Indices,
        second: pa.Table,
        at_b: Indices,
        files: SignedFiles,
    ) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """Page by page of the second ends, so that one of their sets is held at a time."""
        found = np.empty(len(at_a))
        sets = of_column(first["compared"])
        pairs_of: dict[str, list[int]] = {}
        for pair, page_id in enumerate(second["id"].take(pa.array(at_b)).to_pylist()):
            pairs_of.setdefault(page_id, []).append(pair)
        for page_id, own in iter_sets(self.output, files, pairs_of, self.config.minhash):
            for pair in pairs_of[page_id]:
                other = sets[at_a[pair]]
                assert other is not None, "a candidate came without its shingles"
                found[pair] = jaccard(other, own)
        return found

    def _facts(self, pages: pa.Table, places: Indices, parts: Indices) -> list[pa.ChunkedArray]:
        known = ["id", "date", "length", "score", "published", "split"]
        found = pages.select(known).take(pa.array(places))
        names = pa.array([self.signed[part].part for part in parts.tolist()], pa.string())
        return [*found.columns[:4], pa.chunked_array([names]), *found.columns[4:]]
