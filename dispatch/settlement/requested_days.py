"""The days that a settlement request names ("latest", a month, a span), and the settlement of one day or of several in a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from dispatch.settlement.day import settle_day
from dispatch.settlement.document import DayStatement, MonthStatement
from dispatch.settlement.month import add_up
from dispatch.settlement.tenant_statement import tenant_statement
from dispatch.site_file.setup import Setup
from dispatch.store import JournalBroken
from dispatch.store.journal import SqlJournal
from dispatch.store.telemetry import Telemetry
from dispatch.store.verify import verify
from markets.grid import Market, OperatingDay

MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
DAYS = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True, slots=True)
class SpanSettlement:
    """The days of a span added up, and why each missing day is missing."""

    document: MonthStatement
    missing: Mapping[date, str]


def parse_span(text: str) -> tuple[date, date] | None:
    """First and last day of "2026-08" or "2026-06-01..2026-08-31"; None for any other form. Raises ValueError for impossible days."""
    if found := MONTH.fullmatch(text):
        first = date(int(found[1]), int(found[2]), 1)
        return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    if found := DAYS.fullmatch(text):
        try:
            first, last = date.fromisoformat(found[1]), date.fromisoformat(found[2])
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from None
        if last < first:
            raise ValueError(f"{text}: the last day is before the first")
        return first, last
    return None


def newest_day(engine: Engine, market: Market) -> date:
    """The operating day of the newest plan; the observation that closes a run may already fall on the next day. Raises LookupError."""
    journal = SqlJournal(engine)
    last = journal.last_at("Planned") or journal.last_at()
    if last is None:
        raise LookupError("nothing has run on this data folder yet")
    return OperatingDay.of(market, last).on


def settle_requested_day(
    engine: Engine, telemetry: Telemetry, setup: Setup, on: date, known_at: datetime | None, version: int | None
) -> DayStatement:
    """The statement of a day. Only a kept version is given when the journal's hash chain is broken.

    Raises JournalBroken naming every break, LookupError when the day was not run or the version does not exist."""
    if version is None and (broken := verify(engine).findings):
        advice = f"{on} is not settled again from a broken journal; --version N prints a version that was kept"
        raise JournalBroken("\n".join([*(f.text for f in broken), advice]))
    return settle_day(engine, telemetry, OperatingDay(setup.site.market, on), setup, known_at=known_at, version=version)


def settle_span(
    engine: Engine, telemetry: Telemetry, setup: Setup, span: tuple[date, date], known_at: datetime | None, tenant: str | None = None
) -> SpanSettlement:
    """Settle each day from the first to the last of `span` and add them up, or what one tenant has of them. Raises LookupError when no day
    of it was run, or no rig is the tenant's."""
    first, last = span
    settled, missing = [], {}
    for on in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        try:
            settled.append(settle_day(engine, telemetry, OperatingDay(setup.site.market, on), setup, known_at=known_at))
        except LookupError as error:
            missing[on] = str(error.args[0] if error.args else error)
    if not settled:
        raise LookupError(f"no day from {first} to {last} was run")
    if tenant is not None:
        settled = [tenant_statement(d, setup, tenant) for d in settled]
    return SpanSettlement(add_up(settled, first, last), missing)
