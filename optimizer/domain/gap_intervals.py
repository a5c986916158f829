"""Gaps: intervals that every contract leaves out, of bill and memory alike, because a price or a reading of them is unknown.

A contract that knows all it needs would otherwise be billed beside one that does not, and the net would be that of no interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.grid import Grid, Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.quantities import Exactly

NAN = Decimal("NaN")


def without_gaps(actuals: Actuals) -> Actuals:
    """The same actuals with `gaps`, and nothing known of the load, the hashing and the generation in them."""
    gaps = gap_positions(actuals)
    if not gaps or gaps == actuals.gaps:
        return actuals
    return replace(
        actuals,
        gaps=gaps,
        energy_mwh=_unknown_in(actuals.energy_mwh, gaps),
        hash_ph_days=_unknown_in(actuals.hash_ph_days, gaps),
        generated_mwh=_unknown_in(actuals.generated_mwh, gaps),
        available_mwh=_unknown_in(actuals.available_mwh, gaps),
    )


def gap_positions(actuals: Actuals) -> frozenset[int]:
    """Positions at which an energy price, the hashprice, or what a group drew or hashed is unknown, or what a generator made."""
    missing = np.zeros(len(actuals.grid), dtype=np.bool_)
    for values in _figures(actuals):
        missing |= _unknown(values)
    return actuals.gaps | frozenset(np.flatnonzero(missing).tolist())


def _figures(actuals: Actuals) -> Iterable[Sequence[Decimal]]:
    for by in (actuals.energy_price, actuals.energy_mwh, actuals.hash_ph_days, actuals.generated_mwh):
        yield from by.rows.values() if isinstance(by, Exactly) else by.values()
    yield actuals.hashprice


def _unknown(values: Sequence[Decimal]) -> NDArray[np.bool_]:
    array = np.asarray(values)
    return np.asarray(array != array, dtype=np.bool_)


def _unknown_in(by: Mapping[str, Sequence[Decimal]], gaps: frozenset[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in by.items():
        known = np.array(values, dtype=object)
        known[list(gaps)] = NAN
        found[name] = known
    return found


def stretches(grid: Grid, where: NDArray[np.bool_]) -> Iterable[Interval]:
    """The intervals of a grid that are marked, those that follow each other as one."""
    intervals = grid.intervals
    for marked, at in groupby(range(len(intervals)), key=lambda n: bool(where[n])):
        if marked:
            here = list(at)
            yield Interval(intervals[here[0]].start, intervals[here[-1]].end)
