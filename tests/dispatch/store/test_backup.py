"""Backup while the site runs, restore into an empty place, chain checked; and statements, which it carries."""

from __future__ import annotations

import io
import tarfile
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatch.entries import Planned
from dispatch.store import JournalBroken, LedgerUnavailable, lease
from dispatch.store.backup import RestoreRefused, backup, restore
from dispatch.store.journal import SqlJournal
from dispatch.store.statements import keep_statement, kept_statement, kept_statement_days
from dispatch.store.tables import ledger_file, open_ledger
from tests.dispatch.store.entries import AT, held, priced
from tests.dispatch.store.test_telemetry import S, Telemetry, site, span
from tests.dispatch.store.test_verify import tamper


def test_a_backup_of_a_running_site_is_restored_completely(tmp_path: Path) -> None:
    data = tmp_path / "data"
    engine = open_ledger(data)
    journal = SqlJournal(engine, lease.take(engine, "a", 600))
    telemetry = Telemetry(data / "telemetry", site(a=50))
    telemetry.record(S, "a", range(50), [3250.0] * 50, [104.0] * 50, "poll")
    telemetry.flush()
    (data / "archive").mkdir()
    (data / "archive" / "2026-01-01.parquet").write_bytes(b"facts")
    (data / ".unfinished.tmp").write_bytes(b"half")
    ended = threading.Event()
    first = journal.append(priced(1.0, 2.0))

    def run() -> None:
        while not ended.is_set():
            journal.append(Planned(at=AT, as_of=1, plan={"n": journal.tail}))

    writer = threading.Thread(target=run)
    writer.start()
    size = backup(data, data / "backups" / "site.tar.gz")
    ended.set()
    writer.join()
    acked = journal.head
    assert size == (data / "backups" / "site.tar.gz").stat().st_size
    assert backup(data, tmp_path / "second.tar.gz") > 0

    back = tmp_path / "back"
    assert restore(tmp_path / "second.tar.gz", back) == acked[0]
    there = open_ledger(back, create=False)
    assert SqlJournal(there).head == acked
    assert list(SqlJournal(there).read()) == list(journal.read())
    assert Telemetry(back / "telemetry", site(a=50)).rollup(span(15), 15) == telemetry.rollup(span(15), 15)
    assert (back / "archive" / "2026-01-01.parquet").read_bytes() == b"facts"
    assert not (back / ".unfinished.tmp").exists() and (back / "backups" / "site.tar.gz").exists()
    there.dispose()

    assert first <= restore(data / "backups" / "site.tar.gz", tmp_path / "during") <= acked[0]
    during = open_ledger(tmp_path / "during", create=False)
    assert first <= SqlJournal(during).tail <= acked[0]
    assert not (tmp_path / "during" / "backups").exists()
    for each in (during, engine):
        each.dispose()


@pytest.fixture
def packed(tmp_path: Path, engine: Engine, journal: SqlJournal) -> Path:
    for n in range(50):
        journal.append(held(n))
    engine.dispose()
    backup(tmp_path, tmp_path / "b" / "site.tar.gz")
    return tmp_path / "b" / "site.tar.gz"


def test_restore_needs_an_empty_folder(tmp_path: Path, packed: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("keep")
    with pytest.raises(RestoreRefused, match="not empty"):
        restore(packed, full)
    assert [p.name for p in full.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert restore(packed, tmp_path / "empty") == 50


def test_a_broken_chain_is_found_after_restore(tmp_path: Path, engine: Engine, journal: SqlJournal) -> None:
    for n in range(50):
        journal.append(held(n))
    engine.dispose()
    tamper(tmp_path, "UPDATE journal SET document = '{}' WHERE seq = 31")
    backup(tmp_path, tmp_path / "b.tar.gz")
    with pytest.raises(JournalBroken, match="row 31"):
        restore(tmp_path / "b.tar.gz", tmp_path / "back")
    assert ledger_file(tmp_path / "back").is_file()  # in its place: there may be no better one


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_an_incomplete_backup_is_refused_and_leaves_nothing(tmp_path: Path, packed: Path, share: float) -> None:
    whole = packed.read_bytes()
    half = tmp_path / "half.tar.gz"
    half.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(RestoreRefused, match="not a complete backup"):
        restore(half, tmp_path / "back")
    assert not (tmp_path / "back").exists() and not list(tmp_path.glob(".restore-*"))


def test_a_flipped_backup_is_refused(tmp_path: Path, packed: Path) -> None:
    raw = bytearray(packed.read_bytes())
    raw[len(raw) // 2] ^= 16
    packed.write_bytes(raw)
    with pytest.raises(RestoreRefused, match="not a complete backup"):
        restore(packed, tmp_path / "back")


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_a_tar_with_paths_outside_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 3
        tar.addfile(member, io.BytesIO(b"out"))
    with pytest.raises(RestoreRefused, match="does not belong in a backup"):
        restore(tmp_path / "evil.tar.gz", tmp_path / "in" / "back")
    assert not list(tmp_path.rglob("outside"))


def test_a_folder_without_a_ledger_cannot_be_backed_up(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="no ledger"):
        backup(tmp_path, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_kept_statement_never_changes(engine: Engine) -> None:
    day, later = date(2026, 1, 1), AT + timedelta(days=2)
    one = keep_statement(engine, day, "ercot", 1, '{"net_usd": "1.00"}', AT, "0:")
    two = keep_statement(engine, day, "ercot", 2, '{"net_usd": "2.00"}', later, "0:")
    with pytest.raises(ValueError, match="version 2 of 2026-01-01"):
        keep_statement(engine, day, "ercot", 2, "{}", later, "0:")
    assert kept_statement(engine, day, "ercot") == two
    assert kept_statement(engine, day, "ercot", version=1) == kept_statement(engine, day, "ercot", known_at=AT + timedelta(days=1)) == one
    assert kept_statement(engine, day, "miso") is None and kept_statement(engine, day, "ercot", version=3) is None
    assert kept_statement_days(engine) == [(day, "ercot", 1), (day, "ercot", 2)]
