"""Where a run starts: simulated time goes on after everything the journal holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dispatch.entries import Planned
from dispatch.service.start import RunOptions, prepare_run
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from tests.dispatch.store.entries import held
from tests.fakes import NOON

LISTEN = "127.0.0.73:18787"


def started_at(data: Path, start: datetime) -> datetime:
    prepared = prepare_run(RunOptions("live", default_file(DEMO_SITE), data, LISTEN, start))
    return datetime.fromisoformat(prepared.job.start)


@pytest.mark.parametrize("asked", [timedelta(0), timedelta(hours=-1)])
def test_simulated_time_goes_on_after_the_latest_instant_of_the_journal(tmp_path: Path, asked: timedelta) -> None:
    engine = open_ledger(tmp_path)
    journal = SqlJournal(engine, lease.take(engine, "killed", 5.0))
    latest = held(7)
    journal.append(latest)
    # A plan that came back just before the process was killed; it bears the time at which it was asked for.
    journal.append(Planned(at=latest.at - timedelta(minutes=9), as_of=1, plan=None, failed="no answer"))
    engine.dispose()
    assert latest.at < started_at(tmp_path, latest.at + asked) <= latest.at + timedelta(seconds=1)


def test_a_later_start_than_the_journal_holds_is_kept(tmp_path: Path) -> None:
    assert started_at(tmp_path, NOON) == NOON
    engine = open_ledger(tmp_path)
    SqlJournal(engine, lease.take(engine, "ended", 5.0)).append(held(0))
    later = held(0).at + timedelta(days=1)
    assert started_at(tmp_path, later) == later
