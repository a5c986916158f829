"""A received statement compared with ours: the days are settled again with one input changed each, to find what explains a difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Engine

from dispatch.imports.charge_codes import expected_charges, our_charge_types
from dispatch.imports.statement import Determinant, ReceivedStatement, StatementMap
from dispatch.settlement.measured_day import MeasuredDay, measure_day
from dispatch.settlement.prices import energy_prices
from dispatch.site_file.setup import Setup
from dispatch.store.telemetry import Telemetry
from markets.grid import Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.money import ZERO, Finding, Line, cents, decimal, usd_text
from optimizer.settlement.reconcile import Alternative, Claim, Difference, compare, stands_for
from optimizer.settlement.settle import settle

# How many earlier vintages of a price or a meter are tried, the newest first.
MAX_VINTAGES = 6
MAX_DAYS = 400
# ERCOT's determinants: metered load with losses, and the price it settles at.
LOAD, PRICES = "RTAML", ("RTSPPEW", "RTSPP")
Key = tuple[str, str]  # cause, text
# The variant with other loss factors, all multiplied by the same; from it any other multiple follows.
OTHER_LOSSES, LOSSES_TIMES = ("losses", "as with a loss factor"), Decimal("1.01")


class Variant(NamedTuple):
    """A day with one input changed: the cause it would show, the change in words, and the day's actuals with it."""

    cause: str
    text: str
    actuals: Actuals


