"""Calls, awards, temperatures and hash economics as they were received, from the few rows of the journal that hold any."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Engine, select

from dispatch.entries import Seen, entry_from_json
from dispatch.store import JournalBroken
from dispatch.store.tables import journal, reading
from markets.facts import Award, Call, HashEconomics, Temperature
from markets.grid import Interval

# A call or an award that bears on a day may have been received this long before it.
NOTICE = timedelta(days=8)
Signal = TypeVar("Signal", Call, Award, Temperature, HashEconomics)


def signals_seen(engine: Engine, kind: type[Signal], over: Interval, known_at: datetime | None) -> tuple[Signal, ...]:
    """Those observed in a span, in the journal's order. Raises LedgerUnavailable, JournalBroken for a row that is not an entry."""
    holding = select(journal.c.seq, journal.c.document).where(
        journal.c.kind == "Seen",
        journal.c.at >= over.start,
        journal.c.at < over.end,
        journal.c.document.contains(f'"fact":"{kind.__name__}"', autoescape=True),
    )
    with reading(engine) as connection:
        rows = connection.execute(holding.order_by(journal.c.seq)).all()
    found: list[Signal] = []
    for seq, document in rows:
        try:
            entry = entry_from_json(json.loads(document))
        except (KeyError, ValueError) as fault:
            raise JournalBroken(f"row {seq} is not an entry: {fault}") from fault
        facts = entry.facts if isinstance(entry, Seen) else ()
        found += [f for f in facts if isinstance(f, kind) and (known_at is None or f.known_at <= known_at)]
    return tuple(found)
