"""A day's statement, assembled from the measured day and its results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from dispatch.settlement import narrative, statement_lines
from dispatch.settlement.counterfactuals import Counterfactuals
from dispatch.settlement.document import DayContent, Figure, Gaps, IntervalRow, Narrative, PromiseRow, UnknownTotal
from dispatch.settlement.document_rows import BilledQuantityRow, ForecastScoreRow, PeakIntervalRow
from dispatch.settlement.gap_rows import coverage
from dispatch.settlement.generation_rows import generation_rows
from dispatch.settlement.measured_day import MeasuredDay
from dispatch.settlement.plan_differences import PlanDifferences
from dispatch.settlement.statement_sections import charge_rows, group_rows
from markets import counted
from markets.grid import interval_label
from optimizer.domain.money import ZERO, Finding, Statement, cents, plain


@dataclass(frozen=True, slots=True)
class DayResults:
    """What was computed from a measured day."""

    bill: Statement
    promises: list[PromiseRow]
    findings: list[Finding]
    strategies: Counterfactuals
    differences: PlanDifferences
    progress: list[Figure]
    billed_quantities: list[BilledQuantityRow]
    gaps: Gaps
    forecast_scores: list[ForecastScoreRow]
    coincident_peaks: list[PeakIntervalRow]


def day_content(measured: MeasuredDay, results: DayResults) -> DayContent:
    """The statement without its place among the versions."""
    day, actuals, bill = measured.record.day, measured.actuals, results.bill
    totals, lines = _totals(bill), statement_lines.line_rows(bill, day.market, measured)
    generation = generation_rows(measured.setup.book, actuals)
    content: DayContent = {
        "date": day.on.isoformat(), "market": day.market.value, "site": actuals.site.name,
        "from": actuals.grid.start.isoformat(), "to": actuals.grid.end.isoformat(),
        "partial": measured.partial, "synthetic": measured.synthetic,
        "worlds": list(dict.fromkeys(run.world for run in measured.record.runs)),
        "known_at": (measured.known_at or day.end).isoformat(),
        "narrative": _narrative(measured, results),
        "energy_mwh": plain(narrative.total(actuals.energy_mwh)), "hash_ph_days": plain(narrative.total(actuals.hash_ph_days)),
        "totals": totals,
        "unknown": _unknown_totals(bill),
        "charges": charge_rows(lines, totals),
        "groups": group_rows(measured),
        "settled_usd": f"{bill.settled_usd:.2f}", "accrued_usd": f"{bill.accrued_usd:.2f}", "net_usd": f"{bill.net_usd:.2f}",
        "net_exact_usd": plain(bill.net_exact_usd),
        "net_covers": _coverage(measured, results.gaps),
        "gaps": results.gaps,
        "counterfactuals": results.strategies.strategies,
        "foresight_gap": results.strategies.foresight_gap,
        "planned_net_usd": f"{cents(results.differences.planned_usd):.2f}",
        "planned_net_exact_usd": plain(results.differences.planned_usd),
        "differences": results.differences.rows,
        "promises": results.promises,
        "contract_progress": results.progress,
        "billed_quantities": results.billed_quantities,
        "forecast_scores": results.forecast_scores,
        "findings": [{"kind": f.kind, "text": f.text} for f in results.findings],
        "notes": [*_notes(measured, results.gaps), *results.strategies.notes, *results.differences.notes],
        "sources": {**actuals.price_source, "hashprice": measured.prices.hashprice.source},
        "meters": measured.meters.rows(),
        "intervals": list(_interval_rows(measured, bill)),
        "lines": lines,
    }  # fmt: skip
    if results.coincident_peaks:
        content["coincident_peaks"] = results.coincident_peaks
    return {**content, "generation": generation} if generation else content


def _totals(bill: Statement) -> dict[str, str | None]:
    known = {f"{obligation}/{charge}": f"{usd:.2f}" for (obligation, charge), usd in bill.totals.items()}
    return {**known, **dict.fromkeys(bill.unknown_names)}


def _unknown_totals(bill: Statement) -> list[UnknownTotal]:
    why = {charge.name: charge.why for charge in reversed(bill.unknown)}
    known = {f"{obligation}/{charge}": usd for (obligation, charge), usd in bill.totals.items()}
    return [{"name": name, "known_usd": f"{known.get(name, ZERO):.2f}", "why": why[name]} for name in bill.unknown_names]


def _narrative(measured: MeasuredDay, results: DayResults) -> Narrative:
    site, actuals, record = measured.actuals.site, measured.actuals, measured.record
    return {
        "earned": narrative.earned(site, actuals, results.bill),
        "why": narrative.why(actuals, results.bill.net_usd, results.strategies.strategies),
        "issues": narrative.issues(measured.setup.book, actuals, record, results.findings),
        "actions": narrative.actions(record, results.findings, estimated=bool(actuals.estimated), partial=measured.partial),
    }


def _interval_rows(measured: MeasuredDay, bill: Statement) -> Iterable[IntervalRow]:
    actuals = measured.actuals
    net: dict[datetime, Decimal] = {}
    for line in bill.lines:
        net[line.over.start] = net.get(line.over.start, ZERO) + line.amount_usd
    for n, over in enumerate(actuals.grid.intervals):
        if n in measured.load.not_run:
            continue
        mwh, hashed = (sum((v[n] for v in by.values() if not v[n].is_nan()), ZERO) for by in (actuals.energy_mwh, actuals.hash_ph_days))
        row: IntervalRow = {
            "start": over.start.isoformat(),
            "end": over.end.isoformat(),
            "label": interval_label(measured.record.day.market, over),
            "energy_mwh": f"{mwh:.6f}",
            "load_mw": f"{float(mwh) / over.hours:.6f}",
            "groups_mw": {g: None if v[n].is_nan() else f"{float(v[n]) / over.hours:.6f}" for g, v in actuals.energy_mwh.items()},
            "hash_ph_days": f"{hashed:.6f}",
            "price_usd_per_mwh": {p: _or_none(v[n]) for p, v in actuals.energy_price.items()},
            "hashprice_usd_per_ph_day": _or_none(actuals.hashprice[n]),
            "net_usd": f"{cents(net.get(over.start, ZERO)):.2f}",
            "unread": measured.load.unread_share[n],
            "source": measured.meters.source(n),
        }
        if measured.meters.is_metered(n) and not measured.meters.rigs_mwh[n].is_nan():
            row["rigs_mwh"] = f"{measured.meters.rigs_mwh[n]:.6f}"
        yield row


def _or_none(value: Decimal) -> str | None:
    return None if value.is_nan() else plain(value)


def _coverage(measured: MeasuredDay, gaps: Gaps) -> str:
    grid, not_run = measured.actuals.grid, measured.actuals.gaps
    return coverage(gaps, len(grid) - len(not_run) - gaps["intervals"], len(measured.record.day.grid()))


def _notes(measured: MeasuredDay, gaps: Gaps) -> Iterable[str]:
    """What a reader must know besides the figures."""
    setup, day, actuals = measured.setup, measured.record.day, measured.actuals
    number = len(actuals.grid)
    if measured.synthetic:
        yield "The market is SYNTHETIC: nothing here was earned or is owed."
    yield _coverage(measured, gaps)
    if measured.partial:
        yield "The site was not run for all of the day: this statement covers a part of it."
    if len({run.config_hash for run in measured.record.runs}) > 1:
        yield "The site file changed during the day or shortly before: the whole day is settled by the last one of the day."
    if actuals.estimated:
        yield f"{len(actuals.estimated)} of {counted(number, 'interval')} settle on estimates."
    metered = len(measured.meters.fully_metered)
    if metered:
        yield f"Energy of {metered} of {counted(number, 'interval')} is by revenue meter, shared among groups in proportion to telemetry."
    live = len({n for meter in measured.meters.meters.values() for n in meter.live})
    if live:
        missing = f"The market's meter data is missing for {live} of {counted(number, 'interval')}"
        yield f"{missing}; they settle on the site's own readings of the meter."
    if metered < number:
        yield "Energy without a meter reading is telemetry at the rigs plus the halls' overhead at the outside temperature."
    if len(actuals.generated_mwh) > len(actuals.available_mwh):
        yield "Generation is the schedule in force, following the load within the meter's limits, where it is not metered."
    if actuals.available_mwh:
        yield "What wind and solar plants made is what they could make by measurement, as far as load and the meter's export limit take it."
    final = setup.rules.find(f"{day.market.value}.real_time_price_final", day.on)
    if final is not None and not measured.synthetic:
        yield f"{final.text} ({final.published})"
    for text in setup.rules.unverified(day.market, day.on, [o.type for o in setup.book]):
        yield f"Not verified: {text}"
