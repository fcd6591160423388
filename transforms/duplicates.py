"""Dedup of pages before any download: signatures, the shuffle in which duplicates meet, edges.

Two steps. `signatures` (a part function) applies gate `dedup` and hashes each page that passes.
`edges` (a shuffle) brings pages together that share a URL, an exact text or a MinHash band, and
verifies those that only may be alike; what holds is kept as a table. Keys and nodes are all that
travels to find pairs; a signature travels once to each part that holds a candidate for its page.

``keys -> pairs by key -> to the part of a: its pages -> to the part of b: verified, kept``

What follows from edges is in `cluster_pages.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.duplicate_rows import Edge
from schemas.tables import schema_of
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
from transforms.gates import RowGate, evaluate, ledger_rows
from transforms.minhash import MinHashConfig, Signatures, estimate_similarity, signatures, text_hash
from transforms.pages import PageFiles, Places, iter_page_texts, read_pages, some
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

STAGE = "dedup"
STEP_VERSION = 4
GATE = "dedup"

_PAGE = 254
"""Code of a row that tells of the page of node `a`."""
_MEET_SCHEMA = pa.schema(
    [
        *PAIR_SCHEMA,
        pa.field("id", pa.string()),
        pa.field("date", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("signature", pa.binary()),
    ]
)
"""Pairs, and the pages of their first ends: what travels to the parts of the second ends."""
_VERIFY_PAIRS = 1 << 15


@dataclass(frozen=True, slots=True)
class DedupConfig:
    """How duplicates are found."""

    minhash: MinHashConfig = field(default_factory=MinHashConfig)
    min_similarity: float = 0.7
    """Estimated Jaccard similarity from which two pages are near-duplicates; the knee of FineWeb's
    14 x 8 bands lies at 0.72."""
    buckets: int = 64
    """Buckets of the shuffle: memory is one bucket, so more of them for a larger corpus."""


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """The signatures of a part's pages, and the part's name."""

    part: str
    signatures: str | None


@dataclass(eq=False)
class SignPages:
    """Part function: gate `dedup`, then URL, exact-text key and MinHash signature of each page."""

    output: str
    gate: RowGate
    config: DedupConfig

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Sign the pages of a part."""
        files: PageFiles = part.spec
        pages = read_pages(self.output, files)
        sink.seen("pages", len(pages))
        decisions = evaluate(self.gate, pages)
        sink.write("ledger", ledger_rows(GATE, "page", pages["id"], None, decisions))
        sink.count("pages", kept=int(decisions.keep.sum()), rejected=decisions.rejected_by_rule())
        kept = pages.filter(pa.array(decisions.keep))
        places = Places(kept["id"])
        for ids, texts, contents in iter_page_texts(self.output, files):
            rows = places.of(pa.array(ids, pa.string()))
            chosen = np.flatnonzero(rows >= 0).tolist()
            if not chosen:
                continue
            rows, texts = rows[chosen], [texts[row] for row in chosen]
            # Exact duplicates show the same images too: pages of one template, each with a picture
            # of its own, are none, nor is the print version of an illustrated page.
            keys = [text_hash(contents[row]) if contents[row] else "" for row in chosen]
            facts = kept.select(["id", "kind", "url", "date"]).take(pa.array(rows))
            # A row of a table is one image of its page and not the page: others share its URL.
            charsets = kept["charset"].take(pa.array(rows)).to_pylist()
            of_page = [bool(text or charset) for text, charset in zip(texts, charsets, strict=True)]
            urls = pc.if_else(pa.array(of_page, pa.bool_()), facts["url"], "")
            facts = facts.set_column(2, "url", urls)
            signed = signatures(texts, self.config.minhash)
            sink.write(
                "signatures",
                facts.append_column("length", pa.array([len(text) for text in texts], pa.int64()))
                .append_column("text_key", pa.array(keys, pa.string()))
                .append_column("signature", _to_column(signed))
                .combine_chunks(),
            )


def _to_column(values: Signatures) -> pa.Array:
    width = values.dtype.itemsize * values.shape[1]
    data = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(pa.binary(width), len(values), [None, data])


