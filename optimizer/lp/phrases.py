"""Hours and missing rigs as text for operators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.grid import Grid, Market
from optimizer.lp.program import KILO, Program

MOST_SPANS = 3
MOMENT = timedelta(microseconds=1)


def hours(market: Market, grid: Grid, where: NDArray[np.bool_]) -> str:
    """The stretches of a grid on the market's clock: "16-18", "16:15-17, Fri 08-09", "16-Fri 17"; the day where it is not the grid's first
    and where a stretch ends on another day than it began."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], where, [False])).astype(np.int8)))
    first = grid.start.astimezone(market.tz).date()
    said = []
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        start, end = (at.astimezone(market.tz) for at in (grid.intervals[a].start, grid.intervals[b - 1].end))
        day = "" if start.date() == first else f"{start:%a} "
        last = (end - MOMENT).date()
        until = "" if last == start.date() else f"{last:%a} "
        said.append(f"{day}{_clock(start)}-{until}{_clock(end) if end.hour or end.minute else '24'}")
    return ", ".join(said[:MOST_SPANS]) + (f" and {len(said) - MOST_SPANS} more times" if len(said) > MOST_SPANS else "")


def missing_rigs(program: Program, groups: Sequence[str], where: NDArray[np.bool_]) -> tuple[str, float]:
    """In words where rigs are missing at some of these intervals, and megawatts a missing rig would draw at most; "" where none is."""
    said, mw_per_rig = [], 0.0
    for hall in program.site.halls:
        gone = 0.0
        for group in (program.site.group(g) for g in groups):
            lost = float(np.max((group.rigs - program.kilorigs[group.name] * KILO)[where], initial=0.0))
            if group.hall == hall.name and lost > 0.5:
                gone += lost
                mw_per_rig = max(mw_per_rig, float(program.mw_per_kilorig(group, group.full).max()) / KILO)
        if gone:
            said.append(f"{gone:,.0f} rigs of hall {hall.name} cannot be used")
    return "; ".join(said), mw_per_rig


def _clock(at: datetime) -> str:
    return f"{at:%H:%M}" if at.minute else f"{at:%H}"
