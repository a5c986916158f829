"""The journal on SQL and in memory.

A row's hash is SHA-256 over `prev_hash|seq|token|document`, `document` being the entry's canonical JSON; a plan stands there by its
hash and lies in `blobs`. The rows of Seen's prices, calls and awards are written in the same transaction, which also looks at the lease:
a leader that lost it is fenced off.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from hashlib import sha256
from math import isfinite
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from dispatch.entries import Entry, Planned, Seen, canonical_json, entry_from_json, entry_to_json
from dispatch.store import JournalBroken, JournalLost, LeadershipLost, LedgerUnavailable
from dispatch.store.head_file import note_head
from dispatch.store.lease import LEADER
from dispatch.store.prices import write_price_rows
from dispatch.store.reserve import with_reserve
from dispatch.store.signal_rows import write_signal_rows
from dispatch.store.tables import blobs, journal, lease, reading, writing
from markets.grid import utc

_HEAD = select(journal.c.seq, journal.c.hash).order_by(journal.c.seq.desc()).limit(1)
_TOKEN = select(lease.c.token).where(lease.c.name == LEADER).with_for_update(read=True)


def row_hash(prev_hash: str, seq: int, token: int, document: bytes) -> str:
    """The hash that chains a row to the one before."""
    return sha256(b"%s|%d|%d|%s" % (prev_hash.encode(), seq, token, document)).hexdigest()


def to_document(entry: Entry) -> tuple[bytes, tuple[str, bytes] | None]:
    """The row's canonical JSON and, for a plan, its blob (hash, compressed bytes).

    Raises ValueError for NaN, infinity and whatever else JSON cannot say: such a row could never be read again.
    """
    if isinstance(entry, Planned):
        row = entry_to_json(replace(entry, plan=None))
        del row["plan"]
        if entry.plan is None:
            return canonical_json({**row, "plan_hash": None}), None
        try:
            text = canonical_json(entry.plan)
        except TypeError as fault:
            raise ValueError(f"the plan is not JSON: {fault}") from fault
        key = sha256(text).hexdigest()
        return canonical_json({**row, "plan_hash": key}), (key, zlib.compress(text, 6))
    text = canonical_json(entry_to_json(entry))
    if b"null" in text and not _finite(entry):  # pydantic writes NaN as null
        raise ValueError(f"{type(entry).__name__} holds a number that is NaN or infinite")
    return text, None


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, (tuple, list)):
        return all(map(_finite, value))
    return not is_dataclass(value) or all(_finite(getattr(value, f.name)) for f in fields(value))


class SqlJournal:
    """The journal in a ledger. `token` is the fencing token of the lease this process holds; without one it only reads.
    `page` is how many rows one query brings."""

    def __init__(self, engine: Engine, token: int | None = None, page: int = 2000) -> None:
        self._engine = engine
        self._token = token
        self._page = page

    def append(self, entry: Entry) -> int:
        if self._token is None:
            raise JournalLost("this process does not hold the leader lease: it may only read the journal")
        document, blob = to_document(entry)
        try:
            return with_reserve(self._engine, lambda: self._written(entry, document, blob))
        except (LedgerUnavailable, IntegrityError) as fault:
            raise JournalLost(f"the journal could not be written: {fault}") from fault

    def _written(self, entry: Entry, document: bytes, blob: tuple[str, bytes] | None) -> int:
        with writing(self._engine) as connection:
            return self._write(connection, entry, document, blob)

    def _write(self, connection: Connection, entry: Entry, document: bytes, blob: tuple[str, bytes] | None) -> int:
        token = self._token
        assert token is not None
        leader = connection.execute(_TOKEN).scalar()
        if leader != token:
            now = "no process holds the leader lease" if leader is None else f"the leader holds {leader}"
            raise LeadershipLost(f"fencing token {token} is stale: {now}")
        last, prev = connection.execute(_HEAD).one_or_none() or (0, "")
        seq = last + 1
        if blob is not None and connection.execute(select(blobs.c.hash).where(blobs.c.hash == blob[0])).scalar() is None:
            connection.execute(insert(blobs), {"hash": blob[0], "bytes": blob[1]})
        row = {"seq": seq, "at": entry.at, "kind": type(entry).__name__, "token": token, "document": document.decode(), "prev_hash": prev}
        hash_ = row_hash(prev, seq, token, document)
        connection.execute(insert(journal), {**row, "hash": hash_})
        note_head(connection, "journal", seq, hash_)
        if isinstance(entry, Seen):
            write_price_rows(connection, seq, entry.facts)
            write_signal_rows(connection, seq, entry.facts)
        return int(seq)

    def read(self, after: int = 0) -> Iterator[tuple[int, Entry]]:
        """Rows with seq > after, in order, in short transactions. Raises LedgerUnavailable, JournalBroken naming a row that is no entry."""
        for seq, document in self.documents(after):
            try:
                yield seq, entry_from_json(document)
            except (KeyError, ValueError) as fault:
                raise JournalBroken(f"row {seq} is not an entry: {fault}") from fault

    def documents(self, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """The same rows as JSON values (`entry_to_json`), plans joined again; for screens and outside readers."""
        page = select(journal.c.seq, journal.c.kind, journal.c.document).order_by(journal.c.seq).limit(self._page)
        while True:
            with reading(self._engine) as connection:
                rows = connection.execute(page.where(journal.c.seq > after)).all()
            for seq, kind, text in rows:
                yield seq, self._join(seq, kind, text)
            if len(rows) < self._page:
                return
            after = rows[-1].seq

    def _join(self, seq: int, kind: str, text: str) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(text)
            if kind == Planned.__name__:
                key = document.pop("plan_hash")
                document["plan"] = None if key is None else json.loads(self.blob(key))
        except (ValueError, KeyError, zlib.error) as fault:
            raise JournalBroken(f"row {seq} cannot be read: {fault}") from fault
        return document

    def blob(self, key: str) -> bytes:
        """A large document by its hash. Raises KeyError."""
        with reading(self._engine) as connection:
            packed = connection.execute(select(blobs.c.bytes).where(blobs.c.hash == key)).scalar()
        if packed is None:
            raise KeyError(f"no document {key}")
        return zlib.decompress(packed)

    def hash_at(self, seq: int) -> str:
        """Raises KeyError when there is no such row."""
        with reading(self._engine) as connection:
            found = connection.execute(select(journal.c.hash).where(journal.c.seq == seq)).scalar()
        if found is None:
            raise KeyError(f"the journal has no row {seq}")
        return str(found)

    @property
    def head(self) -> tuple[int, str]:
        with reading(self._engine) as connection:
            row = connection.execute(_HEAD).one_or_none()
        return (0, "") if row is None else (int(row.seq), str(row.hash))

    @property
    def tail(self) -> int:
        """The last seq, cheaply; 0 for an empty journal."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.max(journal.c.seq))).scalar() or 0)

    def last_at(self, kind: str | None = None) -> datetime | None:
        """The world's time of the last row, of one kind when given; None where there is none."""
        last = select(journal.c.at).order_by(journal.c.seq.desc()).limit(1)
        with reading(self._engine) as connection:
            found = connection.execute(last if kind is None else last.where(journal.c.kind == kind)).scalar()
        return None if found is None else utc(found)

    def latest_at(self) -> datetime | None:
        """The latest instant of the world's time in any row; None when there is none. The last row may be earlier: a plan bears the time at
        which it was asked for."""
        with reading(self._engine) as connection:
            found = connection.execute(select(func.max(journal.c.at))).scalar()
        return None if found is None else utc(found)


class MemoryJournal:
    """The same journal for replay, what-if and tests: gone with the process, chained when somebody asks for the head."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._chained = 0
        self._hash = ""

    def append(self, entry: Entry) -> int:
        self._entries.append(entry)
        return len(self._entries)

    def read(self, after: int = 0) -> Iterator[tuple[int, Entry]]:
        for seq in range(after + 1, len(self._entries) + 1):
            yield seq, self._entries[seq - 1]

    @property
    def head(self) -> tuple[int, str]:
        for seq in range(self._chained + 1, len(self._entries) + 1):
            self._hash = row_hash(self._hash, seq, 0, to_document(self._entries[seq - 1])[0])
        self._chained = len(self._entries)
        return self._chained, self._hash

    @property
    def tail(self) -> int:
        return len(self._entries)
