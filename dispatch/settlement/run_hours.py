"""The hours that a site was run: those in which a process observed and decided. What nobody ran is neither billed nor remembered."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select

from dispatch.decide.contract_memory import UNSEEN_AT_MOST
from dispatch.store.tables import journal, reading
from markets.grid import Grid, Interval

STARTED, SEEN, ENDED = "RunStarted", "Seen", "RunEnded"
# An interval is run when more than this share of it lies in stretches that were run.
RUN_SHARE = 0.5


def run_stretches(engine: Engine, over: Interval) -> tuple[Interval, ...]:
    """The stretches of a span in which a process ran the site, in order. A run ends where it says so, or with its last observation; one
    that goes on within UNSEEN_AT_MOST of it, also by another process, counts as going on all the time. Raises LedgerUnavailable."""
    since, until = over.start - UNSEEN_AT_MOST, over.end + UNSEEN_AT_MOST
    edges = journal.c.kind.in_((STARTED, ENDED))
    before = select(journal.c.kind).where(edges, journal.c.at < since).order_by(journal.c.at.desc(), journal.c.seq.desc()).limit(1)
    entries = select(journal.c.at, journal.c.kind).where(
        journal.c.kind.in_((STARTED, SEEN, ENDED)), journal.c.at >= since, journal.c.at <= until
    )
    with reading(engine) as connection:
        running = connection.execute(before).scalar() == STARTED
        rows = connection.execute(entries.order_by(journal.c.at, journal.c.seq)).all()
    found: list[Interval] = []
    last: datetime | None = None
    for at, kind in rows:
        running = running or kind == STARTED
        if not running:
            continue
        if last is not None and last < at <= last + UNSEEN_AT_MOST:
            joined = found.pop().start if found and found[-1].end == last else last
            found.append(Interval(joined, at))
        running = kind != ENDED
        last = at if running else None
    return tuple(Interval(max(i.start, over.start), min(i.end, over.end)) for i in found if i.overlaps(over))


def first_run_at(engine: Engine) -> datetime | None:
    """When the site was first run; None when it never was. Raises LedgerUnavailable."""
    with reading(engine) as connection:
        return connection.execute(select(journal.c.at).order_by(journal.c.seq).limit(1)).scalar()


def last_observed_at(engine: Engine) -> datetime | None:
    """When the site was last observed; None when it never was. Raises LedgerUnavailable."""
    with reading(engine) as connection:
        return connection.execute(select(func.max(journal.c.at)).where(journal.c.kind == SEEN)).scalar()


def run_positions(stretches: tuple[Interval, ...], grid: Grid) -> NDArray[np.bool_]:
    """Whether each interval of a grid was run, shape (n,)."""
    share = sum((grid.share_within(stretch) for stretch in stretches), np.zeros(len(grid)))
    return np.asarray(share > RUN_SHARE)
