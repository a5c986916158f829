"""How fast a running site answers what-ifs, beside the bare plan of the same program in this process.

    python bench/what_if.py [--seconds N] [--json]

A site of ten groups, 24 hours in hours, runs as `loadstone run` starts it; clients and server share the machine's cores. `p50_ratio_1` and
`p50_ratio_4` are the median answer at one and at four connections over the bare plan, measured in turn in the same run; `per_minute` counts
the answers at four connections. `tick_late_ms` is the latest tick of the control loop meanwhile, `sweep_s` one sweep of 21 by 21 points.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dispatch.runtime.gathered_inputs import gather_inputs  # noqa: E402
from dispatch.runtime.planner import make_plan  # noqa: E402
from dispatch.store.tables import ledger_file  # noqa: E402

LISTEN = "127.0.0.1:8796"
URL = f"http://{LISTEN}/api/v1/"
GROUPS, TICK_S, WITHIN_S = 10, 5, 120.0
SITE = """
[site]
name = "What-if bench"
market = "ercot"
settlement_point = "LZ_WEST"
interconnect_mw = 40.0
control_interval_min = 60
horizon_h = 24
tick_s = {tick_s}
[[meters]]
id = "main"
[[halls]]
name = "h"
meter = "main"
limit_mw = 40.0
{groups}
[prices]
source = "synthetic"
[hash]
source = "fixed"
usd_per_ph_day = 45.0
[api]
listen = "{listen}"
[[obligations]]
type = "power"
adders_usd_per_mwh = 6.15
[[obligations]]
type = "block"
mw = 12.0
usd_per_mwh = 32.5
[[obligations]]
type = "transmission"
method = "4cp"
usd_per_kw_year = 70.0
"""
GROUP = """
[[groups]]
name = "g{n}"
hall = "h"
model = "m{n}"
rigs = 1000
modes = [
    {{ name = "sleep", watts = 15, ths = 0 }},
    {{ name = "low", watts = {low}, ths = {low_ths} }},
    {{ name = "normal", watts = {watts}, ths = {ths} }},
]
driver = {{ kind = "simulated" }}
"""


def site_file(folder: Path) -> Path:
    """Ten models between 15 and 30 J/TH, with three modes each."""
    groups = ""
    for n in range(GROUPS):
        watts, j_per_th = 3000 + 50 * n, 15.0 + 1.5 * n
        ths = round(watts / j_per_th, 3)
        groups += GROUP.format(n=n, watts=watts, ths=ths, low=0.7 * watts, low_ths=round(0.75 * ths, 3))
    file = folder / "site.toml"
    file.write_text(SITE.format(groups=groups, listen=LISTEN, tick_s=TICK_S), "utf-8")
    return file


def scenarios() -> Callable[[], dict[str, Any]]:
    """Scenarios that differ from one to the next, so that no answer is another's."""
    count = 0

    def following() -> dict[str, Any]:
        nonlocal count
        count += 1
        return {"prices": [{"scale": 0.5 + (count % 997) / 500}], "hash": {"scale": 0.8 + (count % 101) / 250}}

    return following


def answered_ms(client: httpx.Client, document: dict[str, Any]) -> float:
    began = time.perf_counter()
    answer = client.post("what-if", json=document)
    answer.raise_for_status()
    return (time.perf_counter() - began) * 1e3


def bare_ms(config: Path) -> float:
    """The median of a plan of the site's own inputs in this process."""
    inputs = gather_inputs(config, None, None).inputs
    times = []
    for _ in range(40):
        began = time.perf_counter()
        make_plan(inputs)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[5:])


def at_connections(number: int, seconds: float, following: Callable[[], dict[str, Any]]) -> list[float]:
    """Milliseconds of every answer while so many clients ask one question after the other."""
    times: list[float] = []

    def ask() -> None:
        ends = time.perf_counter() + seconds
        with httpx.Client(base_url=URL, timeout=30.0, trust_env=False) as client:
            while time.perf_counter() < ends:
                times.append(answered_ms(client, following()))

    clients = [threading.Thread(target=ask) for _ in range(number)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return times


def ticks_late_ms(data: Path, since_seq: int) -> float:
    """How late the latest tick since a row of the journal began, after its whole multiple of the tick."""
    with closing(sqlite3.connect(f"file:{ledger_file(data)}?mode=ro", uri=True)) as rows:
        found = rows.execute("SELECT at FROM journal WHERE kind = 'Seen' AND seq > ?", (since_seq,)).fetchall()
    instants = [float(at) if not isinstance(at, str) else datetime.fromisoformat(at).timestamp() for (at,) in found]
    return max((at % TICK_S * 1e3 for at in instants), default=float("nan"))


def newest_seq(data: Path) -> int:
    with closing(sqlite3.connect(f"file:{ledger_file(data)}?mode=ro", uri=True)) as rows:
        return int(rows.execute("SELECT max(seq) FROM journal").fetchone()[0])


def until_ready(client: httpx.Client, running: subprocess.Popen[bytes]) -> None:
    ends = time.perf_counter() + WITHIN_S
    while time.perf_counter() < ends:
        assert running.poll() is None, "the site ended"
        try:
            if client.get("plan").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError("the site did not start in time")


def measured(seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, data, following = site_file(folder), folder / "data", scenarios()
        command = [sys.executable, "-m", "dispatch.cli", "run", "--config", str(config), "--data", str(data), "--listen", LISTEN]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (folder / "run.log").open("wb") as log, httpx.Client(base_url=URL, timeout=60.0, trust_env=False) as client:
            running = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
            try:
                until_ready(client, running)
                before, seq = bare_ms(config), newest_seq(data)
                one = at_connections(1, seconds, following)
                four = at_connections(4, seconds, following)
                after, late_ms = bare_ms(config), ticks_late_ms(data, seq)
                began = time.perf_counter()
                client.post("what-if/sweep", json={"sweep": ["prices.scale=0.5:2:21", "hash.scale=0.5:1.5:21"]}).raise_for_status()
                sweep_s = time.perf_counter() - began
            finally:
                running.terminate()
                running.wait(30)
    bare, p50_1, p50_4 = (before + after) / 2, statistics.median(one), statistics.median(four)
    return {
        "p50_ms": p50_1,
        "p99_ms": statistics.quantiles(one, n=100)[98],
        "bare_ms": bare,
        "p50_ratio_1": p50_1 / bare,
        "p50_ratio_4": p50_4 / bare,
        "per_minute": len(four) / seconds * 60,
        "tick_late_ms": late_ms,
        "sweep_s": sweep_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=20.0)
    found = measured(parser.parse_args().seconds)
    for key, value in found.items():
        print(f"{key:16} {value:10.3f}")
    if "--json" in sys.argv:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
