"""The ledger as the API uses it: journal, inbox, keys, statements and leader lease; and the task that follows the journal."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine, select

from dispatch.decide.state import State
from dispatch.runtime.recovery import SnapshotKeeper
from dispatch.store import LedgerUnavailable, lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.keys import ApiKeys
from dispatch.store.signal_rows import signals_received
from dispatch.store.statements import unchanged_document
from dispatch.store.tables import open_ledger, reading, statements
from dispatch.web.live_view import LiveView
from markets.facts import Award, Call

log = structlog.get_logger()

POLL_S = 0.2
CHUNK = 250


@dataclass(frozen=True, slots=True)
class Ledger:
    """One data folder's ledger, opened. `figures` are those of the statements read so far, by date, market, version and hash."""

    engine: Engine
    journal: SqlJournal
    inbox: Inbox
    keys: ApiKeys
    figures: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, data_dir: Path) -> Ledger:
        """Raises LedgerUnavailable."""
        engine = open_ledger(data_dir)
        return cls(engine, SqlJournal(engine), Inbox(engine), ApiKeys(engine))

    def leader(self) -> dict[str, Any] | None:
        """The process that holds the leader lease, None when no process does. Raises LedgerUnavailable."""
        found = lease.holder(self.engine)
        return {"owner": found.owner, "token": found.token} if found and found.left_s > 0 else None

    def calls(self, limit: int, id_: str | None = None) -> list[tuple[int, Call]]:
        """The newest versions of calls, of one id when given, newest first, each with its journal row. Raises LedgerUnavailable."""
        return signals_received(self.engine, Call, id_, limit)

    def awards(self, limit: int, contract: str | None = None) -> list[tuple[int, Award]]:
        """The newest awards, of one contract when given, newest first, each with its journal row. Raises LedgerUnavailable."""
        return signals_received(self.engine, Award, contract, limit)

    def settlements(self, limit: int = 10_000) -> list[dict[str, Any]]:
        """The newest versions of days' statements, newest day first, without their lines. A version never changes: it is parsed once.
        Raises LedgerUnavailable."""
        t = statements.c
        keys = select(t.date, t.market, t.version, t.sha256).order_by(t.date.desc(), t.version.desc()).limit(limit)
        with reading(self.engine) as connection:
            rows = [tuple(row) for row in connection.execute(keys)]
            for key in rows:
                if key not in self.figures:
                    one = (t.date == key[0]) & (t.market == key[1]) & (t.version == key[2])
                    self.figures[key] = _figures(loads(connection.execute(select(t.document).where(one)).scalar_one()))
        return [{"date": key[0], "market": key[1], "version": key[2], "sha256": key[3], **self.figures[key]} for key in rows]

    def settlement(self, date: str, version: int | None) -> Mapping[str, Any] | None:
        """A day's statement: the given version, or the newest when `version` is None. Raises LedgerUnavailable, JournalBroken when its text
        does not have its hash."""
        query = (
            select(statements.c.document, statements.c.sha256, statements.c.version)
            .where(statements.c.date == date)
            .order_by(statements.c.version.desc())
            .limit(1)
        )
        if version is not None:
            query = query.where(statements.c.version == version)
        with reading(self.engine) as connection:
            found = connection.execute(query).one_or_none()
        return loads(unchanged_document(date, found.version, found.document, found.sha256)) if found else None


def _figures(document: Mapping[str, Any]) -> dict[str, Any]:
    return {k: document.get(k) for k in ("net_usd", "partial", "synthetic") if k in document}


class JournalTail:
    """Follows the journal, folds it into the live view and wakes whoever waits for a change. `failure` says why the view is behind;
    `was_read` is true once the journal has been read to its end for the first time."""

    def __init__(self, ledger: Ledger, blank: State) -> None:
        """`blank` is the state before the first entry. Raises LedgerUnavailable."""
        self._journal = ledger.journal
        self._keeper = SnapshotKeeper(ledger.engine, "view", blank.setup)
        self.view = self._keeper.newest(lambda document: LiveView.from_json(document, blank)) or LiveView(blank)
        self.caught_up = self.was_read = False
        self.failure = ""
        self.closing = False
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        """Run as a task until cancelled. A ledger that does not respond is read again; an entry that cannot be folded stops the view."""
        while True:
            try:
                rows = await asyncio.to_thread(self._next)
                self.view.fold(rows)
                self.caught_up, self.failure = len(rows) < CHUNK, ""
                self.was_read |= self.caught_up
                if rows:
                    self._wake()
                await self._keep_snapshot()
            except LedgerUnavailable as fault:
                self._report(f"the ledger does not respond: {fault}")
            except Exception as fault:  # a page that cannot go on must say so, not go blank
                self._report(f"journal row {self.view.state.seq + 1} cannot be read: {fault!r}")
            await asyncio.sleep(0 if not self.caught_up and not self.failure else POLL_S)

    def _next(self) -> list[Any]:
        if self.caught_up and self._journal.tail == self.view.state.seq:
            return []
        return list(itertools.islice(self._journal.read(self.view.state.seq), CHUNK))

    async def _keep_snapshot(self) -> None:
        state = self.view.state
        if self.caught_up and state.at is not None and self._keeper.due(state.seq, state.at):
            await asyncio.to_thread(self._keeper.keep, state.seq, state.at, self.view.to_json)

    def _report(self, failure: str) -> None:
        if failure != self.failure:
            log.error("the API is behind the journal", why=failure)
            self.failure = failure
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Wake everything that waits; no event stream goes on after this."""
        self.closing = True
        self._wake()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a change of the view; False when there was none within `timeout_s`."""
        changed = self._changed
        try:
            async with asyncio.timeout(timeout_s):
                await changed.wait()
            return True
        except TimeoutError:
            return False
