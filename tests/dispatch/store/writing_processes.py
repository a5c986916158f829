"""Processes that write to a ledger without end and acknowledge every row, for tests that kill them with SIGKILL.

They are forked from a server process that has imported everything once: a process of its own costs milliseconds, not an interpreter start.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from dispatch.entries import Planned
from dispatch.store import lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from tests.dispatch.store.entries import AT, held, priced

ENDLESS = 100_000
PAUSE_S = 0.002
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def append_entries(data: Path, owner: str, acknowledged: Connection) -> None:
    """Lead the site as `owner` and append entries; every row's seq is acknowledged once it is committed."""
    engine = open_ledger(data)
    journal = SqlJournal(engine, lease.take(engine, owner, 0.0))
    for n in range(ENDLESS):
        entry = (held(n), priced(n / 7, -n), Planned(at=AT, as_of=n, plan={"n": n, "load_mw": [n] * 500}))[n % 3]
        acknowledged.send(journal.append(entry))


def push_calls(data: Path, key: str, acknowledged: Connection) -> None:
    """Put calls into the inbox; every row's id is acknowledged once it is committed.

    SQLite's write lock is not fair: without a pause between two calls the leader beside it would hardly ever get the lock.
    """
    inbox = Inbox(open_ledger(data))
    for n in range(ENDLESS):
        acknowledged.send(inbox.put("call", {"n": n}, key, str(n))[0])
        time.sleep(PAUSE_S)


@dataclass(frozen=True)
class Writer:
    process: BaseProcess
    acknowledged: Connection

    @classmethod
    def start(cls, write: Callable[[Path, str, Connection], None], data: Path, name: str) -> Writer:
        receiving, sending = FORKS.Pipe(duplex=False)
        process = FORKS.Process(target=write, args=(data, name, sending))
        process.start()
        sending.close()
        return cls(process, receiving)

    def kill_after(self, acknowledgements: int) -> list[int]:
        """Send SIGKILL once so many came; returns every acknowledgement the process gave before it died."""
        acked = [self.acknowledged.recv() for _ in range(acknowledgements)]
        self.process.kill()
        try:
            while True:
                acked.append(self.acknowledged.recv())
        except EOFError:
            pass
        self.process.join()
        self.acknowledged.close()
        return acked
