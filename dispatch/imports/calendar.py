"""The settlement calendar as the market publishes it: which statement of an operating day is posted, due and disputed by when. Imported,
never computed: holidays and late runs move it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from dispatch.imports import UnreadableDocument
from dispatch.imports.csv_table import parse_day, read_table
from dispatch.imports.safe_xml import is_xml, local_name, parse_xml
from optimizer.domain.money import Finding

# The stage of a day before the market has posted any statement of it.
BEFORE_THE_FIRST = "unposted"

# By word in a market's own name of a statement, what kind it is; MISO counts the days after the operating day.
STATEMENT_TYPES = {
    "INITIAL": "initial",
    "FINAL": "final",
    "TRUEUP": "true-up",
    "RESETTLEMENT": "resettlement",
    "S7": "initial",
    "S14": "resettlement",
    "S55": "resettlement",
    "S105": "final",
    "UNPOSTED": BEFORE_THE_FIRST,
}

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
class SettlementCalendar:
    """The postings of a calendar, by operating day and posting."""

    postings: tuple[Posting, ...]
    findings: tuple[Finding, ...] = ()

    def of(self, on: date, by: date | None = None) -> tuple[Posting, ...]:
        """The postings of a day, those posted `by` a day when it is given."""
        return tuple(p for p in self.postings if p.on == on and (by is None or (p.posted is not None and p.posted <= by)))

    def stage(self, on: date, by: date) -> str:
        """How far the market has come with a day: its newest statement posted `by` a day, "unposted" before the first."""
        posted = self.of(on, by)
        return posted[-1].settlement_type if posted else BEFORE_THE_FIRST


def statement_type(stage: str) -> str:
    """The kind of a market's statement by its own name ("RTM_INITIAL", "S55"): initial, final, true-up, resettlement, unposted or other."""
    plain = "".join(c for c in stage.upper() if c.isalnum())
    exact = STATEMENT_TYPES.get(plain)
    return exact or next((kind for word, kind in STATEMENT_TYPES.items() if not word.startswith("S") and word in plain), "other")


def read_calendar(content: bytes) -> SettlementCalendar:
    """A calendar extract, CSV or XML (Settlements_Calendar.xsd). Raises UnreadableDocument."""
    postings: list[Posting] = []
    findings: list[Finding] = []
    rows = list(_rows(content))
    if not rows or not all(c in rows[0][1] for c in ("SETTLEMENTTYPE", "OPERATINGDATE")):
        raise UnreadableDocument("is not a settlement calendar: it has no columns SETTLEMENTTYPE and OPERATINGDATE")
    for where, row in rows:
        try:
            dates = {key: parse_day(row[column]) if row.get(column) else None for key, column in DATES.items()}
            postings.append(
                Posting(row.get("SETTLEMENTTYPE", ""), parse_day(row.get("OPERATINGDATE", "")), row.get("VERSION", ""), **dates)
            )
        except ValueError as error:
            findings.append(Finding("value", f"{where}: {error}: not used"))
    return SettlementCalendar(ordered_postings(postings), tuple(findings))


def ordered_postings(postings: list[Posting]) -> tuple[Posting, ...]:
    """By operating day and posting; of several rows for one type and version the last counts."""
    newest = {(p.on, p.settlement_type, p.version): p for p in postings}
    return tuple(sorted(newest.values(), key=lambda p: (p.on, p.posted or date.max, p.settlement_type)))


def _rows(content: bytes) -> Iterator[tuple[str, Mapping[str, str]]]:
    if is_xml(content):
        for n, element in enumerate((e for e in parse_xml(content).iter() if local_name(e) == "SETTLEMENT_CALENDAR"), 1):
            yield f"SETTLEMENT_CALENDAR {element.get('num', n)}", {local_name(c).upper(): (c.text or "").strip() for c in element}
        return
    for line, row in read_table(content).rows:
        yield f"row {line}", {column.upper().replace(" ", ""): cell for column, cell in row.items()}


def calendar_days(calendar: SettlementCalendar) -> tuple[date | None, date | None]:
    """The first and the last operating day of a calendar; None where it is empty."""
    if not calendar.postings:
        return None, None
    return calendar.postings[0].on, calendar.postings[-1].on
