"""View: the journal, folded for people who look: the loop's own State, and what has happened lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from dispatch.decide.reflex import planned_interval
from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, Entry, Planned, PriceBasisChanged, RunStarted, Seen, unpack
from markets.facts import Award, Call

KEEP_POINTS = 2600  # nine days of five-minute ticks
KEEP_EVENTS = 400


@dataclass(frozen=True, slots=True)
class Point:
    """A tick: load at the meter, MW, as seen, as the plan had it and as it was commanded."""

    at: datetime
    load_mw: float
    planned_mw: float | None
    groups: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something worth telling a person, in words."""

    seq: int
    at: datetime
    kind: str
    text: str


class View:
    """Folds entries as they come. `plan_at_seq` moves when another plan is in force."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.points: deque[Point] = deque(maxlen=KEEP_POINTS)
        self.happenings: deque[Happening] = deque(maxlen=KEEP_EVENTS)
        self.calls: dict[tuple[str, int], tuple[int, Call]] = {}
        self.awards: list[tuple[int, Award]] = []

    def take(self, entries: Iterable[tuple[int, Entry]]) -> None:
        for seq, entry in entries:
            before, self.state = self.state, self.state.after(entry, seq)
            for kind, text in _told(entry, before):
                self.happenings.append(Happening(seq, entry.at, kind, text))
            if isinstance(entry, Seen):
                self._look(seq, entry)

    def _look(self, seq: int, seen: Seen) -> None:
        for fact in seen.facts:
            if isinstance(fact, Call):
                self.calls.setdefault((fact.id, fact.version), (seq, fact))
            elif isinstance(fact, Award):
                self.awards.append((seq, fact))
        groups = self.state.metered_mw()
        plan = self.state.plan
        interval = planned_interval(plan, seen.at) if plan else None
        self.points.append(Point(seen.at, sum(groups.values()), float(interval["load_mw"]) if interval else None, groups))


def _told(entry: Entry, before: State) -> list[tuple[str, str]]:
    if isinstance(entry, RunStarted):
        return [("start", f"The daemon started: {entry.world} world, version {entry.version}.")]
    if isinstance(entry, PriceBasisChanged):
        return [("prices", f"Price ladder: {entry.price_basis}. {entry.why}".strip())]
    if isinstance(entry, Planned):
        return _planned(entry, before)
    if isinstance(entry, Commanded):
        known = before.commanded.short if before.commanded else {}
        missed = [("alert", f"{name} will be missed by {mw:g} MW.") for name, mw in entry.short.items() if name not in known]
        return [*missed, *(("command", f"{o.group}: {len(unpack(o.rigs))} rigs to {o.mode}. {o.why}".strip()) for o in entry.orders)]
    if isinstance(entry, Done):
        return [("outcome", text) for text in _outcomes(entry, before)]
    return list(_seen(entry, before)) if isinstance(entry, Seen) else []


def _planned(entry: Planned, before: State) -> list[tuple[str, str]]:
    """Only what is news: plans come by the dozen."""
    if entry.plan is None:
        return [("alert", f"No new plan: {entry.failed}. The one in force goes on.")]
    short = {s["promise"] for s in entry.plan.get("shortfalls", ())}
    was = {s["promise"] for s in before.plan.get("shortfalls", ())} if before.plan else set()
    out = [("alert", f"The plan cannot keep {name}.") for name in sorted(short - was)]
    if before.plan is None or before.plan_failed:
        out.append(("plan", f"A plan: ${sum(float(v) for v in entry.plan['lines'].values()):,.2f} over its horizon."))
    return out


def _outcomes(done: Done, before: State) -> list[str]:
    """Orders that did not come out as they should."""
    groups = {o.id: o.group for o in before.open}
    out = []
    for result in done.results:
        for outcome, packed in result.by.items():
            n = len(unpack(packed))
            if outcome != "reached" and n:
                why = result.reasons.get(outcome, "")
                out.append(f"{groups.get(result.order, 'rigs')}: {n} {outcome}{': ' + why if why else ''}")
    return out


def _seen(seen: Seen, before: State) -> Iterable[tuple[str, str]]:
    for fact in seen.facts:
        if isinstance(fact, Call):
            yield "call", f"{fact.kind.value.replace('_', ' ')} {fact.id} (version {fact.version}) under {fact.obligation}{figure(fact)}."
        elif isinstance(fact, Award):
            yield "award", f"{fact.mw:g} MW of {fact.product} at {fact.mcpc_usd_per_mw_h:g} $/MW-h under {fact.obligation}."
    for hold in seen.holds:
        order = f"in {hold.mode}" if hold.mode else f"at most {hold.mw_cap:g} MW" if hold.mw_cap is not None else ""
        yield "hold", f"Hold {hold.id} by {hold.by}: " + ("released." if hold.released else f"{hold.group or 'the site'} {order}.")
    for name, text in seen.alerts.items():
        if before.alerts.get(name) != text:
            yield "alert", f"{name}: {text}"
    for name in set(before.alerts) & set(seen.asked) - set(seen.alerts):
        yield "recovered", f"{name}: recovered."


def figure(call: Call) -> str:
    """What a call demands, as the tail of a sentence."""
    if call.mw_cap is not None:
        return f": at most {call.mw_cap:g} MW"
    if call.mw_target is not None:
        return f": {call.mw_target:g} MW"
    return f": {abs(call.mw_delta):g} MW less" if call.mw_delta is not None else ""
