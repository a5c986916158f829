"""API keys: `name.secret`, the secret of 256 bit shown once and kept as its SHA-256 only."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from dispatch.clock import wall_now
from dispatch.store.record_log import is_recorded, record_row
from dispatch.store.tables import api_keys, reading, writing

SCOPES = ("read", "whatif", "dispatch", "admin")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key: its name and what it may do."""

    name: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None = None


class ApiKeys:
    """The API keys of a ledger. Every method raises LedgerUnavailable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, scopes: Iterable[str]) -> str:
        """A new key's `name.secret`, to be shown once. Raises ValueError for a name in use (revoked ones stay used) or an unknown scope."""
        wanted = sorted(set(scopes))
        if not _NAME.fullmatch(name):
            raise ValueError(f"a key's name is small letters, digits, - and _, at most 63, not {name!r}")
        if not wanted or set(wanted) - set(SCOPES):
            raise ValueError(f"scopes are of {', '.join(SCOPES)}, not {', '.join(wanted) or 'none'}")
        secret = secrets.token_urlsafe(32)
        row = {"name": name, "sha256": _digest(secret), "scopes": ",".join(wanted), "created_at": wall_now()}
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(api_keys), row)
                record_row(connection, api_keys, name)
        except IntegrityError:
            raise ValueError(f"there is, or was, a key named {name!r}") from None
        return f"{name}.{secret}"

    def list(self) -> tuple[ApiKey, ...]:
        """All keys, revoked ones too, by name."""
        with reading(self._engine) as connection:
            return tuple(_key(r) for r in connection.execute(select(api_keys).order_by(api_keys.c.name)))

    def revoke(self, name: str) -> bool:
        """End a key at once; False when no such key is in force."""
        with writing(self._engine) as connection:
            mine = (api_keys.c.name == name) & api_keys.c.revoked_at.is_(None)
            revoked = bool(connection.execute(update(api_keys).where(mine).values(revoked_at=wall_now())).rowcount)
            if revoked:
                record_row(connection, api_keys, name)
            return revoked

    def check(self, presented: str) -> ApiKey | None:
        """The key of `name.secret`, None when it is unknown or revoked, or when its row is not as this program recorded it: a key slipped
        into the ledger opens nothing. Takes as long for a name that does not exist."""
        name, _, secret = presented.partition(".")
        row, recorded = self._row(name)
        kept = row.sha256 if row is not None else "0" * 64
        same = hmac.compare_digest(_digest(secret), kept)
        return _key(row) if same and recorded and row is not None and row.revoked_at is None else None

    def named(self, name: str) -> ApiKey | None:
        """The key with this name while it is in force and its row is as this program recorded it, None otherwise. For who showed its secret
        before."""
        row, recorded = self._row(name)
        return _key(row) if recorded and row is not None and row.revoked_at is None else None

    def _row(self, name: str) -> tuple[Row[Any] | None, bool]:
        """The row of a name, and whether it is as this program recorded it."""
        with reading(self._engine) as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.name == name)).one_or_none()
            return row, is_recorded(connection, api_keys, name)


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(row.name, frozenset(row.scopes.split(",")), row.created_at, row.revoked_at)
