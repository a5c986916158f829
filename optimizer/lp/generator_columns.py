"""Columns and rows of the generators behind a site's meters: output, running or stopped, and starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from markets.grid import Grid
from markets.series import Series
from optimizer.domain.array_types import Floats
from optimizer.domain.generator import NOTHING_KNOWN, Generator
from optimizer.lp.blocks import Blocks
from optimizer.lp.expr import Expr


@dataclass(frozen=True, slots=True)
class Machine:
    """A generator in a program: MW, whether it runs (1 or 0) and starts, and the most MW it can make, an interval each."""

    of: Generator
    mw: Expr
    runs: Expr
    starts: Expr
    most_mw: Floats


def machines(
    program: Blocks,
    grid: Grid,
    behind: Mapping[str, Sequence[Generator]],
    running: Callable[[str], bool],
    available_mw: Mapping[str, Series] = NOTHING_KNOWN,
) -> dict[str, Machine]:
    """Adds the columns and rows of the generators, by contract name. `running` says whether one runs just before the grid, `available_mw`
    what a variable one can make. A generator without a minimum load counts as always running."""
    found = {}
    for made in (g for of in behind.values() for g in of):
        most = made.most_mw(grid, available_mw)
        mw = program.column(f"generation {made.name}", upper=most)
        runs = mw * 0.0 + 1.0
        starts = mw * 0.0
        if made.whole:
            runs = program.column(f"running {made.name}", upper=np.where(most > 0, 1.0, 0.0), integer=True)
            starts = program.column(f"starting {made.name}", upper=1.0)
            program.row(f"generation most {made.name}", mw - runs * made.mw, upper=0.0)
            program.row(f"generation least {made.name}", mw - runs * made.min_mw, lower=0.0)
            before = 1.0 if running(made.name) else 0.0
            program.row(f"generation starts {made.name}", starts - runs + runs.lag(1, before), lower=0.0)
        found[made.name] = Machine(made, mw, runs, starts, most)
    return found
