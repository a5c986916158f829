"""The bill is made from the site's own readings of its revenue meter until the market's meter data comes.

A simulated Modbus meter is read over TCP while the loop runs, with load behind it that no rig reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.entries import Done, Seen
from dispatch.imports.meter_readings import ACTUAL, MeterReading
from dispatch.meters.modbus import ModbusPower, Register
from dispatch.meters.readings import MeterReadings
from dispatch.power_meters import MeterCount, MeterId
from dispatch.rigs.controller import RigController
from dispatch.runtime import loop
from dispatch.runtime.observer import SiteObserver
from dispatch.runtime.planner import InlinePlanner
from dispatch.runtime.polling import PolledSource
from dispatch.runtime.redecide import redecide
from dispatch.runtime.world import World
from dispatch.service.replay import run_started
from dispatch.settlement.day import settle_day
from dispatch.settlement.day_journal import DayRecord, MetersRead
from dispatch.settlement.live_meters import live_energy, live_rollups
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.meter import MeterBoard, metering
from dispatch.sim.spec import spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.received import DocumentKind, ReceivedDocument, keep_document
from dispatch.store.rollups import write_rollups
from dispatch.store.tables import open_ledger
from dispatch.store.telemetry import Telemetry
from markets.facts import Call, CallKind
from markets.grid import Grid, Interval, Market, OperatingDay
from tests.dispatch.worlds import world
from tests.fakes import NOON, FixedSource, hashprice, prices
from tests.scenarios.test_promises_kept import true_mw
from tests.sites import document, small

HOST, PORT = "127.40.0.9", 5029
MAIN = MeterId.parse("meter main")
HOUR, MINUTE, HALF_MINUTE = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=30)
LOSS = D("1.02")
# What the meter reads beside the rigs: pumps and offices, MW, and cables that lose three in a hundred.
OTHER_MW, CABLES = 0.004, 1.03


def board_of(setup: Setup, fleet: Fleet, clock: VirtualClock) -> MeterBoard:
    """A meter board whose one meter reads the rigs, through cables, and what draws beside them."""

    def kw() -> float:
        fleet.advance(clock.now().timestamp())
        return 1000.0 * (true_mw(setup, fleet) * CABLES + OTHER_MW)

    return MeterBoard({1: kw})


async def run_metered(setup: Setup, engine: Engine, telemetry: Telemetry, silent: Interval) -> None:
    """Eighty minutes at full load; the meter does not answer for a while."""
    clock = VirtualClock(NOON)
    fleet = Fleet(spec_of(setup.site.groups), 3, NOON.timestamp())

    board = board_of(setup, fleet, clock)
    meter = ModbusPower(HOST, PORT, 1, Register(0, "float32"), 1e-3)
    facts = [*prices([20.0 + k for k in range(24)], NOON - HOUR), hashprice(60.0, NOON)]
    made = world(setup, NOON, facts, fleet=fleet, telemetry=telemetry, clock=clock, wired={MAIN: meter})

    async def after(at: datetime, _: State) -> None:
        (board.silent.add if at in silent else board.silent.discard)(1)

    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    state, started = State.start(setup, setup_from_document), run_started("replay", setup, NOON, token)
    async with metering(board, HOST, PORT):
        await loop.run(made, SqlJournal(engine, token), state, started, NOON + 80 * MINUTE, after)
        await meter.close()
    telemetry.flush()


def test_the_bill_is_by_the_live_meter_until_meter_data_of_the_market_comes(tmp_path: Path) -> None:
    """From 12:15 to 12:30 the meter is silent: that quarter hour settles on the rigs' own readings."""
    meters = [{"id": "main", "loss_factor": float(LOSS), "driver": {"kind": "modbus", "host": HOST, "port": PORT, "register": 0}}]
    setup, engine = small(meters=meters, site={**document()["site"], "horizon_h": 4}), open_ledger(tmp_path)
    telemetry, silent = Telemetry(tmp_path / "telemetry", setup.site), Interval(NOON + 15 * MINUTE, NOON + 25 * MINUTE)
    asyncio.run(run_metered(setup, engine, telemetry, silent))
    day = OperatingDay.of(Market.ERCOT, NOON)
    bill: dict[str, Any] = settle_day(engine, telemetry, day, setup)
    rows = {datetime.fromisoformat(row["start"]): row for row in bill["intervals"]}
    source = [row["source"] for row in rows.values()]
    assert source == ["live meter", "telemetry", "live meter", "live meter", "live meter"]
    lines = {datetime.fromisoformat(line["interval_start"]): line for line in bill["lines"] if line["charge_type"] == "energy"}
    for at, row in rows.items():
        if row["source"] == "live meter":
            by_meter = D(row["rigs_mwh"]) * D(str(CABLES)) + D(str(OTHER_MW)) / 4
            assert D(row["energy_mwh"]) == pytest.approx(by_meter, rel=D("0.002")) != D(row["rigs_mwh"])
        else:
            assert "rigs_mwh" not in row
        if at in lines:
            line = lines[at]
            assert line["source"] == row["source"] and D(line["metered_mwh"]) == pytest.approx(D(row["energy_mwh"]), abs=D("1e-6"))
            assert D(line["quantity"]) == pytest.approx(D(line["metered_mwh"]) * LOSS, abs=D("1e-9"))
    meter = bill["meters"]["main"]
    assert (meter["intervals"], meter["live_intervals"], meter["files"]) == (4, 4, [])
    assert D(meter["mwh"]) > D(meter["telemetry_mwh"]) * D("1.03")
    kinds = [finding["kind"] for finding in bill["findings"]]
    assert kinds == ["meter-telemetry"], "that readings of our own do not cover an interval is said by its source"
    assert settle_day(engine, telemetry, day, setup) == bill == settle_day(engine, telemetry, day, setup, version=1)
    assert redecide(SqlJournal(engine).read()).findings == []

    imported = [
        MeterReading("main", over, D("0.07"), ACTUAL, k) for k, over in enumerate(Grid.regular(NOON, NOON + HOUR / 2, 15).intervals)
    ]
    received = ReceivedDocument(DocumentKind.METER, "official.csv", b"official", NOON + 24 * HOUR, "", day.on, day.on)
    assert keep_document(engine, received, imported)
    after: dict[str, Any] = settle_day(engine, telemetry, day, setup)
    assert [row["source"] for row in after["intervals"]] == ["meter"] * 2 + source[2:]
    assert [D(row["energy_mwh"]) for row in after["intervals"][:2]] == [D("0.07")] * 2
    assert after["intervals"][2:] == bill["intervals"][2:] and after["version"] == 2


