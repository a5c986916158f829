"""The lease: one leader, tokens that only grow, the database's clock."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatch.store import JournalLost, lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from dispatch.store.verify import verify
from tests.dispatch.store.entries import held

ROOT = Path(__file__).parents[3]


def test_a_new_ledger_has_no_leader(engine: Engine) -> None:
    assert lease.holder(engine) is None
    assert not lease.renew(engine, 1, 10)


def test_a_lease_keeps_others_out_until_it_runs_out(engine: Engine) -> None:
    assert lease.take(engine, "a", 60.0) == 1
    assert lease.take(engine, "b", 10) is None
    assert lease.renew(engine, 1, 90.0)
    held_by = lease.holder(engine)
    assert held_by is not None and (held_by.owner, held_by.token) == ("a", 1) and 0 < held_by.left_s <= 90.0
    assert lease.take(engine, "b", 10) is None
    assert lease.renew(engine, 1, 0.05)
    time.sleep(0.1)
    assert lease.take(engine, "b", 10) == 2
    assert not lease.renew(engine, 1, 10)
    lease.release(engine, 1)  # of no effect: it is b's
    assert lease.take(engine, "c", 10) is None


def test_its_owner_may_take_it_again_and_release_it(engine: Engine) -> None:
    assert [lease.take(engine, "a", 10) for _ in range(3)] == [1, 2, 3]
    lease.release(engine, 3)
    assert lease.take(engine, "b", 10) == 4


def test_of_many_processes_one_becomes_the_leader(tmp_path: Path, engine: Engine) -> None:
    tokens: list[int | None] = []
    ready = threading.Barrier(8)

    def run(owner: str) -> None:
        own = open_ledger(tmp_path)
        ready.wait()
        tokens.append(lease.take(own, owner, 30))
        own.dispose()

    threads = [threading.Thread(target=run, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tokens, key=lambda t: t is None) == [1] + [None] * 7


ZOMBIE = """
import sys
from pathlib import Path
from dispatch.store import JournalLost, lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from tests.dispatch.store.entries import held
engine = open_ledger(Path(sys.argv[1]))
journal = SqlJournal(engine, lease.take(engine, "zombie", 0.2))
print(journal.append(held(0)), flush=True)
sys.stdin.readline()
try:
    print(journal.append(held(1)), flush=True)
except JournalLost as lost:
    print("lost:", lost, flush=True)
"""


def test_a_leader_that_slept_through_its_lease_writes_nothing(tmp_path: Path, engine: Engine) -> None:
    zombie = subprocess.Popen(
        [sys.executable, "-c", ZOMBIE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert zombie.stdout is not None
    assert zombie.stdout.readline() == "1\n"
    token = None
    for _ in range(100):
        if (token := lease.take(engine, "successor", 60)) is not None:
            break
        time.sleep(0.05)
    assert token == 2
    assert SqlJournal(engine, token).append(held(7)) == 2
    out, _ = zombie.communicate("go on\n", timeout=30)
    assert out.startswith("lost: fencing token 1 is stale")
    assert [e for _, e in SqlJournal(engine).read()] == [held(0), held(7)]
    assert verify(engine).findings == ()


def test_two_leaders_at_once_never_both_write(tmp_path: Path, engine: Engine) -> None:
    """Two processes' worth of engines take the lease from each other while both append: every row that was acknowledged is there, once."""
    acked: list[int] = []
    lost: list[str] = []

    def lead(owner: str) -> None:
        own = open_ledger(tmp_path)
        for round_ in range(12):
            token = lease.take(own, owner, 0.0)
            journal = SqlJournal(own, token)
            for n in range(5):
                try:
                    acked.append(journal.append(held(round_ * 5 + n)))
                except JournalLost as fault:
                    lost.append(str(fault))
                    break
        own.dispose()

    threads = [threading.Thread(target=lead, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(acked) == len(set(acked))
    assert sorted(acked) == [seq for seq, _ in SqlJournal(engine).read()]
    assert verify(engine).findings == () and all("stale" in text for text in lost)


def test_nothing_is_written_without_a_leader(engine: Engine) -> None:
    with pytest.raises(JournalLost, match="stale"):
        SqlJournal(engine, 1).append(held(0))  # nobody took the lease
    assert lease.take(engine, "a", 1) == 1
