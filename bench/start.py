"""How a start depends on the age of the site: the first tick, the page and the state after a day and after a year.

    python bench/start.py [--days N] [--rounds N] [--json]

The journal is a day of the demonstration site, played by the control loop and then appended again and again with its dates moved on,
through the store. The loop and the API then run as the supervisor starts them, on the day's ledger and on the year's in turn.
`no_snapshot` is the start of the loop after an upgrade that folds the journal in another way: it reads every row once. Ratios compare
seconds of processor, which other work on the machine disturbs less; `_s` keys are seconds of the wall clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dispatch.entries import Entry, RunEnded, RunStarted, entry_from_json  # noqa: E402
from dispatch.service.replay import replay  # noqa: E402
from dispatch.service.supervisor import Job, clock_file  # noqa: E402
from dispatch.site_file.defaults import DEMO_SITE, default_file  # noqa: E402
from dispatch.site_file.load import load_site_file  # noqa: E402
from dispatch.store import lease  # noqa: E402
from dispatch.store.journal import SqlJournal  # noqa: E402
from dispatch.store.tables import ledger_file, open_ledger  # noqa: E402

START = datetime(2026, 6, 1, 5, tzinfo=UTC)
LISTEN = "127.0.0.1:8797"
WITHIN_S = 1800.0
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def site_file(folder: Path) -> Path:
    """The demonstration site with rigs simulated in the loop's own process."""
    text = default_file(DEMO_SITE).read_text("utf-8")
    text = re.sub(r'(?m)^driver = \{ kind = "modbus".*\n', "", text)
    text = re.sub(r"(?m)^driver = \{.*$", 'driver = { kind = "simulated" }', text)
    file = folder / "site.toml"
    file.write_text(f'{text}\n[api]\nlisten = "{LISTEN}"\n', "utf-8")
    return file


def fill(data: Path, day: list[dict[str, object]], days: int) -> None:
    """A ledger with the entries of a day, and again for each further day, without waiting for the disk. Of the plans of days before the
    last two one in sixteen is kept: they are most of the work of writing, and no start reads them."""
    engine = open_ledger(data)
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA synchronous=OFF")
    token = lease.take(engine, "bench", 1e9)
    assert token is not None
    journal, plans = SqlJournal(engine, token), [row for row in day if row["entry"] == "Planned"]
    thinned = [row for row in day if row["entry"] != "Planned" or row in plans[::16]]
    for n in range(days):
        rows = day if n >= days - 2 else thinned
        for row in rows if n == 0 else rows[1:]:
            journal.append(_moved(json.dumps(row), n, journal.tail))
    lease.release(engine, token)
    engine.dispose()


def _moved(text: str, days: int, tail: int) -> Entry:
    """An entry with its dates moved on; a plan is made from the row before it."""
    document = json.loads(DATE.sub(lambda found: _later(found.group(), days), text) if days else text)
    return entry_from_json({**document, "as_of": tail} if document["entry"] == "Planned" else document)


def _later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def day_of_entries(config: Path, folder: Path) -> list[dict[str, object]]:
    """A day played by the loop, from the start of its run to its last tick."""
    asyncio.run(replay(load_site_file(config), folder, START, START + timedelta(days=1)))
    engine = open_ledger(folder)
    rows = [row for _, row in SqlJournal(engine).documents()]
    engine.dispose()
    ended = next(n for n, row in enumerate(rows) if row["entry"] == RunEnded.__name__)
    assert rows[0]["entry"] == RunStarted.__name__
    return rows[:ended]


def seen_after(data: Path, seq: int) -> bool:
    with closing(sqlite3.connect(f"file:{ledger_file(data)}?mode=ro", uri=True)) as rows:
        return rows.execute("SELECT 1 FROM journal WHERE kind = 'Seen' AND seq > ?", (seq,)).fetchone() is not None


