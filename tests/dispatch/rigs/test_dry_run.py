"""A dry run writes to no rig, and the controller judges its orders as if they had been sent."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from dispatch.clock import VirtualClock
from dispatch.rigs.controller import RigController
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.dry_run import dry_run_driver
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from tests.dispatch.rigs.fakes import START, Sink, orders, outcomes, site


async def test_a_dry_run_moves_nothing_and_reads_what_would_have_moved(tmp_path: Path) -> None:
    written = site(6)
    clock = VirtualClock(START)
    fleet = Fleet(spec_of(written.groups).with_faults([ScheduledFault(RigFault.UNREACHABLE, "g0", (5,))]), 1, START.timestamp())
    dry_run = dry_run_driver(written.groups[0], simulated_drivers(fleet, clock)["g0"], clock, tmp_path / "orders.jsonl")
    controller = RigController(written, {"g0": dry_run}, clock, Sink())
    await controller.refresh()
    done = await controller.execute(orders(clock, ("g0", "sleep", range(6))))
    assert outcomes(done) == {"reached": [0, 1, 2, 3, 4], "unreachable": [5]}
    await controller.refresh()
    seen = controller.snapshot(clock.now())["g0"]
    assert seen.changed == {"sleep": "0-4", "unreachable": "5"} and seen.load_mw == pytest.approx(
        0.0034, rel=0.03
    )  # the one never read runs
    await clock.sleep_until(clock.now() + timedelta(minutes=30))
    done = await controller.execute(orders(clock, ("g0", "normal", [0, 1])))
    assert outcomes(done) == {"reached": [0, 1]}
    assert controller.snapshot(clock.now())["g0"].changed == {"waking": "0-1"}
    fleet.advance(clock.now().timestamp())
    assert fleet.modes("g0", np.arange(6)) == ["normal"] * 6
    assert np.all(fleet.truth("g0", np.arange(6))[0] > 3000)
    assert {(mode, rigs) for _, mode, rigs in dry_run.written} >= {("sleep", "0-4"), ("sleep", "5"), ("normal", "0-1")}
    assert len((tmp_path / "orders.jsonl").read_text().splitlines()) == len(dry_run.written)


async def test_a_rig_that_really_sleeps_is_simulated_to_wake_from_there() -> None:
    written = site(2)
    clock = VirtualClock(START)
    fleet = Fleet(spec_of(written.groups), 1, START.timestamp())
    fleet.command("g0", np.array([0]), "sleep")
    await clock.sleep_until(START + timedelta(minutes=5))
    dry_run = dry_run_driver(written.groups[0], simulated_drivers(fleet, clock)["g0"], clock)
    await dry_run.set_mode([0, 1], "normal", 2.0)
    watts = (await dry_run.read([0, 1], 2.0)).watts
    assert watts[0] < 20 and watts[1] > 3000
    await clock.sleep_until(clock.now() + timedelta(minutes=2))
    assert np.all((await dry_run.read([0, 1], 2.0)).watts > 3000)


def test_a_dry_run_holds_no_way_to_write_to_a_rig() -> None:
    """Nothing reachable from the driver's own attributes is the other driver's `set_mode`."""
    written = site(1)
    clock = VirtualClock(START)
    inner = simulated_drivers(Fleet(spec_of(written.groups), 1, START.timestamp()), clock)["g0"]
    dry_run = dry_run_driver(written.groups[0], inner, clock)
    held = [value for value in vars(dry_run).values() if getattr(value, "__self__", None) is inner or value is inner]
    assert sorted(value.__name__ for value in held) == ["close", "read"]
