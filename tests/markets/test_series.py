from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.grid import Grid
from markets.series import Series

START = datetime(2026, 7, 10, 5, tzinfo=UTC)
USD = st.floats(-300, 5000, allow_nan=False)


def series(values: list[float], minutes: int = 15) -> Series:
    return Series(Grid.regular(START, START + timedelta(minutes=minutes * len(values)), minutes), np.array(values), "usd_per_mwh")


@given(st.lists(USD, min_size=1, max_size=96), st.sampled_from([1, 5, 7, 15, 20, 60, 90]))
def test_onto_another_grid_of_the_same_span_keeps_the_mean(values: list[float], minutes: int) -> None:
    fine = series(values)
    other = fine.onto(Grid.regular(fine.grid.start, fine.grid.end, minutes))
    assert (other.values * other.grid.hours).sum() == pytest.approx((fine.values * fine.grid.hours).sum(), rel=1e-9, abs=1e-6)
    assert other.unit == fine.unit
    assert min(values) - 1e-9 <= other.values.min() and other.values.max() <= max(values) + 1e-9


@given(st.lists(USD, min_size=1, max_size=48))
def test_onto_finer_intervals_and_back_is_the_same(values: list[float]) -> None:
    coarse = series(values, 60)
    back = coarse.onto(Grid.regular(coarse.grid.start, coarse.grid.end, 5)).onto(coarse.grid)
    assert back.values == pytest.approx(coarse.values, rel=1e-12, abs=1e-9)


@given(st.lists(st.one_of(USD, st.just(float("nan"))), min_size=4, max_size=96))
def test_a_gap_is_never_averaged_away(values: list[float]) -> None:
    fine = series(values)
    hourly = fine.onto(Grid.regular(fine.grid.start, fine.grid.end, 60))
    for k, value in enumerate(hourly.values):
        quarters = values[4 * k : 4 * k + 4]
        assert np.isnan(value) == bool(np.isnan(quarters).any())
        if not np.isnan(value):
            assert value == pytest.approx(np.mean(quarters))


def test_onto_a_grid_that_reaches_beyond_is_a_gap_there() -> None:
    wider = series([1.0, 2.0]).onto(Grid.regular(START - timedelta(minutes=15), START + timedelta(minutes=60), 15))
    assert list(wider.gaps) == [0, 3, 4]
    assert wider.values[1:3].tolist() == [1.0, 2.0]


def by_every_pair(fine: Series, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """What `onto` means, interval by interval, and how many values each mean is of."""
    starts, ends = fine.grid.edges[:-1], fine.grid.edges[1:]
    shared = np.clip(np.minimum(grid.edges[1:, None], ends) - np.maximum(grid.edges[:-1, None], starts), 0, None).astype(np.float64)
    gap, span = np.isnan(fine.values), np.diff(grid.edges)
    mean = shared @ np.where(gap, 0.0, fine.values) / span
    return np.where(shared[:, ~gap].sum(axis=1) == span, mean, np.nan), (shared > 0).sum(axis=1)


EDGES = st.lists(st.integers(0, 60), min_size=2, max_size=40, unique=True).map(lambda s: Grid(np.array(sorted(s)) * 60 + 1_783_000_000))


@given(EDGES, EDGES, st.lists(st.one_of(USD, USD.map(lambda usd: round(usd, 2)), st.just(float("nan"))), min_size=39, max_size=39))
def test_onto_is_the_mean_over_every_pair_of_intervals(grid: Grid, other: Grid, values: list[float]) -> None:
    fine = Series(grid, np.array(values[: len(grid)]), "usd_per_mwh")
    found, (expected, covering) = fine.onto(other).values, by_every_pair(fine, other)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(found[covering == 1], expected[covering == 1])  # to the last bit: journals are decided again from these


def test_onto_a_month_of_five_minute_intervals_takes_little_memory() -> None:
    month = series(np.arange(9000.0).tolist(), 5)
    tracemalloc.start()
    try:
        found = month.onto(Grid(month.grid.edges.copy()))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 50e6
    assert found.values.tolist() == month.values.tolist()


def test_values_are_read_only_and_one_for_each_interval() -> None:
    one = series([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        one.values[0] = 3.0
    with pytest.raises(ValueError, match="2 intervals"):
        Series(one.grid, np.zeros(3), "mw")
    assert one.with_values([3.0, 4.0]).at(START + timedelta(minutes=15)) == 4.0 and one.at(START) == 1.0
    assert Series.flat(one.grid, 7.0, "mw").values.tolist() == [7.0, 7.0]
    with pytest.raises(KeyError, match="outside"):
        one.at(START + timedelta(minutes=30))


def test_a_series_keeps_its_own_copy() -> None:
    mine = np.array([1.0, 2.0])
    kept = Series(series([0.0, 0.0]).grid, mine, "mw")
    mine[0] = 9.0
    assert kept.values[0] == 1.0
