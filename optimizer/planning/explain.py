"""Explain: breakevens, what limits are worth, what cannot be kept, and the plan in sentences an operator understands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from markets.grid import hour_ending
from optimizer.domain.array_types import Floats
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import SLEEP, RigGroup, Site
from optimizer.lp import phrases
from optimizer.lp.arrays import Yields
from optimizer.lp.breakeven import breakevens_usd_per_mwh
from optimizer.lp.cohorts import Cohorts
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory
from optimizer.solve.lexicographic import Solution

if TYPE_CHECKING:
    from optimizer.domain.shortfall import Shortfall
    from optimizer.planning.result import Plan

# A load this close to an instruction stands against it: a watt.
SLACK_MW = 1e-6
# What a contract's rows that may give way are named by, its own name after.
PROMISED = ("call", "floor", "before test", "runs")
LIMITS = ("interconnect", "hall ", "line ", "maker ", "call ", "ramp ", "starts ", "floor ")


def breakevens(book: Sequence[Obligation], program: Program) -> dict[str, float]:
    """By group of the program's site, usd_per_mwh at its settlement point, in the first interval."""
    return {name: float(usd[0]) for name, usd in breakevens_usd_per_mwh(book, program).items()}


def shadow_prices(program: Program, solution: Solution | None) -> dict[str, Floats]:
    """By limit: dollars that one more MW (thousand starts) of it would earn an hour of each interval, where it binds at all."""
    if solution is None:
        return {}
    prices: dict[str, Floats] = {}
    for rows in program.rows:
        if not rows.name.startswith(LIMITS):
            continue
        worth = np.zeros(program.n)
        worth[rows.at] = np.abs(solution.dual[rows.first : rows.first + rows.size]) / program.hours[rows.at]
        if (worth > 1e-6).any():
            prices[rows.name] = np.where(worth > 1e-6, worth, 0.0)
    return prices


def shortfalls(
    program: Program, path: Trajectory, solution: Solution | None, book: Sequence[Obligation], site: Site
) -> tuple[Shortfall, ...]:
    """Promises the plan cannot keep, with the megawatts, the hours, what the contract itself makes of it, and the cheapest way out. What a
    contract tells of its awards is its own (`own_shortfalls`)."""
    from optimizer.domain.shortfall import Shortfall

    missed = [(s.name, s.mw, _trip(program, site, float(s.mw.max()))) for s in program.shorts]
    for e in program.elastic if solution is not None else ():
        mw = np.zeros(program.n)
        mw[e.at] = program.missed(e, solution.x) if solution is not None else 0.0
        if mw.max() > SLACK_MW and not e.name.startswith("award "):
            missed.append((e.name, mw, _repair(e.level)))
    market, grid = program.site.market, program.grid
    return tuple(
        Shortfall(name, float(mw.max()), _owed_usd(name, mw, program, path, book), repair, phrases.hours(market, grid, mw > SLACK_MW))
        for name, mw, repair in missed
    )


def _owed_usd(name: str, mw: Floats, program: Program, path: Trajectory, book: Sequence[Obligation]) -> float:
    """What missing an instruction costs under the contract it came under, by that contract's own price (its `shortfall_usd`)."""
    contract = next((o for o in book if name in [f"{word} {o.name}" for word in PROMISED]), None)
    priced = getattr(contract, "shortfall_usd", None)
    return float(priced(program, path, mw)) if priced else 0.0


def own_shortfalls(book: Sequence[Obligation], program: Program, path: Trajectory, faults: PluginFailures) -> Iterable[Shortfall]:
    """What contracts themselves say a trajectory falls short of (`shortfalls` of the contract)."""
    for obligation in book:
        told = getattr(obligation, "shortfalls", None)
        with faults.of(obligation):
            yield from list(told(program, path)) if told else ()


