"""Rows and columns for what a contract counts over a period: the highest of a quantity, and what is missing from a sum.

Each interval carries the number of its period, rising with time, shape (n,).
"""

from __future__ import annotations

import numpy as np

from optimizer.domain.array_types import Floats, Ints
from optimizer.domain.periods import ends, leads, running_sum
from optimizer.lp.blocks import Blocks
from optimizer.lp.expr import Expr

# The name of the rows that keep the level of a period over what is counted.
HIGHEST = "highest"


def highest(program: Blocks, quantity: Expr, periods: Ints, floor: Floats, least: Floats | None = None) -> Expr:
    """One column a period for what is above the floor and `least`, in the period's first interval; with it what `least` is above the
    floor."""
    first = leads(periods)
    if least is not None:
        begins = first == np.arange(len(periods))
        above = highest(program, quantity, periods, np.maximum(floor, least))
        return above + np.where(begins, np.maximum(0.0, least - floor), 0.0)
    _, most = quantity.range(program.lower, program.upper)
    top = np.maximum.reduceat(np.maximum(0.0, most - floor), np.unique(first))
    upper = np.zeros(program.n)
    upper[np.unique(first)] = top
    above = program.column(HIGHEST, upper=upper, closed=True)
    level = above.at_positions(first) + np.asarray(floor, dtype=np.float64)
    program.row(HIGHEST, level - quantity, lower=0.0, where=most > floor)
    return above


def short(program: Blocks, quantity: Expr, periods: Ints, need: Floats, before: tuple[float, float]) -> Expr:
    """A column for what is missing at each period's end, and the sum so far in columns of its own where a period is long."""
    last = ends(periods)
    needed = running_sum(need, periods, before[1])
    least, _ = quantity.range(program.lower, program.upper)  # below zero where what is counted can be a charge
    low = running_sum(np.minimum(0.0, least), periods, min(0.0, before[0]))
    have, so_far = quantity, np.where(periods == periods[0], before[0], 0.0)
    if not last.all():
        running = program.column("so far", lower=low, closed=True)
        same = np.append(False, periods[1:] == periods[:-1]).astype(np.float64)
        program.row("so far", running - running.lag(1) * same - quantity, lower=0.0, upper=0.0)
        have = running
    missing = program.column("missing", upper=np.where(last, np.maximum(0.0, needed - low), 0.0), closed=True)
    program.row("missing", missing + have, lower=needed - so_far, where=last & (needed > low))
    owed = np.zeros(program.n)
    owed[int(np.flatnonzero(last)[0])] = max(0.0, before[1] - before[0])
    return missing - owed
