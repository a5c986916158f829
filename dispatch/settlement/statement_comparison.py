"""A received statement beside ours: the days settled once more with one thing changed each, to show what the other side did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from dispatch.imports.charge_codes import ours_of, should_hold
from dispatch.imports.statement import Determinant, Received, StatementMap
from dispatch.settlement import prices
from dispatch.settlement.actuals import Measured
from dispatch.settlement.day import measured_day
from dispatch.site_file.setup import Setup
from dispatch.store.telemetry import Telemetry
from markets.grid import Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.money import ZERO, Finding, Line, cents, decimal
from optimizer.settlement.reconcile import Alternative, Claim, Difference, compare, stands_for
from optimizer.settlement.settle import settle

# Vintages of a price or a meter that are tried, the newest first.
TRIED = 6
DAYS_AT_MOST = 400
# ERCOT's determinants: metered load with losses, and the price it settles at.
LOAD, PRICES = "RTAML", ("RTSPPEW", "RTSPP")
Changed = tuple[str, str, Actuals]  # cause, words, the day with one thing changed
Key = tuple[str, str]  # cause and words


@dataclass(slots=True)
class Days:
    """Our lines of some days, their printed totals, and the same days with one thing changed."""

    lines: list[Line] = field(default_factory=list)
    totals: dict[str, Decimal] = field(default_factory=dict)
    changed: dict[Key, list[Line]] = field(default_factory=dict)
    own: dict[date, list[Line]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, on: date, lines: Sequence[Line], totals: Mapping[str, Decimal], changed: Mapping[Key, Sequence[Line]]) -> None:
        self.lines += lines
        self.own[on] = list(lines)
        for name, usd in totals.items():
            self.totals[name] = self.totals.get(name, ZERO) + usd
        before = [line for day, of in self.own.items() if day != on for line in of]
        for key in {**self.changed, **changed}:
            # A day on which nothing could be changed stays as it is.
            self.changed[key] = [*self.changed.get(key, before), *changed.get(key, lines)]

    def usd(self, patterns: Sequence[str]) -> Decimal:
        return sum((usd for name, usd in self.totals.items() if stands_for(patterns, name)), ZERO)


def compared(
    engine: Engine, telemetry: Telemetry, setup: Setup, received: Received, how: StatementMap, known_at: datetime | None = None
) -> dict[str, Any]:
    """The document's charges against ours, as JSON values: `differences` a row a charge, `findings` what could not be compared.

    Raises LookupError when nothing of its days was run, LedgerUnavailable, JournalBroken."""
    market = setup.site.market
    findings = list(received.findings)
    claims: list[tuple[Claim, str]] = []
    for charge in received.charges:
        ours = ours_of(charge.code, how, market)
        if not ours and charge.code not in how.leave:
            what = f"{charge.where}: {charge.code} {charge.amount_usd:.2f} $"
            findings.append(Finding("unknown-charge", f"{what} is no charge we settle: say in a map which it is, or `leave` it"))
        if ours:
            claims.append((Claim(charge.code, charge.amount_usd, ours, charge.by_interval), _span(charge.first, charge.last)))
    by_span: dict[str, Days] = {}
    rows = [_row(claim, span, _days(engine, telemetry, setup, received, span, known_at, by_span)) for claim, span in claims]
    whole = _span(received.first, received.last)
    named = {claim.code for claim, _ in claims}
    for code, patterns in should_hold(received, how, market).items():
        days = _days(engine, telemetry, setup, received, whole, known_at, by_span)
        if not any(set(patterns) & set(claim.ours) for claim, _ in claims) and code not in named and days.usd(patterns):
            rows.append(_row(Claim(code, ZERO, patterns), whole, days))
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
    alternatives = [Alternative(cause, text, tuple(lines)) for (cause, text), lines in days.changed.items()]
    found: Difference = compare(claim, days.lines, days.usd(claim.ours), alternatives)
    names = sorted({line.name for line in days.lines if stands_for(claim.ours, line.name)})
    return {
        "charge": found.code,
        "days": span,
        "ours": names or list(claim.ours),
        "ours_usd": _usd(found.ours_usd),
        "received_usd": _usd(found.received_usd),
        "difference_usd": _usd(found.difference_usd),
        "agrees": found.agrees,
        "causes": [{"cause": p.cause, "usd": _usd(p.usd), "intervals": p.intervals, "text": p.text} for p in found.parts],
        "unexplained_usd": _usd(found.unexplained_usd),
    }


def _usd(usd: Decimal) -> str:
    return f"{cents(usd) + 0:.2f}"


def _days(
    engine: Engine, telemetry: Telemetry, setup: Setup, received: Received, span: str, known_at: datetime | None, kept: dict[str, Days]
) -> Days:
    """The days of a span, settled once. Raises LookupError when none was run."""
    if span in kept:
        return kept[span]
    first, last = (date.fromisoformat(text) for text in span.split(".."))
    if (last - first).days >= DAYS_AT_MOST:
        raise LookupError(f"{span}: more than {DAYS_AT_MOST} days")
    days = Days()
    for on in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        try:
            ran, _, measured = measured_day(engine, telemetry, OperatingDay(setup.site.market, on), setup, known_at)
        except LookupError as error:
            days.missing.append(str(error.args[0] if error.args else error))
            continue
        bill = settle(ran.book, measured.actuals)
        totals = {f"{o}/{charge}": usd for (o, charge), usd in bill.totals.items()}
        changed = {(cause, text): settle(ran.book, actuals).lines for cause, text, actuals in changes(engine, ran, measured, received)}
        days.add(on, bill.lines, totals, changed)
    if not days.lines and days.missing:
        raise LookupError("; ".join(days.missing))
    kept[span] = days
    return days


def changes(engine: Engine, setup: Setup, measured: Measured, received: Received) -> list[Changed]:
    """A day's actuals with one thing changed each, and with two where a price and a reading may both be other ones."""
    told = received.determinants
    priced = [*_told_prices(measured.actuals, told), *_vintages(measured), *_points(engine, setup, measured)]
    read = [*_told_load(measured.actuals, told), *_readings(measured)]
    changed = [*priced, *read, *_losses(measured.actuals)]
    for cause, text, actuals in priced[:TRIED]:
        for _, words, other in read[:2]:
            both = replace(actuals, energy_mwh=other.energy_mwh)
            changed.append((f"{cause} and meter", f"{text}; {words}", both))
    return changed


