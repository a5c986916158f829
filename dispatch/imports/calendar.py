"""The settlement calendar as the market publishes it: which statement of an operating day is posted, due and disputed by when. Imported,
never computed: holidays and late runs move it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from dispatch.imports import Unreadable
from dispatch.imports.csv_table import day, table
from dispatch.imports.safe_xml import is_xml, local, tree
from optimizer.domain.money import Finding

DATES = {
    "batch": "BATCHDATE",
    "invoice": "INVOICEDATE",
    "due": "INVOICEDUEDATE",
    "payout": "INVOICEPAYOUTDATE",
    "posted": "POSTDATE",
    "dispute": "DISPUTEDATE",
}


@dataclass(frozen=True, slots=True)
class Posting:
    """A statement of an operating day: its type and version, when it is posted, until when it is disputed, and its invoice's days."""

    settlement_type: str
    on: date
    version: str
    batch: date | None = None
    invoice: date | None = None
    due: date | None = None
    payout: date | None = None
    posted: date | None = None
    dispute: date | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """The postings of a calendar, by operating day and posting."""

    postings: tuple[Posting, ...]
    findings: tuple[Finding, ...] = ()

    def of(self, on: date, by: date | None = None) -> tuple[Posting, ...]:
        """The postings of a day, those posted `by` a day where told."""
        return tuple(p for p in self.postings if p.on == on and (by is None or (p.posted is not None and p.posted <= by)))

    def stage(self, on: date, by: date) -> str:
        """How far the market has come with a day: its newest statement posted `by` a day, "shadow" before the first."""
        posted = self.of(on, by)
        return posted[-1].settlement_type if posted else "shadow"


def read_calendar(content: bytes) -> Calendar:
    """A calendar extract, CSV or XML (Settlements_Calendar.xsd). Raises Unreadable."""
    postings: list[Posting] = []
    findings: list[Finding] = []
    rows = list(_rows(content))
    if not rows or not all(c in rows[0][1] for c in ("SETTLEMENTTYPE", "OPERATINGDATE")):
        raise Unreadable("is no settlement calendar: it has no SETTLEMENTTYPE and OPERATINGDATE")
    for where, row in rows:
        try:
            dates = {key: day(row[column]) if row.get(column) else None for key, column in DATES.items()}
            postings.append(Posting(row.get("SETTLEMENTTYPE", ""), day(row.get("OPERATINGDATE", "")), row.get("VERSION", ""), **dates))
        except ValueError as error:
            findings.append(Finding("value", f"{where}: {error}: not used"))
    return Calendar(in_order(postings), tuple(findings))


def in_order(postings: list[Posting]) -> tuple[Posting, ...]:
    """By operating day and posting; of a type and version the one that stands last counts."""
    newest = {(p.on, p.settlement_type, p.version): p for p in postings}
    return tuple(sorted(newest.values(), key=lambda p: (p.on, p.posted or date.max, p.settlement_type)))


def _rows(content: bytes) -> Iterator[tuple[str, Mapping[str, str]]]:
    if is_xml(content):
        for n, element in enumerate((e for e in tree(content).iter() if local(e) == "SETTLEMENT_CALENDAR"), 1):
            yield f"SETTLEMENT_CALENDAR {element.get('num', n)}", {local(c).upper(): (c.text or "").strip() for c in element}
        return
    for line, row in table(content).rows:
        yield f"row {line}", {column.upper().replace(" ", ""): cell for column, cell in row.items()}


def span(calendar: Calendar) -> tuple[date | None, date | None]:
    """The operating days it speaks of."""
    if not calendar.postings:
        return None, None
    return calendar.postings[0].on, calendar.postings[-1].on
