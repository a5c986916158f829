"""The settlement of an operating day: from the journal, telemetry roll-ups, meters and prices to a kept version of its statement."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine

from dispatch.settlement import versions
from dispatch.settlement.contract_progress import billed_quantities, contract_findings, contract_progress
from dispatch.settlement.counterfactuals import counterfactuals
from dispatch.settlement.day_content import DayResults, day_content
from dispatch.settlement.day_forecasts import forecast_scores
from dispatch.settlement.day_peaks import coincident_peaks
from dispatch.settlement.document import DayStatement
from dispatch.settlement.findings import day_findings
from dispatch.settlement.gap_rows import gaps_of
from dispatch.settlement.measured_day import measure_day
from dispatch.settlement.plan_differences import plan_differences
from dispatch.settlement.promises import promises_kept
from dispatch.site_file.setup import Setup
from dispatch.store.telemetry import Telemetry
from markets.grid import OperatingDay
from optimizer.settlement.settle import settle


def settle_day(
    engine: Engine,
    telemetry: Telemetry,
    day: OperatingDay,
    setup: Setup,
    *,
    known_at: datetime | None = None,
    version: int | None = None,
) -> DayStatement:
    """The day's statement (docs/reference/settlement.md).

    By default it is settled with what is known now: the newest kept version when its content is the same, else the next version, with its
    `delta`. `known_at` settles with what was known at that instant: a kept version, or version 0, which is not kept. `version` gives that
    kept version. Raises LookupError when nothing was run on the day or there is no such version, LedgerUnavailable, JournalBroken.
    """
    if version is not None:
        return versions.kept_version(engine, day, version)
    measured = measure_day(engine, telemetry, day, setup, known_at)
    book, actuals = measured.setup.book, measured.actuals
    bill = settle(book, actuals, round_each_interval=measured.setup.reports.rounding == "interval")
    promises, breaches = promises_kept(book, actuals)
    findings = day_findings(measured, bill, [*breaches, *contract_findings(book, actuals, day)])
    strategies = counterfactuals(measured)
    differences = plan_differences(book, actuals, measured.record.plans)
    progress, billed = contract_progress(book, actuals, day), billed_quantities(book, actuals)
    figures = progress, billed, gaps_of(book, actuals), forecast_scores(measured), coincident_peaks(measured)
    content = day_content(measured, DayResults(bill, promises, findings, strategies, differences, *figures))
    if known_at is not None:
        return versions.version_known_then(engine, day, content)
    return versions.current_version(engine, day, content)