def _vintages(measured: Measured) -> Iterable[Changed]:
    """The prices as they were first published, then as they were known before each later correction."""
    older = {p: s.superseded for p, s in measured.prices.items() if s.superseded}
    if not older:
        return
    first = {p: {n: usd for n, _, usd in reversed(of)} for p, of in older.items()}
    yield "price version", "the price as first published, corrected since", _priced(measured.actuals, first)
    again = {at for of in older.values() for k, (n, at, _) in enumerate(of) if any(n == m for m, _, _ in of[:k])}
    for until in sorted(again, reverse=True)[:TRIED]:
        then = {p: {n: usd for n, at, usd in of if at <= until} for p, of in older.items()}
        yield "price version", f"the price known at {until:%Y-%m-%dT%H:%M:%SZ}, corrected since", _priced(measured.actuals, then)


def _priced(actuals: Actuals, usd: Mapping[str, Mapping[int, Decimal]]) -> Actuals:
    """The day at other prices: by settlement point and position; where nothing is said, at its own."""
    changed = {p: [usd.get(p, {}).get(n, own) for n, own in enumerate(values)] for p, values in actuals.energy_price.items()}
    return replace(actuals, energy_price=changed)


def _points(engine: Engine, setup: Setup, measured: Measured) -> Iterable[Changed]:
    """The load zone's price in place of the energy-weighted one, or the other way round: metered load settles at the latter (6.6.3.2)."""
    actuals = measured.actuals
    if setup.site.market is not Market.ERCOT:
        return
    for point in (p for p in actuals.energy_price if p.startswith("LZ_")):
        other = point.removesuffix("_EW") if point.endswith("_EW") else f"{point}_EW"
        found = prices.energy(engine, setup, other, actuals.grid, None).values
        known = {n: usd for n, usd in enumerate(found) if not usd.is_nan()}
        if known:
            yield "rule", f"settled at {other}, not at {point}", _priced(actuals, {point: known})


