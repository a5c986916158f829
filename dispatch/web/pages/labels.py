"""The texts and figures of the page, made from the API's documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dispatch.decide.precedence import ASK_MORE, PRECEDENCE, winner
from dispatch.web import documents
from dispatch.web.context import ApiContext
from dispatch.web.forecast_document import forecast_document
from dispatch.web.live_view import point_of
from dispatch.web.pages.plan_rows import hours_of, plan_rows
from dispatch.web.state_document import StateDocument
from dispatch.what_if.compare import totals
from markets.grid import Market, parse_instant
from optimizer.domain.money import usd_text

PRICE_BASIS_LABELS = {
    "real-time": "real-time price",
    "day-ahead": "no real-time price: day-ahead used",
    "persistence": "no real-time price: earlier prices used",
    "safe-state": "no price known: safe state",
}
ROWS = 48
CALLS, SETTLEMENTS = 30, 31
HOURS_SHOWN = 6
# Each asker of less load, and by asker of more who gets it; none between two of one kind.
WHO_WINS = [(less, [None if less is more else winner(less, more) for more in ASK_MORE]) for less in PRECEDENCE]


def page_values(context: ApiContext) -> dict[str, Any]:
    """Every value that the page's templates show."""
    view, now = context.view, context.now()
    state = context.state()
    fleet, plan = documents.fleet_document(view), documents.plan_document(view, now)
    market = view.state.site.market
    return {
        "state": state,
        "fleet": fleet,
        "plan": plan,
        "plan_totals": totals(view.state.plan) if view.state.plan else None,
        "plan_rows": plan_rows(plan, view.state)[:ROWS] if plan else [],
        "plan_hours": sum(hours_of(i) for i in plan["intervals"]) if plan else 0,
        "price_rows": _recent_prices(context)[::-1][:ROWS],
        "forecast": forecast_document(view, now),
        "headline": headline(state, fleet),
        "banners": banners(state),
        "price_basis_label": PRICE_BASIS_LABELS.get(state["price_basis"], state["price_basis"]),
        "calls": documents.calls_document(view, now, context.ledger.calls(CALLS))[:CALLS],
        "activity": [{"at": clock(market, a.at), "kind": a.kind, "text": a.text} for a in list(view.activity)[::-1][:40]],
        "settlements": context.ledger.settlements(SETTLEMENTS),
        "groups": [g.name for g in view.state.site.groups],
        "book": [o.name for o in view.state.setup.book],
        "interconnect_mw": view.state.site.interconnect_mw,
        "conditions": conditions(fleet),
        "ask_more": ASK_MORE,
        "who_wins": WHO_WINS,
        "local": lambda text: clock(market, parse_instant(text)) if text else "",
    }


def _recent_prices(context: ApiContext) -> list[dict[str, Any]]:
    """The real-time prices of the last six hours at the settlement point the page shows."""
    since = context.now() - timedelta(hours=HOURS_SHOWN)
    found: list[dict[str, Any]] = documents.prices_document(context.view, context.now(), since)["points"][point_of(context.view.state)][
        "real_time"
    ]
    return found


def headline(state: StateDocument, fleet: Mapping[str, Any]) -> str:
    """What the site does now, in one sentence."""
    if not fleet["reachable"]:
        return "No rig responds."
    counts = {"hashing": 0, "asleep": 0, "waking up": 0, "not responding": 0}
    for group in fleet["groups"].values():
        for mode, n in group["modes"].items():
            counts["asleep" if mode == "sleep" else "hashing"] += n
        counts["waking up"] += _count(group["conditions"].get("waking", ""))
        counts["not responding"] += _count(group["conditions"].get("unreachable", ""))
    parts = [(n, what) for what, n in counts.items() if n]
    if len(parts) == 1:
        return f"The site draws {mw(state['load_mw'])} MW: all {fleet['rigs']} rigs are {parts[0][1]}."
    (first, what), *rest = parts
    text = _and([f"{first} of {fleet['rigs']} rigs are {what}", *(f"{n} {what}" for n, what in rest)])
    return f"The site draws {mw(state['load_mw'])} MW: {text}."


def _count(packed: str) -> int:
    from dispatch.entries import unpack

    return len(unpack(packed))


def _and(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def conditions(fleet: Mapping[str, Any]) -> list[str]:
    """Every condition a rig of the fleet can be in, for the legend."""
    modes = dict.fromkeys(m for g in fleet["groups"].values() for m in g["modes"])
    return [*modes, "waking", "unreachable", "unknown"]


def banners(state: StateDocument) -> list[str]:
    """What is simulated, shown above everything else."""
    out = []
    simulation = state["simulation"]
    if simulation["market"]:
        out.append("Synthetic market: the prices are not real")
    if simulation["rigs"]:
        out.append("Simulated rigs")
    if simulation["speed"] != 1:
        out.append(f"Simulated time: {simulation['speed']:g} times real time")
    if state["world"] == "shadow":
        out.append("Dry run: reads your rigs, never writes to one")
    return out


def clock(market: Market, at: Any) -> str:
    """An instant on the market's clock."""
    return f"{at.astimezone(market.tz):%a %-d %b %H:%M:%S}"


def usd(value: float | str | None) -> str:
    """Dollars, or a dash for none."""
    return "–" if value is None else usd_text(value)


def mw(value: float | None) -> str:
    """Megawatts to the kilowatt under ten, coarser above."""
    return "–" if value is None else f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
