import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.site_captions import (
    COUNT_FIELDS,
    corpus_keys,
    count_uses,
    text_keys,
    text_uses,
)


def column(values: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def captions(rows: list[tuple[str, str, str, str]]) -> tuple[pa.Table, pa.ChunkedArray]:
    """Captions, and their sites, of rows (site, text, page, image)."""
    names = ("text", "page_url", "image_url")
    table = pa.table({name: column([row[1 + at] for row in rows]) for at, name in enumerate(names)})
    table = table.append_column("doc_id", column([row[2] for row in rows]))
    return table, column([row[0] for row in rows])


def uses_of(
    part: str, table: pa.Table, sites: pa.ChunkedArray, components: list[str | None] | None = None
) -> pa.Table:
    column = pa.array(components or [None] * len(table), pa.string())
    return text_uses(part, table, sites, pa.chunked_array([column]))


def test_copies_of_a_page_count_as_one() -> None:
    rows = [("a.com", "Boat", page, "i1") for page in ("p1", "p2", "p3")]
    uses = uses_of("p", *captions(rows), ["c", "c", None])
    assert max(row["site_documents"] or 0 for row in count_uses(uses).to_pylist()) == 2


def test_a_row_without_a_page_counts_as_a_page_of_its_own() -> None:
    table, sites = captions([("a.com", "Boat", "", "i1"), ("a.com", "Boat", "", "i2")])
    table = table.set_column(3, "doc_id", column(["d1", "d2"]))
    found = [row["site_documents"] for row in count_uses(uses_of("p", table, sites)).to_pylist()]
    assert sorted(found, key=str) == [2, None]


def test_no_site_is_no_site() -> None:
    rows = [("", "Boat", "p1", "i1"), ("a.com", "boat", "p2", "i2"), ("", "Barn", "p3", "i3")]
    table, sites = captions(rows)
    found = {row["key"]: row for row in count_uses(uses_of("p", table, sites)).to_pylist()}
    boat, barn = (found[key] for key in corpus_keys(column(["Boat", "Barn"])).to_pylist())
    assert (boat["text_images"], boat["text_sites"]) == (2, 1)
    assert (barn["text_images"], barn["text_sites"]) == (1, 0)


def test_text_keys_are_of_site_and_text_without_case_and_punctuation() -> None:
    sites = column(["a.com", "a.com", "b.com", "a.com"])
    keys = text_keys(sites, column(["A  Boat!", "a boat", "a boat", "boats"])).to_pylist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a.com", "b.com"]), st.sampled_from(["Boat", "boat.", "Barn"]),
        st.sampled_from(["p1", "p2", "p3"]), st.sampled_from(["i1", "i2", "i3"]),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(_ROWS, min_size=1, max_size=3))
def test_counts_over_parts_agree_with_a_count_of_all_rows(
    parts: list[list[tuple[str, str, str, str]]],
) -> None:
    uses = pa.concat_tables(
        [uses_of(f"part{number}", *captions(rows)) for number, rows in enumerate(parts)]
    )
    names = [field.name for field in COUNT_FIELDS]
    found = {
        (row["part"], row["key"]): tuple(row[name] for name in names)
        for row in count_uses(uses).to_pylist()
    }
    expected = {}
    every = [row for rows in parts for row in rows]
    for number, rows in enumerate(parts):
        for site, text, _, _ in rows:
            same = [row for row in every if row[1].lower().strip(".") == text.lower().strip(".")]
            here = [row for row in same if row[0] == site]
            (key,) = text_keys(column([site]), column([text])).to_pylist()
            expected[f"part{number}", key] = (
                len({row[2] for row in here}), len({row[3] for row in here}), None, None,
            )  # fmt: skip
            (key,) = corpus_keys(column([text])).to_pylist()
            expected[f"part{number}", key] = (
                None, None, len({row[3] for row in same}), len({row[0] for row in same}),
            )  # fmt: skip
    assert found == expected
