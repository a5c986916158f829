"""Every received statement and invoice of a span compared with ours, and which ones the settlement calendar says are missing."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from dispatch.imports.calendar import Posting, SettlementCalendar
from dispatch.imports.csv_table import normalized
from dispatch.imports.detect import read_statement_file
from dispatch.settlement.statement_comparison import compare_statement
from dispatch.site_file.setup import Setup
from dispatch.store import statements
from dispatch.store.received import DocumentKind, ReceivedDocument, received_documents, settlement_calendar
from dispatch.store.telemetry import Telemetry


def compare_document(
    engine: Engine, telemetry: Telemetry, setup: Setup, document: ReceivedDocument, known_at: datetime | None = None
) -> dict[str, Any]:
    """One kept document compared with ours, with the file it came in. Raises LookupError when nothing of its days was run."""
    received, how = read_statement_file(document.content, document.map, setup.site.market)
    origin = {"file": document.name, "sha256": document.sha256, "known_at": document.known_at.isoformat()}
    return {**origin, **compare_statement(engine, telemetry, setup, received, how, known_at)}


def reconcile(
    engine: Engine, telemetry: Telemetry, setup: Setup, span: tuple[date, date], by: date, known_at: datetime | None = None
) -> dict[str, Any]:
    """Every document of the span, and its days: our newest version, what was received, and what the calendar says was posted by the day
    `by` and was not received. Raises LedgerUnavailable."""
    first, last = span
    rows = []
    for document in received_documents(engine, DocumentKind.STATEMENT, first, last, known_at):
        try:
            rows.append(compare_document(engine, telemetry, setup, document, known_at))
        except LookupError as error:
            finding = {"kind": "not-run", "text": str(error.args[0] if error.args else error)}
            header = {"from": str(document.first), "to": str(document.last), "kind": "", "statement_type": "", "version": ""}
            origin = {"file": document.name, "sha256": document.sha256, "known_at": document.known_at.isoformat()}
            rows.append({**origin, **header, "differences": [], "findings": [finding]})
    postings = settlement_calendar(engine, known_at)
    days = [_day(engine, setup, first + timedelta(days=n), rows, postings, by) for n in range((last - first).days + 1)]
    disagree = sum(not d["agrees"] for row in rows for d in row["differences"])
    return {"from": first.isoformat(), "to": last.isoformat(), "statements": rows, "days": days, "disagree": disagree}


def _day(engine: Engine, setup: Setup, on: date, rows: list[dict[str, Any]], calendar: SettlementCalendar, by: date) -> dict[str, Any]:
    kept = statements.kept_statement(engine, on, setup.site.market.value)
    received = [r for r in rows if r["from"] <= on.isoformat() <= r["to"]]
    types = {r["statement_type"] for r in received if normalized(r["statement_type"])}
    return {
        "date": on.isoformat(),
        "version": kept.version if kept else None,
        "received": [f"{r['file']} {r['statement_type']}".rstrip() for r in received],
        "calendar": [_posting(p) for p in calendar.of(on)],
        "due": [p.settlement_type for p in calendar.of(on, by) if not any(_is_type(p.settlement_type, t) for t in types)],
    }


def _is_type(posted: str, received: str) -> bool:
    """Whether a received statement is of a posted type: the calendar says RTM_INITIAL where the statement says INITIAL."""
    return normalized(received) in normalized(posted) or normalized(posted) in normalized(received)


def _posting(posting: Posting) -> dict[str, Any]:
    dates = {k: getattr(posting, k) for k in ("batch", "posted", "dispute", "invoice", "due", "payout")}
    return {"type": posting.settlement_type, "version": posting.version, **{k: v.isoformat() if v else None for k, v in dates.items()}}
