"""The live view: the journal folded into the control loop's own State, with recent loads, calls and activity beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatch.decide.state import State
from dispatch.decide.state_json import state_from_json, state_to_json
from dispatch.decide.value_json import value_from_json, value_to_json
from dispatch.entries import Commanded, Done, Entry, Planned, PriceBasisChanged, RunEnded, RunStarted, Seen, unpack
from dispatch.signals.call_json import demand_text
from markets.facts import Award, Call, PriceForecast
from markets.forecasting.forecast_score import ExpectedPrice, expected_prices
from optimizer.domain.money import usd_text
from optimizer.planning.plan_json import planned_interval

KEEP_TICKS = 2600  # nine days of five-minute ticks
KEEP_ACTIVITY = 400


@dataclass(frozen=True, slots=True)
class TickLoad:
    """The metered load at one control tick, MW: of the site, as the plan had it (None without a plan), and of each group."""

    at: datetime
    load_mw: float
    planned_mw: float | None
    groups: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of the activity list: the journal row it comes from, its kind (start, plan, command, call, alert ...) and its text."""

    seq: int
    at: datetime
    kind: str
    text: str


class LiveView:
    """Folds journal entries as they come."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.ticks: deque[TickLoad] = deque(maxlen=KEEP_TICKS)
        self.activity: deque[Activity] = deque(maxlen=KEEP_ACTIVITY)
        self.calls: dict[tuple[str, int], tuple[int, Call]] = {}
        self.expected_prices: deque[ExpectedPrice] = deque(maxlen=KEEP_TICKS)  # of each interval, as the price before it became known

    def to_json(self) -> dict[str, Any]:
        """The whole view as JSON values, for a snapshot."""
        beside = {name: value_to_json(list(getattr(self, name))) for name in ("ticks", "activity", "expected_prices")}
        return {"state": state_to_json(self.state), **beside, "calls": value_to_json(list(self.calls.values()))}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], blank: State) -> LiveView:
        """The view that `to_json` made; `blank` is the state before the first entry. Raises as `state_from_json` does."""
        view = cls(state_from_json(document["state"], blank))
        view.ticks.extend(value_from_json(document["ticks"]))
        view.activity.extend(value_from_json(document["activity"]))
        view.expected_prices.extend(value_from_json(document.get("expected_prices", [])))
        view.calls = {(call.id, call.version): (seq, call) for seq, call in value_from_json(document["calls"])}
        return view

    def fold(self, entries: Iterable[tuple[int, Entry]]) -> None:
        for seq, entry in entries:
            before, self.state = self.state, self.state.after(entry, seq)
            for kind, text in _described(entry, before):
                self.activity.append(Activity(seq, entry.at, kind, text))
            if isinstance(entry, Seen):
                self._add_observation(seq, entry)

    def _add_observation(self, seq: int, seen: Seen) -> None:
        for fact in seen.facts:
            if isinstance(fact, Call):
                self.calls.setdefault((fact.id, fact.version), (seq, fact))
            elif isinstance(fact, PriceForecast):
                self._add_forecast(fact)
        if len(self.calls) > len(self.state.calls):  # those that ended long ago are looked up in the ledger
            kept = {(call.id, call.version) for call in self.state.calls}
            self.calls = {key: value for key, value in self.calls.items() if key in kept}
        groups = self.state.metered_mw()
        plan = self.state.plan
        interval = planned_interval(plan, seen.at) if plan else None
        self.ticks.append(TickLoad(seen.at, sum(groups.values()), float(interval["load_mw"]) if interval else None, groups))

    def _add_forecast(self, forecast: PriceForecast) -> None:
        """Keep what is expected of the next interval at the point the page shows; a forecast made again replaces the one before."""
        last = self.state.facts.last_price(forecast.point)
        if forecast.point != point_of(self.state) or last is None or last.over.end != forecast.over.start:
            return
        expected = expected_prices(forecast, last.usd_per_mwh)[0]
        if self.expected_prices and self.expected_prices[-1].over == expected.over:
            self.expected_prices.pop()
        self.expected_prices.append(expected)


def point_of(state: State) -> str:
    """The settlement point the page shows: the site's own, or else that of its first meter."""
    points = [m.settlement_point for m in state.site.meters]
    return state.site.settlement_point if state.site.settlement_point in points else points[0]


