"""Imports files from outside into the ledger: interval meter data, statements and invoices, settlement calendars. Each file is kept as it
came; nothing is overwritten."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import Engine

from dispatch.imports import UnreadableDocument
from dispatch.imports.calendar import calendar_days, read_calendar
from dispatch.imports.detect import operating_days_of, read_meter_file, read_statement_file
from dispatch.imports.meter_readings import ImportedReadings
from dispatch.store.received import DocumentKind, ReceivedDocument, keep_document
from markets.grid import Market
from optimizer.domain.site import Site

# No file of readings or statements comes near this size.
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class MeterImport:
    """What a meter file held: its readings and findings, its first and last operating day, and whether it was new."""

    content: ImportedReadings
    first: date | None
    last: date | None
    new: bool


def import_meter_data(engine: Engine, site: Site, file: Path, map_file: Path | None, known_at: datetime) -> MeterImport:
    """Keep a meter file as a new version of the days it covers. Raises Unreadable (one line for each fault), OSError, LedgerUnavailable."""
    content, map_text = read_bytes(file), _map_text(map_file)
    read = read_meter_file(content, map_text, site)
    first, last = operating_days_of(read, site.market)
    document = ReceivedDocument(DocumentKind.METER, file.name, content, known_at, map_text, first, last)
    return MeterImport(read, first, last, bool(read.readings) and keep_document(engine, document, read.kept))


def import_statement(engine: Engine, market: Market, file: Path, map_file: Path | None, known_at: datetime) -> ReceivedDocument:
    """Keep a statement, an extract or an invoice. Raises Unreadable (one line for each fault), OSError, LedgerUnavailable."""
    content, map_text = _with_partner(file), _map_text(map_file)
    read, _ = read_statement_file(content, map_text, market)
    document = ReceivedDocument(DocumentKind.STATEMENT, file.name, content, known_at, map_text, read.first, read.last)
    keep_document(engine, document)
    return document


def import_calendar(engine: Engine, file: Path, known_at: datetime) -> list[str]:
    """Keep a settlement calendar; the findings of reading it. Raises Unreadable, OSError, LedgerUnavailable."""
    content = read_bytes(file)
    read = read_calendar(content)
    keep_document(engine, ReceivedDocument(DocumentKind.CALENDAR, file.name, content, known_at, "", *calendar_days(read)))
    return [finding.text for finding in read.findings]


def read_bytes(file: Path) -> bytes:
    """The bytes of a file from outside. Raises Unreadable when it is far too large, OSError."""
    if file.stat().st_size > MAX_BYTES:
        raise UnreadableDocument(f"is larger than {MAX_BYTES // 2**20} MiB")
    return file.read_bytes()


def _map_text(map_file: Path | None) -> str:
    return read_bytes(map_file).decode("utf-8", "replace") if map_file else ""


def _with_partner(file: Path) -> bytes:
    """The file. ERCOT publishes an extract in CSV as a header table and an interval table: for one of them, a zip of both."""
    content, name = read_bytes(file), file.name
    partner = name.replace("HEADER", "INTERVAL") if "HEADER" in name else name.replace("INTERVAL", "HEADER")
    if partner == name or content.startswith(b"PK") or not file.with_name(partner).is_file():
        return content
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part, bytes_ in sorted({name: content, partner: read_bytes(file.with_name(partner))}.items()):
            archive.writestr(zipfile.ZipInfo(part), bytes_)  # without a date: the same tables give the same bytes
    return packed.getvalue()
