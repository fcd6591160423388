"""Of documents with the same set of images the best one stays, after duplicates are settled."""

from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.image_sets import IMAGE_SET, set_bucket, set_keys, settle_sets
from transforms.settle import CONTENDER_SCHEMA, settle_duplicates, winners_of

Contender = tuple[str, int, str, int, str | None, str | None]
"""Id, order, date, length, cluster, set."""


def table(members: list[Contender]) -> pa.Table:
    rows = [
        ("page", f"of-{page}", page, cluster, cluster and "0" * 8, order, 0, date, length, images)
        for page, order, date, length, cluster, images in members
    ]
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in CONTENDER_SCHEMA]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, CONTENDER_SCHEMA, strict=True)],
        schema=CONTENDER_SCHEMA,
    )


def settle(members: list[Contender], buckets: int = 3) -> dict[str, tuple[str, str]]:
    """Both rounds: loser -> kind of the verdict and winner."""
    blocks = list(
        settle_duplicates("meet 0", table([m for m in members if m[4] is not None]), buckets)
    )
    for member in members:
        if member[4] is None and member[5] is not None:
            bucket = set_bucket(member[5], buckets)
            blocks += settle_duplicates(bucket, table([member]), buckets)
    buckets_of: dict[str, list[pa.Table]] = {}
    for bucket, rows in blocks:
        buckets_of.setdefault(bucket, []).append(rows)
    found = {}
    for bucket, tables in sorted(buckets_of.items()):
        for part, verdicts in settle_sets(bucket, pa.concat_tables(tables)):
            for row in verdicts.to_pylist():
                assert part == f"of-{row['id']}", "a verdict goes to the part of the loser"
                assert row["id"] not in found
                found[row["id"]] = (row["row"], row["winner"])
    return found


ONE, TWO = "1" * 32, "2" * 32
CASES = {
    "latest-date": (
        [("a", 0, "2020", 9, None, ONE), ("b", 0, "2021", 1, None, ONE)],
        {"a": (IMAGE_SET, "b")},
    ),
    "longest-then-smallest-id": (
        [("b", 0, "2020", 9, None, ONE), ("a", 0, "2020", 9, None, ONE),
         ("c", 0, "2020", 1, None, ONE)],
        {"b": (IMAGE_SET, "a"), "c": (IMAGE_SET, "a")},
    ),
    "who-lost-already-is-in-nobodys-way": (
        [("a", 0, "2023", 1, "x", TWO), ("b", 0, "2022", 1, "x", ONE),
         ("c", 0, "2021", 1, None, ONE)],
        {"b": ("page", "a")},
    ),
    "a-winner-of-its-cluster-loses-its-set": (
        [("a", 0, "2022", 1, "x", ONE), ("b", 0, "2021", 1, "x", None),
         ("c", 0, "2023", 1, "y", ONE)],
        {"b": ("page", "a"), "a": (IMAGE_SET, "c")},
    ),
    "published-by-an-earlier-run": (
        [("a", 0, "2023", 9, None, ONE), ("b", -1, "", 0, None, ONE),
         ("c", 0, "2023", 9, "x", None), ("d", -1, "2020", 9, "x", None)],
        {"a": (IMAGE_SET, "b"), "c": ("page", "d")},
    ),
    "both-published": (
        [("a", -1, "", 0, None, ONE), ("b", -1, "", 0, None, ONE),
         ("c", -1, "2023", 9, "x", None), ("d", -1, "2020", 9, "x", None)],
        {},
    ),
    "other-sets": ([("a", 0, "2020", 1, None, ONE), ("b", 0, "2020", 1, None, TWO)], {}),
    "no-sets": ([("a", 0, "2020", 1, "x", None), ("b", 0, "2020", 1, "y", None)], {}),
}  # fmt: skip


@pytest.mark.parametrize(("members", "expected"), CASES.values(), ids=list(CASES))
def test_settle(members: list[Contender], expected: dict[str, tuple[str, str]]) -> None:
    for order in permutations(members):
        assert settle(list(order)) == expected


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["2020", "2021"]),
            st.integers(1, 2),
            st.sampled_from([None, "x", "y"]),
            st.sampled_from([None, ONE, TWO]),
        ),
        max_size=10,
    ),
    st.integers(1, 4),
)
def test_of_a_set_one_is_left(
    drawn: list[tuple[str, int, str | None, str | None]], buckets: int
) -> None:
    members = [(f"p{n}", 0, *rest) for n, rest in enumerate(drawn)]
    lost = settle(members, buckets)
    kept = [member for member in members if member[0] not in lost]
    sets = [member[5] for member in kept if member[5]]
    assert len(sets) == len(set(sets))
    alive = {member[0] for member in kept}
    sets_of = {member[0]: member[5] for member in members}
    for loser, (kind, winner) in lost.items():
        if kind == IMAGE_SET:
            assert winner in alive
            assert sets_of[winner] == sets_of[loser]


def test_a_set_is_of_different_images_in_any_order() -> None:
    def keys(rows: list[tuple[str, str]], least: int = 2) -> dict[str, str]:
        ids, clusters = ([row[n] for row in rows] for n in (0, 1))
        return set_keys(pa.chunked_array([ids]), pa.chunked_array([clusters]), least)

    found = keys([("a", "x"), ("a", "y"), ("b", "y"), ("b", "x"), ("b", "x"), ("c", "x"),
                  ("c", "x"), ("d", "x"), ("d", "y"), ("d", "z")])  # fmt: skip
    assert set(found) == {"a", "b", "d"}
    assert found["a"] == found["b"] != found["d"]
    assert set(keys([("a", "x"), ("b", "x")], 1)) == {"a", "b"}
    assert keys([("a", "x"), ("a", "y")], 0) == {}


def test_verdicts_for_images_are_a_kind_of_their_own() -> None:
    losers = pa.table({"row": [IMAGE_SET], "id": ["a"], "winner": ["w"]})
    assert winners_of(losers, "page", pa.chunked_array([["a"]]))[0].tolist() == [False]
    assert winners_of(losers, IMAGE_SET, pa.chunked_array([["a"]]))[0].tolist() == [True]
