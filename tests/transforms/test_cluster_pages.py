"""Which pages are asked for where clusters are built."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.duplicate_rows import Edge
from schemas.ids import digest
from schemas.tables import schema_of
from transforms.cluster_pages import pages_to_compare
from transforms.clusters import Similarity, build_clusters

Found = list[tuple[int, int, str, float]]


def edge_table(edges: Found) -> pa.Table:
    rows = [
        {"kind": kind, "similarity": similarity if kind == "near_text" else 1.0}
        | {f"{end}_{fact}": value for end, page in (("a", a), ("b", b)) for fact, value in (
            ("id", digest(page)), ("date", str(page % 4)), ("length", page % 3),
            ("part", f"p{page % 2}"), ("published", False), ("split", None))}
        for a, b, kind, similarity in edges
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema_of(Edge))


def asked(edges: Found) -> set[str]:
    return set(pages_to_compare(edge_table(edges))["id"].to_pylist())


pages = st.integers(0, 12)
edge = st.tuples(
    pages, pages, st.sampled_from(["near_text", "near_text", "text"]), st.sampled_from([0.8, 1.0])
)


@given(st.lists(edge, max_size=30))
@settings(deadline=None, max_examples=200)
def test_all_pages_that_clusters_compare_are_asked_for(edges: Found) -> None:
    rows = edge_table(edges)
    needed: set[str] = set()

    def compare(wanted: pa.Array) -> Similarity:
        needed.update(wanted.to_pylist())
        digits = np.array([int(page_id[:2], 16) for page_id in wanted.to_pylist()])
        return lambda pairs: 1 - abs(digits[pairs[:, 0]] - digits[pairs[:, 1]]) / 256

    ends = [
        rows.select([f"{end}_id", f"{end}_date", f"{end}_length"]).rename_columns(
            ["id", "date", "length"]
        )
        for end in "ab"
    ]
    links = rows.select(["kind", "a_id", "b_id", "similarity"])
    links = links.rename_columns(["kind", "a", "b", "similarity"])
    build_clusters(pa.concat_tables(ends), links, compare, 0.7)
    assert needed <= asked(edges)


def test_pages_that_all_have_edges_to_each_other_send_nothing() -> None:
    near = [(a, b, "near_text", 0.8) for a in range(3) for b in range(a)]
    assert asked(near) == set()
    assert asked([*near, (1, 1, "near_text", 1.0)]) == set()
    assert asked([*near, (0, 5, "text", 1.0)]) == set()
    assert asked([*near, (0, 5, "near_text", 0.8)]) == {digest(page) for page in (0, 1, 2, 5)}
    # A record that stands in two parts is no third pair.
    assert asked([*near[1:], (1, 1, "near_text", 1.0)]) == {digest(page) for page in range(3)}


def test_a_page_is_asked_for_once() -> None:
    rows = edge_table([(0, 1, "near_text", 0.8), (1, 2, "near_text", 0.8), (1, 3, "text", 1.0)])
    again = rows.set_column(rows.schema.get_field_index("b_part"), "b_part", [["p9"] * len(rows)])
    found = pages_to_compare(pa.concat_tables([rows, again.cast(rows.schema)]))
    assert found["id"].to_pylist() == sorted(digest(page) for page in range(3))
    assert set(found["part"].to_pylist()) == {"p0", "p1"}
