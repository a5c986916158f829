"""A statement's lines as rows: the charge, the figures it was made from and their vintage, the formula and the rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dispatch.imports.charge_codes import iso_code
from dispatch.settlement.document_rows import LineRow
from dispatch.settlement.measured_day import MeasuredDay
from markets.grid import Market, hour_ending, interval_label
from optimizer.domain.book import generators_by_meter
from optimizer.domain.money import ZERO, Line, Statement, UnknownCharge, decimal, plain
from optimizer.domain.net_load import meters_fully_in
from optimizer.domain.obligation import Obligation
from optimizer.domain.reserve_awards import DAY_AHEAD
from optimizer.domain.site import Meter, meters_in

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
    "iso_code",
    "meter",
    "esi_id",
    "metered_mwh",
    "loss_factor",
    "day_ahead_mw",
    "accrued",
)
AWARD, TELEMETRY = "award", "telemetry"
UNKNOWN = "unknown"  # how an amount, a quantity or a rate that nobody knows reads
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
    contracts: Mapping[str, Obligation] = field(default_factory=dict)


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
            contracts={o.name: o for o in measured.setup.book},
            position={over.start: n for n, over in enumerate(measured.actuals.grid.intervals)},
            measured=measured,
        )
    return [*(_row(line, context) for line in bill.lines), *(_unknown_row(charge, context) for charge in bill.unknown)]


def _row(line: Line, context: _Context) -> LineRow:
    n = context.position.get(line.over.start)
    version, vintage = _vintage(line, n, context)
    meter = _meter(line, context)
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
        # Of a line that cites several rules: since when all of them have been as they are.
        "rule_from": max((first for cited, first in context.rule_from.items() if cited in line.rule), default=""),
        "iso_code": iso_code(context.market, line.charge_type),
        "meter": meter.id if meter else "",
        "esi_id": (meter.esi_id or "") if meter else "",
        "metered_mwh": _metered_mwh(line, meter, n, context),
        "loss_factor": plain(decimal(meter.loss_factor)) if meter and line.unit in ("mwh", "usd") else "",
        "day_ahead_mw": _day_ahead_mw(line, context),
        "accrued": line.accrued,
    }


def _unknown_row(charge: UnknownCharge, context: _Context) -> LineRow:
    """A charge of unknown amount: no figure, and why instead of the source."""
    row = _row(
        Line(charge.obligation, charge.charge_type, charge.over, ZERO, charge.unit, ZERO, ZERO, charge.rule, accrued=charge.accrued),
        context,
    )
    return {**row, "quantity": None, "rate": None, "amount_usd": None, "source": charge.why}


def _meter(line: Line, context: _Context) -> Meter | None:
    """The meter whose energy a line is of: its own, else the only one of its contract's scope."""
    if context.measured is None:
        return None
    site, contract = context.measured.actuals.site, context.contracts.get(line.obligation)
    behind = [m for m, _ in meters_in(site, contract.scope)] if contract else []
    return next((m for m in site.meters if m.id == line.meter), behind[0] if len(behind) == 1 else None)


def _metered_mwh(line: Line, meter: Meter | None, n: int | None, context: _Context) -> str:
    """Net energy of the contract's groups at the meter in the line's interval, before losses, where the line is of energy."""
    contract = context.contracts.get(line.obligation)
    if context.measured is None or meter is None or contract is None or n is None or line.unit not in ("mwh", "usd"):
        return ""
    its = context.measured.actuals
    names = next(groups for m, groups in meters_in(its.site, contract.scope) if m.id == meter.id)
    load = sum((its.energy_mwh[name][n] for name in names), ZERO)
    is_whole = meter.id in {m.id for m in meters_fully_in(its.site, contract.scope)}
    machines = generators_by_meter(context.measured.setup.book, its.site).get(meter.id, ()) if is_whole and its.generated_mwh else ()
    net = load - sum((its.generated_mwh[machine.name][n] for machine in machines), ZERO)
    return "" if net.is_nan() else plain(net)


def _day_ahead_mw(line: Line, context: _Context) -> str:
    """What the contract bought or sold a day ahead in the line's interval, where the line is of energy or of a product's reserve."""
    if context.measured is None:
        return ""
    product = line.charge_type.removesuffix("_return").removesuffix("_imbalance").removesuffix("_day_ahead").upper()
    wanted = "ENERGY" if line.charge_type in ("energy", "day_ahead", "day_ahead_return") else product
    awards = [
        a
        for a in context.measured.actuals.awards
        if a.obligation == line.obligation and a.market == DAY_AHEAD and a.product.upper() == wanted and line.over.start in a.over
    ]
    return plain(sum((decimal(a.mw) for a in awards), ZERO)) if awards else ""


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
    """A row's columns in the order of COLUMNS, with their text; a figure that is not known reads "unknown"."""
    return ((column, UNKNOWN if (value := line.get(column, "")) is None else str(value)) for column in COLUMNS)
