"""What groups do now, until when and why, in sentences. Groups that do the same for the same reason share one where there are many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from markets import counted, usd_text
from markets.grid import OperatingDay, hour_ending
from optimizer.domain.array_types import Floats
from optimizer.domain.energy_bid_terms import settles_at
from optimizer.domain.site import SLEEP, RigGroup
from optimizer.planning.causes import SLACK_MW, held_by
from optimizer.planning.result import Plan

# Up to so many kinds of groups have a sentence each; of more, those that do the same share one.
EACH_BY_ITSELF = 8
# So many sentences of groups fit on a screen; the rest are summed up in one.
MOST_SENTENCES = 16
Members = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class _Sentence:
    """What a cohort does until when (`what`), how its price compares with its breakeven, usd_per_mwh both (`side`, empty where no rig is
    available), why else, and its load, MW."""

    members: Members
    model: str
    what: str
    side: str
    price: float
    breakeven: float
    why: tuple[str, ...]
    load_mw: float


def group_sentences(plan: Plan, breakevens: Mapping[str, float]) -> Iterable[str]:
    """What every group does in the first interval, until when and why; `breakevens` by group, usd_per_mwh."""
    instructions = _instructions(plan)
    said = [_cohort(plan, breakevens[first], members, instructions) for first, members in plan.origin.cohorts.members.items()]
    if len(said) <= EACH_BY_ITSELF:
        yield from (_text([s]) for s in said)
        return
    alike: dict[tuple[object, ...], list[_Sentence]] = {}
    for s in said:
        alike.setdefault((s.what, s.side, s.why), []).append(s)
    ranked = sorted(alike.values(), key=lambda some: -sum(len(s.members) for s in some))
    yield from (_text(some) for some in ranked[:MOST_SENTENCES])
    if rest := [s for some in ranked[MOST_SENTENCES:] for s in some]:
        groups, mw = sum(len(s.members) for s in rest), sum(s.load_mw for s in rest)
        yield f"{counted(groups, 'more group')} in {len(ranked) - MOST_SENTENCES} other ways: together {mw:,.3f} MW now"


def _text(alike: Sequence[_Sentence]) -> str:
    first, groups = alike[0], sum(len(s.members) for s in alike)
    name, models = first.members[0][0], list(dict.fromkeys(s.model for s in alike))
    many = len(alike) > 1
    if many:
        listed = ", ".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")
        name = f"{name} and {counted(groups - 1, 'other group')} ({listed})"
    else:
        name = f"{name} and {counted(groups - 1, 'group')} like it ({first.model})" if groups > 1 else f"{name} ({first.model})"
    if not first.side:
        return f"{name}: {first.what}"
    low, high = min(s.breakeven for s in alike), max(s.breakeven for s in alike)
    theirs = f"{usd_text(low)}/MWh" if high - low < 0.005 else f"{usd_text(low)} to {usd_text(high)}/MWh"
    price = f"{first.side} {'their' if many else 'its'} breakeven of {theirs}"
    what = first.what
    if many:
        what = what.replace("runs", "run", 1).replace("sleeps", "sleep", 1).replace("its rigs", "their rigs", 1)
    return f"{name} {what}: {'; '.join([price, *first.why])}"


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


def _cohort(plan: Plan, breakeven: float, members: Sequence[tuple[str, float]], instructions: Sequence[_Instruction]) -> _Sentence:
    """What a group does, or several that are planned as one (`members`, the first of them by name)."""
    first, site = members[0][0], plan.origin.site
    today = OperatingDay.of(site.market, plan.grid.start).on
    group, point = site.group(first), settles_at(plan.origin.book, site, first, today)
    price, modes = float(plan.prices[point][0]), plan.groups[first].modes
    awake = sum((n for m, n in modes.items() if m != SLEEP), np.zeros(len(plan.grid)))
    available = awake + modes[SLEEP]
    load_mw = sum(float(plan.groups[name].load_mw[0]) for name, _ in members)
    if available[0] < 0.5:
        return _Sentence(members, group.model, "no rig is available now", "", price, breakeven, (), load_mw)
    share, cheap = float(awake[0] / available[0]), price < breakeven
    what = "runs" if share > 0.999 else "sleeps" if share < 0.001 else f"runs {share:.0%} of its rigs"
    side = "above" if price > breakeven else "below" if cheap else "equal to"
    side_text = f"energy at {point} is {usd_text(price)}/MWh, {side}"
    too_few, too_many = cheap and share < 0.999, not cheap and share > 0.001
    held = [i.reason for i in instructions if first in i.groups and ((i.caps and too_few) or (i.lifts and not cheap))]
    resting = _by_minimum_time(plan, group, asleep=share < 0.999 and cheap) if too_few or too_many else []
    why = [*held, *resting] or ([held_by(plan, first, cheap)] if too_few or (too_many and price > breakeven) else [])
    return _Sentence(members, group.model, f"{what}{_until(plan, awake)}", side_text, price, breakeven, tuple(why), load_mw)


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
