"""The intervals of a plan as rows of a table, and runs of alike intervals as one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from dispatch.decide.state import State
from dispatch.web.live_view import point_of
from dispatch.web.move_sentences import market_time
from markets.grid import Market, hour_ending, parse_instant

# A price against the break-evens of the groups, by the class that colours it.
LEVELS = {"": "no price", "free": "paid to draw", "fair": "up to the highest break-even", "dear": "above every break-even"}
WORTH_USD = 0.005  # a limit that one more MW is worth less than this in does not bind


def plan_rows(plan: Mapping[str, Any], state: State) -> list[dict[str, Any]]:
    """A row for each interval: its label, price and what that is against the break-evens (a key of LEVELS), load_mw, rigs by group and
    mode, how many of them hash, MW of reserve by product, the largest chance of a coincident peak (None where none is known), and the
    limits that bind with what one more MW of each is worth, $/MW."""
    point, market = point_of(state), state.site.market
    highest = max(plan.get("breakevens", {}).values(), default=0.0)
    return [_row(plan, market, n, interval, point, highest) for n, interval in enumerate(plan["intervals"])]


def _row(plan: Mapping[str, Any], market: Market, n: int, interval: Mapping[str, Any], point: str, highest: float) -> dict[str, Any]:
    price = interval.get("price_usd_per_mwh", {}).get(point)
    hours = hours_of(interval)
    worth = {name: values[n] * hours for name, values in plan["shadow_prices"].items()}
    return {
        "label": label(market, interval),
        "start": start_of(interval),
        "end": end_of(interval),
        "hours": hours,
        "price": price,
        "level": "" if price is None else "free" if price <= 0 else "dear" if price > highest else "fair",
        "load_mw": interval["load_mw"],
        "hashing": {name: sum(k for m, k in g["modes"].items() if m != "sleep") for name, g in interval["groups"].items()},
        "modes": {name: {m: k for m, k in g["modes"].items() if round(k)} for name, g in interval["groups"].items()},
        "offers": {product: mw for product, mw in interval["offers"].items() if mw},
        "peak_share": max(interval.get("peak_share", {}).values(), default=None),
        "binding": {name: usd for name, usd in worth.items() if usd > WORTH_USD},
    }


def runs_of(rows: Sequence[Mapping[str, Any]], market: Market) -> list[dict[str, Any]]:
    """Consecutive intervals in which every group has as many rigs in each mode, as one row: from and until on the market's clock, hours,
    the lowest and the highest price, and the mean load."""

    def alike(row: Mapping[str, Any]) -> str:
        return str({name: {m: round(k) for m, k in modes.items()} for name, modes in row["modes"].items()})

    return [_run(list(same), market) for _, same in groupby(rows, alike)]


def _run(rows: Sequence[Mapping[str, Any]], market: Market) -> dict[str, Any]:
    hours = sum(row["hours"] for row in rows)
    prices = [row["price"] for row in rows if row["price"] is not None]
    first, last = rows[0]["start"].astimezone(market.tz), rows[-1]["end"].astimezone(market.tz)
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%a %H:%M}"
    return {
        "label": f"{market_time(first, market)} to {until}",
        "hours": hours,
        "lowest": min(prices, default=None),
        "highest": max(prices, default=None),
        "load_mw": sum(row["load_mw"] * row["hours"] for row in rows) / hours,
        "modes": rows[0]["modes"],
    }


def label(market: Market, interval: Mapping[str, Any]) -> str:
    """An interval by the market's name of its hour and by the clock."""
    start, end = start_of(interval).astimezone(market.tz), end_of(interval).astimezone(market.tz)
    return f"{start:%a} {hour_ending(market, start_of(interval))} {start:%H:%M}-{end:%H:%M}"


def start_of(interval: Mapping[str, Any]) -> datetime:
    return parse_instant(interval["start"])


def end_of(interval: Mapping[str, Any]) -> datetime:
    return parse_instant(interval["end"])


def hours_of(interval: Mapping[str, Any]) -> float:
    return (end_of(interval) - start_of(interval)).total_seconds() / 3600
