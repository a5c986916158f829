"""Memories of contracts that the ledger keeps for the end of each operating day: which of them still count, and what they were made
from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

import dispatch.settlement
import optimizer
from dispatch.settlement.prices import archive_folders
from dispatch.settlement.signals import days_learned_since, last_journal_row, spans_received_since
from dispatch.site_file.made_by import made_by
from dispatch.site_file.setup import Setup
from dispatch.store.prices import first_repriced_since
from dispatch.store.received import intervals_metered_since, last_document_number
from dispatch.store.settled_memories import MadeFrom, SettledMemory, keep_settled_memory, settled_memories_before
from markets.grid import Interval
from optimizer.domain.memory import Memory

# The source that memories are made by.
REMEMBERED_BY = ((optimizer, ""), (dispatch.settlement, ""))


@dataclass(frozen=True, slots=True)
class KeptMemory:
    """By contract name: its memory of the time before `until`."""

    until: datetime
    by_contract: Mapping[str, Memory]


def made_from_now(engine: Engine, setup: Setup) -> MadeFrom:
    """What a memory that is made now is made from. Raises LedgerUnavailable."""
    archived = [(str(f), (stat := f.stat()).st_size, stat.st_mtime_ns) for folder in archive_folders(setup) for f in _tables(folder)]
    parts = [setup.hash_id, made_by(setup, REMEMBERED_BY), repr(archived)]
    return MadeFrom(last_journal_row(engine), last_document_number(engine), sha256("\n".join(parts).encode()).hexdigest())


def newest_kept(engine: Engine, setup: Setup, within: Interval, outside: str) -> KeptMemory | None:
    """The newest kept memory that ends within a span or at its end and that nothing has changed since. Raises LedgerUnavailable,
    JournalBroken."""
    changed_at: datetime | None = None
    for kept in settled_memories_before(engine, within.end, outside):
        if kept.until <= within.start:
            return None
        if changed_at is not None and changed_at < kept.until:
            continue
        changed_at = _first_change(engine, kept)
        if changed_at is None and (memories := _memories(setup, kept)) is not None:
            return KeptMemory(kept.until, memories)
    return None


def keep(engine: Engine, made_from: MadeFrom, until: datetime, memories: Mapping[str, Memory]) -> None:
    """Keep what contracts remember at the end of an operating day. Raises LedgerUnavailable."""
    keep_settled_memory(engine, SettledMemory(until, made_from, {name: memory.to_json() for name, memory in memories.items()}))


def _first_change(engine: Engine, kept: SettledMemory) -> datetime | None:
    """The first instant before its end of which something came after it was made; None when nothing did."""
    seq, until = kept.made_from.seq, kept.until
    starts = [
        *intervals_metered_since(engine, kept.made_from.received, until)[:1],
        *(over.start for over in spans_received_since(engine, seq, until)),
        *days_learned_since(engine, seq, until),
    ]
    if (repriced := first_repriced_since(engine, seq, until)) is not None:
        starts.append(repriced)
    return min(starts, default=None)


def _memories(setup: Setup, kept: SettledMemory) -> dict[str, Memory] | None:
    """The memories of a row, None when one of them is not read any more."""
    try:
        return {o.name: o.memory_from({}).from_json(kept.document[o.name]) for o in setup.book if o.name in kept.document}
    except ValueError:
        return None


def _tables(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))
