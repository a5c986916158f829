"""Leaders of a ledger that are killed or paused, and how soon another takes over; `python -m tests.kill --leaders N` runs many."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from dispatch.service.leadership import LEASE_S, LeaseFence, renew_lease, take_lease
from dispatch.store import LeadershipLost
from dispatch.store.journal import SqlJournal
from dispatch.store.stop_file import StopFile
from dispatch.store.tables import open_ledger
from tests.dispatch.store.entries import held

WITHIN_S = LEASE_S + 1.0
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def lead(data: Path, owner: str, said: Connection) -> None:
    """Take the lease as soon as it is free, renew it, and write a row twice a second; say each, and when the lead was lost."""
    engine = open_ledger(data)

    async def write() -> None:
        token = await take_lease(engine, owner)
        said.send(("leads", token, time.monotonic()))
        renewing = asyncio.create_task(renew_lease(engine, token, LeaseFence(engine, token, StopFile(data))))
        journal, n = SqlJournal(engine, token), 0
        try:
            while True:
                journal.append(held(n := n + 1))
                said.send(("wrote", token, time.monotonic()))
                await asyncio.sleep(0.5)
                if renewing.done():
                    renewing.result()
        finally:
            renewing.cancel()

    try:
        asyncio.run(write())
    except LeadershipLost:
        said.send(("lost", 0, time.monotonic()))


@dataclass(frozen=True, slots=True)
class Takeover:
    """How many seconds after its leader was gone a ledger had another."""

    seconds: float


def take_over(data: Path, *, paused: bool) -> Takeover:
    """Start a leader and a second process, kill or pause the leader, and wait for the second to lead. It is paused between two of its
    writes: one that is paused within a write keeps SQLite's lock, and nobody can lead until it wakes or is killed. Raises
    AssertionError."""
    first, first_says = _start(data, "first")
    _hear(first_says, "leads")
    second, second_says = _start(data, "second")
    try:
        time.sleep(1.0)
        while first_says.poll():
            first_says.recv()
        _hear(first_says, "wrote")
        gone_s = time.monotonic()
        os.kill(first.pid or 0, signal.SIGSTOP if paused else signal.SIGKILL)
        since_s = _hear(second_says, "leads")
        if paused:
            os.kill(first.pid or 0, signal.SIGCONT)
            _hear(first_says, "lost")
        return Takeover(since_s - gone_s)
    finally:
        for process in (first, second):
            with suppress(ProcessLookupError):
                process.kill()
            process.join()


def _hear(said: Connection, what: str) -> float:
    """When a process says something, by the clock that all processes share. Raises AssertionError when it does not within a minute."""
    while said.poll(60):
        kind, _, at_s = said.recv()
        if kind == what:
            return float(at_s)
    raise AssertionError(f"no process says {what!r}")


def _start(data: Path, owner: str) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    receiving, sending = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=lead, args=(data, owner, sending))
    process.start()
    sending.close()
    return process, receiving
