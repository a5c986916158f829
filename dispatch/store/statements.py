"""Kept statements of settled days: a version never changes; a correction is a new version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256

from sqlalchemy import Engine, Select, insert, select
from sqlalchemy.exc import IntegrityError

from dispatch.store import JournalBroken
from dispatch.store.record_log import record_row
from dispatch.store.tables import reading, statements, writing


@dataclass(frozen=True, slots=True)
class KeptStatement:
    """A version of a day's statement: its exact text, what was known when it was made, and the journal's head then as "seq:hash"."""

    on: date
    market: str
    version: int
    document: str
    sha256: str
    known_at: datetime
    journal_head: str


def keep_statement(
    engine: Engine, on: date, market: str, version: int, document: str, known_at: datetime, journal_head: str
) -> KeptStatement:
    """Keep a new version of a day. Raises ValueError when that version is kept already, LedgerUnavailable."""
    digest = sha256(document.encode()).hexdigest()
    row = {"date": on.isoformat(), "market": market, "version": version, "document": document, "sha256": digest}
    try:
        with writing(engine) as connection:
            connection.execute(insert(statements), {**row, "known_at": known_at, "journal_head": journal_head})
            record_row(connection, statements, on.isoformat(), market, version)
    except IntegrityError:
        raise ValueError(f"version {version} of {on.isoformat()} ({market}) is kept already and never changes") from None
    return KeptStatement(on, market, version, document, digest, known_at, journal_head)


def kept_statement(
    engine: Engine, on: date, market: str, version: int | None = None, known_at: datetime | None = None
) -> KeptStatement | None:
    """A version of a day, the newest (known at `known_at`) when not told which; None when there is none. Raises JournalBroken when its text
    does not have its hash, LedgerUnavailable."""
    wanted = _of(on, market).order_by(statements.c.version.desc()).limit(1)
    if version is not None:
        wanted = wanted.where(statements.c.version == version)
    if known_at is not None:
        wanted = wanted.where(statements.c.known_at <= known_at)
    return _one(engine, wanted)


def kept_statement_days(engine: Engine) -> list[tuple[date, str, int]]:
    """Day, market and version of all that is kept, oldest first. Raises LedgerUnavailable."""
    columns = (statements.c.date, statements.c.market, statements.c.version)
    with reading(engine) as connection:
        return [(date.fromisoformat(d), m, v) for d, m, v in connection.execute(select(*columns).order_by(*columns))]


def _of(on: date, market: str) -> Select[tuple[str, str, int, str, str, datetime, str]]:
    return select(statements).where(statements.c.date == on.isoformat(), statements.c.market == market)


def _one(engine: Engine, wanted: Select[tuple[str, str, int, str, str, datetime, str]]) -> KeptStatement | None:
    with reading(engine) as connection:
        r = connection.execute(wanted).one_or_none()
    if r is None:
        return None
    document = unchanged_document(r.date, r.version, r.document, r.sha256)
    return KeptStatement(date.fromisoformat(r.date), r.market, r.version, document, r.sha256, r.known_at, r.journal_head)


def unchanged_document(date: str, version: int, document: str, digest: str) -> str:
    """The text of a statement. Raises JournalBroken when it does not have its hash."""
    if sha256(document.encode()).hexdigest() != digest:
        raise JournalBroken(f"the statement of {date} version {version} was changed: it does not have its hash {digest}")
    return document
