"""The inbox: calls, awards and holds that wait for the control loop. Written by the API and the commands, read by the loop."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from json import loads
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from dispatch.clock import wall_now
from dispatch.entries import canonical_json
from dispatch.store.call_versions import CallConflict, KnownCall, next_version
from dispatch.store.dialect import document_id
from dispatch.store.record_log import record_row
from dispatch.store.reserve import with_reserve
from dispatch.store.tables import inbox, reading, writing

KINDS = ("call", "award", "hold", "proposal")


class IdempotencyConflict(Exception):
    """An idempotency key was used again with another document."""


class RefusedCalls(Exception):
    """Calls that contradict what came in under their ids, by position among the documents; none of the documents is stored."""

    def __init__(self, conflicts: Mapping[int, CallConflict]) -> None:
        self.conflicts = conflicts
        super().__init__("; ".join(map(str, conflicts.values())))


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One pushed document; `at` is the wall's time of its arrival, UTC."""

    id: int
    at: datetime
    kind: str
    document: Mapping[str, Any]
    key_name: str
    idempotency_key: str | None


class Inbox:
    """The pushed documents of a ledger, in the order of their arrival."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The ledger it is part of."""
        return self._engine

    def put(self, kind: str, document: Mapping[str, Any], key_name: str, idempotency_key: str | None = None) -> tuple[int, bool]:
        """Store one document: see `put_all`."""
        return self.put_all(kind, [document], key_name, [idempotency_key])[0]

    def put_all(
        self,
        kind: str,
        documents: Sequence[Mapping[str, Any]],
        key_name: str,
        idempotency_keys: Sequence[str | None],
        contracts: Container[str] | None = None,
    ) -> list[tuple[int, bool]]:
        """Store documents that the caller has validated, all or none; for each its id and whether it is new, once they are durable.
        `contracts` are the names of the book: a call that came under a name that is in it no more may go on under another.

        The same idempotency key of the same API key gives the first id again, and so does a call that repeats another
        (call_versions.py); a call under a known id is stored with its version. Raises IdempotencyConflict for an idempotency key that was
        used for another document, RefusedCalls, ValueError for an unknown kind, LedgerUnavailable.
        """
        if kind not in KINDS:
            raise ValueError(f"an inbox row is one of {', '.join(KINDS)}, not {kind!r}")
        try:
            return with_reserve(self._engine, lambda: self._put_all(kind, documents, key_name, idempotency_keys, contracts))
        except IntegrityError:  # the same key in the same instant, where writers do not queue: the other one's row is there now
            return self._put_all(kind, documents, key_name, idempotency_keys, contracts)

    def _put_all(
        self,
        kind: str,
        documents: Sequence[Mapping[str, Any]],
        key_name: str,
        idempotency_keys: Sequence[str | None],
        contracts: Container[str] | None,
    ) -> list[tuple[int, bool]]:
        out: list[tuple[int, bool]] = []
        refused: dict[int, CallConflict] = {}
        with writing(self._engine) as connection:
            for n, (document, key) in enumerate(zip(documents, idempotency_keys, strict=True)):
                row = {"at": wall_now(), "kind": kind, "document": document, "key_name": key_name, "idempotency_key": key}
                try:
                    out.append(self._put(connection, row, contracts))
                except CallConflict as conflict:
                    refused[n] = conflict
            if refused:
                raise RefusedCalls(refused)  # ends the transaction: nothing is stored
        return out

    def _put(self, connection: Connection, row: dict[str, Any], contracts: Container[str] | None) -> tuple[int, bool]:
        if (first := self._first(connection, row)) is not None:
            return first, False
        document = dict(row["document"])
        if row["kind"] == "call" and "id" in document:
            version = next_version(document, self._known_calls(connection, document["id"]), row["at"], contracts)
            if isinstance(version, KnownCall):
                return version.row, False
            document |= {"version": version} if version != document.get("version", 1) else {}
        new = connection.execute(insert(inbox).values({**row, "document": canonical_json(document).decode()})).inserted_primary_key
        assert new is not None
        record_row(connection, inbox, new[0])
        return int(new[0]), True

    def _known_calls(self, connection: Connection, id_: str) -> list[KnownCall]:
        """Every version of a call in the inbox, in the order of arrival."""
        columns, named = (inbox.c.id, inbox.c.at, inbox.c.document), document_id(inbox.c.document) == id_
        found = connection.execute(select(*columns).where(inbox.c.kind == "call", named).order_by(inbox.c.id)).all()
        return [KnownCall(row.id, loads(row.document), row.at) for row in found]

    def _first(self, connection: Connection, row: Mapping[str, Any]) -> int | None:
        """The row that came with the same idempotency key, None when there is none."""
        if row["idempotency_key"] is None:
            return None
        same = (inbox.c.key_name == row["key_name"]) & (inbox.c.idempotency_key == row["idempotency_key"])
        found = connection.execute(select(inbox.c.id, inbox.c.kind, inbox.c.document).where(same)).one_or_none()
        if found is None:
            return None
        stored, document = loads(found.document), dict(row["document"])
        if row["kind"] == "call" and "version" not in document:
            stored.pop("version", None)
        if found.kind != row["kind"] or canonical_json(stored) != canonical_json(document):
            raise IdempotencyConflict(f"idempotency key {row['idempotency_key']!r} was used for another document (inbox row {found.id})")
        return int(found.id)

    def after(self, cursor: int, limit: int = 10_000) -> list[InboxRow]:
        """Rows with id > cursor, in order, at most `limit`."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(inbox).where(inbox.c.id > cursor).order_by(inbox.c.id).limit(limit)).all()
        return [_row(r) for r in rows]

    def sent_with(self, key_name: str, idempotency_key: str) -> InboxRow | None:
        """The row that an API key brought with an idempotency key."""
        same = (inbox.c.key_name == key_name) & (inbox.c.idempotency_key == idempotency_key)
        with reading(self._engine) as connection:
            found = connection.execute(select(inbox).where(same)).one_or_none()
        return _row(found) if found is not None else None

    def newest_calls_by(self, key_name: str, limit: int) -> list[Mapping[str, Any]]:
        """The newest calls that came by one key, at most `limit`, in the order of arrival."""
        ours = select(inbox.c.document).where(inbox.c.kind == "call", inbox.c.key_name == key_name)
        with reading(self._engine) as connection:
            documents = connection.execute(ours.order_by(inbox.c.id.desc()).limit(limit)).scalars().all()
        return [loads(document) for document in reversed(documents)]

    def calls_by(self, key_name: str, since: datetime) -> list[Mapping[str, Any]]:
        """The calls that came by one key since an instant of the wall."""
        ours = select(inbox.c.document).where(inbox.c.kind == "call", inbox.c.key_name == key_name, inbox.c.at >= since)
        with reading(self._engine) as connection:
            return [loads(document) for document in connection.execute(ours).scalars().all()]

    def rows_of(self, kind: str) -> list[InboxRow]:
        """Every row of a kind, in order. A release of a hold is a hold too."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(inbox).where(inbox.c.kind == kind).order_by(inbox.c.id)).all()
        return [_row(r) for r in rows]

    def newest(self) -> int:
        """The last id, 0 when the inbox was never used."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.max(inbox.c.id))).scalar() or 0)


def _row(row: Row[Any]) -> InboxRow:
    return InboxRow(row.id, row.at, row.kind, loads(row.document), row.key_name, row.idempotency_key)
