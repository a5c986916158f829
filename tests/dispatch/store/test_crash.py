"""kill -9, a full disk, many at once: what was acknowledged is there, what was not says so."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from dispatch.store.verify import verify
from tests.dispatch.store.writing_processes import Writer, append_entries, push_calls

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(s, marks=pytest.mark.slow) for s in range(2, 50))])
def test_kill_9_loses_no_acknowledged_row(tmp_path: Path, engine: Engine, seed: int) -> None:
    rng = random.Random(seed)
    rows: set[int] = set()
    pushed: set[int] = set()
    for round_ in range(2):
        leader = Writer.start(append_entries, tmp_path, f"leader-{round_}")
        pusher = Writer.start(push_calls, tmp_path, f"key-{round_}")
        rows |= set(leader.kill_after(rng.randrange(1, 120)))
        pushed |= set(pusher.kill_after(rng.randrange(1, 60)))
        assert verify(engine).findings == ()
        seqs = [seq for seq, _ in SqlJournal(engine).read()]
        assert rows <= set(seqs) and seqs == list(range(1, len(seqs) + 1))
        assert pushed <= {row.id for row in Inbox(engine).after(0, limit=10**6)}


FULL_DISK = """
import resource, sys
from pathlib import Path
from dispatch.store import JournalLost, LedgerUnavailable, lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from dispatch.store.verify import verify
from tests.dispatch.store.entries import held

data, ballast = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
if ballast:
    ballast.write_bytes(bytes(512 * 1024))
engine = open_ledger(data)
journal = SqlJournal(engine, lease.take(engine, "a", 600))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
if not ballast:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_400_000, hard))
acked = 0
try:
    for n in range(50_000):
        acked = journal.append(held(n))
    print("never full")
except JournalLost as lost:
    for n in range(3):
        try:
            Inbox(engine).put("call", {"n": "x" * 9000}, "k")
        except LedgerUnavailable:
            break
    assert journal.head[0] == acked and verify(engine).findings == ()
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if ballast:
        ballast.unlink()
    assert journal.append(held(0)) == acked + 1
    assert verify(engine).findings == ()
    print("recovered", acked > 50)
"""


def test_a_file_that_may_not_grow_loses_the_row_and_recovers_without_a_restart(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout == "recovered True\n", done.stderr


def test_a_full_disk_loses_the_row_and_recovers_without_a_restart(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=2m tmpfs {disk}"
    own_mounts = ["unshare", "-m", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*own_mounts, mount], capture_output=True).returncode:
        pytest.skip("this machine does not let the test mount a small disk of its own")
    command = [*own_mounts, f'{mount} && exec "$@"', "sh", sys.executable, "-c", FULL_DISK, str(disk / "data"), str(disk / "ballast")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout == "recovered True\n", done.stderr


def test_processes_that_start_together_make_one_ledger(tmp_path: Path) -> None:
    data = tmp_path / "new"
    pushers = [Writer.start(push_calls, data, f"key-{n}") for n in range(4)]
    acked = [ack for pusher in pushers for ack in pusher.kill_after(5)]
    engine = open_ledger(data)
    assert len(acked) == len(set(acked))
    assert set(acked) <= {row.id for row in Inbox(engine).after(0)}
    engine.dispose()
