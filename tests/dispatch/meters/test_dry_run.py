"""A meter in a shadow: it goes by what rigs would draw, though it still sees them run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch.clock import VirtualClock
from dispatch.meters.dry_run import DryRunMeter
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.dry_run import dry_run_driver
from dispatch.sim.fleet import Fleet
from dispatch.sim.fleet_meter import SimulatedMeter
from dispatch.sim.spec import spec_of
from tests.dispatch.rigs.fakes import START, site


async def test_the_meter_of_a_dry_run_shows_the_load_that_orders_would_have_shed() -> None:
    written, clock = site(10), VirtualClock(START)
    fleet = Fleet(spec_of(written.groups), 1, START.timestamp())
    dry_run = dry_run_driver(written.groups[0], simulated_drivers(fleet, clock)["g0"], clock)
    real = SimulatedMeter(fleet, ["g0"], [0.1], clock, base_mw=0.002)
    meter = DryRunMeter(real, [(dry_run, 0.1)])
    await dry_run.read(range(10), 1.0)
    before = await meter.read_mw(1.0)
    assert before == await real.read_mw(1.0) and before is not None
    await dry_run.set_mode([0, 1, 2, 3], "sleep", 1.0)
    await clock.sleep_until(clock.now() + timedelta(seconds=30))
    await dry_run.read(range(10), 1.0)
    assert await real.read_mw(1.0) == pytest.approx(before)
    assert await meter.read_mw(1.0) == pytest.approx(before - 4 * (3400 - 13) * 1.1 / 1e6, rel=0.02)
    await dry_run.set_mode([0, 1, 2, 3], "normal", 1.0)
    await clock.sleep_until(clock.now() + timedelta(seconds=90))
    await dry_run.read(range(10), 1.0)
    assert await meter.read_mw(1.0) == pytest.approx(before, rel=0.02)
