"""Plan: what the site should do over the horizon, worth what, and why. It always returns one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from markets.grid import Grid
from markets.outlook import Outlook
from optimizer import explain, merit
from optimizer.cohorts import Cohorts, gather
from optimizer.expr import Floats
from optimizer.faults import Faults
from optimizer.gaps import whole
from optimizer.generators import running_since
from optimizer.money import Finding
from optimizer.obligations import Obligation
from optimizer.program import Program
from optimizer.risk import hedge, insured
from optimizer.shaping import program_of, shaped
from optimizer.site import SLEEP, Availability, Site, SoFar
from optimizer.solve import Session
from optimizer.stages import NO_LIMIT_S, Solution, SolveError, Solver, best
from optimizer.trajectory import Trajectory, unpack, value_lines

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
class Shortfall:
    """A promise that cannot be kept: the most it is missed by, what that costs, why and the cheapest way out, and when (market clock)."""

    promise: str
    mw: float
    usd: float
    repair: str
    hours: str = ""


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

    @cached_property
    def breakevens(self) -> Mapping[str, float]:
        """usd_per_mwh by group: the energy price now at which running and sleeping earn the same."""
        own = explain.breakevens(self.origin.book, self.origin.program)
        return {name: own[first] for first, members in self.origin.cohorts.members.items() for name, _ in members}

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """The plan in sentences."""
        o = self.origin
        return (*explain.reasons(o.site, o.book, self, o.program, o.cohorts), *explain.own_reasons(o.book, o.program, o.path))

    def to_json(self) -> dict[str, Any]:
        """The document of CONTRACT `plan --json`, with `at`, `breakevens` and the prices taken beside it."""
        from optimizer.document import document

        return document(self)


def plan(
    site: Site,
    book: Sequence[Obligation],
    outlook: Outlook,
    so_far: SoFar,
    availability: Availability | None = None,
    *,
    deadline_s: float | None = None,
    session: Solver | None = None,
    risk: Risk | None = None,
    stopwatch: Callable[[], float] | None = None,
) -> Plan:
    """The most profitable plan over the outlook's grid that keeps every promise. When no solver answers within `deadline_s`, or a contract
    raises, the plan is made by merit order instead, keeps every bound just the same and says so. With `risk`, what is decided now is
    weighed over scenarios first, as far as there is time. `stopwatch` gives seconds: with it the deadline counts building, too."""
    clock = stopwatch or (lambda: 0.0)
    began = clock()
    outlook, notes = whole(outlook)
    faults, told = Faults(), [Finding("outlook", n) for n in notes]
    cohorts = gather(site, book, so_far, availability or Availability(), outlook.temperature_c.values)
    program = shaped(cohorts, book, outlook, faults)
    built = clock()
    solution = None
    if not faults.by:
        ends = NO_LIMIT_S if deadline_s is None else began + deadline_s
        try:
            solution = _solved(program, cohorts, book, session or Session(), risk, lambda: ends - clock(), told)
        except Exception as fault:  # a solver may end in any way
            told.append(Finding("solver", f"planned by merit order: {fault if isinstance(fault, SolveError) else repr(fault)}"))
    path, lines = _worth(program, book, solution, faults)
    if faults.by:
        path, lines = _worth(program, faults.sound(book), None, faults, book)
        solution = None
    run_s = solution.run_s if solution else 0.0
    info = SolveInfo.of(program, solution, built - began, clock() - built if stopwatch else run_s)
    return _made(site, faults, book, program, cohorts, path, lines, solution, info, told)


def _solved(
    program: Program,
    cohorts: Cohorts,
    book: Sequence[Obligation],
    solver: Solver,
    risk: Risk | None,
    left_s: Callable[[], float],
    told: list[Finding],
) -> Solution:
    """Raises SolveError, and whatever a solver does."""
    plain = best(program, solver, left_s())
    if risk is None or plain.broken:
        return plain
    try:
        scenarios = []
        for outlook in risk.scenarios:
            if left_s() <= 0:
                raise SolveError("there was no time for every scenario")
            scenarios.append(shaped(cohorts, book, whole(outlook)[0]))
        weighed = best(program, hedge(program, scenarios, risk.weight, solver), left_s())
        told.append(Finding("risk", insured(risk.weight, len(scenarios), weighed.objective - plain.objective, abs(plain.objective))))
        return weighed
    except SolveError as fault:
        told.append(Finding("risk", f"risk is not weighed: {fault}"))
        return plain


def _worth(
    program: Program,
    book: Sequence[Obligation],
    solution: Solution | None,
    faults: Faults,
    insisting: Sequence[Obligation] | None = None,
) -> tuple[Trajectory, dict[tuple[str, str], Floats]]:
    """The trajectory of a solution, by merit order without one, and its lines. The bounds of `insisting` hold, of the book unless told."""
    if solution is None:
        idle = {name: {mode: np.zeros(program.n) for mode in modes} for name, modes in program.rigs.items()}
        value_lines(book, program, unpack(program, idle), faults)
        rigs = merit.order(program, faults.sound(book), insisting or book, faults)
        path = unpack(program, rigs)
    else:
        path = unpack(program, rigs_of(program, solution), solution.x)
    return path, value_lines(book, program, path, faults)


def _made(
    site: Site,
    faults: Faults,
    book: Sequence[Obligation],
    program: Program,
    cohorts: Cohorts,
    path: Trajectory,
    lines: Mapping[tuple[str, str], Floats],
    solution: Solution | None,
    info: SolveInfo,
    told: Sequence[Finding],
) -> Plan:
    book = faults.sound(book)
    shadow = explain.shadow_prices(program, solution)
    shortfalls = (*explain.shortfalls(program, path, solution, book, site), *explain.own_shortfalls(book, program, path, faults))
    groups = _handed_out(cohorts, path)
    outlook = program.outlook
    return Plan(
        at=outlook.at,
        grid=program.grid,
        groups=groups,
        load_mw=path.load_mw,
        lines=lines,
        objective_usd=float(sum(v.sum() for v in lines.values())) - path.wear_usd,
        shadow_prices=shadow,
        shortfalls=shortfalls,
        solve=info,
        origin=Origin(site, book, program, cohorts, path),
        prices={point: series.values for point, series in outlook.energy.items()},
        hashprice=outlook.hashprice.values,
        findings=(*told, *faults.findings()),
        offers=_offers(path),
        generation=path.generated_mw,
    )


def _offers(path: Trajectory) -> dict[str, Floats]:
    offers: dict[str, Floats] = {}
    for (_, product), mw in path.offers.items():
        offers[product] = offers[product] + mw if product in offers else mw
    return offers


def rigs_of(program: Program, solution: Solution) -> dict[str, dict[str, Floats]]:
    """Rigs by cohort and awake mode, dust swept, within what is available."""
    return program.counted(solution.x)


def _handed_out(cohorts: Cohorts, path: Trajectory) -> dict[str, GroupPlan]:
    groups: dict[str, GroupPlan] = {}
    for first, members in cohorts.members.items():
        modes = path.rigs[first]
        whole = np.array([path.group_load_mw[first], path.hashrate_ph[first], *modes.values()])
        parts = np.array([share for _, share in members])[:, None, None] * whole
        for (name, _), (load, hashrate, *rigs) in zip(members, parts, strict=True):
            groups[name] = GroupPlan(load, hashrate, dict(zip(modes, rigs, strict=True)))
    return groups


__all__ = ["SLEEP", "GroupPlan", "Plan", "Shortfall", "SolveInfo", "plan", "program_of", "shaped"]
