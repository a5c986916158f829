"""A received statement beside ours: the days settled once more with one thing changed each, to show what the other side did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from dispatch.config import Setup
from dispatch.received.codes import ours_of, should_hold
from dispatch.received.statement import Determinant, Received, StatementMap
from dispatch.reports import prices
from dispatch.reports.day import measured_day
from dispatch.reports.measured import Measured
from dispatch.store.telemetry import Telemetry
from markets.grid import Grid, Market, OperatingDay
from optimizer.actuals import Actuals
from optimizer.compare import Alternative, Claim, Difference, compare, stands_for
from optimizer.money import ZERO, Finding, Line, cents
from optimizer.settle import settle

NAN = Decimal("NaN")
# Vintages of a price or a meter that are tried, the newest first.
TRIED = 6
DAYS_AT_MOST = 400
# ERCOT's determinants: metered load with losses, and the price it settles at.
LOAD, PRICES = ("RTAML", "RTAMLQ"), ("RTSPPEW", "RTSPP")
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
        return sum((usd for name, usd in self.totals.items() if any(_fits(name, p) for p in patterns)), ZERO)


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
            words = (
                f"{charge.where}: {charge.code} {charge.amount_usd:.2f} $ is no charge we settle: say in a map which it is, or `leave` it"
            )
            findings.append(Finding("unknown-charge", words))
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


def _fits(name: str, pattern: str) -> bool:
    obligation, _, charge = pattern.partition("/")
    return name.endswith(f"/{charge}") if obligation == "*" else name == pattern


def _row(claim: Claim, span: str, days: Days) -> dict[str, Any]:
    alternatives = [Alternative(cause, text, tuple(lines)) for (cause, text), lines in days.changed.items()]
    found: Difference = compare(claim, days.lines, days.usd(claim.ours), alternatives)
    names = sorted({f"{line.obligation}/{line.charge_type}" for line in days.lines if stands_for(claim.ours, line)})
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
    priced = [
        *_told_prices(measured.actuals, received.determinants),
        *_vintages(engine, setup, measured),
        *_points(engine, setup, measured),
    ]
    read = [*_told_load(measured.actuals, received.determinants), *_readings(measured)]
    changed = [*priced, *read, *_losses(measured.actuals)]
    for cause, text, actuals in priced[:TRIED]:
        for _, words, other in read[:2]:
            both = replace(actuals, energy_mwh=other.energy_mwh)
            changed.append((f"{cause} and meter", f"{text}; {words}", both))
    return changed


def _vintages(engine: Engine, setup: Setup, measured: Measured) -> Iterable[Changed]:
    """Each earlier vintage of the prices."""
    actuals = measured.actuals
    for at in sorted({at for s in measured.prices.values() for _, at in s.superseded}, reverse=True)[:TRIED]:
        then = {p: prices.energy(engine, setup, p, actuals.grid, at).values for p in actuals.energy_price}
        filled = {p: [o if t.is_nan() else t for t, o in zip(then[p], own, strict=True)] for p, own in actuals.energy_price.items()}
        yield "price version", f"the price known at {at:%Y-%m-%dT%H:%M:%SZ}, corrected since", replace(actuals, energy_price=filled)


def _points(engine: Engine, setup: Setup, measured: Measured) -> Iterable[Changed]:
    """The load zone's price in place of the energy-weighted one, or the other way round: metered load settles at the latter (6.6.3.2)."""
    actuals = measured.actuals
    if setup.site.market is not Market.ERCOT:
        return
    other = {p: p.removesuffix("_EW") if p.endswith("_EW") else f"{p}_EW" for p in actuals.energy_price if p.startswith("LZ_")}
    found = {p: prices.energy(engine, setup, q, actuals.grid, None).values for p, q in other.items()}
    known = {p: values for p, values in found.items() if not all(v.is_nan() for v in values)}
    for p, values in known.items():
        filled = [o if v.is_nan() else v for v, o in zip(values, actuals.energy_price[p], strict=True)]
        yield "rule", f"settled at {other[p]}, not at {p}", replace(actuals, energy_price={**actuals.energy_price, p: filled})


def _told_prices(actuals: Actuals, determinants: Sequence[Determinant]) -> Iterable[Changed]:
    """The document's own prices."""
    for code in PRICES:
        told = [d for d in determinants if d.code.startswith(code) and (code != "RTSPP" or not d.code.startswith("RTSPPEW"))]
        of_point = {d.point: d for d in told}
        if not told:
            continue
        changed = {
            p: _filled(actuals.grid, (of_point.get(p) or (told[0] if len(told) == 1 else Determinant(code, p, {}))).values, own)
            for p, own in actuals.energy_price.items()
        }
        yield "price version", f"the statement's own {code}", replace(actuals, energy_price=changed)


def _filled(grid: Grid, told: Mapping[Any, Decimal], own: Sequence[Decimal]) -> list[Decimal]:
    return [told.get(over, usd) for over, usd in zip(grid.intervals, own, strict=True)]


def _told_load(actuals: Actuals, determinants: Sequence[Determinant]) -> Iterable[Changed]:
    """The document's own metered load, losses included, shared among the groups as ours is."""
    told = [d for d in determinants if d.code in LOAD]
    if not told:
        return
    site = actuals.site
    load: dict[Any, Decimal] = {}
    for determinant in told:
        for over, mwh in determinant.values.items():
            load[over] = load.get(over, ZERO) + mwh

    def scaled(n: int) -> Decimal:
        over = actuals.grid.intervals[n]
        ours = [values[n] * _loss(site, group) for group, values in actuals.energy_mwh.items()]
        whole = sum(ours, ZERO)
        return load[over] / whole if over in load and not whole.is_nan() and whole else Decimal(1)

    yield "meter", f"the statement's own metered load ({told[0].code})", _times(actuals, scaled)


def _loss(site: Any, group: str) -> Decimal:
    return Decimal(repr(site.meter_of[group].loss_factor))


def _times(actuals: Actuals, factor: Callable[[int], Decimal]) -> Actuals:
    factors = [factor(n) for n in range(len(actuals.grid))]
    return replace(actuals, energy_mwh={g: [v * f for v, f in zip(of, factors, strict=True)] for g, of in actuals.energy_mwh.items()})


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


def as_csv_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """The differences as rows of a table, causes spelled out."""
    head = ["charge", "days", "ours", "ours_usd", "received_usd", "difference_usd", "cause", "cause_usd", "text"]
    rows = [head]
    for d in document["differences"]:
        first = [d["charge"], d["days"], " ".join(d["ours"]), d["ours_usd"], d["received_usd"], d["difference_usd"]]
        causes = [[c["cause"], c["usd"], c["text"]] for c in d["causes"]] or [
            ["" if d["agrees"] else "unexplained", d["unexplained_usd"], ""]
        ]
        rows += [[*first, *cause] for cause in causes]
    return rows
