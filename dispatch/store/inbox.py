"""The inbox: calls, awards and holds that wait for the control loop. Written by the API and the commands, read by the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from json import loads
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from dispatch.clock import wall_now
from dispatch.entries import canonical_json
from dispatch.store.tables import inbox, reading, writing

KINDS = ("call", "award", "hold")


class IdempotencyConflict(Exception):
    """An idempotency key was used again with another document."""


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

    def put(self, kind: str, document: Mapping[str, Any], key_name: str, idempotency_key: str | None = None) -> tuple[int, bool]:
        """Store a document that the caller has validated; returns its id and whether it is new, once it is durable.

        The same `idempotency_key` of the same API key gives the first id again. Raises IdempotencyConflict when the document is another
        one, ValueError for an unknown kind, LedgerUnavailable.
        """
        if kind not in KINDS:
            raise ValueError(f"an inbox row is one of {', '.join(KINDS)}, not {kind!r}")
        text = canonical_json(dict(document)).decode()
        row = {"at": wall_now(), "kind": kind, "document": text, "key_name": key_name, "idempotency_key": idempotency_key}
        try:
            with writing(self._engine) as connection:
                if (first := self._first(connection, row)) is not None:
                    return first, False
                new = connection.execute(insert(inbox).values(row)).inserted_primary_key
                assert new is not None
                return int(new[0]), True
        except IntegrityError:  # the same key in the same instant, where writers do not queue
            with reading(self._engine) as connection:
                if (first := self._first(connection, row)) is None:
                    raise
            return first, False

    def _first(self, connection: Connection, row: Mapping[str, Any]) -> int | None:
        if row["idempotency_key"] is None:
            return None
        same = (inbox.c.key_name == row["key_name"]) & (inbox.c.idempotency_key == row["idempotency_key"])
        found = connection.execute(select(inbox.c.id, inbox.c.kind, inbox.c.document).where(same)).one_or_none()
        if found is None:
            return None
        if (found.kind, found.document) != (row["kind"], row["document"]):
            raise IdempotencyConflict(f"idempotency key {row['idempotency_key']!r} was used for another document (inbox row {found.id})")
        return int(found.id)

    def after(self, cursor: int, limit: int = 10_000) -> list[InboxRow]:
        """Rows with id > cursor, in order, at most `limit`."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(inbox).where(inbox.c.id > cursor).order_by(inbox.c.id).limit(limit)).all()
        return [_row(r) for r in rows]

    def newest(self) -> int:
        """The last id, 0 when the inbox was never used."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.max(inbox.c.id))).scalar() or 0)


def _row(row: Row[Any]) -> InboxRow:
    return InboxRow(row.id, row.at, row.kind, loads(row.document), row.key_name, row.idempotency_key)
