"""Interruptible load (NCLR): it sells reserve in blocks, and is judged by what it dropped.

block          all or nothing, constant over its award
instruction I  low x I <= load before - load <= high x I     95 to 150 %, the load of the minutes before it (Nodal Protocols 8.1.1.4.3)
strikes        two failed instructions in a rolling 365 days disqualify

Market rules: docs/rules.md#interruptible-loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from markets.facts import Call, CallKind
from markets.grid import Interval, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.call_performance import CallPerformance, JudgedInterval
from optimizer.domain.calls import active, calls_in_force, instructed
from optimizer.domain.formula import Bounds
from optimizer.domain.memory import Memory
from optimizer.domain.money import Finding, decimal
from optimizer.domain.site import NotNegative, Positive, Written
from optimizer.lp.program import Program

WEEK = timedelta(days=7)
Times = Annotated[int, Field(ge=1)]


class ReserveBlock(Written):
    """All or nothing: at least `min_mw`, the same over `hours` on the market's clock. The rest is what was registered of the resource:
    once interrupted it stays down so long, once restored it is left alone so long, and no more deployments than that in a day or in
    seven days."""

    min_mw: Positive
    hours: Annotated[int, Field(ge=1, le=24)] = 1
    min_interruption_min: NotNegative = 0.0
    min_restoration_min: NotNegative = 0.0
    max_daily_deployments: Times | None = None
    max_weekly_deployments: Times | None = None


@dataclass(frozen=True, slots=True)
class OpenInstruction:
    """An instruction that is not over: the load before it, MW, and what it asked for and had from its response time on, MWh."""

    base_mw: float
    asked_mwh: float = 0.0
    done_mwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveMemory(Memory):
    """How instructions of the last year were followed.

    before_mw   load of the last interval; None where it is not known
    open        by call id, those that are not over
    deployed    starts of all, `strikes` of the failed ones
    """

    before_mw: float | None = None
    open: Mapping[str, OpenInstruction] = field(default_factory=dict)
    deployed: tuple[datetime, ...] = ()
    strikes: tuple[datetime, ...] = ()


def sold_all_or_nothing(program: Program, name: str, mw: Any, groups: Sequence[str], block: ReserveBlock, idle: NDArray[np.bool_]) -> None:
    """Rows: at least the block's minimum or nothing, and the same over each of its spans, `idle` intervals apart."""
    most = sum(program.group_load_mw(g).range(program.lower, program.upper)[1] for g in groups)
    sold = program.column(f"sold {name}", upper=np.where(idle, 0.0, 1.0), integer=True)
    program.row(f"least {name}", mw - sold * block.min_mw, lower=0.0)
    program.row(f"most {name}", mw - sold * most, upper=0.0)
    starts = [over.start.astimezone(program.site.market.tz) for over in program.grid.intervals]
    spans = [(at.date(), at.hour // block.hours) for at in starts]
    same = np.array([False, *(a == b for a, b in zip(spans, spans[1:], strict=False))])
    same[1:] &= ~idle[1:] & ~idle[:-1]
    program.row(f"span {name}", mw - mw.lag(1), lower=0.0, upper=0.0, where=same)


def prolonged(calls: Sequence[Call], name: str, block: ReserveBlock) -> tuple[Call, ...]:
    """The calls in force, none shorter than the least time the load stays down once interrupted."""
    least = timedelta(minutes=block.min_interruption_min)
    found = []
    for call in calls_in_force(calls, name):
        short = call.kind is CallKind.DEPLOY and call.end_at is not None and call.end_at < call.start_at + least
        found.append(replace(call, end_at=call.start_at + least) if short else call)
    return tuple(found)


def banded(said: Bounds, calls: Sequence[Call], over: Interval, base_mw: Mapping[str, float], high: float) -> Bounds:
    """Bounds that also keep the load from dropping further than the band allows, where every instruction in force names a reduction."""
    deployed = [c for c in calls if c.kind is CallKind.DEPLOY and active(c, over)]
    floors = [base_mw[c.id] - high * abs(c.mw_delta) for c in deployed if c.mw_delta is not None and c.id in base_mw]
    if not floors or len(floors) < len(deployed):
        return said
    floor_mw = min(max(0.0, min(floors), said.floor_mw), said.cap_mw)
    call = next((c for c in deployed if c.id == said.call_id), None)
    return said if call is None else instructed(call, call.obligation, floor_mw, said.cap_mw)


def idle(program: Program, name: str, block: ReserveBlock, memory: ReserveMemory) -> NDArray[np.bool_]:
    """Where nothing can be sold: under an instruction, until it may be interrupted again, and when the day's or the week's are used up."""
    calls = [c for c in prolonged(program.so_far.calls, name, block) if c.kind is CallKind.DEPLOY]
    rest, market = timedelta(minutes=block.min_restoration_min), program.site.market
    starts = set(memory.deployed) | {c.start_at for c in calls}
    found = np.zeros(program.n, dtype=bool)
    for t, over in enumerate(program.grid.intervals):
        resting = any(c.start_at < over.end and (c.end_at is None or over.start < c.end_at + rest) for c in calls)
        on = OperatingDay.of(market, over.start).on
        of_day = sum(at < over.end and OperatingDay.of(market, at).on == on for at in starts)
        of_week = sum(over.start - WEEK < at < over.end for at in starts)
        used = (block.max_daily_deployments, of_day), (block.max_weekly_deployments, of_week)
        found[t] = resting or any(most is not None and have >= most for most, have in used)
    return found


def strikes(memory: ReserveMemory, at: datetime, days: float) -> list[datetime]:
    """Failed instructions that count at an instant, the oldest first."""
    return [start for start in sorted(memory.strikes) if at - timedelta(days=days) < start <= at]


def remembered(
    memory: ReserveMemory, then: Actuals, name: str, groups: Sequence[str], response_min: float, band: tuple[float, float]
) -> ReserveMemory:
    """The memory after a stretch of time: what instructions asked for and had from their response time on, by settlement interval; those
    that ended outside the band are strikes."""
    load = _loads_mw(then, groups)
    before = [float("nan") if memory.before_mw is None else memory.before_mw, *load[:-1]]
    open_ = dict(memory.open)
    deployed, failed = set(memory.deployed), set(memory.strikes)
    for call in _judged(then, name):
        deployed.add(call.start_at)
        late = then.grid.index(call.start_at) if call.start_at in then.grid.over else 0
        state = open_.get(call.id, OpenInstruction(before[late]))
        for _, hours, mw in _judged_loads(call, then, load, response_min):
            asked, done = abs(call.mw_delta or 0.0) * hours, (state.base_mw - mw) * hours
            state = OpenInstruction(state.base_mw, state.asked_mwh + asked, state.done_mwh + done)
        open_[call.id] = state
        if call.end_at is not None and call.end_at <= then.grid.end:
            open_.pop(call.id)
            asked, done = state.asked_mwh, state.done_mwh
            if asked and done == done and not band[0] * asked - 1e-9 <= done <= band[1] * asked + 1e-9:
                failed.add(call.start_at)
    last_mw = load[-1] if load[-1] == load[-1] else None
    return replace(memory, before_mw=last_mw, open=open_, deployed=_of_a_year(deployed, then), strikes=_of_a_year(failed, then))


def _loads_mw(then: Actuals, groups: Sequence[str]) -> list[float]:
    return [sum(float(then.energy_mwh[g][t]) for g in groups) / over.hours for t, over in enumerate(then.grid.intervals)]


def _judged_loads(call: Call, then: Actuals, load: Sequence[float], response_min: float) -> Iterator[tuple[Interval, float, float]]:
    """The intervals that an instruction is judged by, from its response time to its end, each with its hours and its load, MW."""
    for over, mw in zip(then.grid.intervals, load, strict=True):
        ended = call.end_at is not None and over.end > call.end_at
        if not ended and over.start >= call.start_at + timedelta(minutes=response_min) and mw == mw:
            yield over, over.hours, mw


def delivered(
    call: Call, then: Actuals, groups: Sequence[str], known: tuple[float, float | None], band: tuple[float, float], cited: str
) -> CallPerformance:
    """What was delivered of the reduction that an instruction asked for, as a strike is judged. `known` are the response time in minutes
    and the load before the instruction, MW."""
    response_min, base_mw = known
    asked_mw, judged = abs(call.mw_delta or 0.0), list[JudgedInterval]()
    if base_mw is not None and asked_mw:
        base = decimal(base_mw)
        for over, _, mw in _judged_loads(call, then, _loads_mw(then, groups), response_min):
            share = decimal((base_mw - mw) / asked_mw)
            judged.append(JudgedInterval(over, Decimal(1), base, base - decimal(asked_mw), decimal(mw), share))
    hours = sum((decimal(j.over.hours) for j in judged), Decimal(0))
    done = sum((decimal(j.over.hours) * j.performance for j in judged if j.performance is not None), Decimal(0))
    formula = "MWh below the load before the instruction / MWh asked for, from the response time on"
    return CallPerformance(formula, cited, done / hours if hours else None, decimal(band[0]), decimal(band[1]), judged)


def struck(
    name: str, before: ReserveMemory, after: ReserveMemory, day: OperatingDay, most: int, over_days: float, band: tuple[float, float]
) -> Iterable[Finding]:
    """The instructions that a day judged as failed, and that they disqualify."""
    zone = day.market.tz
    for at in sorted(set(after.strikes) - set(before.strikes)):
        within = f"{100 * band[0]:g} to {100 * band[1]:g} %"
        yield Finding("strike", f"{name}: the instruction of {at.astimezone(zone):%d %b %Y %H:%M} was not followed within {within} of it")
    failed = len(strikes(after, day.end, over_days))
    if failed >= most:
        yield Finding("disqualified", f"{name}: {failed} failed instructions within {over_days:g} days disqualify it; it sells nothing")


def _judged(then: Actuals, name: str) -> Iterable[Call]:
    """Instructions that name a reduction and are in force within the grid."""
    for call in calls_in_force(then.calls, name):
        here = call.start_at < then.grid.end and (call.end_at is None or call.end_at > then.grid.start)
        if here and call.kind is CallKind.DEPLOY and call.mw_delta is not None:
            yield call


def _of_a_year(starts: set[datetime], then: Actuals) -> tuple[datetime, ...]:
    return tuple(sorted(s for s in starts if s > then.grid.end - timedelta(days=366)))
