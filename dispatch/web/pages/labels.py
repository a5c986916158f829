"""What the page says in words and figures, out of the API's documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dispatch.web import documents
from dispatch.web.context import ApiContext
from dispatch.what_if.compare import totals
from markets.grid import Market, hour_ending, parse_instant

PRICE_BASIS_LABELS = {
    "real-time": "real-time price",
    "day-ahead": "day-ahead price stands in",
    "persistence": "earlier prices stand in",
    "safe-state": "no price is known: safe state",
}
ROWS = 48
HOURS_SHOWN = 6


def figures(at: ApiContext) -> dict[str, Any]:
    """Everything the page's templates show."""
    view, now = at.view, at.now()
    state = at.state()
    fleet, plan = documents.fleet_document(view), documents.plan_document(view, now)
    market = view.state.site.market
    return {
        "state": state,
        "fleet": fleet,
        "plan": plan,
        "plan_totals": totals(plan) if plan else None,
        "plan_rows": _rows(plan, view.state) if plan else [],
        "plan_hours": sum((_end(i) - _start(i)).total_seconds() for i in plan["intervals"]) / 3600 if plan else 0,
        "price_rows": _published(at)[::-1][:ROWS],
        "headline": headline(state, fleet),
        "banners": banners(state),
        "clock": clock(market, now),
        "price_basis_label": PRICE_BASIS_LABELS.get(state["price_basis"], state["price_basis"]),
        "calls": documents.calls_document(view, now)[:30],
        "happenings": [{"at": clock(market, h.at), "kind": h.kind, "text": h.text} for h in list(view.happenings)[::-1][:40]],
        "settlements": at.ledger.settlements()[:31],
        "groups": [g.name for g in view.state.site.groups],
        "book": [o.name for o in view.state.setup.book],
        "interconnect_mw": view.state.site.interconnect_mw,
        "conditions": conditions(fleet),
        "local": lambda text: clock(market, parse_instant(text)) if text else "",
    }


def _published(at: ApiContext) -> list[dict[str, Any]]:
    """The real-time prices of the last hours at the site's settlement point."""
    since = at.now() - timedelta(hours=HOURS_SHOWN)
    found: list[dict[str, Any]] = documents.prices_document(at.view, at.now(), since)["points"][documents.point_of(at.view.state)][
        "real_time"
    ]
    return found


def headline(state: Mapping[str, Any], fleet: Mapping[str, Any]) -> str:
    """What the site does now, in one sentence."""
    if not fleet["reachable"]:
        return "No rig answers."
    counts = {"hashing": 0, "asleep": 0, "waking up": 0, "out of reach": 0}
    for group in fleet["groups"].values():
        for mode, n in group["modes"].items():
            counts["asleep" if mode == "sleep" else "hashing"] += n
        counts["waking up"] += _count(group["conditions"].get("waking", ""))
        counts["out of reach"] += _count(group["conditions"].get("unreachable", ""))
    parts = [(n, what) for what, n in counts.items() if n]
    if len(parts) == 1:
        return f"The site draws {mw(state['load_mw'])} MW: all {fleet['rigs']} rigs are {parts[0][1]}."
    (first, what), *rest = parts
    told = _and([f"{first} of {fleet['rigs']} rigs are {what}", *(f"{n} {what}" for n, what in rest)])
    return f"The site draws {mw(state['load_mw'])} MW: {told}."


def _count(packed: str) -> int:
    from dispatch.entries import unpack

    return len(unpack(packed))


def _and(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def conditions(fleet: Mapping[str, Any]) -> list[str]:
    """Every condition a rig of the fleet can be in, for the legend."""
    modes = dict.fromkeys(m for g in fleet["groups"].values() for m in g["modes"])
    return [*modes, "waking", "unreachable", "unknown"]


def banners(state: Mapping[str, Any]) -> list[str]:
    """What is not real, said on top of everything."""
    out = []
    told = state["simulation"]
    if told["market"]:
        out.append("Synthetic market: no price here is real")
    if told["rigs"]:
        out.append("Simulated rigs")
    if told["speed"] != 1:
        out.append(f"Simulated time, {told['speed']:g} times as fast")
    if state["world"] == "shadow":
        out.append("Shadow: nothing is written to any rig")
    return out


def _rows(plan: Mapping[str, Any], state: Any) -> list[dict[str, Any]]:
    """The plan as a table: one row an interval, the price it was made for, each group's rigs awake."""
    point = documents.point_of(state)
    breakevens = plan.get("breakevens", {})
    dearest = max(breakevens.values(), default=0.0)
    rows = []
    for i in plan["intervals"][:ROWS]:
        price = i.get("price_usd_per_mwh", {}).get(point)
        level = "" if price is None else "free" if price <= 0 else "dear" if price > dearest else "fair"
        groups = {n: sum(k for m, k in g["modes"].items() if m != "sleep") for n, g in i["groups"].items()}
        rows.append({"label": _label(state.site.market, i), "price": price, "level": level, "load_mw": i["load_mw"], "awake": groups})
    return rows


def _label(market: Market, interval: Mapping[str, Any]) -> str:
    start, end = _start(interval).astimezone(market.tz), _end(interval).astimezone(market.tz)
    return f"{start:%a} {hour_ending(market, _start(interval))} {start:%H:%M}-{end:%H:%M}"


def _start(interval: Mapping[str, Any]) -> Any:
    return parse_instant(interval["start"])


def _end(interval: Mapping[str, Any]) -> Any:
    return parse_instant(interval["end"])


def clock(market: Market, at: Any) -> str:
    """An instant on the market's clock."""
    return f"{at.astimezone(market.tz):%a %-d %b %H:%M:%S}"


def usd(value: float | str | None) -> str:
    if value is None:
        return "–"
    number = float(value)
    return f"{'−' if number < 0 else ''}${abs(number):,.2f}"


def mw(value: float | None) -> str:
    """Megawatts to the kilowatt under ten, coarser above."""
    return "–" if value is None else f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
