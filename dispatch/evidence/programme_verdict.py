"""The verdict on a call by the formula of its programme: the functions of the contract's own bill, over the loads that the journal holds.

The loads are those of the meters that are believed, of the rigs where there is none; the statement of the day settles on the revenue meter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from dispatch.decide.state import State
from dispatch.evidence.loads_seen import LoadsSeen
from markets.facts import Call, CallKind
from markets.grid import Grid, Interval, OperatingDay, format_instant
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import complete_memories
from optimizer.domain.call_performance import JudgedInterval
from optimizer.domain.money import decimal
from optimizer.domain.obligation import Obligation
from optimizer.settlement.performance import promises

# A reading speaks for the time until the next one, at most so long: longer, and nobody read.
LONGEST_READING = timedelta(minutes=30)
NAN = Decimal("NaN")
MW_PLACES = 6


def programme_verdict(call: Call, contract: Obligation, loads: Sequence[LoadsSeen], state: State, now: datetime) -> dict[str, Any] | None:
    """The verdict as JSON values; None for a call that asks for nothing, or of which no settlement interval is over."""
    if call.kind not in (CallKind.DEPLOY, CallKind.TEST, CallKind.SET_POINT):
        return None
    over = Interval(call.start_at, min(call.end_at or now, now)) if (call.end_at or now) > call.start_at and now > call.start_at else None
    grid = _grid(state, over, now) if over else None
    if grid is None:
        return None
    actuals = _actuals(call, contract, loads, state, grid)
    kept = next((promise for promise in promises((contract,), actuals) if promise.obligation == contract.name), None)
    performance = contract.call_performance(call, actuals)
    broken = [{**_span(over), "mw": _mw(mw), "why": why} for over, mw, why in kept.broken] if kept else []
    passed = performance.passed if performance is not None else (not broken if kept else None)
    return {
        "contract": contract.type,
        "passed": passed,
        "reason": "" if passed is not None else "no settlement interval of it could be judged",
        "load_before_mw": _mw(contract.memory_from(actuals.memory).load_before_mw.get(call.id)),
        "limit_kept": not broken if kept else None,
        "outside_limit": broken,
        "formula": performance.formula if performance else "load within the limit in every settlement interval, meters being exact to 1 %",
        "rule": performance.rule if performance else "",
        "figure": _share(performance.figure) if performance else None,
        "least": _share(performance.least) if performance else None,
        "most": _share(performance.most) if performance else None,
        "intervals": [_interval(each) for each in performance.intervals] if performance else [],
    }


def _grid(state: State, over: Interval, now: datetime) -> Grid | None:
    """The settlement intervals that a call touches and that are over; None where there is none."""
    edges = OperatingDay.of(state.site.market, over.start).grid().edges
    step = int(edges[1] - edges[0])
    first = int(over.start.timestamp()) // step * step
    count = min(-(-int(over.end.timestamp() - first) // step), int(now.timestamp() - first) // step)
    return Grid(first + step * np.arange(count + 1)) if count > 0 else None


def _actuals(call: Call, contract: Obligation, loads: Sequence[LoadsSeen], state: State, grid: Grid) -> Actuals:
    """What the contract's own functions read: energy by group, the call and the load before it; no money."""
    names = [g.name for g in state.site.groups]
    nothing = [Decimal(0)] * len(grid)
    energy = {name: [_mean_mw(loads, name, over) * decimal(over.hours) for over in grid.intervals] for name in names}
    before = [seen for seen in loads if seen.at <= call.notice_at]
    groups = contract.scope.names(state.site)
    known = {call.id: sum(before[-1].mw.get(name, 0.0) for name in groups)} if before else {}
    points = dict.fromkeys(state.setup.settlement_points, nothing)
    return Actuals(
        site=state.site,
        grid=grid,
        energy_mwh=energy,
        hash_ph_days=dict.fromkeys(names, nothing),
        energy_price=points,
        hashprice=nothing,
        calls=(call,),
        awards=tuple(award for award in state.awards if award.obligation == contract.name and award.over.overlaps(grid.over)),
        memory=complete_memories((contract,), state.contract_memories.by_contract, known, {}, state.awards),
    )


def _mean_mw(loads: Sequence[LoadsSeen], name: str, over: Interval) -> Decimal:
    """The mean load of a group in an interval, each reading until the next; NaN where a part of it was not read."""
    mwh, read_s = 0.0, 0.0
    for n, seen in enumerate(loads):
        following = loads[n + 1].at if n + 1 < len(loads) else over.end
        until = min(following, seen.at + LONGEST_READING)
        seconds = (min(until, over.end) - max(seen.at, over.start)).total_seconds()
        if seconds > 0:
            mwh, read_s = mwh + seen.mw.get(name, 0.0) * seconds, read_s + seconds
    return decimal(mwh / read_s) if read_s >= (over.end - over.start).total_seconds() - 1.0 else NAN


def _span(over: Interval) -> dict[str, str]:
    return {"start": format_instant(over.start), "end": format_instant(over.end)}


def _interval(judged: JudgedInterval) -> Mapping[str, Any]:
    return {
        **_span(judged.over),
        "share_due": _share(judged.share),
        "baseline_mw": _mw(judged.baseline_mw),
        "most_mw": _mw(judged.most_mw),
        "load_mw": _mw(judged.load_mw),
        "performance": _share(judged.performance),
        "left_out": judged.left_out,
    }


def _mw(value: Decimal | float | None) -> float | None:
    return None if value is None else round(float(value), MW_PLACES)


def _share(value: Decimal | None) -> float | None:
    return None if value is None else round(float(value), 9)