class PolledClock(VirtualClock):
    """A virtual clock on whose way rigs and meters are read every half minute, as beside a live loop."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.reads: Callable[[], Awaitable[None]] | None = None
        self._next = start

    async def sleep_until(self, at: datetime) -> None:
        while self.reads is not None and self._next <= at:
            await super().sleep_until(self._next)
            self._next += HALF_MINUTE
            reads, self.reads = self.reads, None
            await reads()
            self.reads = reads
        await super().sleep_until(at)


async def test_a_quarter_hour_in_which_a_call_stops_the_rigs_is_billed_by_the_meter_that_is_polled(tmp_path: Path) -> None:
    """The call holds from 12:05 to 12:10, and ticks are five minutes apart."""
    meters = [{"id": "main", "driver": {"kind": "modbus", "host": HOST, "port": PORT, "register": 0}}]
    setup, engine = small(meters=meters, site={**document()["site"], "horizon_h": 4}), open_ledger(tmp_path)
    telemetry, begins = Telemetry(tmp_path / "telemetry", setup.site), NOON - 2 * MINUTE
    call = Call(source="qse", known_at=begins, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=begins,
                start_at=NOON + 5 * MINUTE, end_at=NOON + 10 * MINUTE, mw_cap=0.0)  # fmt: skip
    clock = PolledClock(begins)
    fleet = Fleet(spec_of(setup.site.groups), 3, begins.timestamp())

    read = MeterReadings({MAIN: ModbusPower(HOST, PORT, 1, Register(0, "float32"), 1e-3)}, clock)
    rigs = RigController(setup.site, simulated_drivers(fleet, clock), clock, telemetry, read)
    facts = [*prices([20.0 + k for k in range(24)], NOON - HOUR), hashprice(60.0, NOON), call]
    observer = SiteObserver(clock, [PolledSource(FixedSource(facts))], rigs, None, refresh_each_tick=False)
    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    async with metering(board_of(setup, fleet, clock), HOST, PORT):
        clock.reads = rigs.refresh
        made, started = World("live", clock, observer, rigs, InlinePlanner()), run_started("live", setup, begins, token)
        await loop.run(made, SqlJournal(engine, token), State.start(setup, setup_from_document), started, NOON + 17 * MINUTE)
        await read.close()
    telemetry.flush()
    bill: dict[str, Any] = settle_day(engine, telemetry, OperatingDay.of(Market.ERCOT, NOON), setup)
    row = next(row for row in bill["intervals"] if datetime.fromisoformat(row["start"]) == NOON)
    assert row["source"] == "live meter"
    by_meter = D(row["rigs_mwh"]) * D(str(CABLES)) + D(str(OTHER_MW)) / 4
    assert D(row["energy_mwh"]) == pytest.approx(by_meter, rel=D("0.05")) != D(row["rigs_mwh"])
    assert D("0.02") < D(row["energy_mwh"]) < D("0.055"), "0.067 with every rig on, which stood for a third of it and then woke"


def _without(first: float, last: float) -> Any:
    """The readings without those of some minutes after noon."""
    return lambda read: None if NOON + first * MINUTE <= read.at <= NOON + last * MINUTE else read


def _changed(minute: float, mw: dict[MeterId, float], doubted: frozenset[MeterId]) -> Any:
    """The readings with another at a minute after noon."""
    return lambda read: MetersRead(read.at, mw, doubted) if read.at == NOON + minute * MINUTE else read


def _after(read: MetersRead, minute: float) -> frozenset[MeterId]:
    return frozenset({MAIN} if read.at > NOON + minute * MINUTE else ())


CHANGES = {
    "complete": (lambda read: read, [True, True, True, True]),
    "one tick missed": (_without(20, 20), [True, True, True, True]),
    "nobody read for 25 minutes": (_without(16, 39), [True, False, False, True]),
    "silent at a tick": (_changed(20, {}, frozenset()), [True, False, True, True]),
    "a change five minutes apart": (_without(34, 34), [True, True, False, True]),
    "doubted at the last reading of all": (
        lambda read: None if read.at > NOON + 45 * MINUTE else MetersRead(read.at, read.mw, frozenset({MAIN}) & _after(read, 44)),
        [True, True, False, False],
    ),
    "doubted at a tick": (_changed(45, {MAIN: 0.2}, frozenset({MAIN})), [True, True, False, False]),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_an_interval_counts_where_readings_cover_all_of_it_and_none_is_in_doubt(name: str) -> None:
    """The meter reads 0.1 MW and from 12:35 0.2 MW, every five minutes, and at 12:34."""
    (change, known), setup, grid = CHANGES[name], small(), Grid.regular(NOON, NOON + HOUR, 15)
    readings = [MetersRead(NOON + k * 5 * MINUTE, {MAIN: 0.1 if k < 7 else 0.2}, frozenset()) for k in range(-1, 14)]
    readings.append(MetersRead(NOON + 34 * MINUTE, {MAIN: 0.1}, frozenset()))
    record = DayRecord(OperatingDay.of(Market.ERCOT, NOON), meters_read=[r for r in map(change, readings) if r is not None])
    rows = {row.over.start: row.energy_mwh for row in live_rollups(setup.site, record, grid, ()) if row.estimated < 1.0}
    expected = [D("0.025"), D("0.025"), (D("0.1") * 4 + D("0.15") + D("0.2") * 10) / 60, D("0.05")]
    for over, is_known, mwh in zip(grid.intervals, known, expected, strict=True):
        assert (over.start in rows) == is_known
        assert not is_known or rows[over.start] == pytest.approx(mwh, abs=D("1e-12"))
    assert list(live_rollups(setup.site, record, grid, ("main",))) == [], "it reads net of what is generated"


def _counted(minute: float, mwh: float, since: float = 0.0) -> MetersRead:
    at = NOON + minute * MINUTE
    count = MeterCount(since=NOON + since * MINUTE, until=at, mwh=mwh)
    return MetersRead(at, {MAIN: 0.1}, frozenset(), {MAIN: count})


def test_an_interval_in_which_the_load_changes_is_billed_by_what_was_counted() -> None:
    """Readings ten minutes apart of 0.1 MW each, between which the meter counted 20 and 30 kWh, and a count that began anew at 12:30."""
    setup, grid = small(), Grid.regular(NOON, NOON + HOUR, 15)
    read = [
        *(_counted(minute, mwh) for minute, mwh in [(0, 0.0), (10, 0.02), (20, 0.05), (30, 0.07)]),
        *(_counted(minute, mwh, since=31) for minute, mwh in [(31, 0.0), (45, 0.5)]),
    ]
    record = DayRecord(OperatingDay.of(Market.ERCOT, NOON), meters_read=read)
    rows = {row.over.start: row.energy_mwh for row in live_rollups(setup.site, record, grid, ()) if row.estimated < 1.0}
    expected = [D("0.035"), D("0.035"), D("0.501666666667")]
    assert rows == dict(zip([NOON, NOON + 15 * MINUTE, NOON + 30 * MINUTE], expected, strict=True))


def test_a_count_over_parts_of_two_intervals_does_not_say_what_flowed_in_each() -> None:
    """10 kW all along by both readings, then 100 kW: between 12:10 and 12:20 something started, before or after 12:15."""
    setup, grid = small(), Grid.regular(NOON, NOON + HOUR, 15)
    read = [replace(_counted(m, mwh), mw={MAIN: mw}) for m, mwh, mw in [(0, 0, 0.01), (10, 0.002, 0.01), (20, 0.012, 0.1), (30, 0.03, 0.1)]]
    for last, known in ((read[1], {}), (replace(_counted(14.5, 0.003), mw={MAIN: 0.01}), {0, 1})):
        record = DayRecord(OperatingDay.of(Market.ERCOT, NOON), meters_read=sorted([*read, last], key=lambda r: r.at))
        rows = {row.over.start for row in live_rollups(setup.site, record, grid, ()) if row.estimated < 1.0}
        assert rows == {NOON + n * 15 * MINUTE for n in known}


def test_a_doubt_that_comes_later_takes_back_what_was_read_before_it(tmp_path: Path) -> None:
    setup, engine, grid = small(), open_ledger(tmp_path), Grid.regular(NOON, NOON + HOUR, 15)
    record = DayRecord(OperatingDay.of(Market.ERCOT, NOON))
    record.meters_read += [MetersRead(NOON + k * 5 * MINUTE, {MAIN: 0.1}, frozenset()) for k in range(13)]
    write_rollups(engine, live_rollups(setup.site, record, grid, ()))
    assert live_energy(engine, setup.site, grid) == {"main": [D("0.025")] * 4}
    record.meters_read.append(MetersRead(NOON + 61 * MINUTE, {MAIN: 0.1}, frozenset({MAIN})))
    record.meters_read.append(MetersRead(NOON + 65 * MINUTE, {MAIN: 0.1}, frozenset({MAIN})))
    write_rollups(engine, live_rollups(setup.site, record, grid, ()))
    known = [not mwh.is_nan() for mwh in live_energy(engine, setup.site, grid)["main"]]
    assert known == [True, True, True, False]


def test_what_orders_ended_with_is_a_reading_too() -> None:
    record = DayRecord(OperatingDay.of(Market.ERCOT, NOON))
    record.add(Seen(at=NOON, meters={MAIN: 0.2}, meter_doubts={MAIN: "it is stuck"}), None)
    record.add(Done(at=NOON + MINUTE, results=(), meters={MAIN: 0.1}, meters_at=NOON + MINUTE), None)
    assert record.meters_read[1] == MetersRead(NOON + MINUTE, {MAIN: 0.1}, frozenset({MAIN})), "doubted as it was last observed"
