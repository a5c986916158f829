"""Received documents, kept byte for byte and for ever, and the meter readings they contain."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import Engine, func, insert, select

from dispatch.imports.calendar import SettlementCalendar, ordered_postings, read_calendar
from dispatch.imports.meter_readings import MeterReading
from dispatch.store.record_log import record_row
from dispatch.store.tables import meter_readings, reading, received, writing
from markets.grid import Interval


class DocumentKind(StrEnum):
    """What a received document is."""

    METER = "meter"
    STATEMENT = "statement"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class ReceivedDocument:
    """A received file: its bytes, the map to read it by (TOML; empty for none), first and last operating day, and when it was received."""

    kind: DocumentKind
    name: str
    content: bytes
    known_at: datetime
    map: str = ""
    first: date | None = None
    last: date | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of kind, map and bytes: the same bytes read by another map are another document."""
        return sha256(b"\0".join((self.kind.encode(), self.map.encode(), self.content))).hexdigest()


@dataclass(frozen=True, slots=True)
class MeterVintage:
    """The readings of one meter in one document, by time; `name` and `sha256` are the document's."""

    meter: str
    name: str
    sha256: str
    known_at: datetime
    readings: tuple[MeterReading, ...]


def keep_document(engine: Engine, document: ReceivedDocument, readings: Iterable[MeterReading] = ()) -> bool:
    """Keep a document and its readings; False when it is kept already. Raises LedgerUnavailable."""
    row = {"sha256": document.sha256, "kind": document.kind, "name": document.name, "map": document.map, "known_at": document.known_at}
    days = {"first": document.first and document.first.isoformat(), "last": document.last and document.last.isoformat()}
    with writing(engine) as connection:
        if connection.execute(select(received.c.id).where(received.c.sha256 == document.sha256)).first():
            return False
        number = (connection.execute(select(func.max(received.c.id))).scalar() or 0) + 1
        connection.execute(insert(received), {"id": number, **row, **days, "packed": zlib.compress(document.content, 9)})
        rows = [
            {
                "received": number,
                "meter": r.meter,
                "start": r.over.start,
                "end": r.over.end,
                "mwh": f"{r.mwh:f}",
                "quality": r.quality,
                "row": r.row,
            }
            for r in readings
        ]
        record_row(connection, received, number)
        if rows:
            connection.execute(insert(meter_readings), rows)
            record_row(connection, meter_readings, number)
    return True


def received_documents(
    engine: Engine, kind: DocumentKind, first: date | None = None, last: date | None = None, known_at: datetime | None = None
) -> list[ReceivedDocument]:
    """The documents of a kind that cover any day from `first` to `last`, in the order they were received. Raises LedgerUnavailable."""
    columns = received.c
    wanted = select(received).where(columns.kind == kind).order_by(columns.known_at, columns.id)
    if first is not None and last is not None:
        wanted = wanted.where(columns.first <= last.isoformat(), columns.last >= first.isoformat())
    if known_at is not None:
        wanted = wanted.where(columns.known_at <= known_at)
    with reading(engine) as connection:
        rows = connection.execute(wanted).all()
    return [
        ReceivedDocument(
            kind=DocumentKind(r.kind),
            name=r.name,
            content=zlib.decompress(r.packed),
            known_at=r.known_at,
            map=r.map,
            first=date.fromisoformat(r.first) if r.first else None,
            last=date.fromisoformat(r.last) if r.last else None,
        )
        for r in rows
    ]


def settlement_calendar(engine: Engine, known_at: datetime | None = None) -> SettlementCalendar:
    """All imported calendars as one; where several list a statement the last received counts. Raises LedgerUnavailable."""
    calendars = [read_calendar(document.content) for document in received_documents(engine, DocumentKind.CALENDAR, known_at=known_at)]
    postings = [posting for calendar in calendars for posting in calendar.postings]
    return SettlementCalendar(ordered_postings(postings))


def last_document_number(engine: Engine) -> int:
    """The number of the last received document; 0 when there is none. Raises LedgerUnavailable."""
    with reading(engine) as connection:
        return int(connection.execute(select(func.max(received.c.id))).scalar() or 0)


def intervals_metered_since(engine: Engine, number: int, before: datetime) -> list[datetime]:
    """The starts, before an instant, of the readings in documents after `number`, in order. Raises LedgerUnavailable."""
    m = meter_readings.c
    wanted = select(m.start).where(m.received > number, m.start < before).distinct().order_by(m.start)
    with reading(engine) as connection:
        return list(connection.execute(wanted).scalars())


def meter_vintages(engine: Engine, over: Interval, known_at: datetime | None = None) -> list[MeterVintage]:
    """The meter readings over a span, by document and meter, the newest document first. Raises LedgerUnavailable."""
    m, d = meter_readings.c, received.c
    wanted = (
        select(meter_readings, d.name, d.sha256, d.known_at, d.id)
        .join(received, d.id == m.received)
        .where(m.start < over.end, m.end > over.start)
        .order_by(d.known_at.desc(), d.id.desc(), m.meter, m.start)
    )
    if known_at is not None:
        wanted = wanted.where(d.known_at <= known_at)
    with reading(engine) as connection:
        rows = connection.execute(wanted).all()
    by: dict[tuple[int, str], list[MeterReading]] = {}
    of: dict[tuple[int, str], tuple[str, str, datetime]] = {}
    for r in rows:
        key = (r.id, r.meter)
        of[key] = (r.name, r.sha256, r.known_at)
        by.setdefault(key, []).append(MeterReading(r.meter, Interval(r.start, r.end), Decimal(r.mwh), r.quality, r.row))
    return [MeterVintage(key[1], *of[key], tuple(found)) for key, found in by.items()]
