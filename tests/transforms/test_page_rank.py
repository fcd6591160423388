"""Which of several duplicates is preferred, and where a page stands in its component."""

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from transforms.page_rank import check_rank, component_places, rank_members, score_pages
from transforms.pages import PAGE_SCHEMA

ROWS = [
    ("d", "2020-01-01T00:00:00Z", 5, 1.0),
    ("c", "2021-01-01T00:00:00Z", 4, None),
    ("b", "2021-01-01T00:00:00Z", 9, -3.0),
    ("a", "", 100, None),
    ("f", "2020-01-01T00:00:00Z", 6, 7.5),
    ("e", "2020-01-01T00:00:00Z", 5, 1.0),
]


def members(rows) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    types = (pa.string(), pa.string(), pa.int64(), pa.float64())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["id", "date", "length", "score"])


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        (("latest", "longest"), "bcfdea"),
        (("longest", "latest"), "abfdec"),
        (("latest",), "bcdefa"),
        (("longest",), "abfdec"),
        (("score",), "fdebac"),  # pages without a score come last, by id
        (("score", "latest"), "fdebca"),
        (("latest", "score"), "bcfdea"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_members_are_ranked_by_what_is_preferred_then_by_id(prefer, expected: str) -> None:
    rows = list(ROWS)
    for _ in range(5):
        table = members(rows)
        assert table["id"].take(pa.array(rank_members(table, prefer))).to_pylist() == list(expected)
        random.Random(len(rows)).shuffle(rows)


def test_latest_then_longest_unless_the_recipe_says_otherwise() -> None:
    table = members(ROWS)
    assert (rank_members(table) == rank_members(table, ("latest", "longest"))).all()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["", "2020", "2021"]), st.integers(0, 2),
            st.sampled_from([None, -1.0, 0.0, 2.0]),
        ),
        max_size=25,
    ),
    st.permutations(["latest", "longest", "score"]),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_places_are_positions_in_the_order_of_preference(drawn, order, count, rng) -> None:
    prefer = order[:count]
    pages = [(f"p{n:02}", *page) for n, page in enumerate(drawn)]
    rows = [row for row in pages for _ in range(rng.randint(1, 3))]  # a row for each cluster
    rng.shuffle(rows)
    table = members([(row[0], *row[2:]) for row in rows])
    component = pa.array([f"c{row[1]}" for row in rows], pa.string())
    found = component_places(table.append_column("component", component), prefer).to_pylist()
    key = {
        "latest": lambda row: [-int(row[2] or 0)],
        "longest": lambda row: [-row[3]],
        "score": lambda row: [row[4] is None, -(row[4] or 0.0)],
    }
    for row, place in zip(rows, found, strict=True):
        best = sorted(
            (page for page in pages if page[1] == row[1]),
            key=lambda page: ([key[name](page) for name in prefer], page[0]),
        )
        assert best[place] == row


def pages(count: int, **columns) -> pa.Table:
    nulls = {column.name: pa.nulls(count, column.type) for column in PAGE_SCHEMA}
    given_ones = {name: pa.array(values, PAGE_SCHEMA.field(name).type)
                  for name, values in columns.items()}  # fmt: skip
    return pa.table(nulls | given_ones)


def test_a_score_is_the_value_of_its_expression() -> None:
    table = pages(4, words=[10, 20, 0, None], image_nodes=[1, 5, 5, 1])
    assert score_pages("words / image_nodes", table).to_pylist() == [10.0, 4.0, 0.0, None]
    # What is no number is NULL, so that it ranks last and not first.
    assert score_pages("image_nodes / words", table).to_pylist() == [0.1, 0.25, None, None]
    assert score_pages("NULL", table).null_count == 4
    assert score_pages("1", table).to_pylist() == [1.0] * 4
    for score in (None, "words", "7"):
        found = score_pages(score, table.slice(0, 0))
        assert (len(found), found.type) == (0, pa.float64())
    assert score_pages(None, table).null_count == 4


@pytest.mark.parametrize(
    ("prefer", "score", "message"),
    [
        (["latest", "newest"], None, "dedup.prefer: 'newest' is not one of latest, longest, score"),
        (["latest", "latest"], None, "dedup.prefer: name at least one thing, and each once"),
        ([], None, "dedup.prefer: name at least one thing"),
        (["score"], None, "dedup.prefer: score needs an expression, dedup.score"),
        (["latest"], "words", "dedup.score: has no effect unless dedup.prefer names score"),
        (["score"], "wrods", "dedup.score: no column 'wrods'; nearest: words"),
        (["score"], "language", "dedup.score: the value is a text, not a number"),
        (["score"], "words > 3", "dedup.score: the value is a boolean, not a number"),
        (["score"], "max(words)", "dedup.score: "),
        (["score"], "random()", "dedup.score: "),
        (["score"], "words; DROP TABLE x", "dedup.score: "),
        (["score"], "", "dedup.score: an expression is wanted"),
        (["score"], "words\0", "dedup.score: an expression cannot hold NUL"),
    ],
)
def test_a_rank_that_makes_no_sense_is_refused(prefer, score, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        check_rank(prefer, score, PAGE_SCHEMA)
    assert str(error.value).startswith(message)


def test_a_rank_that_makes_sense_is_not() -> None:
    check_rank(["latest", "longest"], None, PAGE_SCHEMA)
    check_rank(["score"], "stop_words / greatest(words, 1)", PAGE_SCHEMA)
    check_rank(["longest", "score"], "CASE WHEN noai THEN 0 ELSE 1 END", PAGE_SCHEMA)
