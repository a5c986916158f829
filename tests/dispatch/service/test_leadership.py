"""A paused leader that wakes sends nothing; a leader whose ledger is locked goes on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pysqlite3.dbapi2 as sqlite

from dispatch.service.leadership import UNRENEWED_S, LeaseFence
from dispatch.store import lease
from dispatch.store.stop_file import StopFile
from dispatch.store.tables import ledger_file, open_ledger
from tests.dispatch.store.entries import AT


def test_a_paused_leader_that_wakes_may_send_no_order(tmp_path: Path) -> None:
    engine, now_s = open_ledger(tmp_path), [100.0]
    assert lease.take(engine, "paused", 0.0) == 1
    fence = LeaseFence(engine, 1, StopFile(tmp_path), lambda: now_s[0])
    fence.renewed(100.0)
    assert fence("sleep") == ""
    assert lease.take(engine, "successor", 60) == 2
    now_s[0] += UNRENEWED_S + 5  # by a clock that runs while the process is stopped
    assert "another process leads" in fence("sleep") and "another process leads" in fence("normal")


def test_a_leader_that_could_not_renew_asks_the_ledger(tmp_path: Path) -> None:
    engine, now_s = open_ledger(tmp_path), [100.0]
    assert lease.take(engine, "leader", 0.0) == 1
    fence = LeaseFence(engine, 1, StopFile(tmp_path), lambda: now_s[0])
    with closing(sqlite.connect(ledger_file(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody can renew the lease, nor take it
        assert fence("sleep") == ""
    assert lease.take(engine, "successor", 60) == 2
    now_s[0] += 1.0
    assert fence("sleep") != ""


def test_a_stop_leaves_only_sleep(tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    assert lease.take(engine, "leader", 60) == 1
    stop = StopFile(tmp_path)
    fence = LeaseFence(engine, 1, stop)
    stop.order(AT, "anna")
    assert "global stop" in fence("normal") and fence("sleep") == ""
    stop.resume()
    assert fence("normal") == ""
