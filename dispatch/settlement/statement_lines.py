"""A statement's lines as rows: the charge, the figures it was made from and their vintage, the formula and the rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from dispatch.settlement.document import LineRow
from dispatch.settlement.measured_day import MeasuredDay
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
# Where a quantity other than the load comes from, by unit: capacity and purchases are awards, hashing is telemetry.
SOURCES = {"mw_h": AWARD, "mw_day": AWARD, "ph_day": TELEMETRY}


@dataclass(frozen=True, slots=True)
class _Context:
    """What rows look up: the type of each contract, the first day of each rule in force, the position of each interval."""

    market: Market
    types: Mapping[str, str]
    rule_from: Mapping[str, str]
    position: Mapping[datetime, int]
    measured: MeasuredDay | None


def line_rows(bill: Statement, market: Market, measured: MeasuredDay | None = None) -> list[LineRow]:
    """A row a line, keys as COLUMNS. Without a measured day, what only it knows is empty."""
    if measured is None or not bill.lines:
        context = _Context(market, {}, {}, {}, None)
    else:
        first = bill.lines[0].over.start.astimezone(market.tz).date()
        rules = measured.setup.rules.of(market)
        context = _Context(
            market,
            types={o.name: o.type for o in measured.setup.book},
            rule_from={rule.cited: rule.from_.isoformat() for rule in rules if rule.holds(first)},
            position={over.start: n for n, over in enumerate(measured.actuals.grid.intervals)},
            measured=measured,
        )
    return [_row(line, context) for line in bill.lines]


def _row(line: Line, context: _Context) -> LineRow:
    n = context.position.get(line.over.start)
    version, vintage = _vintage(line, n, context)
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
        "label": interval_label(context.market, line.over),
        "dst_flag": "Y" if hour_ending(context.market, line.over.start).endswith("*") else "N",
        "price_version": version,
        "price_vintage": vintage,
        "source": _source(line, n, context),
        "formula": f"{context.types.get(line.obligation, line.obligation)}.{line.charge_type}",
        "rule": line.rule,
        "rule_from": next((first for cited, first in context.rule_from.items() if cited in line.rule), ""),
    }


def _vintage(line: Line, n: int | None, context: _Context) -> tuple[str, str]:
    """Whether the price is as first published or corrected, and when it was known; empty for a rate that is not a market's price."""
    settled = context.measured.prices.energy.get(line.price_at) if context.measured else None
    if settled is None or n is None or not settled.vintages or (known := settled.vintages[n]) is None:
        return "", ""
    corrected = any(position == n for position, _, _ in settled.superseded)
    return "corrected" if corrected else "published", known.isoformat()


def _source(line: Line, n: int | None, context: _Context) -> str:
    """Where the quantity comes from: an award, telemetry of the rigs, or the source of the interval's load."""
    if "day_ahead" in line.charge_type:
        return AWARD
    if line.unit in SOURCES:
        return SOURCES[line.unit]
    return context.measured.meters.source(n) if context.measured and n is not None else ""


def columns_of(line: LineRow) -> Iterator[tuple[str, str]]:
    """A row's columns in the order of COLUMNS, with their text."""
    return ((column, str(line.get(column, ""))) for column in COLUMNS)
