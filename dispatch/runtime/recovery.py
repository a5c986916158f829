"""Recovery: the state at a start, read from the newest snapshot that counts and the journal's rows since; and the keeping of snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy import Engine

import dispatch
import markets
import optimizer
from dispatch import ConfigError
from dispatch.decide.state import State
from dispatch.decide.state_json import state_from_json, state_to_json
from dispatch.site_file.made_by import made_by
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.snapshots import Snapshots

log = structlog.get_logger()
T = TypeVar("T")

# A snapshot is kept once a day, and never for fewer rows than these: a start reads them about as quickly.
ROWS_AT_LEAST = 100

# Everything that folding the same rows to the same state rests on.
FOLDED_BY = (
    (markets, ""),
    (optimizer, "domain"),
    (optimizer, "obligations"),
    (optimizer, "planning/plan_json.py"),
    (dispatch, "decide"),
    (dispatch, "entries.py"),
    (dispatch, "power_meters.py"),
    (dispatch, "rigs/shed_curve.py"),
    (dispatch, "rigs/wake_profile.py"),
    (dispatch, "site_file"),
)


def fold_schema(setup: Setup) -> str:
    """What a fold rests on beside the rows. A snapshot made with another is not read: the same rows may now fold to another state."""
    return made_by(setup, FOLDED_BY)


class SnapshotKeeper:
    """Keeps a snapshot a day of what a process folds, and gives the newest one at its start. `kind` is "state" or "view"."""

    def __init__(self, engine: Engine, kind: str, setup: Setup) -> None:
        self._kept = Snapshots(engine, kind, fold_schema(setup))
        self._kind, self._seq, self._at = kind, 0, datetime.min

    def newest(self, read: Callable[[Mapping[str, Any]], T]) -> T | None:
        """What `read` makes of the newest snapshot that it can read; None when there is none."""
        try:
            kept = self._kept.newest_first()
        except (LedgerUnavailable, TypeError) as fault:  # TypeError: text where bytes belong
            log.warning("The snapshots cannot be read: the journal's rows are.", error=str(fault))
            return None
        for found in kept:
            try:
                value = read(found.document)
            except (ValueError, KeyError, TypeError, ConfigError) as fault:
                log.warning("A snapshot cannot be read: an older one or the journal's rows are.", seq=found.seq, error=repr(fault))
                continue
            self._seq, self._at = found.seq, found.at
            return value
        return None

    def due(self, seq: int, at: datetime | None) -> bool:
        """Whether what is folded up to row `seq`, of the world's time `at`, is to be kept now."""
        return at is not None and seq - self._seq >= ROWS_AT_LEAST and (self._seq == 0 or at.date() != self._at.date())

    def keep(self, seq: int, at: datetime, document: Callable[[], Mapping[str, Any]]) -> None:
        """Keep a snapshot. A failure is logged: a start then reads more rows, and nothing else is lost."""
        self._seq, self._at = seq, at
        try:
            self._kept.keep(seq, document())
        except (ValueError, KeyError, TypeError, LedgerUnavailable) as fault:
            log.error("The snapshot of the day cannot be kept.", kind=self._kind, seq=seq, error=repr(fault))


class StateSnapshots:
    """The snapshots of the control loop's state: called after every tick, it keeps the one of the day, in a thread of its own."""

    def __init__(self, engine: Engine, setup: Setup) -> None:
        self._keeper = SnapshotKeeper(engine, "state", setup)
        self._work: asyncio.Task[None] | None = None

    def recovered(self, blank: State) -> State:
        """The state of the newest snapshot, else `blank`, the state before the first entry; the rows since are still to be folded."""
        return self._keeper.newest(lambda document: state_from_json(document, blank)) or blank

    async def __call__(self, at: datetime, state: State) -> None:
        """After a tick at `at`."""
        if self._keeper.due(state.seq, at) and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(asyncio.to_thread(self._keeper.keep, state.seq, at, partial(state_to_json, state)))

    async def finish(self) -> None:
        """Wait until a snapshot that is being written is kept."""
        if self._work is not None:
            await self._work
