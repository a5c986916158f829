"""The compliance packet of a call: every journal row between its notice and its end, and the load beside what it asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from dispatch.web.documents import call_document, iso
from dispatch.web.live_view import View, figure
from markets.facts import Call, CallKind
from markets.grid import parse_instant
from optimizer.domain.calls import calls_in_force
from optimizer.domain.site import Scope

AFTER = timedelta(minutes=15)
TOLERANCE_MW = 0.001


def event_document(
    id: str, calls: Sequence[Call], entries: Iterable[tuple[int, Mapping[str, Any]]], view: View, now: datetime
) -> dict[str, Any]:
    """{"id", "obligation", "calls", "asked", "signal", "decisions", "read_backs", "load", "summary"}; `entries` from the signal on."""
    state = view.state
    obligation = calls[-1].obligation
    scope = next((o.scope for o in state.setup.book if o.name == obligation), Scope())
    groups = scope.names(state.site)
    counts = next((c for c in calls_in_force(calls, obligation) if c.id == id), None)
    first, last = min(c.known_at for c in calls), _end(counts, now)
    rows = list(takewhile(lambda row: parse_instant(row[1]["at"]) <= last + AFTER, entries))
    load = [
        {"at": iso(p.at), "load_mw": sum(p.groups.get(g, 0.0) for g in groups)}
        for p in list(view.points)
        if first - AFTER <= p.at <= last + AFTER
    ]
    return {
        "id": id,
        "obligation": obligation,
        "groups": list(groups),
        "calls": [call_document(c) for c in calls],
        "asked": f"{counts.kind.value}{figure(counts)}" if counts else "nothing: it was cancelled",
        "in_force": {"start_at": iso(counts.start_at), "end_at": iso(counts.end_at)} if counts else None,
        "signal": [{"seq": n, "at": e["at"]} for n, e in rows if e["entry"] == "Seen" and _names(e, id)],
        "decisions": [
            {
                "seq": n,
                "at": e["at"],
                "round": e["round"],
                "target_mw": e["target_mw"],
                "orders": _mine(e["orders"], groups),
                "reasons": e["reasons"],
            }
            for n, e in rows
            if e["entry"] == "Commanded"
        ],
        "read_backs": [{"seq": n, "at": e["at"], "results": e["results"]} for n, e in rows if e["entry"] == "Done"],
        "load": load,
        "summary": _summary(counts, first, rows, load),
    }


def _end(call: Call | None, now: datetime) -> datetime:
    return min(call.end_at, now) if call and call.end_at else now


def _names(seen: Mapping[str, Any], id: str) -> bool:
    return any(f["fact"] == "Call" and f["id"] == id for f in seen["facts"])


def _mine(orders: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> list[Mapping[str, Any]]:
    return [o for o in orders if o["group"] in groups]


def _summary(
    call: Call | None, first: datetime, rows: Sequence[tuple[int, Mapping[str, Any]]], load: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """How it went: first command, first reading within the cap, and readings above it after that."""
    commanded = [parse_instant(e["at"]) for _, e in rows if e["entry"] == "Commanded"]
    out: dict[str, Any] = {"noticed_at": iso(first), "first_command_after_s": (commanded[0] - first).total_seconds() if commanded else None}
    cap = call.mw_cap if call and call.mw_cap is not None else call.mw_target if call else None
    if call is None or cap is None or call.kind in (CallKind.RECALL, CallKind.CANCEL):
        return out
    during = [p for p in load if call.start_at <= parse_instant(p["at"]) and (call.end_at is None or parse_instant(p["at"]) < call.end_at)]
    within = [parse_instant(p["at"]) for p in during if p["load_mw"] <= cap + TOLERANCE_MW]
    after = [p for p in during if within and parse_instant(p["at"]) >= within[0]]
    return {
        **out,
        "cap_mw": cap,
        "readings": len(during),
        "reached_at": iso(within[0]) if within else None,
        "readings_above_after_reaching": sum(p["load_mw"] > cap + TOLERANCE_MW for p in after),
        "most_mw_after_reaching": max((p["load_mw"] for p in after), default=None),
    }
