"""Leading a site: taking the leader lease, renewing it, and the fence that keeps a process which lost it from sending orders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from sqlalchemy import Engine

from dispatch.clock import wall_s
from dispatch.store import LeadershipLost, LedgerUnavailable, lease
from dispatch.store.stop_file import StopFile
from optimizer.domain.site import SLEEP

log = structlog.get_logger()

LEASE_S = 5.0
RENEWED_EVERY_S = LEASE_S / 4
UNRENEWED_S = 2 * RENEWED_EVERY_S  # a lease that stayed unrenewed for so long may be taken when the database's clock says that it expired
CHECKED_EVERY_S = 0.2  # how old the ledger's word on the lease may be where it has not been renewed for a while


class LeaseFence:
    """Says of each order whether this process may send it: only while it leads, and nothing but sleep while a global stop is in force.

    While the lease was renewed less than UNRENEWED_S ago, by a clock that nobody sets and that runs while the process is paused, no other
    process can have taken it. After that the ledger is asked. Where a ledger on this machine does not answer, nobody can take the lease
    either; one on a server may have been lost to us alone.
    """

    def __init__(self, engine: Engine, token: int, stop: StopFile, monotonic_s: Callable[[], float] = wall_s) -> None:
        self._engine, self._token, self._stop, self._monotonic_s = engine, token, stop, monotonic_s
        self._certain_until_s = float("-inf")

    def renewed(self, asked_s: float) -> None:
        """The lease was renewed by a request sent at `asked_s`."""
        self._certain_until_s = asked_s + UNRENEWED_S

    def __call__(self, mode: str) -> str:
        """Why an order into a mode may not be sent now; empty when it may."""
        if mode != SLEEP and self._stop.in_force():
            return "a global stop is in force"
        return "" if self._leads() else "another process leads the site now"

    def _leads(self) -> bool:
        now_s = self._monotonic_s()
        if now_s < self._certain_until_s:
            return True
        try:
            found = lease.holder(self._engine)
        except LedgerUnavailable:
            return self._engine.dialect.name == "sqlite"
        if found is None or found.token != self._token:
            return False
        self._certain_until_s = now_s + CHECKED_EVERY_S
        return True


class LeaseWatch:
    """Takes the leader lease when it was released, or when its holder is seen not to renew it.

    How long it was not renewed counts by a clock that nobody sets: a step of the database's clock forward does not make a live holder's
    lease expire, and a step back does not keep a dead holder's lease alive.
    """

    def __init__(self, engine: Engine, owner: str, monotonic_s: Callable[[], float] = wall_s) -> None:
        self._engine, self._owner, self._monotonic_s = engine, owner, monotonic_s
        self._seen: tuple[int, float] | None = None
        self._since_s = 0.0

    def take(self) -> int | None:
        """The fencing token, or None while another process holds the lease. Raises LedgerUnavailable."""
        held = lease.holder(self._engine)
        seen = (held.token, held.until_s) if held else None
        if seen != self._seen:
            self._seen, self._since_s = seen, self._monotonic_s()
        unrenewed_s = self._monotonic_s() - self._since_s
        lives = held is not None and held.owner != self._owner and not held.released
        if lives and unrenewed_s <= UNRENEWED_S:
            return None
        return lease.take(self._engine, self._owner, LEASE_S, held if unrenewed_s > 2 * LEASE_S else None)


async def take_lease(engine: Engine, owner: str) -> int:
    """Wait until the leader lease is free and take it; its fencing token."""
    warned, watch = False, LeaseWatch(engine, owner)
    while True:
        try:
            if (token := watch.take()) is not None:
                return token
            if not warned:
                log.warning("Another process holds the leader lease of this data folder; waiting for it.")
                warned = True
        except LedgerUnavailable as error:
            log.error("The ledger is unavailable.", error=str(error))
        await asyncio.sleep(0.5)


async def renew_lease(engine: Engine, token: int, fence: LeaseFence) -> None:
    """Renew the lease for ever, in a thread: a locked ledger must not hold up the loop. Raises LeadershipLost."""
    while True:
        await asyncio.sleep(RENEWED_EVERY_S)
        asked_s = wall_s()
        with suppress(LedgerUnavailable):  # the journal reports it; the lease may still be ours
            if not await asyncio.to_thread(lease.renew, engine, token, LEASE_S):
                raise LeadershipLost("the leader lease went to another process")
            fence.renewed(asked_s)


def holds_lease(engine: Engine, token: int) -> bool:
    """False only when another process is known to hold it: a ledger that does not answer does not stop the site."""
    try:
        found = lease.holder(engine)
    except LedgerUnavailable:
        return True
    return found is None or found.token == token
