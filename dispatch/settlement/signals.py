"""Calls, awards, temperatures, hash economics and system loads as they were received, from the few rows of the journal that hold any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Engine, Select, func, or_, select

from dispatch.entries import Seen, entry_from_json
from dispatch.store import JournalBroken
from dispatch.store.tables import journal, reading, signals
from markets.facts import Award, Call, Fact, HashEconomics, SystemLoad, Temperature
from markets.grid import Interval

# A call or an award that bears on a day may have been received this long before it.
NOTICE = timedelta(days=8)
# They may come until the market's last settlement of the day, and then settle it again.
LATE = timedelta(days=180)
Signal = TypeVar("Signal", Call, Award, Temperature, HashEconomics, SystemLoad)


def signals_seen(engine: Engine, kind: type[Signal], over: Interval, known_at: datetime | None) -> tuple[Signal, ...]:
    """Those observed in a span, in the journal's order. Raises LedgerUnavailable, JournalBroken for a row that is not an entry."""
    holding = select(journal.c.seq, journal.c.document).where(
        journal.c.kind == "Seen", journal.c.at >= over.start, journal.c.at < over.end, _holds(kind)
    )
    found = (f for f in _facts(engine, holding) if isinstance(f, kind))
    return tuple(f for f in found if known_at is None or f.known_at <= known_at)


def span_of(signal: Call | Award) -> tuple[datetime, datetime | None]:
    """When it begins and when it ends; None until recall."""
    return (signal.start_at, signal.end_at) if isinstance(signal, Call) else (signal.over.start, signal.over.end)


def spans_received_since(engine: Engine, seq: int, before: datetime) -> list[Interval]:
    """What the calls and awards in rows after `seq` of the journal bear on before an instant. Raises LedgerUnavailable, JournalBroken."""
    rows = select(journal.c.seq, journal.c.document).where(journal.c.seq > seq, or_(_holds(Call), _holds(Award)))
    spans = [span_of(f) for f in _facts(engine, rows) if isinstance(f, Call | Award)]
    return [Interval(start, min(end or before, before)) for start, end in spans if start < before]


def days_learned_since(engine: Engine, seq: int, before: datetime) -> list[datetime]:
    """The starts, before an instant, of the days and hours whose hash economics and outside temperature came in rows after `seq` of the
    journal. Raises LedgerUnavailable, JournalBroken."""
    holding = or_(_holds(HashEconomics), _holds(Temperature))
    rows = select(journal.c.seq, journal.c.document).where(journal.c.kind == "Seen", journal.c.seq > seq, holding)
    facts = _facts(engine, rows)
    starts = [_start_of(f) for f in facts if isinstance(f, HashEconomics | Temperature)]
    return [start for start in starts if start < before]


def _start_of(fact: HashEconomics | Temperature) -> datetime:
    return fact.over.start if isinstance(fact, Temperature) else datetime.combine(fact.on, time(), UTC)


def last_journal_row(engine: Engine) -> int:
    """The number of the journal's newest row, 0 when there is none. Raises LedgerUnavailable."""
    with reading(engine) as connection:
        return int(connection.execute(select(func.max(journal.c.seq))).scalar() or 0)


def _holds(kind: type[Fact]) -> ColumnElement[bool]:
    """Whether a row of the journal holds a fact of a kind: by the table of calls and awards, else by its text."""
    if kind in (Call, Award):
        return journal.c.seq.in_(select(signals.c.seq).where(signals.c.kind == kind.__name__))
    return journal.c.document.contains(f'"fact":"{kind.__name__}"', autoescape=True)


def _facts(engine: Engine, rows: Select[Any]) -> Iterator[Fact]:
    """The facts of the rows, in the journal's order."""
    with reading(engine) as connection:
        found = connection.execute(rows.order_by(journal.c.seq)).all()
    for seq, document in found:
        try:
            entry = entry_from_json(json.loads(document))
        except (KeyError, ValueError) as fault:
            raise JournalBroken(f"row {seq} is not an entry: {fault}") from fault
        yield from entry.facts if isinstance(entry, Seen) else ()
