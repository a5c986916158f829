"""The documents of the API's reading routes, made from the live view. Instants are ISO 8601 in UTC; labels are the market's own."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from dispatch.decide.group_state import UNKNOWN, UNREACHABLE, WAKING
from dispatch.decide.plan_inputs import look_ahead
from dispatch.decide.state import State
from dispatch.entries import Hold, pack
from dispatch.signals.call_json import call_document
from dispatch.web.live_view import LiveView, point_of
from markets.facts import Award, Call, CallKind, Price
from markets.grid import Grid, Interval, Market, format_instant, interval_label, parse_instant
from optimizer.domain.calls import calls_in_force

HISTORY = timedelta(hours=24)
UPCOMING, IN_FORCE = "upcoming", "in force"
NOT_IN_A_MODE = {UNKNOWN: "unknown", WAKING: "waking", UNREACHABLE: "unreachable"}


def iso(at: datetime | None) -> str | None:
    """An instant as JSON; None stays None."""
    return None if at is None else format_instant(at)


def finite(value: float | None) -> float | None:
    """A number that JSON can hold: a gap (NaN) is null."""
    return None if value is None or not np.isfinite(value) else float(value)


class PublishedPrice(TypedDict):
    """A published price of an interval; `label` is the market's name of the interval."""

    point: str
    market: str
    start: str
    end: str
    label: str
    usd_per_mwh: float
    source: str
    known_at: str


class CurrentPrice(PublishedPrice):
    """The newest real-time price, the seconds since its interval ended, and which kind of price the site goes by."""

    age_s: float
    price_basis: str


class HoldInForce(TypedDict):
    """An operator's order: a group, or the whole site (null), in a mode or at most `mw_cap` MW, until an instant or its release (null)."""

    id: str
    group: str | None
    mode: str | None
    mw_cap: float | None
    until: str | None
    by: str


def price_now(state: State, now: datetime) -> CurrentPrice | None:
    """The newest published real-time price of the site's settlement point, None before the first."""
    last = state.facts.last_price(point_of(state))
    if last is None:
        return None
    return {**price_document(last, state.site.market), "age_s": (now - last.over.end).total_seconds(), "price_basis": state.price_basis}


def price_document(price: Price, market: Market) -> PublishedPrice:
    return {
        "point": price.point,
        "market": price.market.value,
        "start": format_instant(price.over.start),
        "end": format_instant(price.over.end),
        "label": interval_label(market, price.over),
        "usd_per_mwh": price.usd_per_mwh,
        "source": price.source,
        "known_at": format_instant(price.known_at),
    }


def hashprice_now(state: State, now: datetime) -> float | None:
    """The hashprice at `now`, $ per PH/s and day, None when none is known."""
    found = state.facts.hashprice(now)
    return found.usd_per_ph_day if found else None


def hold_document(hold: Hold) -> HoldInForce:
    return {"id": hold.id, "group": hold.group, "mode": hold.mode, "mw_cap": hold.mw_cap, "until": iso(hold.until), "by": hold.by}


def plan_document(view: LiveView, now: datetime) -> dict[str, Any] | None:
    """The plan in force, each interval with the market's label; None before the first plan."""
    state = view.state
    if state.plan is None:
        return None
    market = state.site.market
    intervals = [{**i, "label": interval_label(market, _over(i))} for i in state.plan["intervals"]]
    return {
        **state.plan,
        "intervals": intervals,
        "made_at": iso(state.plan_at),
        "seq": state.plan_seq,
        "as_of": state.plan_as_of,
        "age_s": (now - state.plan_at).total_seconds() if state.plan_at else None,
        "failed_since": state.plan_failed,
    }


def _over(interval: Mapping[str, Any]) -> Interval:
    return Interval(parse_instant(interval["start"]), parse_instant(interval["end"]))


def prices_document(view: LiveView, now: datetime, since: datetime | None = None) -> dict[str, Any]:
    """Real-time prices of the last 24 h (or from `since` on), day-ahead prices, and the prices that a plan made now would use."""
    state = view.state
    site, market = state.site, state.site.market
    ahead = Interval(since or now - HISTORY, now + timedelta(hours=site.horizon_h))
    points = {}
    grid = _grid_ahead(state, now)
    outlook = look_ahead(state, now, grid)
    for name in sorted({m.settlement_point for m in site.meters}):
        series = outlook.energy[name]
        points[name] = {
            "real_time": [price_document(p, market) for p in state.facts.real_time(name, ahead)],
            "day_ahead": [price_document(p, market) for p in state.facts.dam(name, ahead)],
            "outlook": [
                {"start": iso(i.start), "end": iso(i.end), "label": interval_label(market, i), "usd_per_mwh": finite(v), "basis": b.value}
                for i, v, b in zip(grid.intervals, series.values, outlook.basis[name], strict=True)
            ],
        }
    return {
        "at": iso(now),
        "market": market.value,
        "synthetic": outlook.synthetic,
        "now": price_now(state, now),
        "price_basis": state.price_basis,
        "price_basis_reason": state.price_basis_reason,
        "hashprice_usd_per_ph_day": hashprice_now(state, now),
        "breakevens_usd_per_mwh": dict(state.plan.get("breakevens", {})) if state.plan else {},
        "points": points,
        "notes": list(outlook.notes),
    }


