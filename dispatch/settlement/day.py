"""The day's settlement: made from roll-ups and the newest prices, kept in versions that never change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from dispatch.entries import canonical
from dispatch.settlement import narrative, statement_lines
from dispatch.settlement.actuals import Measured, measure
from dispatch.settlement.contract_standing import standing
from dispatch.settlement.counterfactuals import by_cause, otherwise
from dispatch.settlement.day_journal import DayRecord, of_day
from dispatch.settlement.obligations_kept import promised
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import statements
from dispatch.store.journal import SqlJournal
from dispatch.store.received import settlement_calendar
from dispatch.store.telemetry import Telemetry
from markets.grid import Market, OperatingDay, interval_label
from optimizer.domain.money import ZERO, Finding, Statement, cents, plain
from optimizer.settlement.settle import settle

# What does not make a new version: where in the order of versions it stands, how far the market and the journal had come.
_FRAME = ("version", "stage", "delta", "journal_head")
UNKEPT = 0


def settle_day(
    engine: Engine,
    telemetry: Telemetry,
    day: OperatingDay,
    setup: Setup,
    *,
    known_at: datetime | None = None,
    version: int | None = None,
) -> dict[str, Any]:
    """The day's statement as JSON values (CONTRACT `settle --json`).

    Without more, it is settled with what is known now: on the same inputs as the newest kept version it is that version again, else the
    next one, with its `delta`. `version` gives a kept version as it was. `known_at` settles with prices known by then; when that is no
    kept version, it is version 0 and not kept. Raises LookupError in words when nothing was run or kept, LedgerUnavailable, JournalBroken.
    """
    market = setup.site.market
    if version is not None:
        kept = statements.kept(engine, day.on, market.value, version)
        if kept is None:
            raise LookupError(f"version {version} of {day.on.isoformat()} was never made")
        return _read(kept)
    core = _settled(engine, telemetry, day, setup, known_at)
    newest = statements.kept(engine, day.on, market.value)
    if known_at is not None:
        same = next((d for d in _versions(engine, day, market, newest) if _same(d, core)), None)
        return same or _framed(engine, core, UNKEPT, None)
    before = _read(newest) if newest else None
    if before is not None and _same(before, core):
        return before
    document = _framed(engine, core, (newest.version if newest else 0) + 1, before)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    vintage = datetime.fromisoformat(core["known_at"])
    try:
        statements.keep(engine, day.on, market.value, document["version"], text, vintage, document["journal_head"])
    except ValueError:  # another process settled the day at the same time: its version stands
        return settle_day(engine, telemetry, day, setup)
    return _read_text(text)


def _read(kept: statements.Kept) -> dict[str, Any]:
    return _read_text(kept.document)


def _read_text(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document


def _versions(engine: Engine, day: OperatingDay, market: Market, newest: statements.Kept | None) -> list[dict[str, Any]]:
    numbers = range(newest.version if newest else 0, 0, -1)
    return [_read(kept) for n in numbers if (kept := statements.kept(engine, day.on, market.value, n))]


def _same(document: Mapping[str, Any], core: Mapping[str, Any]) -> bool:
    return canonical({k: v for k, v in document.items() if k not in _FRAME}) == canonical(dict(core))


def _framed(engine: Engine, core: dict[str, Any], version: int, before: Mapping[str, Any] | None) -> dict[str, Any]:
    seq, head = SqlJournal(engine).head
    first = {k: core[k] for k in ("date", "market")}
    known = datetime.fromisoformat(core["known_at"])
    stage = settlement_calendar(engine).stage(date.fromisoformat(core["date"]), known.date())
    return {**first, "version": version, "stage": stage, **core, "delta": _delta(before, core), "journal_head": f"{seq}:{head}"}


def _delta(before: Mapping[str, Any] | None, core: Mapping[str, Any]) -> dict[str, Any] | None:
    """What changed against the version before, by line of the totals."""
    if before is None:
        return None
    names = list(dict.fromkeys([*core["totals"], *before["totals"]]))
    moved = {n: Decimal(core["totals"].get(n, "0")) - Decimal(before["totals"].get(n, "0")) for n in names}
    net = Decimal(core["net_usd"]) - Decimal(before["net_usd"])
    totals = {n: f"{usd:.2f}" for n, usd in moved.items() if usd}
    return {"version": before["version"], "net_usd": f"{net:.2f}", "totals": totals}


def measured_day(
    engine: Engine, telemetry: Telemetry, day: OperatingDay, setup: Setup, known_at: datetime | None = None
) -> tuple[Setup, DayRecord, Measured]:
    """What a day settles on: the site file it was run under, what the journal says of it, and its actuals. Raises LookupError when nothing
    of it was run, LedgerUnavailable, JournalBroken."""
    record = of_day(engine, day, known_at)
    if record.run is not None and record.run.config_hash != setup.hash_id:
        # A day is settled by the site file it was run under, not by a later one.
        setup = replace(setup_from_document(record.run.config), path=setup.path)
        telemetry = telemetry.read_as(setup.site)
    return setup, record, measure(engine, telemetry, setup, record, known_at)


def _settled(engine: Engine, telemetry: Telemetry, day: OperatingDay, setup: Setup, known_at: datetime | None) -> dict[str, Any]:
    """The statement without its place among the versions."""
    setup, record, measured = measured_day(engine, telemetry, day, setup, known_at)
    bill = settle(setup.book, measured.actuals)
    findings = [f for f in bill.findings if f.kind != "estimated"]
    kept, breaches = promised(setup, measured)
    findings += [*_below_floor(setup, day, measured), *measured.meters.findings(setup.site, measured.actuals.grid), *breaches]
    others = otherwise(engine, setup, measured, record)
    causes, more = by_cause(setup, measured, record)
    return {
        "date": day.on.isoformat(),
        "market": day.market.value,
        "site": setup.site.name,
        "from": measured.actuals.grid.start.isoformat(),
        "to": measured.actuals.grid.end.isoformat(),
        "partial": not measured.whole,
        "synthetic": setup.prices.source == "synthetic",
        "worlds": list(dict.fromkeys(run.world for run in record.runs)),
        "known_at": (measured.known_at or day.end).isoformat(),
        "story": _story(setup, measured, record, bill, others.ways, findings),
        "energy_mwh": plain(narrative.total(measured.actuals.energy_mwh)),
        "hash_ph_days": plain(narrative.total(measured.actuals.hash_ph_days)),
        "totals": {f"{o}/{charge}": f"{usd:.2f}" for (o, charge), usd in bill.totals.items()},
        "net_usd": f"{bill.net_usd:.2f}",
        "net_exact_usd": plain(bill.net_exact_usd),
        "counterfactuals": others.ways,
        "gap": others.gap,
        **causes,
        "promises": kept,
        "standing": standing(setup, measured, day),
        "findings": [{"kind": f.kind, "text": f.text} for f in findings],
        "notes": [*_notes(setup, day, measured, record), *others.remarks, *more],
        "sources": {**measured.actuals.price_source, "hashprice": measured.hash_source},
        "meters": measured.meters.document(),
        "intervals": _intervals(measured, bill, day.market),
        "lines": statement_lines.rows(bill, day.market, setup, measured),
    }


def _story(
    setup: Setup, measured: Measured, record: DayRecord, bill: Statement, ways: dict[str, Any], findings: list[Finding]
) -> dict[str, Any]:
    return {
        "earned": narrative.earned(setup, measured, bill),
        "why": narrative.why(setup, measured, bill.net_usd, ways),
        "wrong": narrative.wrong(setup, measured, record, findings),
        "person": narrative.person(setup, measured, record, findings),
    }


def _intervals(measured: Measured, bill: Statement, market: Market) -> list[dict[str, Any]]:
    """A row an interval for people: load, prices, and the net of every line."""
    a = measured.actuals
    net: dict[datetime, Decimal] = {}
    for line in bill.lines:
        net[line.over.start] = net.get(line.over.start, ZERO) + line.amount_usd
    rows = []
    for n, over in enumerate(a.grid.intervals):
        mwh, hashed = (sum((v[n] for v in by.values() if not v[n].is_nan()), ZERO) for by in (a.energy_mwh, a.hash_ph_days))
        rows.append(
            {
                "start": over.start.isoformat(),
                "end": over.end.isoformat(),
                "label": interval_label(market, over),
                "energy_mwh": f"{mwh:.6f}",
                "load_mw": f"{float(mwh) / over.hours:.6f}",
                "groups_mw": {g: None if v[n].is_nan() else f"{float(v[n]) / over.hours:.6f}" for g, v in a.energy_mwh.items()},
                "hash_ph_days": f"{hashed:.6f}",
                "price_usd_per_mwh": {p: None if v[n].is_nan() else plain(v[n]) for p, v in a.energy_price.items()},
                "hashprice_usd_per_ph_day": None if a.hashprice[n].is_nan() else plain(a.hashprice[n]),
                "net_usd": f"{cents(net.get(over.start, ZERO)):.2f}",
                "unread": measured.unread[n],
                "source": measured.meters.source(n),
            }
        )
    return rows


def _below_floor(setup: Setup, day: OperatingDay, measured: Measured) -> list[Finding]:
    """ERCOT never publishes a real-time settlement point price under its floor: such a price is wrong, and is billed as published."""
    rule = setup.rules.find(f"{day.market.value}.price_floor", day.on)
    if rule is None or not rule.verified:
        return []
    found = []
    for point, values in measured.actuals.energy_price.items():
        under = [v for v in values if not v.is_nan() and v < Decimal(str(rule.value))]
        if under:
            text = f"{len(under)} prices at {point} are below {rule.value} $/MWh ({rule.published}), lowest {min(under)}"
            found.append(Finding("price-below-floor", text))
    return found


def _notes(setup: Setup, day: OperatingDay, measured: Measured, record: DayRecord) -> list[str]:
    """What a reader must know besides the figures."""
    notes = []
    if setup.prices.source == "synthetic":
        notes.append("The market is SYNTHETIC: nothing here was earned or is owed.")
    if not measured.whole:
        notes.append("The site was not run for all of the day: this statement covers a part of it.")
    if len({run.config_hash for run in record.runs}) > 1:
        notes.append("The site file changed during the day or shortly before: all of the day is settled by the last one of the day.")
    if measured.actuals.estimated:
        notes.append(f"{len(measured.actuals.estimated)} of {len(measured.unread)} intervals settle on estimates.")
    metered, of = len(measured.meters.whole), len(measured.unread)
    if metered:
        notes.append(f"Energy of {metered} of {of} intervals is the meters' own, shared among the groups as telemetry shares it.")
    if metered < of:
        notes.append("Energy is telemetry at the rigs plus the halls' overhead by temperature, not a revenue meter's.")
    if measured.actuals.generated_mwh:
        notes.append("What generators made is the schedule in force, following the load within the line's limits: not metered.")
    final = setup.rules.find(f"{day.market.value}.real_time_price_final", day.on)
    if final is not None and setup.prices.source != "synthetic":
        notes.append(f"{final.text} ({final.published})")
    return [*notes, *(f"Not verified: {text}" for text in setup.rules.unverified(day.market, day.on, [type(o).type for o in setup.book]))]
