"""A ledger that is locked, or whose disk is full, holds up neither a decision nor a stop."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest

from dispatch.entries import Entry
from dispatch.store import JournalLost, LeadershipLost, lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.reserve import give_up_reserve, keep_reserve, reserve_file
from dispatch.store.spare_journal import SpareJournal, spare_file, waiting_entries
from dispatch.store.stop_file import StopFile
from dispatch.store.tables import ledger_file, open_ledger
from dispatch.store.verify import verify
from tests.dispatch.store.entries import AT, held


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def leading(data: Path, owner: str = "test") -> SqlJournal:
    engine = open_ledger(data, busy_s=0.05)
    return SqlJournal(engine, lease.take(engine, owner, 600))


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[sqlite.Connection]:
    """Somebody else holds the ledger's write lock until the connection rolls back."""
    open_ledger(tmp_path).dispose()
    with closing(sqlite.connect(ledger_file(tmp_path), isolation_level=None)) as other:
        yield other


def entries(journal: SqlJournal) -> list[Entry]:
    return [entry for _, entry in journal.read()]


def test_entries_go_on_in_a_spare_file_while_the_ledger_is_locked(tmp_path: Path, locked: sqlite.Connection) -> None:
    ledger, seconds = leading(tmp_path), Seconds()
    journal = SpareJournal(ledger, tmp_path, seconds)
    assert journal.append(held(0)) == 1
    locked.execute("BEGIN IMMEDIATE")
    assert [journal.append(held(n)) for n in (1, 2)] == [2, 3]
    assert ledger.tail == 1 and waiting_entries(tmp_path) == 2
    assert [seq for seq, _ in journal.read()] == [1, 2, 3]
    locked.execute("ROLLBACK")
    seconds.now = 10.0
    assert journal.append(held(3)) == 4
    assert entries(ledger) == [held(n) for n in range(4)] and waiting_entries(tmp_path) == 0
    engine = open_ledger(tmp_path)
    assert verify(engine).findings == ()


def test_a_process_that_starts_while_entries_wait_numbers_its_own_after_them(tmp_path: Path, locked: sqlite.Connection) -> None:
    ledger = leading(tmp_path)
    killed = SpareJournal(ledger, tmp_path)
    locked.execute("BEGIN IMMEDIATE")
    assert [killed.append(held(n)) for n in range(3)] == [1, 2, 3]
    seconds = Seconds()
    journal = SpareJournal(ledger, tmp_path, seconds)
    assert [journal.append(held(n)) for n in (3, 4)] == [4, 5]
    assert [seq for seq, _ in journal.read()] == [1, 2, 3, 4, 5]
    locked.execute("ROLLBACK")
    seconds.now = 10.0
    assert journal.append(held(5)) == 6
    assert entries(ledger) == [held(n) for n in range(6)]


def test_a_process_after_a_kill_writes_what_waits_once(tmp_path: Path, locked: sqlite.Connection) -> None:
    ledger = leading(tmp_path)
    killed = SpareJournal(ledger, tmp_path)
    locked.execute("BEGIN IMMEDIATE")
    killed.append(held(0))
    killed.append(held(1))
    before = spare_file(tmp_path).read_bytes()
    locked.execute("ROLLBACK")
    assert SpareJournal(leading(tmp_path), tmp_path).append(held(2)) == 3
    spare_file(tmp_path).write_bytes(before)  # killed again after it wrote them, before it emptied the file
    again = leading(tmp_path)
    assert SpareJournal(again, tmp_path).append(held(3)) == 4
    assert entries(again) == [held(n) for n in range(4)]


def test_a_record_cut_short_by_a_loss_of_power_is_passed_over(tmp_path: Path, locked: sqlite.Connection) -> None:
    journal = SpareJournal(leading(tmp_path), tmp_path)
    locked.execute("BEGIN IMMEDIATE")
    journal.append(held(0))
    end = spare_file(tmp_path).read_bytes().rstrip(b"\0")
    journal.append(held(1))
    with spare_file(tmp_path).open("r+b") as file:
        file.seek(len(end) + 50)
        file.write(bytes(400))
    assert waiting_entries(tmp_path) == 1


def test_a_full_spare_file_loses_the_entry_and_says_so(tmp_path: Path, locked: sqlite.Connection) -> None:
    journal = SpareJournal(leading(tmp_path), tmp_path, size=400)
    locked.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalLost, match="is full"):
        for n in range(10):
            journal.append(held(n))


def test_a_former_leader_writes_nothing_to_the_spare_file(tmp_path: Path) -> None:
    journal = SpareJournal(leading(tmp_path), tmp_path)
    engine = open_ledger(tmp_path)
    first = lease.holder(engine)
    assert first is not None
    lease.release(engine, first.token)
    assert lease.take(engine, "another", 600) == 2
    with pytest.raises(LeadershipLost):
        journal.append(held(0))
    assert waiting_entries(tmp_path) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_full_disk_takes_calls_decisions_and_a_stop(small_disk: Path) -> None:
    journal = SpareJournal(leading(small_disk), small_disk, size=2**20)
    keep_reserve(small_disk)
    fill(small_disk)
    assert StopFile(small_disk).order(AT, "operator").by == "operator" and StopFile(small_disk).in_force()
    assert Inbox(open_ledger(small_disk)).put("hold", {"mode": "sleep"}, "key")[1]  # with the reserve given up
    assert not reserve_file(small_disk).exists()
    fill(small_disk)
    seqs = [journal.append(held(n)) for n in range(600)]
    assert seqs == list(range(1, 601)) and waiting_entries(small_disk) > 0
    (small_disk / "filler").unlink()
    journal = SpareJournal(leading(small_disk), small_disk)
    assert entries(leading(small_disk)) == [held(n) for n in range(600)]
    keep_reserve(small_disk)
    assert reserve_file(small_disk).exists() and give_up_reserve(small_disk)