def newest(data: Path) -> tuple[int, str]:
    with closing(sqlite3.connect(f"file:{ledger_file(data)}?mode=ro", uri=True)) as rows:
        seq, at = rows.execute("SELECT seq, at FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return seq, at


@contextmanager
def process(role: str, config: Path, data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the site, as the supervisor starts it; simulated time goes on where the journal ends."""
    clock_file(data).unlink(missing_ok=True)
    job = Job(str(config), str(data), LISTEN, "live", f"bench:{os.getpid()}", newest(data)[1], True, 1.0)
    command = [sys.executable, "-m", "dispatch.service.daemon", role, job.text()]
    with (data / f"{role}.log").open("wb") as log:
        running = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            yield running
        finally:
            running.terminate()
            running.wait(30)


def until(true: Callable[[], bool], running: subprocess.Popen[bytes]) -> float:
    """Seconds until it is true."""
    began = time.perf_counter()
    while not true():
        assert running.poll() is None, "the process ended"
        assert time.perf_counter() - began < WITHIN_S, "not in time"
        time.sleep(0.01)
    return time.perf_counter() - began


def first_tick(config: Path, data: Path, keeps: bool = False) -> tuple[float, float]:
    """From the start of the process to its first observation in the journal: seconds of the wall clock, and of processor. The process that
    `keeps` runs on until it has kept the day's snapshot."""
    seq, _ = newest(data)
    with process("loop", config, data) as running:
        took = until(lambda: seen_after(data, seq), running), spent_s(running)
        if keeps:
            until(lambda: kept(data, "state"), running)
    return took


def kept(data: Path, kind: str) -> bool:
    with closing(sqlite3.connect(f"file:{ledger_file(data)}?mode=ro", uri=True)) as rows:
        return rows.execute("SELECT 1 FROM snapshots WHERE kind = ?", (kind,)).fetchone() is not None


def spent_s(running: subprocess.Popen[bytes]) -> float:
    """Seconds of processor that a process took so far."""
    ticks = Path(f"/proc/{running.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def answers(path: str) -> bool:
    try:
        with urlopen(f"http://{LISTEN}{path}", timeout=30) as answer:
            return bool(answer.status == 200 and answer.read())
    except (URLError, OSError):
        return False


def api(config: Path, data: Path) -> dict[str, float]:
    """Seconds until the API answers, milliseconds of an answer, and the memory of its process, MiB."""
    with process("api", config, data) as running:
        found = {"ready_s": until(lambda: answers("/api/v1/state"), running), "ready_cpu_s": spent_s(running)}
        for name, path in {"page_ms": "/", "state_ms": "/api/v1/state", "calls_ms": "/api/v1/calls"}.items():
            found[name] = statistics.median(_timed_ms(path) for _ in range(9))
        until(lambda: kept(data, "view"), running)
        status = Path(f"/proc/{running.pid}/status").read_text("utf-8")
    return {**found, "rss_mb": int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024}


def _timed_ms(path: str) -> float:
    began = time.perf_counter()
    assert answers(path)
    return (time.perf_counter() - began) * 1e3


def measured(days: int, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = site_file(folder)
        day = day_of_entries(config, folder / "played")
        ledgers = {"day": folder / "day", "year": folder / "year"}
        for which, data in ledgers.items():
            fill(data, day, 1 if which == "day" else days)
        out = {f"no_snapshot_s_{which}": first_tick(config, data, keeps=True)[0] for which, data in ledgers.items()}
        ticks: dict[str, list[tuple[float, float]]] = {which: [] for which in ledgers}
        served: dict[str, list[dict[str, float]]] = {which: [] for which in ledgers}
        for data in ledgers.values():
            api(config, data)  # its first start reads every row too
        for _ in range(rounds):
            for which, data in ledgers.items():
                ticks[which].append(first_tick(config, data))
                served[which].append(api(config, data))
    for which, pairs in ticks.items():
        wall_s, cpu_s = (statistics.median(side) for side in zip(*pairs, strict=True))
        out |= {f"first_tick_s_{which}": wall_s, f"first_tick_cpu_s_{which}": cpu_s}
    for which, found in served.items():
        out |= {f"{key}_{which}": statistics.median(one[key] for one in found) for key in found[0]}
    ratios = {"first_tick_ratio": "first_tick_cpu_s", "ready_ratio": "ready_cpu_s", "page_ratio": "page_ms", "state_ratio": "state_ms"}
    return {**out, **{name: out[f"{key}_year"] / out[f"{key}_day"] for name, key in ratios.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = measured(options.days, options.rounds)
    for key, value in found.items():
        print(f"{key:24} {value:10.3f}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
