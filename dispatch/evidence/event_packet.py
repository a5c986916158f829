"""The event packet of a call: the journal rows from its notice to its end, and the metered load beside the load it requested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from dispatch.decide.state import State
from dispatch.evidence.loads_seen import LoadsSeen
from dispatch.evidence.programme_verdict import programme_verdict
from dispatch.signals.call_json import call_document, demand_text
from markets.facts import Call, CallKind
from markets.grid import format_instant, parse_instant
from optimizer.domain.calls import calls_in_force, over_at
from optimizer.domain.site import Scope

MARGIN = timedelta(minutes=15)  # shown before the notice and after the end
TOLERANCE_MW = 0.001
ALREADY_OFF = 0.95  # of what its rigs draw at full power: a group below it had rigs off

Row = tuple[int, Mapping[str, Any]]
JUDGED_BY_METER, JUDGED_BY_RIGS, JUDGED_BY_BOTH = "meter", "rigs", "meter and rigs"


def event_document(
    id: str, versions: Sequence[Call], entries: Iterable[Row], state: State, loads: Sequence[LoadsSeen], now: datetime
) -> dict[str, Any]:
    """What the site was asked for, what it decided and sent, what was read back, and the load meanwhile.

    versions   every version of the call, oldest first
    entries    journal rows as (sequence number, document), from the one that brought the call on
    loads      the load at each observation, from before the call on

    The load and the verdict are by the meters that are believed, with the rigs' own sum beside them.
    """
    obligation = versions[-1].obligation
    contract = next((o for o in state.setup.book if o.name == obligation), None)
    groups = (contract.scope if contract else Scope()).names(state.site)
    call = next(iter(calls_in_force(versions, obligation)), None)
    first, last = min(c.known_at for c in versions), event_end(versions, now)
    rows = list(takewhile(lambda row: parse_instant(row[1]["at"]) <= last + MARGIN, entries))
    load = [_load(seen, groups) for seen in loads if first - MARGIN <= seen.at <= last + MARGIN]
    return {
        "id": id,
        "obligation": obligation,
        "groups": list(groups),
        "calls": [call_document(c) for c in versions],
        "requested": f"{call.kind.value}{demand_text(call)}" if call else "nothing: the call was cancelled",
        "in_force": {"start_at": format_instant(call.start_at), "end_at": _instant(call.end_at)} if call else None,
        "signal": [_signal(n, e, id) for n, e in rows if e["entry"] == "Seen" and _brings_call(e, id)],
        "decisions": [_decision(n, e, groups) for n, e in rows if e["entry"] == "Commanded"],
        "read_backs": [{"seq": n, "at": e["at"], "results": e["results"]} for n, e in rows if e["entry"] == "Done"],
        "load": load,
        "shortfalls": _shortfalls(rows, obligation),
        "before": _before(call or versions[-1], loads, state, groups),
        "verdict": programme_verdict(call, contract, loads, state, now) if call and contract else None,
        "summary": {**_summary(call, first, rows, load), **_outage(min(versions, key=lambda c: c.known_at), loads)},
    }


def _before(call: Call, loads: Sequence[LoadsSeen], state: State, groups: Sequence[str]) -> dict[str, Any] | None:
    """Why rigs were already off when the call came: by group its load and what it could draw, and the reasons of the decision in force.
    None where nothing had been read."""
    seen = next((seen for seen in reversed(loads) if seen.at <= call.notice_at), None)
    if seen is None:
        return None
    site, reasons = state.site, seen.reasons
    full = {name: site.group(name).rigs * site.group(name).full.watts / 1e6 * (1.0 + site.hall_of[name].overhead.share) for name in groups}
    off = [name for name in groups if seen.mw.get(name, 0.0) < ALREADY_OFF * full[name]]
    return {
        "at": format_instant(seen.at),
        "groups": [{"group": name, "load_mw": seen.mw.get(name, 0.0), "full_mw": full[name]} for name in groups],
        "already_off": {name: [text for text in reasons if text.startswith(f"{name} ")] or list(reasons) for name in off},
    }


def _load(seen: LoadsSeen, groups: Sequence[str]) -> dict[str, Any]:
    """The load of the groups at an observation and by the rigs alone, whether it is measured (wholly, in part or not), and what is said
    against their meters."""
    measured = sum(g in seen.metered for g in groups)
    return {
        "at": format_instant(seen.at),
        "load_mw": sum(seen.mw.get(g, 0.0) for g in groups),
        "rigs_mw": sum(seen.rigs_mw.get(g, 0.0) for g in groups),
        "judged_by": JUDGED_BY_METER if measured == len(groups) else JUDGED_BY_BOTH if measured else JUDGED_BY_RIGS,
        "meter_doubts": dict(seen.doubts),
    }


def _outage(call: Call, loads: Sequence[LoadsSeen]) -> dict[str, Any]:
    """Whether a call was first read after its end, or after its start, because nothing ran meanwhile: from when to when."""
    late_s = max(0.0, (call.known_at - call.start_at).total_seconds())
    before = max((seen.at for seen in loads if seen.at < call.known_at), default=None)
    down = "the service had not been started yet"
    if before is not None:
        down = f"the service was down from {format_instant(before)} to {format_instant(call.known_at)}"
    if call.end_at is not None and call.end_at <= call.known_at:
        return {"late_s": late_s, "missed": f"missed: {down}"}
    return {"late_s": late_s, "missed": ""}


def event_end(versions: Sequence[Call], now: datetime) -> datetime:
    """When a call ended, or was cancelled, as far as that lies behind; now where it has not."""
    end = over_at(versions)
    return min(end, now) if end else now


def _instant(at: datetime | None) -> str | None:
    return format_instant(at) if at else None


def _brings_call(seen: Mapping[str, Any], id: str) -> bool:
    return any(f["fact"] == "Call" and f["id"] == id for f in seen["facts"])


def _signal(seq: int, seen: Mapping[str, Any], id: str) -> dict[str, Any]:
    """The row that brought versions of a call, and the API keys that pushed them."""
    keys = {key: by for key, by in seen.get("pushed_by", {}).items() if key.startswith(f"{id} version ")}
    return {"seq": seq, "at": seen["at"], "pushed_by": keys}


def _decision(seq: int, commanded: Mapping[str, Any], groups: Sequence[str]) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": commanded["at"],
        "round": commanded["round"],
        "target_mw": commanded["target_mw"],
        "orders": [o for o in commanded["orders"] if o["group"] in groups],
        "reasons": commanded["reasons"],
        "shortfall_mw": commanded.get("shortfall_mw", {}),
    }


def _judged_by(during: Sequence[Mapping[str, Any]]) -> str:
    by = {p["judged_by"] for p in during}
    return by.pop() if len(by) == 1 else JUDGED_BY_BOTH if by else JUDGED_BY_RIGS


def _shortfalls(rows: Sequence[Row], obligation: str) -> list[dict[str, Any]]:
    """By how many MW the called obligation was expected to be missed: each decision that changed the figure, 0 where it is kept."""
    out: list[dict[str, Any]] = []
    for n, e in rows:
        if e["entry"] == "Commanded":
            mw = e.get("shortfall_mw", {}).get(obligation, 0.0)
            if mw != (out[-1]["mw"] if out else 0.0):
                out.append({"seq": n, "at": e["at"], "mw": mw})
    return out


def _summary(call: Call | None, first: datetime, rows: Sequence[Row], load: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds from notice to the first command; for a call with a limit, also when the load first met it and readings above it later."""
    commanded = [parse_instant(e["at"]) for _, e in rows if e["entry"] == "Commanded"]
    out: dict[str, Any] = {
        "noticed_at": format_instant(first),
        "first_command_after_s": (commanded[0] - first).total_seconds() if commanded else None,
    }
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
        "judged_by": _judged_by(during),
        "meter_doubts": sorted({f"{meter}: {why}" for p in during for meter, why in p["meter_doubts"].items()}),
        "reached_at": format_instant(within[0]) if within else None,
        "readings_above_after_reaching": sum(p["load_mw"] > cap + TOLERANCE_MW for p in after),
        "highest_load_mw_after_reaching": max((p["load_mw"] for p in after), default=None),
        "highest_rigs_mw_after_reaching": max((p["rigs_mw"] for p in after), default=None),
    }