def _described(entry: Entry, before: State) -> list[tuple[str, str]]:
    if isinstance(entry, RunStarted):
        return [("start", f"The site started, {entry.world}, version {entry.version}.")]
    if isinstance(entry, RunEnded):
        return [("stop", "The run ended as asked: nothing decides for the site from here on.")]
    if isinstance(entry, PriceBasisChanged):
        return [("prices", f"Price basis: {entry.price_basis}. {entry.why}".strip())]
    if isinstance(entry, Planned):
        return _planned(entry, before)
    if isinstance(entry, Commanded):
        known = before.commanded.shortfall_mw if before.commanded else {}
        missed = [("alert", f"{name} will be short by {mw:g} MW.") for name, mw in entry.shortfall_mw.items() if name not in known]
        return [*missed, *(("command", f"{o.group}: {len(unpack(o.rigs))} rigs to {o.mode}. {o.why}".strip()) for o in entry.orders)]
    if isinstance(entry, Done):
        return [("outcome", text) for text in _outcomes(entry, before)]
    return list(_seen(entry, before)) if isinstance(entry, Seen) else []


def _planned(entry: Planned, before: State) -> list[tuple[str, str]]:
    """Only what changed: the first plan, failures, and promises that the plan newly breaks."""
    if entry.plan is None:
        return [("alert", f"No new plan: {entry.failed}. The previous plan stays in force.")]
    short = {s["promise"] for s in entry.plan.get("shortfalls", ())}
    was = {s["promise"] for s in before.plan.get("shortfalls", ())} if before.plan else set()
    out = [("alert", f"The plan cannot meet {name} in full.") for name in sorted(short - was)]
    if before.plan is None or before.plan_failed:
        out.append(("plan", f"New plan: {usd_text(sum(float(v) for v in entry.plan['lines'].values()))} net over its horizon."))
    return out


def _outcomes(done: Done, before: State) -> list[str]:
    """The rigs that did not do what they were ordered to, by group and outcome."""
    groups = {o.id: o.group for o in before.open}
    out = []
    for result in done.results:
        for outcome, packed in result.rigs_by_outcome.items():
            n = len(unpack(packed))
            if outcome != "reached" and n:
                why = result.reasons.get(outcome, "")
                out.append(f"{groups.get(result.order, 'rigs')}: {n} {outcome.replace('_', ' ')}{': ' + why if why else ''}")
    return out


def _seen(seen: Seen, before: State) -> Iterable[tuple[str, str]]:
    for fact in seen.facts:
        if isinstance(fact, Call):
            yield (
                "call",
                f"{fact.kind.value.replace('_', ' ')} {fact.id} (version {fact.version}) under {fact.obligation}{demand_text(fact)}.",
            )
        elif isinstance(fact, Award):
            usd = fact.mcpc_usd_per_mw_h
            price = "" if usd is None else f" at {usd_text(usd)} per MW and hour"
            yield "award", f"{fact.mw:g} MW of {fact.product}{price}, under {fact.obligation}."
    for hold in seen.holds:
        order = f"in {hold.mode}" if hold.mode else f"at most {hold.mw_cap:g} MW" if hold.mw_cap is not None else ""
        yield "hold", f"Hold {hold.id} by {hold.by}: " + ("released." if hold.released else f"{hold.group or 'the site'} {order}.")
    for name, text in seen.alerts.items():
        if before.alerts.get(name) != text:
            yield "alert", f"{name}: {text}"
    for name in set(before.alerts) & set(seen.sources_asked) - set(seen.alerts):
        yield "recovered", f"{name}: recovered."
