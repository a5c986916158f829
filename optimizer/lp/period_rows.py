"""Periods: what a contract counts over hours, days or months, for programs and for bills: the highest of a quantity, and what is missing
from a sum. Periods are told by a number an interval, rising with time, shape (n,)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optimizer.lp.expr import Expr, Floats, Ints

if TYPE_CHECKING:
    from optimizer.lp.program import Program
from optimizer.domain.periods import _summed, ends, leads


def highest(program: Program, quantity: Expr, periods: Ints, floor: Floats) -> Expr:
    """See Its: one column a period for what is above the floor, in the period's first interval."""
    first = leads(periods)
    _, most = quantity.range(program.lower, program.upper)
    top = np.maximum.reduceat(np.maximum(0.0, most - floor), np.unique(first))
    upper = np.zeros(program.n)
    upper[np.unique(first)] = top
    above = program.column("highest", upper=upper, closed=True)
    level = above.taken(first) + np.asarray(floor, dtype=np.float64)
    program.row("highest", level - quantity, lower=0.0, where=most > floor)
    return above


def short(program: Program, quantity: Expr, periods: Ints, need: Floats, before: tuple[float, float]) -> Expr:
    """See Its: a column for what is missing at each period's end, and the sum so far in columns of its own where a period is long."""
    last = ends(periods)
    needed = _summed(need, periods, before[1])
    have, so_far = quantity, np.where(periods == periods[0], before[0], 0.0)
    if not last.all():
        running = program.column("so far", closed=True)
        same = np.append(False, periods[1:] == periods[:-1]).astype(np.float64)
        program.row("so far", running - running.lag(1) * same - quantity, lower=0.0, upper=0.0)
        have = running
    missing = program.column("missing", upper=np.where(last, np.maximum(0.0, needed), 0.0), closed=True)
    program.row("missing", missing + have, lower=needed - so_far, where=last & (needed > 0))
    owed = np.zeros(program.n)
    owed[int(np.flatnonzero(last)[0])] = max(0.0, before[1] - before[0])
    return missing - owed
