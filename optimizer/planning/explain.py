"""A plan explained: breakevens, what limits are worth, which promises cannot be kept, and the plan in sentences for an operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from markets import counted, usd_text
from optimizer.domain.array_types import Floats
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.row_kind import RowKind
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import Site
from optimizer.lp import phrases
from optimizer.lp.arrays import Named, Short, Yields
from optimizer.lp.breakeven import breakevens_usd_per_mwh
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory
from optimizer.planning.causes import SLACK_MW, demand_charges
from optimizer.planning.group_reasons import group_sentences
from optimizer.planning.result import Plan
from optimizer.solve.lexicographic import Solution

# Rows whose shadow price says what one more MW, or a thousand more starts, would earn.
LIMITS = frozenset((RowKind.SITE_LIMIT, RowKind.CALL, RowKind.FLOOR, RowKind.RAMP, RowKind.STARTS))
# So many binding limits are named one by one, those that cost most; the rest are counted.
MOST_LIMITS = 10


def breakevens(plan: Plan) -> dict[str, float]:
    """By group, usd_per_mwh at its settlement point: the energy price of the first interval at which running and sleeping earn the same."""
    made_from = plan.origin
    own = {name: float(usd[0]) for name, usd in breakevens_usd_per_mwh(made_from.book, made_from.program).items()}
    return {name: own[first] for first, members in made_from.cohorts.members.items() for name, _ in members}


def shadow_prices(program: Program, solution: Solution | None) -> dict[str, Floats]:
    """By limit, shape (n,): dollars per hour that one more MW (or a thousand more starts) of it would earn. Limits that never bind are left
    out."""
    if solution is None:
        return {}
    prices: dict[str, Floats] = {}
    for rows in program.rows:
        if rows.kind not in LIMITS:
            continue
        worth = np.zeros(program.n)
        worth[rows.at] = np.abs(solution.dual[rows.first : rows.first + rows.size]) / program.hours[rows.at]
        if (worth > 1e-6).any():
            prices[rows.name] = np.where(worth > 1e-6, worth, 0.0)
    return prices


def shortfalls(
    program: Program, path: Trajectory, solution: Solution | None, book: Sequence[Obligation], site: Site
) -> tuple[Shortfall, ...]:
    """Promises that the plan cannot keep: the megawatts, the hours, the cost under the contract, and the cheapest way out. Awards are
    reported by their contracts (`own_shortfalls`)."""
    missed: list[tuple[Named | Short, Floats, str]] = [(s, s.mw, _trip(program, site, float(s.mw.max()))) for s in program.shorts]
    for e in program.elastic if solution is not None else ():
        mw = np.zeros(program.n)
        mw[e.at] = program.missed(e, solution.x) if solution is not None else 0.0
        if mw.max() > SLACK_MW and e.rows.kind is not RowKind.AWARD:
            missed.append((e.rows, mw, _repair(e.level)))
    market, grid = program.site.market, program.grid
    return tuple(
        Shortfall(
            rows.name,
            float(mw.max()),
            _owed_usd(rows.obligation, mw, program, path, book),
            repair,
            phrases.hours(market, grid, mw > SLACK_MW),
            rows.kind,
        )
        for rows, mw, repair in missed
    )


def _owed_usd(obligation: str, mw: Floats, program: Program, path: Trajectory, book: Sequence[Obligation]) -> float:
    """What missing an instruction costs under its contract, usd (the contract's `shortfall_usd`)."""
    contract = next((o for o in book if o.name == obligation), None)
    return float(contract.shortfall_usd(program, path, mw)) if contract is not None else 0.0


def own_shortfalls(book: Sequence[Obligation], program: Program, path: Trajectory, faults: PluginFailures) -> Iterable[Shortfall]:
    """The shortfalls that contracts themselves find in a trajectory."""
    for obligation in book:
        with faults.of(obligation):
            yield from list(obligation.shortfalls(program, path))


def own_reasons(book: Sequence[Obligation], program: Program, path: Trajectory) -> Iterable[str]:
    """The sentences that contracts themselves add about a trajectory."""
    for obligation in book:
        faults = PluginFailures()
        with faults.of(obligation):
            yield from list(obligation.reasons(tuple(book), program, path))
        for name, fault in faults.by.items():
            yield f"{name} failed to give its reasons: {fault!r}"


def reasons(plan: Plan) -> tuple[str, ...]:
    """The plan in sentences: findings, what groups do now, until when and why, which limits bind and what they are worth, which demand
    charges hold the load down, which promises cannot be kept, and what contracts add of their own."""
    made_from = plan.origin
    return (
        *(f.text for f in plan.findings),
        *group_sentences(plan, breakevens(plan)),
        *_binding(plan),
        *demand_charges(plan),
        *(_short(s) for s in plan.shortfalls),
        *own_reasons(made_from.book, made_from.program, made_from.path),
    )


def _binding(plan: Plan) -> Iterable[str]:
    hours = np.asarray(plan.grid.hours)
    costly = sorted(plan.shadow_prices.items(), key=lambda limit: -float((limit[1] * hours).sum()))
    named = {name for name, _ in costly[:MOST_LIMITS]}
    yield from (_limit(plan, name, worth) for name, worth in plan.shadow_prices.items() if name in named)
    if rest := costly[MOST_LIMITS:]:
        yield f"{counted(len(rest), 'more limit')} of less worth bind"


def _limit(plan: Plan, name: str, worth: Floats) -> str:
    starts = any(rows.name == name and rows.kind is RowKind.STARTS for rows in plan.origin.program.rows)
    binds, hours = worth > 0, np.asarray(plan.grid.hours)
    usd = (worth * hours if starts else worth)[binds]
    what, per = ("a thousand more starts then are", "") if starts else ("one more MW there is", " an hour")
    much = usd_text(usd.max()) if usd.max() - usd.min() < 0.01 else f"{usd_text(usd.min())} to {usd_text(usd.max())}"
    when = phrases.hours(plan.origin.site.market, plan.grid, binds)
    return f"{name} binds for {hours[binds].sum():.3g} h ({when}); {what} worth {much}{per}"


def _short(s: Shortfall) -> str:
    """Minimum times are missed by rigs, everything else by megawatts."""
    much = counted(round(s.mw * 1000), "rig") if s.kind is RowKind.MINIMUM_TIME else f"{s.mw:.4g} MW"
    worth = f" ({usd_text(s.usd)})" if s.usd >= 0.005 else ""
    return f"{s.promise} {s.hours}: short by {much}{worth}; {s.repair}"


def _trip(program: Program, site: Site, mw: float) -> str:
    """The repair when standby load alone exceeds a cap: the smallest feeder whose opening sheds enough, or the largest ones until enough is
    shed."""
    celsius = float(np.nan_to_num(program.outlook.temperature_c.values, nan=25.0).max())
    asleep: dict[str, float] = {}
    for group in site.groups:
        draws = group.rigs * group.asleep.watts / 1e6 * (1.0 + site.hall_of[group.name].overhead.at(celsius))
        asleep[group.hall] = asleep.get(group.hall, 0.0) + draws
    enough = sorted((idle, name) for name, idle in asleep.items() if idle >= mw - SLACK_MW)
    opened, left = ([enough[0][1]], 0.0) if enough else ([], mw)
    for name in sorted(asleep, key=lambda hall: -asleep[hall]):
        if left > SLACK_MW and asleep[name] > 0:
            opened, left = [*opened, name], left - asleep[name]
    feeders = f"{'feeder' if len(opened) == 1 else 'feeders'} of hall {' and '.join(opened)}"
    return f"all rigs are asleep: open the {feeders} for the last {mw:.3f} MW" if opened else "all rigs are asleep"


def _repair(level: Yields) -> str:
    return {
        Yields.CAPACITY: "buy the capacity back, or make more rigs available",
        Yields.MINIMUM_TIMES: "rigs stop or start before their minimum time is over, which costs wear only",
        Yields.RAMP: "the load moves faster than the agreed ramp; tell the interconnecting utility",
        Yields.INSTRUCTION: "make more rigs available, or report the shortfall before the interval begins",
    }[level]