def _grid_ahead(state: State, now: datetime) -> Grid:
    from markets.forecasting.ladder import plan_grid

    return plan_grid(now, state.site.control_interval_min, state.site.horizon_h)


def fleet_document(view: LiveView) -> dict[str, Any]:
    """The answer of `GET /api/v1/fleet`; `conditions` lists the rigs of each group by condition, packed as "0-3,7"."""
    state, groups = view.state, {}
    skipped = state.commanded.skipped if state.commanded else {}
    for group in state.site.groups:
        now = state.fleet[group.name]
        conditions = {m.name: np.flatnonzero(now.seen == k) for k, m in enumerate(group.modes)}
        conditions |= {word: np.flatnonzero(now.seen == code) for code, word in NOT_IN_A_MODE.items()}
        groups[group.name] = {
            "rigs": group.rigs,
            "reachable": now.reachable,
            "model": group.model,
            "hall": group.hall,
            "modes": {m.name: len(conditions[m.name]) for m in group.modes},
            "load_mw": now.load_mw,
            "hashrate_ph": now.hashrate_ph,
            "skipped": dict(skipped.get(group.name, {})),
            "conditions": {word: pack(rigs.tolist()) for word, rigs in conditions.items() if len(rigs)},
        }
    return {
        "rigs": sum(g.rigs for g in state.site.groups),
        "reachable": sum(g.reachable for g in state.fleet.values()),
        "groups": groups,
        "open_orders": len(state.open),
    }


def obligations_document(view: LiveView, now: datetime) -> list[dict[str, Any]]:
    """Every obligation with its own figures and the calls in force under it."""
    calls = calls_document(view, now, shown=(IN_FORCE,))
    return [
        {
            "name": o.name,
            "type": o.type,
            "figures": o.options(),
            "groups": list(o.scope.names(view.state.site)),
            "calls": [c["id"] for c in calls if c["obligation"] == o.name],
        }
        for o in view.state.setup.book
    ]


def calls_document(
    view: LiveView, now: datetime, received: Iterable[tuple[int, Call]] = (), shown: Container[str] | None = None
) -> list[dict[str, Any]]:
    """Every version of the calls of the live view and of those `received` earlier, newest first, with its status; those of a status that is
    `shown`, all when None."""
    found = {(call.id, call.version): (seq, call) for seq, call in (*received, *view.calls.values())}
    facts = [call for _, call in found.values()]
    in_force = {(c.id, c.version): c for name in {c.obligation for c in facts} for c in calls_in_force(facts, name)}
    newest: dict[str, int] = {}
    for call in facts:
        newest[call.id] = max(call.version, newest.get(call.id, 0))
    rows = [(seq, call, _status(call, in_force.get((call.id, call.version)), newest[call.id], now)) for seq, call in found.values()]
    return [
        {**call_document(call), "seq": seq, "status": status}
        for seq, call, status in sorted(rows, key=lambda row: -row[0])
        if shown is None or status in shown
    ]


def _status(call: Call, counts: Call | None, newest: int, now: datetime) -> str:
    if call.kind in (CallKind.RECALL, CallKind.CANCEL):
        return call.kind.value
    if counts is None:
        return "replaced" if call.version < newest else "cancelled"
    if counts.end_at is not None and counts.end_at <= now:
        return "ended"
    return UPCOMING if counts.start_at > now else IN_FORCE


def awards_document(awards: Sequence[tuple[int, Award]]) -> list[dict[str, Any]]:
    return [
        {
            "seq": seq,
            "obligation": a.obligation,
            "product": a.product,
            "market": a.market,
            "interval_start": iso(a.over.start),
            "interval_end": iso(a.over.end),
            "mw": a.mw,
            "mcpc_usd_per_mw_h": a.mcpc_usd_per_mw_h,
            "source": a.source,
            "known_at": iso(a.known_at),
        }
        for seq, a in awards
    ]
