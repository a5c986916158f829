"""Sections of a day's statement that sum its lines and its load: what each charge was made from, and what each rig group did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from dispatch.settlement.document_rows import ChargeRow, GroupRow, LineRow
from dispatch.settlement.measured_day import MeasuredDay
from optimizer.domain.money import ZERO, cents, plain

# Average rates and prices of bitcoin are quotients: so many digits after the point.
RATE_DIGITS = Decimal("1e-6")


def charge_rows(lines: Sequence[LineRow], totals: Mapping[str, str | None]) -> list[ChargeRow]:
    """A row for each total, with the quantity and the average rate behind it."""
    by_name: dict[str, list[LineRow]] = {}
    for line in lines:
        by_name.setdefault(f"{line['obligation']}/{line['charge_type']}", []).append(line)
    return [_charge(by_name.get(name, []), name, usd) for name, usd in totals.items()]


def _charge(lines: Sequence[LineRow], name: str, usd: str | None) -> ChargeRow:
    obligation, _, charge_type = name.partition("/")
    units = {line["unit"] for line in lines}
    quantity = sum((Decimal(line["quantity"]) for line in lines if line["quantity"]), ZERO) if len(units) == 1 else ZERO
    exact_usd = sum((Decimal(line["amount_usd"]) for line in lines if line["amount_usd"]), ZERO)
    return {
        "obligation": obligation,
        "charge_type": charge_type,
        "iso_code": lines[0]["iso_code"] if lines else "",
        "meters": list(dict.fromkeys(line["meter"] for line in lines if line["meter"])),
        "quantity": plain(quantity) if len(units) == 1 else "",
        "unit": units.pop() if len(units) == 1 else "",
        "average_rate": plain((exact_usd / quantity).quantize(RATE_DIGITS)) if quantity else "",
        "amount_usd": usd,
        "accrued": any(line["accrued"] for line in lines),
    }


def group_rows(measured: MeasuredDay) -> list[GroupRow]:
    """A row for each rig group; intervals that were not read or have no price count for nothing."""
    return [_group(measured, g.name, g.tenant) for g in measured.actuals.site.groups]


def _group(measured: MeasuredDay, name: str, tenant: str) -> GroupRow:
    actuals = measured.actuals
    hashed = actuals.hash_ph_days[name]
    usd = [h * p for h, p in zip(hashed, actuals.hashprice, strict=True)]
    priced = [n for n, btc_usd in enumerate(measured.prices.btc_usd) if not (btc_usd.is_nan() or usd[n].is_nan())]
    btc = sum((usd[n] / measured.prices.btc_usd[n] for n in priced), ZERO)
    is_complete = all(n in priced for n, h in enumerate(hashed) if not h.is_nan())
    worth = sum((v for v in usd if not v.is_nan()), ZERO)
    return {
        "group": name,
        "tenant": tenant,
        "energy_mwh": plain(_known(actuals.energy_mwh[name])),
        "hash_ph_days": plain(_known(hashed)),
        "btc_mined": f"{btc:.8f}" if priced and is_complete else "",
        "btc_usd": plain((worth / btc).quantize(RATE_DIGITS)) if btc and is_complete else "",
        "hash_usd": f"{cents(worth):.2f}",
    }


def _known(values: Sequence[Decimal]) -> Decimal:
    return sum((v for v in values if not v.is_nan()), ZERO)
