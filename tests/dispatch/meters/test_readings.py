"""The meters: readings count for a while, a silent meter is named and held up nobody, and one that is back is believed again."""

from __future__ import annotations

from datetime import timedelta

from dispatch.clock import VirtualClock
from dispatch.meters.readings import STALE_S, MeterReadings
from dispatch.power_meters import MeterCount, MeterId
from dispatch.sim.fleet import Fleet
from dispatch.sim.fleet_meter import simulated_meters
from dispatch.sim.spec import spec_of
from tests.fakes import NOON
from tests.sites import group, small

MAIN, HALL_A, B_NEW = map(MeterId.parse, ("meter main", "hall a", "group b-new"))
METER = {"kind": "modbus", "host": "meter.invalid", "register": 0}


class Dial:
    """A meter that says what it is set to."""

    def __init__(self, mw: float | None) -> None:
        self.mw = mw

    async def read_mw(self, deadline_s: float) -> float | None:
        return self.mw

    async def close(self) -> None:
        return None


async def test_a_reading_counts_until_it_is_stale() -> None:
    clock, dial, other = VirtualClock(NOON), Dial(1.5), Dial(None)
    meters = MeterReadings({MAIN: dial, HALL_A: other}, clock)
    assert meters.fresh(NOON) == {} and set(meters.alerts(NOON)) == {"meter main", "hall a"}
    await meters.refresh()
    assert meters.fresh(NOON) == {MAIN: 1.5} and set(meters.alerts(NOON)) == {"hall a"}
    dial.mw = None
    await meters.refresh()
    assert meters.fresh(NOON + timedelta(seconds=STALE_S)) == {MAIN: 1.5}
    later = NOON + timedelta(seconds=STALE_S + 1)
    assert meters.fresh(later) == {} and "since 17:00:00Z" in meters.alerts(later)["meter main"]
    await clock.sleep_until(later)
    dial.mw = 1.25
    await meters.refresh()
    assert meters.fresh(later) == {MAIN: 1.25}


async def test_what_flows_is_counted_from_every_reading_of_a_revenue_meter() -> None:
    """Six minutes read every ten seconds while the load goes from 0 to 3.6 MW, and half a minute after a gap."""
    clock, dial, other = VirtualClock(NOON), Dial(0.0), Dial(5.0)
    meters = MeterReadings({MAIN: dial, HALL_A: other}, clock)
    assert meters.counts(NOON) == {}
    for second in range(0, 361, 10):
        await clock.sleep_until(NOON + timedelta(seconds=second))
        dial.mw = second / 100
        await meters.refresh()
    counted = NOON + timedelta(minutes=6)
    assert meters.counts(counted) == {MAIN: MeterCount(since=NOON, until=counted, mwh=0.18)}, "0.1 h at 1.8 MW in the mean"
    for second in (361, 452, 453, 482):
        await clock.sleep_until(NOON + timedelta(seconds=second))
        await meters.refresh()
    again, until = NOON + timedelta(seconds=452), NOON + timedelta(seconds=482)
    assert meters.counts(until) == {MAIN: MeterCount(since=again, until=until, mwh=0.03)}, "begun anew after a gap"


async def test_simulated_meters_read_what_rigs_truly_draw_with_the_halls_overhead() -> None:
    halls = [
        {"name": "a", "meter": "main", "limit_mw": 0.5, "overhead": {"share": 0.1}, "feeder": METER},
        {"name": "b", "meter": "main", "limit_mw": 0.5, "overhead": {"share": 0.2}},
    ]
    groups = [group("a-old", "a", watts=3000.0, ths=100.0), group("b-new", "b", watts=3500.0, ths=200.0, pdu=METER)]
    setup = small(meters=[{"id": "main", "driver": METER}], halls=halls, groups=groups)
    fleet, clock = Fleet(spec_of(setup.site.groups), 1, NOON.timestamp()), VirtualClock(NOON)
    meters = simulated_meters(setup.site, fleet, clock)
    assert set(meters) == {MAIN, HALL_A, B_NEW}
    meters = MeterReadings(meters, clock)
    await meters.refresh()
    read = meters.fresh(NOON)
    assert abs(read[MAIN] - (read[HALL_A] + 1.2 * read[B_NEW])) < 1e-8
    assert abs(read[HALL_A] / (40 * 0.003 * 1.1) - 1) < 0.02
