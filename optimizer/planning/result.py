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
from optimizer.domain.generator import running_since
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
    """A group over the plan's grid, arrays of shape (n,). `load_mw` is at the meter with its overhead, so groups add up to the site;
    `modes` counts the rigs that can be used, by mode."""

    load_mw: Floats
    hashrate_ph: Floats
    modes: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class SolveInfo:
    """How the plan came about. `status` is "optimal", "feasible" when time ended a search for whole numbers, or "merit order"
    when no solver answered in time."""

    rows: int
    cols: int
    build_s: float
    solve_s: float
    status: str
    gap: float = float("nan")

    @classmethod
    def of(cls, program: Program, solution: Solution | None, build_s: float, solve_s: float) -> SolveInfo:
        rows, cols = sum(r.size for r in program.rows), sum(c.size for c in program.columns)
        if solution is None:
            return cls(rows, cols, build_s, solve_s, RULE_BASED)
        return cls(rows, cols, build_s, solve_s, solution.status, solution.gap)


@dataclass(frozen=True, slots=True)
class Risk:
    """How much the worst scenarios weigh: 0 not at all, 1 alone. `scenarios` are outlooks on the same grid under other prices."""

    weight: float
    scenarios: Sequence[Outlook]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a plan was made from and by: to explain it, when somebody asks."""

    site: Site
    book: Sequence[Obligation]
    program: Program
    cohorts: Cohorts
    path: Trajectory


@dataclass(frozen=True)
class Plan:
    """What to do, interval by interval, and what it is expected to earn (CONTRACT, `plan --json`).

    lines           usd by interval, by (obligation, charge type): the bill's own formula on this trajectory and the outlook's prices
    objective_usd   the lines' sum less wear
    shadow_prices   usd per MW of a limit by interval: what one more MW of it would earn there
    prices          usd_per_mwh by settlement point and usd_per_ph_day, as this plan took them
    offers          MW by reserve product: what is kept ready to be sold
    generation      MW by contract of a generator
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
        """By contract of a generator: since when it runs or stands in each interval."""
        return {name: running_since(mw, self.grid, self.origin.program.memory(name)) for name, mw in self.generation.items()}
