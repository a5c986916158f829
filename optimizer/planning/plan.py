"""Planning: the most profitable plan over an outlook that keeps every promise. It returns a plan whenever prices are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.money import Finding
from optimizer.domain.obligation import Obligation
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import SLEEP, Availability, Site, SoFar
from optimizer.lp.build import build_program, program_of
from optimizer.lp.cohorts import Cohorts, gather
from optimizer.lp.fill_gaps import fill_gaps
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory, plan_lines, unpack, value_lines
from optimizer.planning import explain, merit_order
from optimizer.planning.result import GroupPlan, Origin, Plan, Risk, SolveInfo
from optimizer.solve import Session
from optimizer.solve.cvar import hedge, risk_text
from optimizer.solve.lexicographic import NO_LIMIT_S, Solution, SolveError, Solver, solve_in_stages


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
    """The most profitable plan over the outlook's grid that keeps every promise. When no solver answers within `deadline_s` seconds, or a
    contract raises, the plan is made by merit order instead; it keeps the same bounds, and a finding says so. With `risk`, the decisions of
    now are first weighed over scenarios, as far as time allows. `stopwatch` returns seconds; with it the deadline includes building.

    Raises UnknownPrice when a settlement point has no price at all, or no hashprice is known."""
    clock = stopwatch or (lambda: 0.0)
    began = clock()
    outlook, notes = fill_gaps(outlook)
    faults, findings = PluginFailures(), [Finding("outlook", n) for n in notes]
    cohorts = gather(site, book, so_far, availability or Availability(), outlook.temperature_c.values)
    program = build_program(cohorts, book, outlook, faults)
    built = clock()
    solution = None
    if not faults.by:
        ends = NO_LIMIT_S if deadline_s is None else began + deadline_s
        try:
            solution = _solved(program, cohorts, book, session or Session(), risk, lambda: ends - clock(), findings)
        except Exception as fault:  # a solver may raise anything
            findings.append(Finding("solver", f"planned by merit order: {fault if isinstance(fault, SolveError) else repr(fault)}"))
    path, lines = _trajectory(program, book, solution, faults)
    if faults.by:
        path, lines = _trajectory(program, faults.sound(book), None, faults, book)
        solution = None
    run_s = solution.run_s if solution else 0.0
    info = SolveInfo.of(program, solution, built - began, clock() - built if stopwatch else run_s)
    return _plan_of(site, faults, book, program, cohorts, path, lines, solution, info, findings)


def _solved(
    program: Program,
    cohorts: Cohorts,
    book: Sequence[Obligation],
    solver: Solver,
    risk: Risk | None,
    left_s: Callable[[], float],
    findings: list[Finding],
) -> Solution:
    """The solution of the program, with risk weighed when asked. Raises SolveError and any exception of the solver."""
    plain = solve_in_stages(program, solver, left_s())
    if risk is None or plain.broken:
        return plain
    try:
        if not risk.scenarios:
            raise SolveError("no complete day of real-time and day-ahead prices is known to draw scenarios from")
        scenarios = []
        for outlook in risk.scenarios:
            if left_s() <= 0:
                raise SolveError("there was no time for every scenario")
            scenarios.append(build_program(cohorts, book, fill_gaps(outlook)[0]))
        weighed = solve_in_stages(program, hedge(program, scenarios, risk.weight, solver), left_s())
        findings.append(Finding("risk", risk_text(risk.weight, len(scenarios), weighed.objective - plain.objective, abs(plain.objective))))
        findings += [Finding("risk", note) for note in risk.notes]
        return weighed
    except SolveError as fault:
        findings.append(Finding("risk", f"risk is not weighed: {fault}"))
        return plain


def _trajectory(
    program: Program,
    book: Sequence[Obligation],
    solution: Solution | None,
    faults: PluginFailures,
    insisting: Sequence[Obligation] | None = None,
) -> tuple[Trajectory, dict[tuple[str, str], Floats]]:
    """The trajectory of a solution (by merit order when there is none) and its lines in usd. The bounds of the contracts in `insisting`
    hold, of the book by default."""
    if solution is None:
        idle = {name: {mode: np.zeros(program.n) for mode in modes} for name, modes in program.rigs.items()}
        value_lines(book, program, unpack(program, idle), faults)
        rigs = merit_order.order(program, faults.sound(book), insisting or book, faults)
        path = unpack(program, rigs)
    else:
        path = unpack(program, rigs_of(program, solution), solution.x)
    return path, plan_lines(book, program, path, faults)


def _plan_of(
    site: Site,
    faults: PluginFailures,
    book: Sequence[Obligation],
    program: Program,
    cohorts: Cohorts,
    path: Trajectory,
    lines: Mapping[tuple[str, str], Floats],
    solution: Solution | None,
    info: SolveInfo,
    findings: Sequence[Finding],
) -> Plan:
    book = faults.sound(book)
    shadow = explain.shadow_prices(program, solution)
    shortfalls = (*explain.shortfalls(program, path, solution, book, site), *explain.own_shortfalls(book, program, path, faults))
    groups = _by_group(cohorts, path)
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
        origin=Origin(site, book, program, cohorts, path, solution.dual if solution is not None else None),
        prices={point: series.values for point, series in outlook.energy.items()},
        hashprice=outlook.hashprice.values,
        findings=(*findings, *faults.findings()),
        offers=_offers(path),
        generation=path.generated_mw,
    )


def _offers(path: Trajectory) -> dict[str, Floats]:
    offers: dict[str, Floats] = {}
    for (_, product), mw in path.offers.items():
        offers[product] = offers[product] + mw if product in offers else mw
    return offers


def rigs_of(program: Program, solution: Solution) -> dict[str, dict[str, Floats]]:
    """Rigs by cohort and awake mode, shape (n,): solver noise removed, within what is available."""
    return program.counted(solution.x)


def _by_group(cohorts: Cohorts, path: Trajectory) -> dict[str, GroupPlan]:
    groups: dict[str, GroupPlan] = {}
    for first, members in cohorts.members.items():
        modes = path.rigs[first]
        totals = np.array([path.group_load_mw[first], path.hashrate_ph[first], *modes.values()])
        parts = np.array([share for _, share in members])[:, None, None] * totals
        for (name, _), (load, hashrate, *rigs) in zip(members, parts, strict=True):
            groups[name] = GroupPlan(load, hashrate, dict(zip(modes, rigs, strict=True)))
    return groups


__all__ = ["SLEEP", "GroupPlan", "Plan", "Shortfall", "SolveInfo", "plan", "program_of", "build_program"]
