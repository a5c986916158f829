"""The plan as a value: what the site should do over the horizon, what that is expected to earn, and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from markets.grid import Grid
from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.domain.generator import generator_memory, running_since
from optimizer.domain.money import Finding
from optimizer.domain.obligation import Obligation
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import Site
from optimizer.lp.cohorts import Cohorts
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory
from optimizer.solve.lexicographic import Solution

# The status of a plan that no solver made.
RULE_BASED = "merit order"


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A group over the plan's grid, arrays of shape (n,). `load_mw` is at the meter including overhead, so the groups add up to the site.
    `modes` is the number of available rigs in each mode."""

    load_mw: Floats
    hashrate_ph: Floats
    modes: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class SolveInfo:
    """How the plan was made. `status` is "optimal", "feasible" when time ran out in a search for integers, or "merit order" when no solver
    answered in time. `build_s` and `solve_s` are seconds; `gap` is the relative gap of the certificate, NaN with integers."""

    rows: int
    cols: int
    build_s: float
    solve_s: float
    status: str
    gap: float = float("nan")

    @classmethod
    def of(cls, program: Program, solution: Solution | None, build_s: float, solve_s: float) -> SolveInfo:
        """From a program and its solution; without a solution the status is "merit order"."""
        rows, cols = sum(r.size for r in program.rows), sum(c.size for c in program.columns)
        if solution is None:
            return cls(rows, cols, build_s, solve_s, RULE_BASED)
        return cls(rows, cols, build_s, solve_s, solution.status, solution.gap)


@dataclass(frozen=True, slots=True)
class Risk:
    """The weight of the worst scenarios, from 0 (none) to 1 (only they count), and the scenarios: outlooks on the same grid with other
    prices. `notes` says in words what the scenarios leave out."""

    weight: float
    scenarios: Sequence[Outlook]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """What a plan was made from, kept so that it can be explained. `dual` by row of the program: None where no solver made the plan."""

    site: Site
    book: Sequence[Obligation]
    program: Program
    cohorts: Cohorts
    path: Trajectory
    dual: Floats | None = None


@dataclass(frozen=True)
class Plan:
    """What to do in each interval, and what that is expected to earn. Arrays have shape (n,), one value for each interval of `grid`.

    lines           usd by (obligation, charge type): what `settle` pays on this trajectory at the outlook's prices. A charge of a period
                    (a month's demand) stands whole, as it is owed; its line CHARGE_TYPE_carried takes off what belongs to later hours
    objective_usd   the sum of the lines less wear
    shadow_prices   by limit, usd per hour that one more MW (or a thousand more starts) of it would earn; zero where it does not bind
    prices          usd_per_mwh by settlement point that the plan was made with; `hashprice` likewise, usd_per_ph_day
    offers          MW by reserve product that are kept ready to be sold
    generation      MW by contract that has a generator
    """

    at: datetime
    grid: Grid
    groups: Mapping[str, GroupPlan]
    load_mw: Floats
    lines: Mapping[tuple[str, str], Floats]
    objective_usd: float
    shadow_prices: Mapping[str, Floats]
    shortfalls: tuple[Shortfall, ...]
    solve: SolveInfo
    origin: Origin = field(repr=False, compare=False)
    prices: Mapping[str, Floats] = field(default_factory=dict)
    hashprice: Floats = field(default_factory=lambda: np.zeros(0))
    findings: tuple[Finding, ...] = ()
    offers: Mapping[str, Floats] = field(default_factory=dict)
    generation: Mapping[str, Floats] = field(default_factory=dict)

    @cached_property
    def since(self) -> Mapping[str, list[datetime]]:
        """By contract that has a generator: since when it runs or stands still, in each interval."""
        return {
            name: running_since(mw, self.grid, generator_memory(self.origin.program.memories, name)) for name, mw in self.generation.items()
        }
