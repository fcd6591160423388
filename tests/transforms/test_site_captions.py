import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.site_captions import count_uses, text_keys, text_uses


def column(values: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def captions(rows: list[tuple[str, str, str, str]]) -> tuple[pa.Table, pa.ChunkedArray]:
    """Captions, and their sites, of rows (site, text, page, image)."""
    names = ("text", "page_url", "image_url")
    table = pa.table({name: column([row[1 + at] for row in rows]) for at, name in enumerate(names)})
    table = table.append_column("doc_id", column([row[2] for row in rows]))
    return table, column([row[0] for row in rows])


def test_a_row_without_a_page_counts_as_a_page_of_its_own() -> None:
    table, sites = captions([("a.com", "Boat", "", "i1"), ("a.com", "Boat", "", "i2")])
    table = table.set_column(3, "doc_id", column(["d1", "d2"]))
    assert count_uses(text_uses("part", table, sites)).to_pylist()[0]["site_documents"] == 2


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


@given(st.lists(_ROWS, min_size=1, max_size=3))
def test_counts_over_parts_agree_with_a_count_of_all_rows(
    parts: list[list[tuple[str, str, str, str]]],
) -> None:
    uses = pa.concat_tables(
        [text_uses(f"part{number}", *captions(rows)) for number, rows in enumerate(parts)]
    )
    found = {
        (row["part"], row["key"]): (row["site_documents"], row["site_images"])
        for row in count_uses(uses).to_pylist()
    }
    expected = {}
    every = [row for rows in parts for row in rows]
    for number, rows in enumerate(parts):
        for site, text, _, _ in rows:
            same = [
                row for row in every
                if row[0] == site and row[1].lower().strip(".") == text.lower().strip(".")
            ]  # fmt: skip
            (key,) = text_keys(column([site]), column([text])).to_pylist()
            expected[f"part{number}", key] = (
                len({row[2] for row in same}), len({row[3] for row in same}),
            )  # fmt: skip
    assert found == expected
