"""Counted values have the measures that a query over the values has."""

from collections import Counter

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inspection import distributions
from pipeline.inspection.distributions import ASPECT_EDGES, ValueCounts, distribution

Values = st.lists(st.integers(0, 5000) | st.integers(0, 1 << 40), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(Values, st.integers(1, 60))
def test_distribution_of_counts_is_that_of_the_values(values: list[int], piece: int) -> None:
    con = duckdb.connect()
    source = f"SELECT unnest({values}::BIGINT[]) AS x"
    expected = distribution(con, source)
    assert ValueCounts.of(Counter(values)).distribution() == expected
    counts = ValueCounts()
    for start in range(0, len(values), piece):
        counts.add(np.array(values[start : start + piece]))
        counts.settle()
    assert counts.distribution() == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(10_000, 90_000), min_size=1, max_size=60))
def test_distribution_of_ratios_is_that_of_the_values(values: list[int]) -> None:
    ratios = [value / 10_000 for value in values]
    source = f"SELECT unnest({ratios}::DOUBLE[]) AS x"
    expected = distribution(duckdb.connect(), source, ASPECT_EDGES)
    assert expected is not None
    found = ValueCounts.of(Counter(ratios)).distribution(ASPECT_EDGES)
    assert found is not None
    # Sums in another order.
    assert found.pop("mean") == pytest.approx(expected.pop("mean"), abs=1.1e-4)
    assert found == expected


def test_values_are_counted_before_many_of_them_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "_PENDING", 10)
    counts = ValueCounts()
    for number in range(100):
        counts.add(np.full(7, number % 5))
        assert sum(map(len, counts._pending)) < 10
    counts.settle()
    assert counts.values.tolist() == [0, 1, 2, 3, 4]
    assert counts.counts.tolist() == [140] * 5


def test_distribution_of_nothing_is_none() -> None:
    assert ValueCounts().distribution() is None
    assert ValueCounts.of(Counter()).distribution() is None