def to_signatures(column: pa.ChunkedArray, config: MinHashConfig) -> Signatures:
    """The signatures of a column of the table, [rows, hashes]."""
    empty = signatures([], config)
    data = b"".join(column.to_pylist())
    return np.frombuffer(data, empty.dtype).reshape(-1, config.hashes)


def read_signed(output: str, files: SignedFiles, config: MinHashConfig) -> pa.Table:
    """The signed pages of a part; an empty table where it has none."""
    found = read_table(output, some(files.signatures))
    if found is not None:
        return found
    names = ("id", "kind", "url", "date", "text_key")
    return pa.table(
        {
            **{name: pa.array([], pa.string()) for name in names},
            "length": pa.array([], pa.int64()),
            "signature": _to_column(signatures([], config)),
        }
    )


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
        pages = read_signed(self.output, self.signed[int(bucket)], self.config.minhash)
        pairs = distinct_pairs(*(rows[name].to_numpy() for name in PAIR_SCHEMA.names))
        a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        # What a report of a split says of `b` is no node: it stays here.
        target = part_of(np.where(pairs["kind"].to_numpy() == SPLIT, a, b))
        yield bucket, _MEET_SCHEMA.empty_table()
        for number in np.unique(target).tolist():
            chosen = np.flatnonzero(target == number)
            nodes = np.unique(a[chosen])
            yield str(number), _pair_rows(pairs.take(pa.array(chosen)))
            yield str(number), _page_rows(nodes, pages.take(pa.array(row_of(nodes))))


def _pair_rows(pairs: pa.Table) -> pa.Table:
    for column in list(_MEET_SCHEMA)[len(PAIR_SCHEMA) :]:
        pairs = pairs.append_column(column, pa.nulls(len(pairs), column.type))
    return pairs


def _page_rows(nodes: Numbers, pages: pa.Table) -> pa.Table:
    facts = [pages[name] for name in ("id", "date", "length")]
    signature = pages["signature"].cast(pa.binary())
    kind, column = pa.array(np.full(len(nodes), _PAGE, np.uint8)), pa.array(nodes)
    return pa.table([kind, column, column, *facts, signature], schema=_MEET_SCHEMA)


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
        similarity[near] = self._similarity(first, ends[0][near], second, ends[1][near])
        holds = ~near | (similarity >= self.config.min_similarity)
        sink.fact("split_groups", len(splits))
        sink.fact("split_group_rows", int(pc.sum(splits["b"]).as_py() or 0))
        sink.fact("candidate_pairs", int(near.sum()))
        sink.fact("similar_pairs", int(holds[near].sum()))
        kept = np.flatnonzero(holds)
        kinds = pa.array(KINDS).take(pairs["kind"].take(pa.array(kept)))
        edges = [
            kinds,
            pa.array(similarity[kept]),
            *self._facts(first, ends[0][kept], part_of(a[kept])),
            *self._facts(second, ends[1][kept], part_of(b[kept])),
        ]
        order = [(name, "ascending") for name in ("kind", "a_id", "b_id", "a_part", "b_part")]
        schema = schema_of(Edge)
        sink.write("edges", pa.table(edges, names=schema.names).cast(schema).sort_by(order))

    def _similarity(
        self, first: pa.Table, at_a: Indices, second: pa.Table, at_b: Indices
    ) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        found = np.empty(len(at_a))
        for start in range(0, len(at_a), _VERIFY_PAIRS):
            chosen = slice(start, start + _VERIFY_PAIRS)
            found[chosen] = estimate_similarity(
                self._signatures(first, at_a[chosen]), self._signatures(second, at_b[chosen])
            )
        return found

    def _signatures(self, pages: pa.Table, places: Indices) -> Signatures:
        return to_signatures(pages["signature"].take(pa.array(places)), self.config.minhash)

    def _facts(self, pages: pa.Table, places: Indices, parts: Indices) -> list[pa.ChunkedArray]:
        found = pages.select(["id", "date", "length"]).take(pa.array(places))
        names = pa.array([self.signed[part].part for part in parts.tolist()], pa.string())
        return [*found.columns, pa.chunked_array([names])]
