"""Duplicates are settled best first, so no cluster dies with its survivor."""

from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.page_rank import component_places
from transforms.sample_rows import splits_of
from transforms.settle import CONTENDER_SCHEMA, pair_key, settle_duplicates, winners_of

Member = tuple[str, int, str, tuple[str, ...]]


def contenders(members: list[Member]) -> pa.Table:
    """Rows for pages (id, stream order, date, clusters), all of one component."""
    facts = pa.table(
        {
            "component": pa.array(["00000000"] * len(members), pa.string()),
            "id": pa.array([member[0] for member in members], pa.string()),
            "date": pa.array([member[2] for member in members], pa.string()),
        }
    )
    places = component_places(facts, ["latest"]).to_pylist()
    rows = [
        # Dates that say the opposite: places decide between pages.
        ("page", page, page, cluster, "00000000", order, place, f"{9999 - int(date)}", 10, None)
        for (page, order, date, clusters), place in zip(members, places, strict=True)
        for cluster in clusters
    ]
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in CONTENDER_SCHEMA]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, CONTENDER_SCHEMA, strict=True)],
        schema=CONTENDER_SCHEMA,
    )


def losers(rows: pa.Table) -> dict[str, str]:
    found = {}
    for part, table in settle_duplicates("meet 0", rows):
        for row in table.to_pylist():
            assert part == f"part {row['id']}", "a verdict goes to the part of the loser"
            found[row["id"]] = row["winner"]
    return found


CASES = {
    "latest-date-wins": ([("a", 0, "2020", ("x",)), ("b", 0, "2021", ("x",))], {"a": "b"}),
    "equal-dates-smaller-id-wins": (
        [("b", 0, "2020", ("x",)), ("a", 0, "2020", ("x",))], {"b": "a"},
    ),
    "interleaved-before-text": (
        [("a", 1, "2021", ("x",)), ("b", 0, "2020", ("x",))], {"a": "b"},
    ),
    "chain-keeps-both-ends": (
        # b shares a cluster with a, and another with c; a beats b, so c has no rival left.
        [("a", 0, "2023", ("x",)), ("b", 0, "2022", ("x", "y")), ("c", 0, "2021", ("y",))],
        {"b": "a"},
    ),
    "best-in-the-middle-takes-all": (
        [("a", 0, "2021", ("x",)), ("b", 0, "2023", ("x", "y")), ("c", 0, "2022", ("y",))],
        {"a": "b", "c": "b"},
    ),
    "alone": ([("a", 0, "2020", ("x",))], {}),
    "nobody": ([], {}),
}  # fmt: skip


@pytest.mark.parametrize(("members", "expected"), CASES.values(), ids=list(CASES))
def test_settle_duplicates(members: list[Member], expected: dict[str, str]) -> None:
    for order in permutations(members):
        assert losers(contenders(list(order))) == expected


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(["2020", "2021", "2022"]),
            st.sets(st.sampled_from("uvwxyz"), min_size=1, max_size=3),
        ),
        max_size=12,
    )
)
def test_settled_pages_never_share_a_cluster_and_every_loser_has_a_reason(
    drawn: list[tuple[int, str, set[str]]],
) -> None:
    members = [
        (f"p{number:02d}", order, date, tuple(sorted(clusters)))
        for number, (order, date, clusters) in enumerate(drawn)
    ]
    lost = losers(contenders(members))
    clusters = {page: set(joined) for page, _, _, joined in members}
    kept = [page for page in clusters if page not in lost]
    for page in kept:
        assert all(clusters[page].isdisjoint(clusters[other]) for other in kept if other != page)
    for page, winner in lost.items():
        assert winner in kept, "a page that lost takes nobody with it"
        assert clusters[page] & clusters[winner]
    assert {c for page in kept for c in clusters[page]} <= {c for m in members for c in m[3]}
    assert bool(kept) == bool(members), "somebody of a component is always left"


def test_winners_of_finds_rows_of_its_kind_only() -> None:
    table = pa.table({"row": ["page", "caption"], "id": ["a", "b"], "winner": ["w", "v"]})
    lost, winners = winners_of(table, "page", pa.chunked_array([["a", "b", "c"]]))
    assert lost.tolist() == [True, False, False]
    assert winners.to_pylist() == ["w", None, None]


def test_pair_key_ignores_case_and_space_only() -> None:
    assert pair_key("k", "A  red\ncircle") == pair_key("k", "a red circle")
    assert pair_key("k", "a red circle") != pair_key("k", "a red circle.")
    assert pair_key("k", "x") != pair_key("l", "x")


def test_split_follows_component_then_site() -> None:
    def split(component: str | None, site: str, share: float, earlier: str | None = None) -> str:
        row = {"component": component, "site": site, "earlier_split": earlier}
        schema = pa.schema([(name, pa.string()) for name in row])
        (found,) = splits_of(pa.Table.from_pylist([row], schema), share).to_pylist()
        return str(found)

    splits = {site: split(None, site, 0.3) for site in (f"site{n}.org" for n in range(2000))}
    share = sum(found == "validation" for found in splits.values()) / len(splits)
    assert 0.27 < share < 0.33
    assert split("c", "a.org", 0.3) == split("c", "b.org", 0.3)
    assert {split(None, site, 0.0) for site in splits} == {"train"}
    assert {split("c", "a.org", share, "validation") for share in (0.0, 0.3)} == {"validation"}
