"""Calls, awards, temperatures, hash economics and system loads as they were received, from the few rows of the journal that hold any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine, Select, func, or_, select

from dispatch.entries import Seen, entry_from_json
from dispatch.store import JournalBroken
from dispatch.store.tables import journal, reading
from markets.facts import Award, Call, Fact, HashEconomics, SystemLoad, Temperature
from markets.grid import Interval

# A call or an award that bears on a day may have been received this long before it.
NOTICE = timedelta(days=8)
Signal = TypeVar("Signal", Call, Award, Temperature, HashEconomics, SystemLoad)


def signals_seen(engine: Engine, kind: type[Signal], over: Interval, known_at: datetime | None) -> tuple[Signal, ...]:
    """Those observed in a span, in the journal's order. Raises LedgerUnavailable, JournalBroken for a row that is not an entry."""
    holding = select(journal.c.seq, journal.c.document).where(
        journal.c.kind == "Seen",
        journal.c.at >= over.start,
        journal.c.at < over.end,
        journal.c.document.contains(f'"fact":"{kind.__name__}"', autoescape=True),
    )
    found = (f for f in _facts(engine, holding) if isinstance(f, kind))
    return tuple(f for f in found if known_at is None or f.known_at <= known_at)


def span_of(signal: Call | Award) -> tuple[datetime, datetime | None]:
    """When it begins and when it ends; None until recall."""
    return (signal.start_at, signal.end_at) if isinstance(signal, Call) else (signal.over.start, signal.over.end)


def spans_received_since(engine: Engine, seq: int, before: datetime) -> list[Interval]:
    """What the calls and awards in rows after `seq` of the journal bear on before an instant. Raises LedgerUnavailable, JournalBroken."""
    holding = [journal.c.document.contains(f'"fact":"{kind.__name__}"', autoescape=True) for kind in (Call, Award)]
    rows = select(journal.c.seq, journal.c.document).where(journal.c.kind == "Seen", journal.c.seq > seq, or_(*holding))
    spans = [span_of(f) for f in _facts(engine, rows) if isinstance(f, Call | Award)]
    return [Interval(start, min(end or before, before)) for start, end in spans if start < before]


def last_journal_row(engine: Engine) -> int:
    """The number of the journal's newest row, 0 when there is none. Raises LedgerUnavailable."""
    with reading(engine) as connection:
        return int(connection.execute(select(func.max(journal.c.seq))).scalar() or 0)


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
