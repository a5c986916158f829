"""Moving a fleet: our driver and controller against bare pyasic, in turn, on the same simulated rigs in another process on this machine.

    python bench/fleet.py [--rigs N] [--rounds N] [--json]

A ratio is our time over bare pyasic's for the same work: under 1 is faster. Bare pyasic is its own miner objects, 100 at a time, no
read-back, no deadline; its reading of a rig is one `summary` call. `hung_ratio` is the controller with one rig in forty hanging over the
controller without, until every other rig has an outcome. Rounds end after five minutes, whatever was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from pyasic.miners.factory import MINER_CLASSES, MinerTypes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dispatch.clock import WallClock  # noqa: E402
from dispatch.decide.decide import decide  # noqa: E402
from dispatch.decide.plan_inputs import inputs  # noqa: E402
from dispatch.decide.state import State  # noqa: E402
from dispatch.entries import Commanded, Done, GroupSeen, Hold, Order, Result, Seen, pack, unpack  # noqa: E402
from dispatch.rigs.asics import PyasicDriver  # noqa: E402
from dispatch.rigs.controller import RigController  # noqa: E402
from dispatch.rigs.dialects import wire_model  # noqa: E402
from dispatch.rigs.roster import addresses  # noqa: E402
from dispatch.runtime.planner import make_plan  # noqa: E402
from dispatch.runtime.price_sources import polled_sources  # noqa: E402
from dispatch.sim.models import model_fleet  # noqa: E402
from dispatch.sim.spec import RigFault, ScheduledFault, spec_to_json  # noqa: E402
from dispatch.site_file.defaults import default_file  # noqa: E402
from dispatch.site_file.load import load_site_file, setup_from_document  # noqa: E402
from optimizer.domain.site import Hall, Meter, RigGroup, Site  # noqa: E402
from optimizer.solve import Session  # noqa: E402

MODEL, SUBNET, HUNG_SUBNET = "whatsminer-m60s", "127.90.0.0/16", "127.91.0.0/16"
AT_ONCE, SPEED, HUNG = 100, 60.0, 0.025
POLL_S = 30.0
SHED_W = 360.0
LONG_S = 30.0
WITHIN_S = 300.0  # no round begins later: the whole bench takes at most six minutes


class Nowhere:
    """A telemetry sink that keeps when each rig was first seen to have shed its load, by the controller's own measure."""

    def __init__(self) -> None:
        self.asleep: dict[int, float] = {}

    def record(self, at_s: np.ndarray, group: str, rigs: np.ndarray, watts: np.ndarray, ths: np.ndarray, why: str) -> None:
        for rig in rigs[np.nan_to_num(watts, nan=1e9) < SHED_W].tolist():
            self.asleep.setdefault(rig, perf_counter())


async def at_once(work: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Bare concurrency: AT_ONCE at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Callable[[], Awaitable[object]]) -> None:
        async with gate:
            await item()

    await asyncio.gather(*(one(item) for item in work))


async def timed(work: Awaitable[object]) -> float:
    began = perf_counter()
    await work
    return perf_counter() - began


def bare(ips: Iterable[str]) -> list:
    kind = MINER_CLASSES[MinerTypes.WHATSMINER][wire_model(MODEL).replace("_", "")]
    return [kind(ip) for ip in ips]


