"""What a contract counts over hours, days or months: the highest of a quantity, and what is missing from a sum.

Each interval carries the number of its period, rising with time, shape (n,).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.grid import Grid
from optimizer.domain.array_types import Floats, Ints, Numbers

INF = float("inf")


def clock(grid: Grid, minutes: int) -> Ints:
    """Periods of so many minutes on the clock, from midnight UTC on."""
    return np.asarray(grid.edges[:-1] // (60 * minutes), dtype=np.int64)


def leads(periods: Ints) -> Ints:
    """For each interval the position of the first interval of its period."""
    return np.asarray(np.searchsorted(periods, periods, side="left"), dtype=np.int64)


def ends(periods: Ints) -> NDArray[np.bool_]:
    """Whether an interval is its period's last on the grid."""
    return np.append(periods[1:] != periods[:-1], True)


def steps_within(periods: Ints) -> tuple[tuple[Ints, NDArray[np.bool_]], ...]:
    """The first, second, third... interval of the period each interval is in, and whether there is one."""
    first = leads(periods)
    longest = int(np.bincount(first, minlength=1).max())
    out = []
    for k in range(longest):
        at = np.minimum(first + k, len(periods) - 1)
        out.append((at, (first + k < len(periods)) & (periods[at] == periods)))
    return tuple(out)


def carried(grid: Grid, periods: Ints, end_of: Callable[[int], datetime]) -> Floats:
    """What part of a charge of each interval's period belongs to hours after the grid: of the hours from the period's first interval on the
    grid to its end (`end_of` its number), the share that the grid does not hold, 0 to 1. The one weight of period charges in plans."""
    hours, start_s = np.asarray(grid.hours), grid.edges[:-1]
    share = np.zeros(len(grid))
    for number in np.unique(periods):
        here = periods == number
        left_h = (end_of(int(number)).timestamp() - float(start_s[here][0])) / 3600.0
        share[here] = max(0.0, 1.0 - float(hours[here].sum()) / left_h)
    return share


def shares(periods: Ints, hours: Floats) -> tuple[tuple[Ints, Floats], ...]:
    """The intervals of the period each interval is in, one after the other, each with its share of the period's hours."""
    whole = np.bincount(leads(periods), hours)[leads(periods)]
    return tuple((at, np.where(within, hours[at] / whole, 0.0)) for at, within in steps_within(periods))


def highest_of(quantity: Numbers, periods: Ints, floor: Numbers, nothing: Any, least: Numbers | None = None) -> Numbers:
    """The same of numbers: each interval's raise over the floor and all before it. A gap raises nothing and has no number; `least` is
    reached in the first interval of its period that is no gap."""
    out = np.array(quantity, dtype=quantity.dtype)
    reached: Any = nothing
    begins = True
    for t, value in enumerate(quantity):
        if t == 0 or periods[t] != periods[t - 1]:
            reached, begins = floor[t], True
        if value != value:
            continue
        if begins and least is not None:
            value = max(value, least[t])
        begins = False
        out[t] = max(value - reached, nothing)
        reached = max(value, reached)
    return out


def short_of(quantity: Numbers, periods: Ints, need: Numbers, before: tuple[Any, Any], nothing: Any) -> Numbers:
    """The same of numbers, in the last interval of a period that is no gap. A gap neither counts nor is asked for."""
    out = np.array(need, dtype=need.dtype)
    out[:] = nothing
    have, needed = before
    owed = max(needed - have, nothing)
    last = None
    for t, value in enumerate(quantity):
        if t and periods[t] != periods[t - 1]:
            have, needed, owed, last = nothing, nothing, nothing, None
        if value != value or need[t] != need[t]:
            continue
        have, needed = have + value, needed + need[t]
        if last is not None:
            out[last] = nothing
        out[t], last = max(needed - have, nothing) - owed, t
    return out


def running_sum(values: Floats, periods: Ints, before: float) -> Floats:
    """The running sum within each period, `before` in front of the first."""
    running = np.cumsum(values)
    first = leads(periods)
    base = np.where(first > 0, running[first - 1], 0.0)
    return np.asarray(running - base + np.where(periods == periods[0], before, 0.0), dtype=np.float64)
