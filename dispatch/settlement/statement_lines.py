"""A statement's lines as rows: what was charged, on which figure of which vintage, by which formula and rule of which date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatch.settlement.actuals import Measured
from dispatch.site_file.setup import Setup
from markets.grid import Market, hour_ending, interval_label
from optimizer.domain.money import Line, Statement, plain

# The columns of a row, in this order in CSV.
COLUMNS = (
    "obligation",
    "charge_type",
    "interval_start",
    "interval_end",
    "quantity",
    "unit",
    "rate",
    "amount_usd",
    "settlement_point",
    "label",
    "dst_flag",
    "price_version",
    "price_vintage",
    "source",
    "formula",
    "rule",
    "rule_from",
)
AWARD, TELEMETRY = "award", "telemetry"
# What a quantity is made of, where it is not the load: capacity and purchases are awards, hashing is telemetry.
SOURCES = {"mw_h": AWARD, "mw_day": AWARD, "ph_day": TELEMETRY}


@dataclass(frozen=True, slots=True)
class _Ground:
    """What rows look up: the type of each contract, since when each rule in force holds, the position of each interval."""

    market: Market
    types: Mapping[str, str]
    since: Mapping[str, str]
    at: Mapping[datetime, int]
    measured: Measured | None


def rows(bill: Statement, market: Market, setup: Setup | None = None, measured: Measured | None = None) -> list[dict[str, Any]]:
    """A row a line, JSON values, keys as COLUMNS. Without setup and measured, what they know is empty."""
    first = bill.lines[0].over.start.astimezone(market.tz).date() if bill.lines else None
    held = setup.rules.of(market) if setup and first else ()
    since = {rule.cited: rule.from_.isoformat() for rule in held if first and rule.holds(first)}
    types = {o.name: type(o).type for o in setup.book} if setup else {}
    starts = {over.start: n for n, over in enumerate(measured.actuals.grid.intervals)} if measured else {}
    ground = _Ground(market, types, since, starts, measured)
    return [_row(line, ground) for line in bill.lines]


def _row(line: Line, ground: _Ground) -> dict[str, Any]:
    n = ground.at.get(line.over.start)
    version, vintage = _vintage(line, n, ground)
    return {
        "obligation": line.obligation,
        "charge_type": line.charge_type,
        "interval_start": line.over.start.isoformat(),
        "interval_end": line.over.end.isoformat(),
        "quantity": plain(line.quantity),
        "unit": line.unit,
        "rate": plain(line.rate),
        "amount_usd": plain(line.amount_usd),
        "settlement_point": line.price_at,
        "label": interval_label(ground.market, line.over),
        "dst_flag": "Y" if hour_ending(ground.market, line.over.start).endswith("*") else "N",
        "price_version": version,
        "price_vintage": vintage,
        "source": _source(line, n, ground),
        "formula": f"{ground.types.get(line.obligation, line.obligation)}.{line.charge_type}",
        "rule": line.rule,
        "rule_from": next((since for cited, since in ground.since.items() if cited in line.rule), ""),
    }


def _vintage(line: Line, n: int | None, ground: _Ground) -> tuple[str, str]:
    """Whether the price stands as it was first published, and when it was known; empty for a rate that is no price."""
    settled = ground.measured.prices.get(line.price_at) if ground.measured else None
    if settled is None or n is None or not settled.vintages or (known := settled.vintages[n]) is None:
        return "", ""
    corrected = any(position == n for position, _, _ in settled.superseded)
    return "corrected" if corrected else "published", known.isoformat()


def _source(line: Line, n: int | None, ground: _Ground) -> str:
    """Where the quantity is from: an award, telemetry of the rigs, or what the interval's load is from."""
    if "day_ahead" in line.charge_type:
        return AWARD
    if line.unit in SOURCES:
        return SOURCES[line.unit]
    return ground.measured.meters.source(n) if ground.measured and n is not None else ""