async def one_round(group: RigGroup, ips: tuple[str, ...], clock: WallClock, ours_first: bool) -> dict[str, tuple[float, float]]:
    """Seconds (ours, bare) of each piece of work, from cold."""
    theirs, ours, rigs = bare(ips), PyasicDriver(group, ips, wire_model(MODEL), clock, at_once=AT_ONCE), range(len(ips))
    pairs: dict[str, tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]] = {
        "stop_cold": (lambda: ours.set_mode(rigs, "sleep", LONG_S), lambda: at_once(m.stop_mining for m in theirs)),
        "resume": (lambda: ours.set_mode(rigs, "normal", LONG_S), lambda: at_once(m.resume_mining for m in theirs)),
        "stop_warm": (lambda: ours.set_mode(rigs, "sleep", LONG_S), lambda: at_once(m.stop_mining for m in theirs)),
        "readback": (lambda: ours.read(rigs, LONG_S), lambda: at_once(m.rpc.summary for m in theirs)),
    }
    out = {}
    for name, (mine, other) in pairs.items():
        if ours_first:
            a, b = await timed(mine()), await timed(other())
        else:
            b, a = await timed(other()), await timed(mine())
        out[name] = (a, b)
    began = process_time()
    await ours.read(rigs, LONG_S)
    out["refresh_cpu"] = (process_time() - began, POLL_S)
    await ours.close()
    return out


async def judged_s(site: Site, ips: tuple[str, ...], clock: WallClock, hung: frozenset[int]) -> float:
    """Seconds until the controller has seen every healthy rig asleep, from a stop."""
    group, sink = site.groups[0], Nowhere()
    controller = RigController(site, {group.name: PyasicDriver(group, ips, wire_model(MODEL), clock, at_once=AT_ONCE)}, clock, sink)
    await controller.execute(order(group, "normal", clock, "w"))
    await asyncio.sleep(1.5)
    sink.asleep.clear()
    began = perf_counter()
    await controller.execute(order(group, "sleep", clock, "s"))
    await controller.close()
    return max(sink.asleep.get(r, perf_counter()) for r in range(group.rigs) if r not in hung) - began


def order(group: RigGroup, mode: str, clock: WallClock, id_: str) -> Commanded:
    one = Order(id=id_, group=group.name, mode=mode, rigs=f"0-{group.rigs - 1}", deadline_s=60.0 * SPEED, why="bench")
    return Commanded(at=clock.now(), round=1, orders=(one,), target_mw={})


def reconcile_s(rigs: int = 30_000) -> float:
    """Seconds a tick of a 100 MW site takes without its network: the look folded in, the plan over 48 hours, and `decide`, which orders
    every rig to sleep, a tenth of them silent and a tenth having just failed to."""
    setup = load_site_file(default_file("ercot-site.toml"), {"prices": {"source": "synthetic", "seed": 1}})
    at = datetime(2026, 8, 20, 16, tzinfo=UTC)
    facts = [f for w in polled_sources(setup, lambda: at) for f in asyncio.run(w.source.fetch(at - timedelta(days=2), at))]
    hold = Hold(id="h", group=None, mode="sleep", mw_cap=None, until=None, by="bench")
    look = Seen(at=at, facts=tuple(facts), fleet={g.name: seen(g) for g in setup.site.groups}, holds=(hold,))
    state = State.start(setup, setup_from_document).after(look, 1)
    session = Session()
    make_plan(inputs(state, at), session)  # the worker's first plan starts a solver; its ticks do not
    later = at + timedelta(hours=6)
    silent = {g.name: replace(seen(g), changed={"unreachable": f"0-{g.rigs // 10}"}) for g in setup.site.groups}
    began = perf_counter()
    state = state.after(Seen(at=later, fleet=silent), 2)
    make_plan(inputs(state, later), session)
    commanded = decide(state, later, 1)
    assert commanded is not None and len(commanded.orders) >= len(setup.site.groups)
    state = state.after(commanded, 3).after(Done(at=later, results=tuple(refused(o) for o in commanded.orders)), 4)
    decide(state, later, 2)
    took = perf_counter() - began
    return took * rigs / sum(g.rigs for g in setup.site.groups)


def refused(order_: Order) -> Result:
    rigs = unpack(order_.rigs)
    return Result(order=order_.id, rigs_by_outcome={"refused": pack(rigs[::10]), "reached": pack(sorted(set(rigs) - set(rigs[::10])))})


