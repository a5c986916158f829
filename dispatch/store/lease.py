"""The leader lease: one row with a fencing token that only grows. The journal rejects writes of a process that lost it (journal.py)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from dispatch.store.dialect import db_now_s
from dispatch.store.tables import lease, reading, writing

LEADER = "leader"
RELEASED_S = 0.0  # the expiry of a lease that its holder gave up

_ROW = select(lease.c.token, lease.c.owner, lease.c.until_s, db_now_s().label("now_s")).where(lease.c.name == LEADER)


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Who holds the lease; `left_s` by the database's clock, negative once it has expired; `until_s` changes whenever it is renewed."""

    owner: str
    token: int
    left_s: float
    until_s: float

    @property
    def released(self) -> bool:
        """Whether its holder gave it up, so that nobody need wait for it to expire."""
        return self.until_s == RELEASED_S


def take(engine: Engine, owner: str, ttl_s: float, unrenewed: LeaseHolder | None = None) -> int | None:
    """Become the leader: a new fencing token, or None while another owner's lease lasts. Raises LedgerUnavailable.

    `unrenewed` is a lease that the caller has watched for longer than it lasts without seeing it renewed: it counts as expired, although
    the database's clock, which may have been set back, says that it lasts. `owner` names one process (host, pid and start); the same owner
    may take again at once.
    """
    try:
        with writing(engine) as connection:
            row = connection.execute(_ROW.with_for_update()).one_or_none()
            if row is None:
                connection.execute(insert(lease).values(name=LEADER, token=1, owner=owner, until_s=db_now_s() + ttl_s))
                return 1
            watched = unrenewed is not None and (unrenewed.token, unrenewed.until_s) == (row.token, row.until_s)
            if row.owner != owner and row.until_s > row.now_s and not watched:
                return None
            connection.execute(
                update(lease).where(lease.c.name == LEADER).values(token=row.token + 1, owner=owner, until_s=db_now_s() + ttl_s)
            )
            return int(row.token) + 1
    except IntegrityError:  # another process made the first row in the same instant
        return None


def renew(engine: Engine, token: int, ttl_s: float) -> bool:
    """Extend the lease to `ttl_s` from now; False when another process took it. Raises LedgerUnavailable."""
    with writing(engine) as connection:
        changed = connection.execute(update(lease).where(lease.c.name == LEADER, lease.c.token == token).values(until_s=db_now_s() + ttl_s))
        return bool(changed.rowcount)


def release(engine: Engine, token: int) -> None:
    """Give the lease up: any process may take it at once. Does nothing when another process took it."""
    with writing(engine) as connection:
        connection.execute(update(lease).where(lease.c.name == LEADER, lease.c.token == token).values(until_s=RELEASED_S))


def holder(engine: Engine) -> LeaseHolder | None:
    """The process that took the lease last, whether or not it has expired; None when none ever did."""
    with reading(engine) as connection:
        row = connection.execute(_ROW).one_or_none()
    return None if row is None else LeaseHolder(row.owner, int(row.token), row.until_s - row.now_s, row.until_s)