def _told_prices(actuals: Actuals, determinants: Sequence[Determinant]) -> Iterable[Changed]:
    """The document's own prices: by settlement point, or where it has but one of a kind, that for all."""
    at = {over: n for n, over in enumerate(actuals.grid.intervals)}
    for code in PRICES:
        told = [d for d in determinants if d.code == code]
        by_point = {d.point: {at[over]: usd for over, usd in d.values.items() if over in at} for d in told}
        if len(told) == 1 and told[0].point not in actuals.energy_price:
            by_point = dict.fromkeys(actuals.energy_price, by_point[told[0].point])
        if told:
            yield "price version", f"the statement's own {code}", _priced(actuals, by_point)


def _told_load(actuals: Actuals, determinants: Sequence[Determinant]) -> Iterable[Changed]:
    """The document's own metered load, losses included, shared among the groups as ours is."""
    told = [d for d in determinants if d.code == LOAD]
    if not told:
        return
    losses = {g: decimal(actuals.site.meter_of[g].loss_factor) for g in actuals.energy_mwh}
    energy = {g: list(values) for g, values in actuals.energy_mwh.items()}
    for n, over in enumerate(actuals.grid.intervals):
        said = [d.values[over] for d in told if over in d.values]
        ours = sum((values[n] * losses[g] for g, values in actuals.energy_mwh.items()), ZERO)
        if said and not ours.is_nan() and ours:
            for values in energy.values():
                values[n] *= sum(said, ZERO) / ours
    yield "meter", f"the statement's own metered load ({LOAD})", replace(actuals, energy_mwh=energy)


def _readings(measured: Measured) -> Iterable[Changed]:
    """Telemetry in place of the meter, and the meter as earlier documents had it."""
    for name, one in measured.meters.meters.items():
        yield "meter", f"telemetry in place of meter {name}", _as_read(measured, name, list(one.telemetry))
        for vintage, mwh in one.earlier[:TRIED]:
            yield "meter", f"meter {name} as {vintage.name} had it", _as_read(measured, name, list(mwh))


def _as_read(measured: Measured, meter: str, mwh: Sequence[Decimal | None]) -> Actuals:
    """The day with another reading of a meter, shared as ours is."""
    actuals, site = measured.actuals, measured.actuals.site
    energy = {group: list(values) for group, values in actuals.energy_mwh.items()}
    behind = [g.name for g in site.groups if site.meter_of[g.name].id == meter]
    for n, (was, told) in enumerate(zip(measured.meters.meters[meter].mwh, mwh, strict=True)):
        whole = sum((actuals.energy_mwh[g][n] for g in behind), ZERO)
        if was is None or told is None or told.is_nan() or whole.is_nan() or not whole:
            continue
        for group in behind:
            energy[group][n] += (told - was) * actuals.energy_mwh[group][n] / whole
    return replace(actuals, energy_mwh=energy)


def _losses(actuals: Actuals) -> Iterable[Changed]:
    """No losses at all."""
    if all(m.loss_factor == 1.0 for m in actuals.site.meters):
        return
    factors = ", ".join(f"{m.loss_factor:g}" for m in actuals.site.meters)
    bare = actuals.site.model_copy(update={"meters": tuple(m.model_copy(update={"loss_factor": 1.0}) for m in actuals.site.meters)})
    yield "losses", f"without losses, where our factor is {factors}", replace(actuals, site=bare)