@dataclass(slots=True)
class Days:
    """Our lines of some days, their printed totals, and their lines by variant; `missing` says which days were not run.
    `loss_factor` is that of every meter, None where they differ."""

    lines: list[Line] = field(default_factory=list)
    totals: dict[str, Decimal] = field(default_factory=dict)
    variants: dict[Key, list[Line]] = field(default_factory=dict)
    own: dict[date, list[Line]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    loss_factor: Decimal | None = None

    def add(self, on: date, lines: Sequence[Line], totals: Mapping[str, Decimal], variants: Mapping[Key, Sequence[Line]]) -> None:
        self.lines += lines
        self.own[on] = list(lines)
        for name, usd in totals.items():
            self.totals[name] = self.totals.get(name, ZERO) + usd
        before = [line for day, of in self.own.items() if day != on for line in of]
        for key in {**self.variants, **variants}:
            # A day without this variant keeps its own lines.
            self.variants[key] = [*self.variants.get(key, before), *variants.get(key, lines)]

    def usd(self, patterns: Sequence[str]) -> Decimal:
        """The printed totals of some charge types."""
        return sum((usd for name, usd in self.totals.items() if stands_for(patterns, name)), ZERO)


def compare_statement(
    engine: Engine, telemetry: Telemetry, setup: Setup, received: ReceivedStatement, how: StatementMap, known_at: datetime | None = None
) -> dict[str, Any]:
    """A received document's charges and ours: `differences` has a row a charge, `findings` what could not be compared.

    Raises LookupError when nothing of its days was run, LedgerUnavailable, JournalBroken."""
    market = setup.site.market
    findings = list(received.findings)
    claims: list[tuple[Claim, str]] = []
    for charge in received.charges:
        ours = our_charge_types(charge.code, how, market)
        if not ours and charge.code not in how.leave:
            what = f"{charge.where}: {charge.code} {usd_text(charge.amount_usd)}"
            findings.append(Finding("unknown-charge", f"{what} is not a known charge: name ours in a map's [charges], or `leave` it out"))
        if ours:
            claims.append((Claim(charge.code, charge.amount_usd, ours, charge.by_interval), _span(charge.first, charge.last)))
    by_span: dict[str, Days] = {}
    rows = [_row(claim, span, _days(engine, telemetry, setup, received, span, known_at, by_span)) for claim, span in claims]
    all_days = _span(received.first, received.last)
    named = {claim.code for claim, _ in claims}
    for code, patterns in expected_charges(received, how, market).items():
        days = _days(engine, telemetry, setup, received, all_days, known_at, by_span)
        if not any(set(patterns) & set(claim.ours) for claim, _ in claims) and code not in named and days.usd(patterns):
            rows.append(_row(Claim(code, ZERO, patterns), all_days, days))
    findings += [Finding("not-run", text) for text in dict.fromkeys(t for days in by_span.values() for t in days.missing)]
    return {
        "kind": received.kind,
        "statement_type": received.statement_type,
        "version": received.version,
        "from": received.first.isoformat(),
        "to": received.last.isoformat(),
        "differences": rows,
        "findings": [{"kind": f.kind, "text": f.text} for f in findings],
    }


def _span(first: date, last: date) -> str:
    return f"{first.isoformat()}..{last.isoformat()}"


def _row(claim: Claim, span: str, days: Days) -> dict[str, Any]:
    alternatives = [
        Alternative(*key, tuple(lines), *((LOSSES_TIMES, days.loss_factor) if key == OTHER_LOSSES else ()))
        for key, lines in days.variants.items()
    ]
    difference: Difference = compare(claim, days.lines, days.usd(claim.ours), alternatives)
    names = sorted({line.name for line in days.lines if stands_for(claim.ours, line.name)})
    return {
        "charge": difference.code,
        "days": span,
        "ours": names or list(claim.ours),
        "ours_usd": _usd(difference.ours_usd),
        "received_usd": _usd(difference.received_usd),
        "difference_usd": _usd(difference.difference_usd),
        "agrees": difference.agrees,
        "causes": [{"cause": p.cause, "usd": _usd(p.usd), "intervals": p.intervals, "text": p.text} for p in difference.parts],
        "unexplained_usd": _usd(difference.unexplained_usd),
    }


def _usd(usd: Decimal) -> str:
    return f"{cents(usd) + 0:.2f}"


def _days(
    engine: Engine,
    telemetry: Telemetry,
    setup: Setup,
    received: ReceivedStatement,
    span: str,
    known_at: datetime | None,
    kept: dict[str, Days],
) -> Days:
    """The days of a span, settled once. Raises LookupError when none was run."""
    if span in kept:
        return kept[span]
    first, last = (date.fromisoformat(text) for text in span.split(".."))
    if (last - first).days >= MAX_DAYS:
        raise LookupError(f"{span} is more than {MAX_DAYS} days: compare a shorter document")
    factors = {m.loss_factor for m in setup.site.meters}
    days = Days(loss_factor=decimal(factors.pop()) if len(factors) == 1 else None)
    for on in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        try:
            measured = measure_day(engine, telemetry, OperatingDay(setup.site.market, on), setup, known_at)
        except LookupError as error:
            days.missing.append(str(error.args[0] if error.args else error))
            continue
        book = measured.setup.book
        bill = settle(book, measured.actuals, round_each_interval=measured.setup.reports.rounding == "interval")
        totals = {f"{o}/{charge}": usd for (o, charge), usd in bill.totals.items()}
        by_variant = {(v.cause, v.text): settle(book, v.actuals).lines for v in variants(engine, measured, received)}
        days.add(on, bill.lines, totals, by_variant)
    if not days.lines and days.missing:
        raise LookupError("; ".join(days.missing))
    kept[span] = days
    return days


def variants(engine: Engine, measured: MeasuredDay, received: ReceivedStatement) -> list[Variant]:
    """A day with one input changed each, then with a price and a reading both changed."""
    determinants = received.determinants
    prices = [*_stated_prices(measured.actuals, determinants), *_vintages(measured), *_other_points(engine, measured)]
    readings = [*_stated_load(measured.actuals, determinants), *_readings(measured)]
    both = [
        Variant(f"{p.cause} and meter", f"{p.text}; {r.text}", replace(p.actuals, energy_mwh=r.actuals.energy_mwh))
        for p in prices[:MAX_VINTAGES]
        for r in readings[:2]
    ]
    return [*prices, *readings, *_without_losses(measured.actuals), _other_losses(measured.actuals), *both]


def _vintages(measured: MeasuredDay) -> Iterable[Variant]:
    """The prices as they were first published, then as they were known before each later correction."""
    older = {p: s.superseded for p, s in measured.prices.energy.items() if s.superseded}
    if not older:
        return
    first = {p: {n: usd for n, _, usd in reversed(of)} for p, of in older.items()}
    yield Variant("price version", "the price as first published, corrected since", _priced(measured.actuals, first))
    again = {at for of in older.values() for k, (n, at, _) in enumerate(of) if any(n == m for m, _, _ in of[:k])}
    for until in sorted(again, reverse=True)[:MAX_VINTAGES]:
        then = {p: {n: usd for n, at, usd in of if at <= until} for p, of in older.items()}
        text = f"the price known at {until:%Y-%m-%dT%H:%M:%SZ}, corrected since"
        yield Variant("price version", text, _priced(measured.actuals, then))


def _priced(actuals: Actuals, usd: Mapping[str, Mapping[int, Decimal]]) -> Actuals:
    """The day at other prices, by settlement point and position; its own where there is no other."""
    changed = {p: [usd.get(p, {}).get(n, own) for n, own in enumerate(values)] for p, values in actuals.energy_price.items()}
    return replace(actuals, energy_price=changed)


def _other_points(engine: Engine, measured: MeasuredDay) -> Iterable[Variant]:
    """The load zone's price in place of the energy-weighted one, or the other way round: metered load settles at the latter (6.6.3.2)."""
    setup, actuals = measured.setup, measured.actuals
    if setup.site.market is not Market.ERCOT:
        return
    for point in (p for p in actuals.energy_price if p.startswith("LZ_")):
        other = point.removesuffix("_EW") if point.endswith("_EW") else f"{point}_EW"
        found = energy_prices(engine, setup, other, actuals.grid, None).values
        known = {n: usd for n, usd in enumerate(found) if not usd.is_nan()}
        if known:
            yield Variant("rule", f"settled at {other}, not at {point}", _priced(actuals, {point: known}))


def _stated_prices(actuals: Actuals, determinants: Sequence[Determinant]) -> Iterable[Variant]:
    """The document's own prices by settlement point; a single one of a kind, at a point that is not ours, counts for every point."""
    position = {over: n for n, over in enumerate(actuals.grid.intervals)}
    for code in PRICES:
        stated = [d for d in determinants if d.code == code]
        by_point = {d.point: {position[over]: usd for over, usd in d.values.items() if over in position} for d in stated}
        if len(stated) == 1 and stated[0].point not in actuals.energy_price:
            by_point = dict.fromkeys(actuals.energy_price, by_point[stated[0].point])
        if stated:
            yield Variant("price version", f"the statement's own {code}", _priced(actuals, by_point))


def _stated_load(actuals: Actuals, determinants: Sequence[Determinant]) -> Iterable[Variant]:
    """The document's own metered load, losses included, shared among the groups as ours is."""
    stated = [d for d in determinants if d.code == LOAD]
    if not stated:
        return
    losses = {g: decimal(actuals.site.meter_of[g].loss_factor) for g in actuals.energy_mwh}
    energy = {g: list(values) for g, values in actuals.energy_mwh.items()}
    for n, over in enumerate(actuals.grid.intervals):
        received = [d.values[over] for d in stated if over in d.values]
        ours = sum((values[n] * losses[g] for g, values in actuals.energy_mwh.items()), ZERO)
        if received and not ours.is_nan() and ours:
            for values in energy.values():
                values[n] *= sum(received, ZERO) / ours
    yield Variant("meter", f"the statement's own metered load ({LOAD})", replace(actuals, energy_mwh=energy))


def _readings(measured: MeasuredDay) -> Iterable[Variant]:
    """Telemetry in place of a meter, and a meter as earlier documents had it."""
    for name, meter in measured.meters.meters.items():
        yield Variant("meter", f"telemetry in place of meter {name}", _with_reading(measured, name, meter.telemetry))
        for vintage, mwh in meter.earlier[:MAX_VINTAGES]:
            yield Variant("meter", f"meter {name} as {vintage.name} had it", _with_reading(measured, name, mwh))


def _with_reading(measured: MeasuredDay, meter: str, mwh: Sequence[Decimal | None]) -> Actuals:
    """The day with another reading of a meter, shared among its groups in proportion to ours."""
    actuals, site = measured.actuals, measured.actuals.site
    energy = {group: list(values) for group, values in actuals.energy_mwh.items()}
    groups = [g.name for g in site.groups if site.meter_of[g.name].id == meter]
    for n, (ours, other) in enumerate(zip(measured.meters.meters[meter].mwh, mwh, strict=True)):
        total = sum((actuals.energy_mwh[g][n] for g in groups), ZERO)
        if ours is None or other is None or other.is_nan() or total.is_nan() or not total:
            continue
        for group in groups:
            energy[group][n] += (other - ours) * actuals.energy_mwh[group][n] / total
    return replace(actuals, energy_mwh=energy)


def _without_losses(actuals: Actuals) -> Iterable[Variant]:
    meters = actuals.site.meters
    if all(m.loss_factor == 1.0 for m in meters):
        return
    factors = ", ".join(f"{m.loss_factor:g}" for m in meters)
    site = actuals.site.model_copy(update={"meters": tuple(m.model_copy(update={"loss_factor": 1.0}) for m in meters)})
    yield Variant("losses", f"without losses, where our factor is {factors}", replace(actuals, site=site))


def _other_losses(actuals: Actuals) -> Variant:
    factors = [float(decimal(m.loss_factor) * LOSSES_TIMES) for m in actuals.site.meters]
    meters = tuple(m.model_copy(update={"loss_factor": f}) for m, f in zip(actuals.site.meters, factors, strict=True))
    return Variant(*OTHER_LOSSES, replace(actuals, site=actuals.site.model_copy(update={"meters": meters})))