def own_reasons(book: Sequence[Obligation], program: Program, path: Trajectory) -> Iterable[str]:
    """What contracts themselves say of a trajectory (`reasons` of the contract)."""
    for obligation in book:
        told, faults = getattr(obligation, "reasons", None), PluginFailures()
        with faults.of(obligation):
            yield from list(told(book, program, path)) if told else ()
        for name, fault in faults.by.items():
            yield f"{name} could not say its reasons: {fault!r}"


def reasons(site: Site, book: Sequence[Obligation], plan: Plan, program: Program, cohorts: Cohorts) -> tuple[str, ...]:
    """What each group does now, until when and why; what binds and what it is worth; what cannot be kept."""
    called = _called_now(site, book, plan, program)
    return (
        *(f.text for f in plan.findings),
        *(_now(site, plan, program, first, members, called) for first, members in cohorts.members.items()),
        *_binding(site, plan),
        *(_short(s) for s in plan.shortfalls),
    )


@dataclass(frozen=True, slots=True)
class _Called:
    """A deployed instruction in force: the groups it speaks of, its words, whether it keeps rigs of them asleep or awake."""

    groups: tuple[str, ...]
    words: str
    caps: bool
    lifts: bool


def _called_now(site: Site, book: Sequence[Obligation], plan: Plan, program: Program) -> list[_Called]:
    """The deployed instructions that hold the load of the first interval down, or up."""
    found = []
    for obligation in book:
        calls = [c for c in program.so_far.calls if c.obligation == obligation.name]
        if not calls:
            continue
        insists = obligation.bounds(site, program.so_far.memory.get(obligation.name, {}), calls, plan.grid.intervals[0])
        names = obligation.scope.names(site)
        load_mw = sum(float(plan.groups[name].load_mw[0]) for name in names)
        full_mw = sum(site.group(name).rigs * site.group(name).full.watts for name in names) / 1e6
        caps, lifts = insists.cap_mw < full_mw, insists.floor_mw > 0 and load_mw < insists.floor_mw + SLACK_MW
        if insists.why.startswith("call ") and (caps or lifts):
            found.append(_Called(names, insists.why, caps, lifts))
    return found


def _now(
    site: Site,
    plan: Plan,
    program: Program,
    first: str,
    members: Sequence[tuple[str, float]],
    called: Sequence[_Called],
) -> str:
    group = site.group(first)
    point = site.meter_of[first].settlement_point
    price, breakeven = float(plan.prices[point][0]), plan.breakevens[first]
    modes = plan.groups[first].modes
    awake = sum((n for m, n in modes.items() if m != SLEEP), np.zeros(len(plan.grid)))
    here = awake + modes[SLEEP]
    name = f"{first} and {len(members) - 1} like it ({group.model})" if len(members) > 1 else f"{first} ({group.model})"
    if here[0] < 0.5:
        return f"{name}: no rig can be used now"
    share = float(awake[0] / here[0])
    side = "above" if price > breakeven else "below" if price < breakeven else "at"
    why = f"energy at {point} {price:.2f} $/MWh is {side} its breakeven {breakeven:.2f}"
    what = "runs" if share > 0.999 else "sleeps" if share < 0.001 else f"runs {share:.0%} of its rigs"
    until = _until(site, plan, awake)
    wanted = price < breakeven
    told = [c.words for c in called if first in c.groups and ((c.caps and wanted and share < 0.999) or (c.lifts and not wanted))]
    bound = _by_minimum(site, plan, program, group, share)
    if told or (bound and (wanted and share < 0.999 or not wanted and share > 0.001)):
        why += "; " + "; ".join([*told, *bound])
    elif (wanted and share < 0.999) or (not wanted and share > 0.001 and price > breakeven):
        why += f"; {_held_by(plan, program, first, wanted)}"
    return f"{name} {what}{until}: {why}"


