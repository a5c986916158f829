"""Generators behind a meter, and what the meter then sees: gross load is what the rigs draw, net load what flows over the line.

Plan and bill read one formula, `net_mwh`: the load a contract settles less what is made behind the same meter and settled by it too. Who
settles what is made goes as with the rigs' energy (`settles_energy`), under the name `made_behind(meter)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optimizer.lp.expr import Expr

if TYPE_CHECKING:
    from optimizer.lp.program import Program
from optimizer.domain.generator import DUST_MW, RUNNING_MW, Generator


@dataclass(frozen=True, slots=True)
class Machine:
    """A generator in a program: MW, whether it runs (1 or 0) and starts, an interval each."""

    of: Generator
    mw: Expr
    runs: Expr
    starts: Expr


def machines(program: Program, behind: Mapping[str, Sequence[Generator]]) -> dict[str, Machine]:
    """The columns of a program's generators. One that need not run or stand as a whole always runs."""
    found = {}
    for made in (g for of in behind.values() for g in of):
        most = made.most_mw(program.grid)
        mw = program.column(f"generation {made.name}", upper=most)
        runs = mw * 0.0 + 1.0
        starts = mw * 0.0
        if made.whole:
            runs = program.column(f"running {made.name}", upper=np.where(most > 0, 1.0, 0.0), integer=True)
            starts = program.column(f"starting {made.name}", upper=1.0)
            program.row(f"generation most {made.name}", mw - runs * made.mw, upper=0.0)
            program.row(f"generation least {made.name}", mw - runs * made.min_mw, lower=0.0)
            before = 1.0 if program.memory(made.name).get(RUNNING_MW, 0.0) > DUST_MW else 0.0
            program.row(f"generation starts {made.name}", starts - runs + runs.lag(1, before), lower=0.0)
        found[made.name] = Machine(made, mw, runs, starts)
    return found
