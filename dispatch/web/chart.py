"""The figures of the page's chart: price, plan and load over market time. Axis ticks and labels are made here, so that the time zone of
the browser does not matter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch.web.documents import finite, iso, prices_document
from dispatch.web.forecast_document import forecast_document
from dispatch.web.live_view import LiveView, point_of
from markets.grid import Interval, Market, hour_ending, interval_label, parse_instant

BACK, AHEAD = timedelta(hours=12), timedelta(hours=24)
TICK_EVERY_H = 3


def chart_document(view: LiveView, now: datetime) -> dict[str, Any]:
    """Steps as parallel lists: `x` and `end` in UTC milliseconds, `label` the market's interval; `axis` holds tick positions and texts."""
    state = view.state
    market = state.site.market
    over = Interval(now - BACK, now + AHEAD)
    prices = prices_document(view, now, over.start)
    point = prices["points"][point_of(state)]
    plan = [i for i in (state.plan["intervals"] if state.plan else ()) if parse_instant(i["start"]) < over.end]
    ticks = [p for p in list(view.ticks) if p.at >= over.start]
    return {
        "at": iso(now),
        "now": _ms(now),
        "clock_now": f"{now.astimezone(market.tz):%a %-d %b %H:%M:%S}",
        "range": [_ms(over.start), _ms(over.end)],
        "axis": axis(market, Interval(over.start, now + timedelta(hours=state.site.horizon_h + 1))),
        "clock": "market time (EST)" if market is Market.MISO else "market time (Central)",
        "point": point_of(state),
        "synthetic": prices["synthetic"],
        "breakevens": prices["breakevens_usd_per_mwh"],
        "published": _steps(market, ((p["start"], p["end"], p["usd_per_mwh"]) for p in point["real_time"])),
        "outlook": _steps(market, ((p["start"], p["end"], p["usd_per_mwh"]) for p in point["outlook"]), over.end)
        | {"basis": [p["basis"] for p in point["outlook"] if parse_instant(p["start"]) < over.end]},
        "forecast": _band(view, now, over),
        "plan": _steps(market, ((i["start"], i["end"], i["load_mw"]) for i in plan)),
        "groups": {
            g.name: _steps(market, ((i["start"], i["end"], i["groups"][g.name]["load_mw"]) for i in plan if g.name in i["groups"]))
            for g in state.site.groups
        },
        "load": {
            "x": [_ms(p.at) for p in ticks],
            "y": [finite(p.load_mw) for p in ticks],
            "label": [_clock(market, p.at) for p in ticks],
            "planned": [finite(p.planned_mw) for p in ticks],
            "groups": {g.name: [finite(p.groups.get(g.name)) for p in ticks] for g in state.site.groups},
        },
    }


def _band(view: LiveView, now: datetime, over: Interval) -> dict[str, Any]:
    """The price to decide on and the outer quantiles of the forecasts, of past intervals as each began and of those ahead; empty lists
    without a price model."""
    market, forecast = view.state.site.market, forecast_document(view, now, over.start)
    rows = [*forecast["past"], *(i for i in forecast["ahead"] if parse_instant(i["start"]) < over.end)]
    rows = list({row["start"]: row for row in rows if row["quantiles"]}.values())
    decide = _steps(market, ((r["start"], r["end"], r["usd_per_mwh"]) for r in rows))
    edges = {name: [r["quantiles"][n]["usd_per_mwh"] for r in rows] for name, n in (("low", 0), ("high", -1))}
    levels = [rows[-1]["quantiles"][n]["level"] for n in (0, -1)] if rows else []
    return decide | edges | {"levels": levels}


def axis(market: Market, over: Interval) -> dict[str, list[Any]]:
    """An axis tick every three hours of the market's clock, labelled with the hour ending there, and with the day at midnight. On days of
    23 or 25 hours the ticks stay on the clock's hours."""
    at = over.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    x, text = [], []
    while at <= over.end:
        local = at.astimezone(market.tz)
        if at >= over.start and local.hour % TICK_EVERY_H == 0:
            x.append(_ms(at))
            text.append(f"{local:%a %-d %b}" if local.hour == 0 else hour_ending(market, at - timedelta(seconds=1)))
        at += timedelta(hours=1)
    return {"x": x, "text": text}


def _steps(market: Market, rows: Iterable[tuple[str, str, float | None]], until: datetime | None = None) -> dict[str, list[Any]]:
    x, ends, y, label = [], [], [], []
    for start, end, value in rows:
        over = Interval(parse_instant(start), parse_instant(end))
        if until is not None and over.start >= until:
            break
        x.append(_ms(over.start))
        ends.append(_ms(over.end))
        y.append(finite(value))
        label.append(interval_label(market, over))
    return {"x": x, "end": ends, "y": y, "label": label}


def _clock(market: Market, at: datetime) -> str:
    return f"{at.astimezone(market.tz):%a %H:%M:%S}"


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