def _by_minimum(site: Site, plan: Plan, program: Program, group: RigGroup, share: float) -> list[str]:
    """What the minimum time of rigs that moved a moment ago says of a group that does not do what its price asks."""
    now = program.so_far.groups.get(group.name)
    asleep = share < 0.999 and float(plan.prices[site.meter_of[group.name].settlement_point][0]) < plan.breakevens[group.name]
    moved, minimum_min, what = (
        (now.slept if now else (), group.min_off_min, "rest") if asleep else (now.woken if now else (), group.min_on_min, "stay on")
    )
    free = [(at + timedelta(minutes=minimum_min), rigs) for at, rigs in moved if at + timedelta(minutes=minimum_min) > plan.at]
    if not free:
        return []
    last = max(at for at, _ in free).astimezone(site.market.tz)
    return [f"{sum(rigs for _, rigs in free)} of them {what} until {last:%H:%M}, for their minimum time"]


def _until(site: Site, plan: Plan, awake: Floats) -> str:
    changes = np.flatnonzero(np.abs(awake - awake[0]) > 0.01 * max(1.0, float(awake.max())))
    if not len(changes):
        return " to the end of the plan"
    at = plan.grid.intervals[int(changes[0])].start
    here, begins = at.astimezone(site.market.tz), plan.at.astimezone(site.market.tz)
    day = "" if here.date() == begins.date() else f"{here:%a} "
    return f" until {day}{here:%H:%M} ({hour_ending(site.market, at)})"


def _held_by(plan: Plan, program: Program, group: str, wanted: bool) -> str:
    meter = program.site.meter_of[group].id
    if not wanted and any(plan.generation[made.name][0] > SLACK_MW for made in program.generators(meter)):
        return f"it runs on what is generated behind meter {meter}"
    binding = [name for name, worth in plan.shadow_prices.items() if worth[0] > 0]
    if binding:
        return "held by " + ", ".join(binding)
    if any(r.name.startswith(("minimum", "starts")) for r in program.rows):
        return "minimum times, wear or start limits make a short stop not worth it" if not wanted else "waking for so short is not worth it"
    return "other hours decide"


def _binding(site: Site, plan: Plan) -> Iterable[str]:
    for name, worth in plan.shadow_prices.items():
        binds, hours = worth > 0, np.asarray(plan.grid.hours)
        starts = name.startswith("starts ")
        usd = (worth * hours if starts else worth)[binds]
        what, per = ("a thousand more starts then are", "") if starts else ("one more MW there is", " an hour")
        much = f"{usd.max():.2f}" if usd.max() - usd.min() < 0.01 else f"{usd.min():.2f} to {usd.max():.2f}"
        when = phrases.hours(site.market, plan.grid, binds)
        yield f"{name} binds for {hours[binds].sum():.3g} h ({when}); {what} worth {much} ${per}"


def _short(s: Shortfall) -> str:
    """Minimum times are missed by rigs, everything else by megawatts."""
    much = f"{s.mw * 1000:,.0f} rigs" if s.promise.startswith("minimum") else f"{s.mw:.4g} MW"
    worth = f" ({s.usd:,.2f} $)" if s.usd >= 0.005 else ""
    return f"{s.promise} {s.hours} short {much}{worth}: {s.repair}"


def _trip(program: Program, site: Site, mw: float) -> str:
    """The feeders that carry what nobody can shed: the smallest one that is enough, or the largest until they are."""
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
    feeders = f"feeder{'s' if len(opened) > 1 else ''} of hall {' and '.join(opened)}"
    return f"nothing is left to shed: open the {feeders} for the last {mw:.3f} MW" if opened else "nothing is left to shed"


def _repair(level: Yields) -> str:
    return {
        Yields.CAPACITY: "buy the capacity back, or make more rigs available",
        Yields.MINIMUM_TIMES: "rigs stop or start before their minimum time is over; wear only",
        Yields.RAMP: "the load moves faster than the agreed ramp; tell the interconnecting utility",
        Yields.INSTRUCTION: "make more rigs available, or report the shortfall before the interval begins",
    }[level]
