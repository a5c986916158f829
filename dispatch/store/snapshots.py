"""Snapshots: what a process folded from the journal, kept with the row it stands on, so that a start reads only the rows since.

A snapshot counts only when its journal row still has the hash it had then, its bytes are unchanged, and it was made by the same fold
(`schema`). Any other is passed over, and made again from the rows: nothing rests on a snapshot alone.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine, delete, insert, select

from dispatch.store.tables import journal, reading, snapshots, writing

KEPT = 3  # of each kind: an older one serves when the newest does not count


@dataclass(frozen=True, slots=True)
class FoldSnapshot:
    """What was folded from the rows up to `seq`; `at` is the world's time of that row, `hash` the row's hash when it was made."""

    seq: int
    at: datetime
    hash: str
    document: Mapping[str, Any]


class Snapshots:
    """The snapshots of one kind in a ledger: "state" of the control loop, "view" of the API. `schema` names the code that folds."""

    def __init__(self, engine: Engine, kind: str, schema: str) -> None:
        self._engine, self._kind, self._schema = engine, kind, schema

    def newest_first(self) -> list[FoldSnapshot]:
        """Those that count. Raises LedgerUnavailable."""
        ours = (snapshots.c.kind == self._kind) & (snapshots.c.schema == self._schema)
        wanted = select(snapshots, journal.c.at).join(journal, (journal.c.seq == snapshots.c.seq) & (journal.c.hash == snapshots.c.hash))
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.where(ours).order_by(snapshots.c.seq.desc())).all()
        found = [(row, unpacked(row.packed, row.sha256)) for row in rows]
        return [FoldSnapshot(row.seq, row.at, row.hash, document) for row, document in found if document is not None]

    def keep(self, seq: int, document: Mapping[str, Any]) -> None:
        """Keep what was folded from the rows up to `seq`, in place of the oldest ones. Raises KeyError when there is no such row,
        ValueError for what JSON cannot hold, LedgerUnavailable."""
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        packed = zlib.compress(text, 6)
        with writing(self._engine) as connection:
            hash_ = connection.execute(select(journal.c.hash).where(journal.c.seq == seq)).scalar()
            if hash_ is None:
                raise KeyError(f"the journal has no row {seq}")
            ours = snapshots.c.kind == self._kind
            newest = select(snapshots.c.seq).where(ours, snapshots.c.seq != seq).order_by(snapshots.c.seq.desc())
            kept = connection.execute(newest.limit(KEPT - 1)).scalars().all()
            connection.execute(delete(snapshots).where(ours, snapshots.c.seq.not_in(kept)))
            row = {"kind": self._kind, "seq": seq, "hash": hash_, "schema": self._schema, "sha256": sha256(text).hexdigest()}
            connection.execute(insert(snapshots), {**row, "packed": packed})


def unpacked(packed: bytes, digest: str) -> dict[str, Any] | None:
    """The document of a row, None when its bytes were changed."""
    try:
        text = zlib.decompress(packed)
    except zlib.error:
        return None
    document: dict[str, Any] | None = json.loads(text) if sha256(text).hexdigest() == digest else None
    return document
