"""Clusters of pages: what edges join, ranked, and written back to the parts of the pages.

One process reads all edges and writes a file for each part, so that every later stage joins what is
known of a page without a shuffle. A cluster is knowledge, not a verdict: who survives is decided
by gate `shard`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.clusters import build_clusters, connected_components
from transforms.duplicates import GATE, DedupConfig, SignedFiles, to_signatures
from transforms.ledger import builtin_ledger
from transforms.minhash import Signatures
from transforms.pages import positions, rows_with
from transforms.shuffle import split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_rows, read_table


@dataclass(frozen=True, slots=True)
class EdgeFiles:
    """What clusters are made of."""

    edges: tuple[str, ...]
    signed: tuple[SignedFiles, ...]
    pages: int
    """Pages that were signed."""


@dataclass(eq=False)
class ClusterPages:
    """Part function: all edges to clusters, a file for each part whose pages they name."""

    output: str
    config: DedupConfig

    def setup(self) -> None:
        """Nothing is heavy here."""

    def __call__(self, part: Part, sink: PartSink) -> None:
        """Join, cut, rank and write."""
        files: EdgeFiles = part.spec
        rows = read_rows(self.output, files.edges, "edges")
        is_record = pc.equal(rows["kind"], "record")
        self._repeats(files, rows.filter(is_record), sink)
        edges = rows.filter(pc.invert(is_record))
        facts = ["id", "date", "length", "part"]
        ends = [edges.select([f"{end}_{name}" for name in facts]) for end in "ab"]
        members = pa.concat_tables([end.rename_columns(facts) for end in ends])
        # A record that stands in several parts belongs to the first of them.
        members = members.sort_by([("id", "ascending"), ("part", "ascending")])
        links = edges.select(["kind", "a_id", "b_id", "similarity"])
        links = links.rename_columns(["kind", "a", "b", "similarity"])
        lookup = _SignatureLookup(self.output, self.config, files.signed, members)
        built = build_clusters(members, links, lookup, self.config.min_similarity)
        sink.fact("cut_components", built.cut_components)
        sink.fact("cut_pages", built.cut_pages)
        clusters = built.rows
        found = members.take(pa.array(positions(members["id"], clusters["id"])))
        clusters = clusters.append_column("component", components(clusters))
        for name in ("date", "length", "part"):
            clusters = clusters.append_column(name, found[name])
        sink.seen("clusters", len(clusters))
        sink.count("clusters", kept=len(clusters))
        for kind in sorted(set(clusters["kind"].to_pylist())):
            chosen = rows_with(clusters, "kind", [kind])
            sink.fact(f"clusters_{kind}", len(pc.unique(chosen["cluster_id"])))
        _write_by_part(sink, "clusters", clusters)

    def _repeats(self, files: EdgeFiles, repeats: pa.Table, sink: PartSink) -> None:
        """Reject records that stand elsewhere too: all but the first, by part."""
        _write_by_part(
            sink, "repeats", pa.table({"id": repeats["b_id"], "part": repeats["b_part"]})
        )
        sink.seen("distinct_pages", files.pages)
        sink.count(
            "distinct_pages",
            kept=files.pages - len(repeats),
            rejected={"same_record": len(repeats)},
        )
        ids = repeats.sort_by([("b_id", "ascending"), ("b_part", "ascending")])["b_id"]
        sink.write("ledger", builtin_ledger(GATE, "page", ids, None, "same_record", "once"))


def _write_by_part(sink: PartSink, table: str, rows: pa.Table) -> None:
    for name, chosen in split_rows(rows.drop_columns(["part"]), rows["part"]):
        sink.write(table, chosen, file=name)


class _SignatureLookup:
    """Signatures by id, read when they are asked for."""

    def __init__(
        self, output: str, config: DedupConfig, signed: Sequence[SignedFiles], members: pa.Table
    ) -> None:
        self._output = output
        self._config = config
        self._signed = {files.part: files.signatures for files in signed}
        self._members = members

    def __call__(self, wanted: pa.Array) -> Signatures:
        at = positions(self._members["id"], pa.chunked_array([wanted]))
        parts = self._members["part"].take(pa.array(at)).to_pylist()
        by_part: dict[str, list[str]] = {}
        for name, page_id in zip(parts, wanted.to_pylist(), strict=True):
            by_part.setdefault(name, []).append(page_id)
        tables = []
        for name, ids in sorted(by_part.items()):
            path = self._signed[name]
            assert path is not None, f"part {name} has an edge and no signatures"
            found = read_table(self._output, [path], ["id", "signature"])
            tables.append(rows_with(found, "id", ids))
        rows = pa.concat_tables(tables)
        values = to_signatures(rows["signature"], self._config.minhash)
        return values[positions(rows["id"], pa.chunked_array([wanted]))]


def components(clusters: pa.Table) -> pa.Array:
    """Of every cluster row, the id of the component that clusters of all kinds form together.

    Clusters of different kinds overlap; only pages of one component can keep each other out.
    """
    ids = pc.unique(clusters["id"]).sort()
    if not len(ids):
        return pa.array([], pa.string())
    column = pa.chunked_array([ids])
    a = positions(column, clusters["id"])
    b = positions(column, clusters["cluster_id"])
    labels: npt.NDArray[np.int64] = connected_components(a, b, len(ids))
    return ids.take(pa.array(labels[a]))