def seen(group: RigGroup) -> GroupSeen:
    """All of a group hashing."""
    load_mw, everyone = group.rigs * group.full.watts / 1e6, f"0-{group.rigs - 1}"
    return GroupSeen(rigs=group.rigs, reachable=group.rigs, load_mw=load_mw, hashrate_ph=1.0, changed={group.full.name: everyone})


def site_of(rigs: int) -> Site:
    known = model_fleet(rigs, [MODEL]).groups[0]
    group = RigGroup(name=MODEL, hall="h", model=MODEL, rigs=rigs, modes=known.modes, wake_min=known.wake_min)
    hall, meter = Hall(name="h", meter="m", limit_mw=1000), Meter(id="m", settlement_point="LZ_WEST")
    return Site(
        name="bench", market="ercot", settlement_point="LZ_WEST", interconnect_mw=1000, meters=(meter,), halls=(hall,), groups=(group,)
    )


async def serve(folder: Path, name: str, ips: tuple[str, ...], pace: dict[str, object], *faults: ScheduledFault) -> Process:
    told = folder / f"{name}.json"
    spec = model_fleet(len(ips), [MODEL], faults)
    told.write_text(json.dumps({"spec": spec_to_json(spec), "places": {MODEL: ips}, **pace}))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dispatch.sim.server",
        "--spec",
        str(told),
        stdout=PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    if await process.stdout.readline() != b"ready\n":
        raise SystemExit("the simulated rigs did not start")
    return process


async def measure(rigs: int, rounds: int) -> dict[str, float | int]:
    began, site, hung = perf_counter(), site_of(rigs), frozenset(range(0, rigs, round(1 / HUNG)))
    ips, hung_ips = addresses(SUBNET, rigs), addresses(HUNG_SUBNET, rigs)
    with tempfile.TemporaryDirectory() as folder:
        start = datetime.now(UTC)
        clock = WallClock(start, SPEED)
        shared = {"start": start.isoformat(), "speed": SPEED}
        servers = [
            await serve(Path(folder), "healthy", ips, shared),
            await serve(Path(folder), "hung", hung_ips, shared, ScheduledFault(RigFault.HANGS, MODEL, tuple(hung))),
        ]
        try:
            taken, waits = [], []
            for k in range(rounds):
                taken.append(await one_round(site.groups[0], ips, clock, ours_first=k % 2 == 0))
                waits.append((await judged_s(site, hung_ips, clock, hung), await judged_s(site, ips, clock, frozenset())))
                if perf_counter() - began > WITHIN_S * (k + 1) / (k + 2):  # another round would end later
                    break
        finally:
            for server in servers:
                server.kill()
                await server.wait()
    both = {name: np.array([r[name] for r in taken]) for name in taken[0]}
    for name, pairs in both.items():
        ours, bare_ = np.median(pairs, axis=0)
        print(f"{name:12} ours {ours:7.2f} s   bare {bare_:7.2f} s")
    ratio = {name: float(np.median(pairs[:, 0] / pairs[:, 1])) for name, pairs in both.items()}
    print(f"{'judged':12} hung {statistics.median(w[0] for w in waits):7.2f} s   none {statistics.median(w[1] for w in waits):7.2f} s")
    return {
        "rigs": rigs,
        "stop_cold_ratio": round(ratio["stop_cold"], 3),
        "stop_warm_ratio": round(ratio["stop_warm"], 3),
        "readback_ratio": round(ratio["readback"], 3),
        "resume_ratio": round(ratio["resume"], 3),
        "hung_ratio": round(statistics.median(a / b for a, b in waits), 3),
        "refresh_cpu_share": round(ratio["refresh_cpu"], 4),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rigs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 65536)) if hard != resource.RLIM_INFINITY else 65536, hard))
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    figures = asyncio.run(measure(asked.rigs, asked.rounds))
    figures["reconcile_30000_s"] = round(statistics.median(reconcile_s() for _ in range(3)), 4)
    for key, value in figures.items():
        print(f"{key:20} {value}")
    if asked.json:
        print(json.dumps(figures))
