"""Calls: which of them are in force, and what deployed instructions insist on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from markets.facts import Call, CallKind
from markets.grid import Interval
from optimizer.domain.formula import Bounds

ENDS = (CallKind.RECALL, CallKind.CANCEL)


def calls_in_force(calls: Sequence[Call], obligation: str) -> tuple[Call, ...]:
    """The calls under an obligation that count: the highest version of each event, without the cancelled ones; a recall ends its call at
    its own start. An id that is used again is another event (`events_of`)."""
    by_id: dict[str, list[Call]] = {}
    for call in calls:
        if call.obligation == obligation:
            by_id.setdefault(call.id, []).append(call)
    found = (_counts(event) for versions in by_id.values() for event in events_of(versions))
    return tuple(call for call in found if call is not None)


def events_of(versions: Sequence[Call]) -> list[list[Call]]:
    """The versions of one id by the event they are of, each event by version. An instruction that was sent after the one before had ended,
    and begins after that, is of a new event: the one before is history and stays as it was."""
    events: list[list[Call]] = []
    for call in sorted(versions, key=lambda c: (c.version, c.known_at)):
        if events and not _begins_anew(call, events[-1]):
            events[-1].append(call)
        else:
            events.append([call])
    return events


def _begins_anew(call: Call, earlier: Sequence[Call]) -> bool:
    ended_at = None if call.kind in ENDS else _ended_at(earlier)
    return ended_at is not None and ended_at <= min(call.known_at, call.start_at)


def _counts(event: Sequence[Call]) -> Call | None:
    """The instruction of an event that counts; None where it was cancelled, or recalled before it began."""
    newest, order = event[-1], next((c for c in reversed(event) if c.kind not in ENDS), None)
    if order is None or newest.kind is CallKind.CANCEL:
        return None
    if newest.kind is CallKind.RECALL:
        ends = min(order.end_at, newest.start_at) if order.end_at else newest.start_at
        return replace(order, end_at=ends) if ends > order.start_at else None
    return order


def over_at(versions: Sequence[Call]) -> datetime | None:
    """When a call ended, from all versions of its id: the end of the one that counts, or the last word on it where none counts any more;
    None until it is recalled."""
    return _ended_at(events_of(versions)[-1])


def _ended_at(event: Sequence[Call]) -> datetime | None:
    counts = _counts(event)
    return counts.end_at if counts else max(v.known_at for v in event)


def active(call: Call, over: Interval) -> bool:
    """Whether the call is in force in any part of the interval."""
    return call.start_at < over.end and (call.end_at is None or call.end_at > over.start)


def instructed(call: Call, obligation: str, floor_mw: float, cap_mw: float) -> Bounds:
    """Firm bounds on the load of a contract's scope by a call, with the sentence that says them."""
    if floor_mw <= 0:
        text = f"at most {cap_mw:.3f} MW"
    else:
        text = f"exactly {cap_mw:.3f} MW" if floor_mw >= cap_mw else f"between {floor_mw:.3f} and {cap_mw:.3f} MW"
    return Bounds(floor_mw, cap_mw, True, f"call {call.id} of {call.source}: {obligation} {text}", call.id)


def called_bounds(calls: Sequence[Call], obligation: str, over: Interval, load_before_mw: Mapping[str, float]) -> Bounds:
    """What deployed instructions insist on: the lowest cap of all in force. `mw_delta` is a reduction from the load at notice,
    `load_before_mw` by call id. Deployed instructions are firm."""
    bounds = Bounds()
    for call in calls_in_force(calls, obligation):
        if not active(call, over):
            continue
        cap, floor = float("inf"), 0.0
        if call.mw_cap is not None:
            cap = call.mw_cap
        elif call.mw_target is not None:
            cap = floor = call.mw_target
        elif call.mw_delta is not None and call.id in load_before_mw:
            cap = max(0.0, load_before_mw[call.id] - abs(call.mw_delta))
        if cap < bounds.cap_mw:
            bounds = instructed(call, obligation, floor, cap)
    return bounds
