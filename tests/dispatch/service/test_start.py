"""Where a run starts: simulated time goes on after everything the journal holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest

from dispatch.entries import Planned
from dispatch.service.start import RunOptions, RunRefused, prepare_run
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.store import JournalBroken, lease
from dispatch.store.backup import backup
from dispatch.store.journal import SqlJournal
from dispatch.store.keys import ApiKeys
from dispatch.store.start_check import start_faults
from dispatch.store.tables import ledger_file, open_ledger
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


def run_before(data: Path) -> None:
    engine = open_ledger(data)
    journal = SqlJournal(engine, lease.take(engine, "ended", 5.0))
    for n in range(5):
        journal.append(held(n))
    engine.dispose()


def edit(data: Path, change: str) -> None:
    """What somebody with the ledger's file can do."""
    with sqlite.connect(ledger_file(data)) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(change)


def without_ledger(data: Path) -> None:
    for file in data.glob("ledger.sqlite*"):
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: edit(data, "DELETE FROM journal WHERE seq > 3"), "the journal ends at row 3, but journal.head names row 5"),
        (lambda data: edit(data, "UPDATE journal SET document = document || ' ' WHERE seq = 2"), "row 2 was changed"),
        (lambda data: edit(data, "INSERT INTO api_keys VALUES ('x', 'y', 'admin', 'z', NULL)"), "api_keys: row x was added outside"),
        (without_ledger, "is missing, but .*journal.head names its row 5"),
        (lambda data: (without_ledger(data), ledger_file(data).touch()), "the journal ends at row 0, but journal.head names row 5"),
    ],
)
def test_a_site_does_not_start_on_a_damaged_ledger_unless_its_findings_are_accepted(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    run_before(tmp_path)
    assert started_at(tmp_path, NOON) >= NOON
    damage(tmp_path)
    with pytest.raises(JournalBroken, match=words):
        started_at(tmp_path, NOON)
    prepared = prepare_run(RunOptions("live", default_file(DEMO_SITE), tmp_path, LISTEN, NOON, accept_findings=True))
    assert any(re.search(words, note) for note in prepared.notes)
    if "row 2" not in words and "api_keys" not in words:  # rows that are missing are accepted once; rows that are wrong at every start
        assert start_faults(tmp_path) == []


def test_an_address_that_others_reach_needs_a_key_and_says_that_it_has_no_tls(tmp_path: Path) -> None:
    def notes() -> str:
        return " ".join(prepare_run(RunOptions("live", default_file(DEMO_SITE), tmp_path, "0.0.0.0:18788", NOON)).notes)

    with pytest.raises(RunRefused, match="has no API key: loadstone keys add"):
        notes()
    engine = open_ledger(tmp_path)
    ApiKeys(engine).add("desk", ["dispatch"])
    engine.dispose()
    assert "served without TLS" in notes()


def test_ledger_and_backup_are_their_owners_alone(tmp_path: Path) -> None:
    run_before(tmp_path / "data")
    ledger_file(tmp_path / "data").chmod(0o644)
    open_ledger(tmp_path / "data").dispose()
    left = tmp_path / f".backup-{2**22 + 1}-killed"
    left.mkdir()
    backup(tmp_path / "data", tmp_path / "copy")
    assert not left.exists()
    for file in (ledger_file(tmp_path / "data"), tmp_path / "copy"):
        assert file.stat().st_mode & 0o077 == 0
