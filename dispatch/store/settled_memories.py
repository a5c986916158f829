"""What contracts remember at the end of each settled operating day, kept with what it was made from, so that a settlement goes on from the
newest one instead of reading a year again.

A memory counts while nothing newer than its rows bears on the time before it; which rows do is decided where it is made. Nothing rests on
it alone: it is made again from the roll-ups, prices, meter readings and journal of the days.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine, delete, insert, select

from dispatch.store.snapshots import unpacked
from dispatch.store.tables import reading, settled_memories, writing

KEPT = timedelta(days=62)  # a late price or reading seldom reaches further back; what it reaches is made again


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """What a memory was made from: the newest row of the journal, the newest received document, and a digest of all that is outside the
    ledger: the site file, the program's version, the archive."""

    seq: int
    received: int
    outside: str


@dataclass(frozen=True, slots=True)
class SettledMemory:
    """By contract name the memory as JSON, of the time before `until`."""

    until: datetime
    made_from: MadeFrom
    document: Mapping[str, Any]


def settled_memories_before(engine: Engine, until: datetime, outside: str) -> Iterator[SettledMemory]:
    """Those of an instant and before, the newest first; one whose bytes were changed is passed over. Raises LedgerUnavailable."""
    columns = settled_memories.c
    wanted = select(settled_memories).where(columns.outside == outside, columns.until <= until).order_by(columns.until.desc())
    with reading(engine) as connection:
        rows = connection.execute(wanted).all()
    for row in rows:
        if (document := unpacked(row.packed, row.sha256)) is not None:
            yield SettledMemory(row.until, MadeFrom(row.seq, row.received, outside), document)


def keep_settled_memory(engine: Engine, memory: SettledMemory) -> None:
    """Keep a memory in place of the one of its instant, and of those that are too old. Raises LedgerUnavailable."""
    text = json.dumps(memory.document, separators=(",", ":"), ensure_ascii=False).encode()
    made, columns = memory.made_from, settled_memories.c
    row = {"outside": made.outside, "until": memory.until, "seq": made.seq, "received": made.received}
    with writing(engine) as connection:
        outdated = (columns.until == memory.until) & (columns.outside == made.outside) | (columns.until < memory.until - KEPT)
        connection.execute(delete(settled_memories).where(outdated))
        connection.execute(insert(settled_memories), {**row, "sha256": sha256(text).hexdigest(), "packed": zlib.compress(text, 6)})
