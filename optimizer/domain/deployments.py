"""Deployments with a notice: when one is due, and how far a load stayed below its baseline; for programs and for bills."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from markets.facts import Call, CallKind
from markets.grid import Interval
from optimizer.domain.calls import calls_in_force, instructed
from optimizer.domain.formula import Bounds, Quantities

HOUR = timedelta(hours=1)
# Product of an award that says which baseline the market judges by.
BASELINE = "BASELINE"
# Meters are not exact: within a hundredth a test counts as passed.
METER_SHARE = 0.01


def due(call: Call, notice_min: float) -> Interval | None:
    """From its start, and no sooner than the registered notice after it was given, to its end; None when it ends before. Without an end
    it lasts for ever. In full seconds, as a bill counts them."""
    start = max(call.start_at, call.notice_at + timedelta(minutes=notice_min)).replace(microsecond=0)
    end = (datetime.max.replace(tzinfo=UTC) if call.end_at is None else call.end_at).replace(microsecond=0)
    return Interval(start, end) if end > start else None


def spans(calls: Sequence[Call], kind: CallKind, notice_min: float, within: Interval) -> list[tuple[Call, Interval]]:
    """The calls of a kind that are due in an interval, each with the part of the interval in which it is due."""
    found = []
    for call in calls:
        over = due(call, notice_min) if call.kind is kind else None
        if over is not None and over.overlaps(within):
            found.append((call, Interval(max(over.start, within.start), min(over.end, within.end))))
    return found


def share(its: Quantities[Any], over: Iterable[Interval]) -> Any:
    """The share of each interval in which anything of `over` holds, as if spans of one interval did not overlap, at most one."""
    out = its.during(None) * its.number(0)
    for span in over:
        out = np.minimum(out + its.during(span), its.number(1))
    return out


def declared(its: Quantities[Any], obligation: str, baseline_mw: float) -> Any:
    """The baseline in each interval, MW: what the market said (an award of product BASELINE), else the registered one. Never the load."""
    said, _ = its.awarded(obligation, BASELINE, "RT")
    return np.where(said > its.number(0), said, its.during(None) * its.number(baseline_mw))


def positive(values: Any, nothing: Any) -> Any:
    """Numbers with zero in place of negative ones; a gap (NaN) stays a gap."""
    out = np.array(values)
    for t, value in enumerate(out):
        if value == value and value < nothing:
            out[t] = nothing
    return out


def bounded(
    said: Bounds, calls: Sequence[Call], obligation: str, over: Interval, most_mw: float, notice_min: float, lead_min: float
) -> Bounds:
    """The bounds in `said`, and at most `most_mw` where a deployment or a test is due, from `lead_min` earlier on, so that rigs are down
    when it begins. A plan's longer intervals are not given up for those minutes."""
    lead = timedelta(minutes=lead_min)
    lead = lead if over.end - over.start <= lead else timedelta(0)
    for call in calls_in_force(calls, obligation):
        span = due(call, notice_min) if call.kind in (CallKind.DEPLOY, CallKind.TEST) else None
        if span is not None and most_mw < said.cap_mw and span.start - lead < over.end and over.start < span.end:
            said = instructed(call, obligation, 0.0, most_mw)
    return said


@dataclass(frozen=True, slots=True)
class Loads:
    """Load by clock hour and by interval, MW."""

    hours: Mapping[datetime, float]
    intervals: Sequence[tuple[Interval, float]]

    @classmethod
    def of(cls, intervals: Sequence[Interval], load_mw: Sequence[Any]) -> Loads:
        """Hourly loads are means over the intervals with a reading; an hour without one is left out."""
        read = [(over, float(mw)) for over, mw in zip(intervals, load_mw, strict=True) if mw == mw]
        sums: dict[datetime, tuple[float, float]] = {}
        for over, mw in read:
            at = clock_hour(over.start)
            have = sums.get(at, (0.0, 0.0))
            sums[at] = have[0] + mw * over.hours, have[1] + over.hours
        return cls({at: mwh / h for at, (mwh, h) in sums.items()}, read)

    def highest_hour_within(self, over: Interval) -> float | None:
        """The highest mean of a clock hour, of the intervals that lie inside a span."""
        inside = [(o, mw) for o, mw in self.intervals if over.start <= o.start and o.end <= over.end]
        means = Loads.of([o for o, _ in inside], [mw for _, mw in inside]).hours
        return max(means.values(), default=None)


def clock_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def reduced(below_mwh: Any, most_mwh: Any) -> Any:
    """How far a load stayed below its baseline, at least nothing and at most what was asked for, MWh; a gap stays a gap."""
    out = np.array(below_mwh)
    for t, mwh in enumerate(out):
        if mwh == mwh:
            out[t] = min(max(mwh, mwh * 0), most_mwh[t])
    return out
