"""A plan explained: breakevens, what limits are worth, which promises cannot be kept, and the plan in sentences for an operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from markets import counted, usd_text
from markets.grid import hour_ending
from optimizer.domain.array_types import Floats
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.row_kind import RowKind
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import SLEEP, RigGroup, Site
from optimizer.lp import phrases
from optimizer.lp.arrays import Named, Short, Yields
from optimizer.lp.breakeven import breakevens_usd_per_mwh
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory
from optimizer.planning.result import Plan
from optimizer.solve.lexicographic import Solution

# A load this close to an instruction counts as at it: one watt.
SLACK_MW = 1e-6
# Rows whose shadow price says what one more MW, or a thousand more starts, would earn.
LIMITS = frozenset((RowKind.SITE_LIMIT, RowKind.CALL, RowKind.FLOOR, RowKind.RAMP, RowKind.STARTS))


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
    """The plan in sentences: findings, what each group does now, until when and why, which limits bind and what they are worth, which
    promises cannot be kept, and what contracts add of their own."""
    made_from, groups_at = plan.origin, breakevens(plan)
    instructions = _instructions(plan)
    return (
        *(f.text for f in plan.findings),
        *(_group_now(plan, groups_at[first], members, instructions) for first, members in made_from.cohorts.members.items()),
        *_binding(plan),
        *(_short(s) for s in plan.shortfalls),
        *own_reasons(made_from.book, made_from.program, made_from.path),
    )


@dataclass(frozen=True, slots=True)
class _Instruction:
    """A deployed instruction in force: the groups in its scope, its reason, and whether it holds rigs of them asleep or awake."""

    groups: tuple[str, ...]
    reason: str
    caps: bool
    lifts: bool


def _instructions(plan: Plan) -> list[_Instruction]:
    """The deployed instructions that hold the load of the first interval down, or up."""
    site, program, found = plan.origin.site, plan.origin.program, []
    for obligation in plan.origin.book:
        calls = [c for c in program.so_far.calls if c.obligation == obligation.name]
        if not calls:
            continue
        bounds = obligation.bounds(site, obligation.memory_from(program.memories), calls, plan.grid.intervals[0])
        names = obligation.scope.names(site)
        load_mw = sum(float(plan.groups[name].load_mw[0]) for name in names)
        full_mw = sum(site.group(name).rigs * site.group(name).full.watts for name in names) / 1e6
        caps, lifts = bounds.cap_mw < full_mw, bounds.floor_mw > 0 and load_mw < bounds.floor_mw + SLACK_MW
        if bounds.call_id and (caps or lifts):
            found.append(_Instruction(names, bounds.why, caps, lifts))
    return found


def _group_now(plan: Plan, breakeven: float, members: Sequence[tuple[str, float]], instructions: Sequence[_Instruction]) -> str:
    """One sentence for a group, or for several that are planned as one (`members`, the first of them by name)."""
    first, site = members[0][0], plan.origin.site
    group, point = site.group(first), site.meter_of[first].settlement_point
    price, modes = float(plan.prices[point][0]), plan.groups[first].modes
    awake = sum((n for m, n in modes.items() if m != SLEEP), np.zeros(len(plan.grid)))
    available = awake + modes[SLEEP]
    name = f"{first} and {counted(len(members) - 1, 'group')} like it ({group.model})" if len(members) > 1 else f"{first} ({group.model})"
    if available[0] < 0.5:
        return f"{name}: no rig is available now"
    share, cheap = float(awake[0] / available[0]), price < breakeven
    what = "runs" if share > 0.999 else "sleeps" if share < 0.001 else f"runs {share:.0%} of its rigs"
    side = "above" if price > breakeven else "below" if cheap else "equal to"
    why = [f"energy at {point} is {usd_text(price)}/MWh, {side} its breakeven of {usd_text(breakeven)}/MWh"]
    too_few, too_many = cheap and share < 0.999, not cheap and share > 0.001
    held = [i.reason for i in instructions if first in i.groups and ((i.caps and too_few) or (i.lifts and not cheap))]
    resting = _by_minimum_time(plan, group, asleep=share < 0.999 and cheap) if too_few or too_many else []
    why += [*held, *resting] or ([_held_by(plan, first, cheap)] if too_few or (too_many and price > breakeven) else [])
    return f"{name} {what}{_until(plan, awake)}: {'; '.join(why)}"


def _by_minimum_time(plan: Plan, group: RigGroup, asleep: bool) -> list[str]:
    """Rigs of a group that moved lately and so may not move yet, in words; nothing where all may."""
    now = plan.origin.program.so_far.groups.get(group.name)
    moved, minimum_min, what = (
        (now.slept if now else (), group.min_off_min, "off") if asleep else (now.woken if now else (), group.min_on_min, "on")
    )
    free = [(at + timedelta(minutes=minimum_min), rigs) for at, rigs in moved if at + timedelta(minutes=minimum_min) > plan.at]
    if not free:
        return []
    last = max(at for at, _ in free).astimezone(plan.origin.site.market.tz)
    return [f"{sum(rigs for _, rigs in free):,} of them must stay {what} until {last:%H:%M} for their minimum time"]


def _until(plan: Plan, awake: Floats) -> str:
    changes = np.flatnonzero(np.abs(awake - awake[0]) > 0.01 * max(1.0, float(awake.max())))
    if not len(changes):
        return " to the end of the plan"
    market, at = plan.origin.site.market, plan.grid.intervals[int(changes[0])].start
    here, begins = at.astimezone(market.tz), plan.at.astimezone(market.tz)
    day = "" if here.date() == begins.date() else f"{here:%a} "
    return f" until {day}{here:%H:%M} ({hour_ending(market, at)})"


def _held_by(plan: Plan, group: str, cheap: bool) -> str:
    """Why a group does not do what its price asks for when no instruction and no recent move says so."""
    program = plan.origin.program
    meter = program.site.meter_of[group].id
    if not cheap and any(plan.generation[made.name][0] > SLACK_MW for made in program.generators(meter)):
        return f"it runs on power generated behind meter {meter}"
    binding = [name for name, worth in plan.shadow_prices.items() if worth[0] > 0]
    if binding:
        return "limited by " + ", ".join(binding)
    if any(r.kind in (RowKind.MINIMUM_TIME, RowKind.STARTS) for r in program.rows):
        return "the cheap spell is too short to repay a start" if cheap else "the expensive spell is too short to repay a stop and a start"
    return "limits or contract terms of other hours decide"


def _binding(plan: Plan) -> Iterable[str]:
    start_limits = {rows.name for rows in plan.origin.program.rows if rows.kind is RowKind.STARTS}
    for name, worth in plan.shadow_prices.items():
        binds, hours = worth > 0, np.asarray(plan.grid.hours)
        starts = name in start_limits
        usd = (worth * hours if starts else worth)[binds]
        what, per = ("a thousand more starts then are", "") if starts else ("one more MW there is", " an hour")
        much = usd_text(usd.max()) if usd.max() - usd.min() < 0.01 else f"{usd_text(usd.min())} to {usd_text(usd.max())}"
        when = phrases.hours(plan.origin.site.market, plan.grid, binds)
        yield f"{name} binds for {hours[binds].sum():.3g} h ({when}); {what} worth {much}{per}"


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
        watts = next((m.watts for m in group.modes if m.name == SLEEP), 0.0)
        draws = group.rigs * watts / 1e6 * (1.0 + site.hall_of[group.name].overhead.at(celsius))
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
