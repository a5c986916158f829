"""Calls: which of them are in force, and what deployed instructions insist on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from markets.facts import Call, CallKind
from markets.grid import Interval
from optimizer.domain.formula import Bounds


def calls_in_force(calls: Sequence[Call], obligation: str) -> tuple[Call, ...]:
    """The calls under an obligation that count: the highest version of each id, without the cancelled ones; a recall ends its call at
    its own start."""
    newest: dict[str, Call] = {}
    last_order: dict[str, Call] = {}
    for call in sorted((c for c in calls if c.obligation == obligation), key=lambda c: (c.version, c.known_at)):
        newest[call.id] = call
        if call.kind not in (CallKind.RECALL, CallKind.CANCEL):
            last_order[call.id] = call
    out = []
    for id_, call in newest.items():
        order = last_order.get(id_)
        if order is None or call.kind is CallKind.CANCEL:
            continue
        if call.kind is CallKind.RECALL:
            ends = min(order.end_at, call.start_at) if order.end_at else call.start_at
            if ends <= order.start_at:
                continue
            order = replace(order, end_at=ends)
        out.append(order)
    return tuple(out)


def over_at(versions: Sequence[Call]) -> datetime | None:
    """When a call ended, from all versions of its id: the end of the one that counts, or the last word on it where none counts any more;
    None until it is recalled."""
    in_force = calls_in_force(versions, versions[0].obligation)
    return in_force[0].end_at if in_force else max(v.known_at for v in versions)


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
