"""The flexibility certificate: what a site has proved it can shed over a span of days, from the rows of its journal alone.

Anyone who has the journal derives the same document again. It is bound to the journal by the number and the hash of its last row before the
end of the span.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, Entry, unpack
from dispatch.evidence.loads_seen import LoadsSeen, loads_seen
from dispatch.rigs.shed_curve import ShedCurve
from markets.facts import Call, CallKind
from markets.grid import Interval, format_instant
from optimizer.domain.calls import calls_in_force, events_of
from optimizer.domain.site import SLEEP, RigGroup, Scope, Site

# Loads are told apart from this many MW on.
TOLERANCE_MW = 0.001
PLACES = 6


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """How a call was answered. `dropped_mw` held until the call's end; `seconds` to full response, None where it was not reached."""

    id: str
    start_at: datetime
    asked_mw: float
    dropped_mw: float
    seconds: float | None
    sustained_h: float
    measured: bool

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "id": self.id,
            "start_at": format_instant(self.start_at),
            "asked_mw": round(self.asked_mw, PLACES),
            "dropped_mw": round(self.dropped_mw, PLACES),
            "seconds_to_full_response": self.seconds,
            "sustained_h": round(self.sustained_h, PLACES),
            "answered": self.seconds is not None,
            "evidence": "meter" if self.measured else "rigs",
        }


def certificate(
    state: State, entries: Sequence[Entry], calls: Sequence[Call], days: tuple[date, date], over: Interval, head: tuple[int, str]
) -> dict[str, Any]:
    """The certificate of the operating days [first, last], not signed.

    entries  the journal's rows up to the end of `over`, the span of the days; `head` is the number and the hash of the last of them
    calls    every version of every call
    """
    loads = loads_seen(entries, state.site, state.net_meters)
    answered = [found for call in _events(calls, over) if (found := _answered(call, state, loads, over)) is not None]
    seconds = sorted(call.seconds for call in answered if call.seconds is not None)
    return {
        "kind": "flexibility certificate",
        "site": state.site.name,
        "from": days[0].isoformat(),
        "to": days[1].isoformat(),
        "config_hash": state.setup.hash_id,
        "journal_head": {"seq": head[0], "hash": head[1]},
        "mw": round(_proved_mw(answered), PLACES),
        "p50_seconds": _quantile(seconds, 0.50),
        "p99_seconds": _quantile(seconds, 0.99),
        "sustained_h": round(max((call.sustained_h for call in answered), default=0.0), PLACES),
        "calls": [call.document() for call in answered],
        "within_mw": _within_mw(state.site, entries, over),
    }


def drop_mw(site: Site, group: RigGroup) -> float:
    """What a group drops when all of its rigs go from full draw to sleep, MW at the meter in mild weather."""
    watts = max(m.watts for m in group.modes) - group.asleep.watts
    return group.rigs * watts / 1e6 * (1.0 + site.hall_of[group.name].overhead.share)


def _events(calls: Sequence[Call], over: Interval) -> list[Call]:
    """The last version in force of each call to reduce that began within the span, in order of time."""
    by_id: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_id[call.id].append(call)
    found = [
        last
        for versions in by_id.values()
        for event in events_of(versions)
        for last in calls_in_force(event, event[-1].obligation)
        if last.kind in (CallKind.DEPLOY, CallKind.TEST) and last.start_at in over
    ]
    return sorted(found, key=lambda call: (call.start_at, call.id))


def _answered(call: Call, state: State, loads: Sequence[LoadsSeen], over: Interval) -> AnsweredCall | None:
    """How a call was answered by the load of its contract's groups; None where nothing was read before it or during it."""
    scope = next((o.scope for o in state.setup.book if o.name == call.obligation), Scope())
    groups = scope.names(state.site)
    asked_at, end = max(call.start_at, call.known_at), min(call.end_at or over.end, over.end)
    before = [seen for seen in loads if seen.at <= asked_at]
    during = [seen for seen in loads if asked_at < seen.at <= end]
    if not before or not during:
        return None
    base_mw = _load(before[-1], groups)
    most = call.mw_cap if call.mw_cap is not None else call.mw_target
    most_mw = max(0.0, base_mw - abs(call.mw_delta)) if call.mw_delta is not None else most
    if most_mw is None or base_mw - most_mw <= TOLERANCE_MW:
        return None
    reached = next((k for k, seen in enumerate(during) if _load(seen, groups) <= most_mw + TOLERANCE_MW), None)
    held = during[reached:] if reached is not None else during[-1:]
    kept = [seen for seen in held if _load(seen, groups) <= most_mw + TOLERANCE_MW]
    hours = (kept[-1].at - kept[0].at).total_seconds() / 3600.0 if len(kept) == len(held) and kept else 0.0
    return AnsweredCall(
        id=call.id,
        start_at=call.start_at,
        asked_mw=base_mw - most_mw,
        dropped_mw=max(0.0, base_mw - max(_load(seen, groups) for seen in held)),
        seconds=(during[reached].at - asked_at).total_seconds() if reached is not None and len(kept) == len(held) else None,
        sustained_h=hours,
        measured=all(set(groups) <= seen.metered for seen in (before[-1], *held)),
    )


def _load(seen: LoadsSeen, groups: Sequence[str]) -> float:
    return sum(seen.mw.get(name, 0.0) for name in groups)


def _proved_mw(answered: Sequence[AnsweredCall]) -> float:
    """The largest reduction that a call had and kept; a later call that had less than it asked for proves no more than it had."""
    proved = 0.0
    for call in answered:
        proved = max(proved, call.dropped_mw) if call.seconds is not None else min(proved, call.dropped_mw)
    return proved


def _quantile(seconds: Sequence[float], share: float) -> float | None:
    """The least value that so large a share of all does not exceed; None where there is none."""
    return seconds[max(0, -(-int(share * 100) * len(seconds) // 100) - 1)] if seconds else None


def _within_mw(site: Site, entries: Sequence[Entry], over: Interval) -> dict[str, dict[str, float]]:
    """By group and response time in seconds: what 99 of 100 of its orders to sleep had dropped within it, MW of the whole group."""
    curves: Mapping[str, ShedCurve] = sheds([entry for entry in entries if entry.at in over])
    return {
        group.name: {f"{bound:g}": round(share * drop_mw(site, group), PLACES) for bound, share in curves[group.name].shed()}
        for group in site.groups
        if group.name in curves
    }


def sheds(entries: Sequence[Entry]) -> dict[str, ShedCurve]:
    """How quickly each group shed its load, by the results of the orders to sleep among journal rows."""
    curves: dict[str, ShedCurve] = defaultdict(ShedCurve)
    slept: dict[str, tuple[str, int]] = {}
    for entry in entries:
        if isinstance(entry, Commanded):
            slept |= {o.id: (o.group, len(unpack(o.rigs))) for o in entry.orders if o.mode == SLEEP}
        elif isinstance(entry, Done):
            for result in entry.results:
                if result.order in slept and result.shed_within_s:
                    group, commanded = slept[result.order]
                    curves[group] = curves[group].after(result.shed_within_s, commanded)
    return curves
