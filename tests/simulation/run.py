"""One simulated run: the service started, killed and started again on one ledger, from a scenario's first second to its last."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from dispatch import ConfigError
from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, Entry, RunEnded, Seen
from dispatch.meters.readings import MeterReadings
from dispatch.rigs.controller import RigController
from dispatch.rigs.guarded_driver import GuardedDriver
from dispatch.runtime import loop
from dispatch.runtime.assemble import meter_checks
from dispatch.runtime.observer import SiteObserver
from dispatch.runtime.polling import PolledSource
from dispatch.runtime.recovery import StateSnapshots
from dispatch.runtime.redecide import redecide
from dispatch.runtime.world import World
from dispatch.service.leadership import LeaseFence, LeaseWatch, holds_lease
from dispatch.service.replay import run_started
from dispatch.settlement.day import settle_day
from dispatch.signals.acceptance import accept
from dispatch.signals.documents import CallDocument, InvalidDocument
from dispatch.signals.links.link_sections import LinkSettings
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import ScheduledFault, spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.store import LeadershipLost, LedgerUnavailable
from dispatch.store.backup import backup, restore
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.spare_journal import SpareJournal
from dispatch.store.start_check import start_faults
from dispatch.store.stop_file import StopFile
from dispatch.store.tables import open_ledger
from dispatch.store.telemetry import Telemetry
from dispatch.store.verify import verify, verify_newest
from markets.grid import OperatingDay, format_instant, parse_instant
from tests.simulation.clock import SimulatedClock
from tests.simulation.faults import RIG_FAULTS, InjectedFault, Scenario
from tests.simulation.invariants import Invariants, Violated, settled_as_replayed
from tests.simulation.ports import Disk, FaultyPlanner, InjectedFaults, Killed, Market, Meter, Rigs, edited_row
from tests.simulation.site import CONTRACT, simulated_setup, site_document

SPARE_BYTES = 2**20
RETRY_S = 60.0  # after which what the ledger refused is tried again
CHECKED_ROWS = 400  # of the journal's chain, once a day
REDECIDED_ROWS = 500  # decisions among the first rows of a run that are made again
SETTLED_EVERY = 4  # days: every fourth day is settled and replayed
MEMORY_DISK = Path("/dev/shm")


@dataclass(slots=True)
class Outcome:
    """What came of a run. `violation` names the invariant that did not hold and `at_s` when, in seconds of the run; `head` is the hash of
    the journal's last row; `rows` counts by row of the fault matrix the faults that took effect."""

    scenario: Scenario
    head: str = ""
    journal_rows: int = 0
    violation: str = ""
    at_s: float = 0.0
    rows: Counter[int] = field(default_factory=Counter)
    cpu_s: float = 0.0
    processes: int = 0


def simulate(scenario: Scenario) -> Outcome:
    """Run a scenario. Whatever the service raises is a violation too."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began_s, outcome = time.process_time(), Outcome(scenario)
    with tempfile.TemporaryDirectory(prefix="loadstone-simulation-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder:
        run = Run(scenario, Path(folder))
        try:
            run.to_the_end()
            outcome.journal_rows, outcome.head = run.head
        except Violated as fault:
            outcome.violation = str(fault)
        except Exception as fault:
            outcome.violation = f"the service raised {fault!r}"
            if os.environ.get("SIMULATION_TRACEBACK"):
                raise
        finally:
            run.close()
        outcome.at_s, outcome.rows, outcome.processes = run.clock.run_s, run.faults.rows(), run.processes
    outcome.cpu_s = time.process_time() - began_s
    return outcome


class Run:
    """The world around the processes of a run: the clock, the rigs, the disk, and those who send calls."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder, self.data = scenario, folder, folder / "data"
        self.clock = SimulatedClock(scenario.start)
        self.faults, self.disk, self.setup = InjectedFaults(scenario, self.clock), Disk(), simulated_setup()
        self.fleet = Fleet(spec_of(self.setup.site.groups).with_faults(self._rig_faults()), scenario.seed, scenario.start.timestamp())
        self.invariants = Invariants(self.faults, self.true_mw)
        self.end = scenario.start + timedelta(days=scenario.days)
        self.processes = 0
        self.urgent: asyncio.Event | None = None
        self.acknowledged: dict[str, float] = {}
        self.outage: Callable[[], None] = lambda: None
        self.paused: Process | None = None
        self._pausing = False
        self._outage_s = 0.0
        self.process: Process | None = None
        self.inbox_engine = open_ledger(self.data, busy_s=0.0)
        self.settled: set[OperatingDay] = set()
        self._schedule()

    def close(self) -> None:
        """Close what is open."""
        self.disk.unlock()
        self.inbox_engine.dispose()
        for process in (self.process, self.paused):
            if process is not None:
                process.close()

    def true_mw(self) -> float:
        """The load that a revenue meter would read now, MW."""
        self.fleet.advance(self.clock.true_now().timestamp())
        return sum(float(self.fleet.truth(g.name, np.arange(g.rigs))[0].sum()) for g in self.setup.site.groups) / 1e6

    @property
    def head(self) -> tuple[int, str]:
        return SqlJournal(self.inbox_engine).head

    # --- the processes ---------------------------------------------------------------------------------------------------------------

    def to_the_end(self) -> None:
        """Start the service, and start it again whenever it is killed, until the end. Raises Violated."""
        while self.clock.now() < self.end:
            self.process = self._started()
            try:
                asyncio.run(self.process.run())
            except Killed:
                self._while_down(self.process)
        self._check_the_end()

    def _started(self) -> Process:
        while True:
            try:
                process = Process(self)
                break
            except LedgerUnavailable:  # locked, or the disk is full: the supervisor tries again
                self.clock.pass_until(self.clock.run_s + RETRY_S)
        self.processes += 1
        self.faults.process_started()
        self.invariants.process_started()
        return process

    def _while_down(self, killed: Process) -> None:
        """What happens between the end of a process and the start of the next."""
        if self._pausing:
            self._pausing, self.paused = False, killed
        else:
            killed.close()
        self.process = None
        self.clock.pass_until(self.clock.run_s + self._outage_s)
        self.outage()
        self.outage = lambda: None

    def _check_the_end(self) -> None:
        self.invariants.raise_violated()
        self.disk.full = False
        self.disk.unlock()
        if self.process is not None:
            self.process.flush()
        self._check_ledger(verify(self.inbox_engine).findings)
        lost = {call for call, at_s in self.acknowledged.items() if at_s < self.clock.run_s - 3700} - self.invariants.journaled
        if lost:
            raise Violated(f"acknowledged and never observed: {', '.join(sorted(lost))}")
        again = redecide(islice(SqlJournal(self.inbox_engine).read(), REDECIDED_ROWS))
        self._check_ledger(again.findings)
        for day in self._days():
            if len(day.grid(60)) != 24:
                self.faults.extra[7] += 1

    def _check_ledger(self, findings: Any) -> None:
        if findings:
            raise Violated(f"I3: {'; '.join(found.text for found in findings)}")

    def check_the_day(self, at: datetime) -> None:
        """Once a day: the chain so far; and every few days the day before is settled and replayed."""
        self._check_ledger(verify_newest(self.inbox_engine, CHECKED_ROWS))
        day = OperatingDay.of(self.setup.site.market, at - timedelta(days=1))
        if day.on.toordinal() % SETTLED_EVERY or day in self.settled or day.start < self.scenario.start:
            return
        self.settled.add(day)
        telemetry = Telemetry(self.data / "telemetry", self.setup.site)
        statement: dict[str, Any] = dict(settle_day(self.inbox_engine, telemetry, day, self.setup))
        settled_as_replayed(statement, self.data / "telemetry", [g.name for g in self.setup.site.groups])
        again = settle_day(self.inbox_engine, telemetry, day, self.setup)
        if again["net_exact_usd"] != statement["net_exact_usd"] or again["version"] != statement["version"]:
            raise Violated(f"I5: {day.on} settled again gives {again['net_exact_usd']}, not {statement['net_exact_usd']}")

    def _days(self) -> Iterator[OperatingDay]:
        day = OperatingDay.of(self.setup.site.market, self.scenario.start)
        while day.end <= self.end:
            yield day
            day = OperatingDay.of(self.setup.site.market, day.end)

    # --- what happens to it ----------------------------------------------------------------------------------------------------------

    def _rig_faults(self) -> Iterator[ScheduledFault]:
        start_s = self.scenario.start.timestamp()
        for fault in self.scenario.faults:
            if kinds := RIG_FAULTS.get(fault.kind):
                kind, first = kinds[int(fault.dice[0] * len(kinds))], int(fault.dice[1] * 6)
                rigs = tuple(range(first, first + 1 + int(2 * fault.dice[2])))
                yield ScheduledFault(kind, None, rigs, 1.0, start_s + fault.at_s, start_s + fault.at_s + fault.lasts_s)

    def _schedule(self) -> None:
        does: dict[str, Callable[[InjectedFault], None]] = {
            "clock_set": lambda f: self.clock.set_by((1 if f.dice[0] < 0.5 else -1) * (30 + 1500 * f.dice[1])),
            "ledger_locked": self._lock,
            "disk_full": self._fill,
            "killed": self._kill,
            "row_edited": lambda f: self._kill(f, self._edit_row),
            "wrong_site_file": lambda f: self._kill(f, self._wrong_site_file),
            "restored": lambda f: self._kill(f, self._restore),
            "paused_leader": self._pause,
            "call": self._call,
            "call_twice": lambda f: [self._call(f), self._call(f)],  # type: ignore[list-item, return-value]
            "call_changed": self._call_changed,
            "call_cancelled": self._call_cancelled,
            "call_out_of_order": self._call_out_of_order,
            "call_late": self._call_late,
            "hostile_calls": self._hostile,
            "many_calls": self._many,
            "hold": self._hold,
            "hold_forgotten": self._hold,
            "stop": self._stop,
        }
        for n, fault in enumerate(self.scenario.faults):
            if (do := does.get(fault.kind)) is not None:
                self.clock.at(fault.at_s, lambda n=n, do=do, fault=fault: self._do(n, do, fault))  # type: ignore[misc]
            elif fault.kind in RIG_FAULTS:
                self.clock.at(fault.at_s, lambda n=n: self.faults.fired.add(n))  # type: ignore[misc]

    def _do(self, n: int, do: Callable[[InjectedFault], None], fault: InjectedFault) -> None:
        self.faults.fired.add(n)
        do(fault)

    def pushed(self) -> None:
        """Something urgent waits for the loop."""
        if self.urgent is not None:
            self.urgent.set()
            self.clock.interrupt()

    def _again(self, do: Callable[[InjectedFault], None], fault: InjectedFault) -> None:
        """What the ledger refused is sent again a minute later, as a sender does who was answered 503."""
        self.clock.at(self.clock.run_s + RETRY_S, lambda: do(fault))

    def _lock(self, fault: InjectedFault) -> None:
        try:
            self.disk.lock(self.data)
        except Exception:  # the ledger is being written by something else at this instant
            return self._again(self._lock, fault)
        self.clock.at(self.clock.run_s + fault.lasts_s, self.disk.unlock)
        return None

    def _fill(self, fault: InjectedFault) -> None:
        self.disk.full = True
        self.clock.at(self.clock.run_s + fault.lasts_s, self._free)

    def _free(self) -> None:
        self.disk.full = False

    def _kill(self, fault: InjectedFault, outage: Callable[[], None] = lambda: None) -> None:
        self._outage_s, self.outage = fault.lasts_s, outage
        self.faults.kill_after(1 + int(14 * fault.dice[0]))

    def _pause(self, fault: InjectedFault) -> None:
        self._pausing = True
        self._kill(replace(fault, lasts_s=15.0))
        self.clock.at(self.clock.run_s + 1800 + fault.lasts_s, self.pushed)

    def _edit_row(self) -> None:
        rows = self.head[0]
        if self.disk.full or rows < 3:
            return
        self.disk.unlock()
        with edited_row(self.data, rows - 1):
            if not start_faults(self.data):
                raise Violated(f"I3: row {rows - 1} was edited and nothing keeps the site from starting on it")
        self._check_ledger(verify_newest(self.inbox_engine, CHECKED_ROWS))

    def _wrong_site_file(self) -> None:
        wrong = site_document()
        wrong["halls"][0]["limit_mw"] = -1.0
        wrong["groups"][0]["rigs"] = "many"
        try:
            setup_from_document(wrong)
        except ConfigError:
            return
        raise Violated("a site file with two faults was read")

    def _restore(self) -> None:
        if self.disk.full:
            return
        self.disk.unlock()
        target = self.folder / f"restored-{self.processes}"
        rows = self.head[0]
        spare = (self.data / "journal.spare").read_bytes() if (self.data / "journal.spare").exists() else b""
        backup(self.data, self.folder / "backup.tar.gz")
        if restore(self.folder / "backup.tar.gz", target) != rows:
            raise Violated(f"I3: a backup of {rows} rows was restored with others")
        if spare:
            (target / "journal.spare").write_bytes(spare)
        if StopFile(self.data).in_force():
            StopFile(target).order(self.clock.now(), "restored")
        self.inbox_engine.dispose()
        self.data, self.inbox_engine = target, open_ledger(target, busy_s=0.0)

    def _document(self, fault: InjectedFault, **more: Any) -> dict[str, Any]:
        """A call of a share of the load, from some minutes ahead on."""
        start = self.clock.start + timedelta(seconds=fault.at_s + 600 * fault.dice[1])
        ends = start + timedelta(seconds=fault.lasts_s)
        made = {
            "id": f"{fault.kind}-{fault.at_s:.0f}",
            "obligation": CONTRACT,
            "kind": "deploy",
            "mw_cap": round(0.002 + 0.04 * fault.dice[0], 4),
        }
        return {**made, "start_at": format_instant(start), "end_at": format_instant(ends), **more}

    def _send(self, fault: InjectedFault, document: dict[str, Any], again: Callable[[InjectedFault], None]) -> None:
        try:
            accept("call", [("", document)], self.setup, Inbox(self.inbox_engine), self.clock.now(), "desk", [None])
        except LedgerUnavailable:
            return self._again(again, fault)
        except InvalidDocument as refused:
            if not self._is_over(document):
                raise Violated(f"a call was refused: {refused}") from refused
            return None
        self.acknowledged.setdefault(f"{document['id']} {document.get('version', 1)}", self.clock.run_s)
        self.pushed()
        return None

    def _is_over(self, document: dict[str, Any]) -> bool:
        """Whether a call came when its time was over, which is refused rightly."""
        return "end_at" in document and parse_instant(document["end_at"]) <= self.clock.now()

    def _call(self, fault: InjectedFault) -> None:
        self._send(fault, self._document(fault), self._call)

    def _second(self, fault: InjectedFault, document: dict[str, Any], after_s: float) -> None:
        def send(fault: InjectedFault) -> None:
            self._send(fault, document, send)

        self.clock.at(fault.at_s + after_s, lambda: send(fault))

    def _call_changed(self, fault: InjectedFault) -> None:
        self._call(fault)
        changed = self._document(fault, version=2, mw_cap=_cap_mw(fault.dice[2]))
        self._second(fault, changed, 0.4 * fault.lasts_s)

    def _call_cancelled(self, fault: InjectedFault) -> None:
        self._call(fault)
        document = {"id": self._document(fault)["id"], "obligation": CONTRACT, "kind": "cancel", "version": 2}
        self._second(fault, document, 0.5 * fault.lasts_s)

    def _call_out_of_order(self, fault: InjectedFault) -> None:
        newer = self._document(fault, version=2, mw_cap=_cap_mw(fault.dice[2]))
        self._send(fault, newer, self._call_out_of_order)
        self._second(fault, self._document(fault, version=1), 120.0)

    def _call_late(self, fault: InjectedFault) -> None:
        """It came when it had begun already."""
        start = self.clock.now() - timedelta(minutes=10)
        self._send(fault, self._document(fault, start_at=format_instant(start)), self._call_late)

    def _hostile(self, fault: InjectedFault) -> None:
        before = Inbox(self.inbox_engine).newest()
        good = self._document(fault)
        CallDocument.model_validate(good)  # so that each of these is refused for its own fault
        for wrong in (
            {**good, "mw_cap": float("nan")}, {**good, "mw_cap": -1.0}, {**good, "mw_cap": "1"},
            {**good, "obligation": "nobody's"}, {**good, "end_at": good["start_at"]}, {**good, "kind": "drop"},
            {**good, "id": "a\x00b"}, {**good, "version": 0}, {}, [], "call",
        ):  # fmt: skip
            try:
                accept("call", [("", wrong)], self.setup, Inbox(self.inbox_engine), self.clock.now(), "stranger", [None])
            except InvalidDocument:
                continue
            raise Violated(f"a hostile call was accepted: {wrong}")
        if Inbox(self.inbox_engine).newest() != before:
            raise Violated("a refused call changed the inbox")

    def _many(self, fault: InjectedFault) -> None:
        """The same call from a sender that repeats it without end."""
        for _ in range(20):
            self._call(fault)

    def _hold(self, fault: InjectedFault) -> None:
        document: dict[str, Any] = {"id": f"hold-{fault.at_s:.0f}", "mw_cap": _cap_mw(fault.dice[0]), "by": "anna"}
        try:
            Inbox(self.inbox_engine).put("hold", document, "anna")
        except LedgerUnavailable:
            return self._again(self._hold, fault)
        self.pushed()
        if fault.kind == "hold":
            self.clock.at(self.clock.run_s + fault.lasts_s, lambda: self._release(fault))
        return None

    def _release(self, fault: InjectedFault) -> None:
        try:
            Inbox(self.inbox_engine).put("hold", {"id": f"hold-{fault.at_s:.0f}", "released": True}, "anna")
            self.pushed()
        except LedgerUnavailable:
            self._again(self._release, fault)

    def _stop(self, fault: InjectedFault) -> None:
        StopFile(self.data).order(self.clock.now(), "anna")
        self.pushed()
        self.clock.at(self.clock.run_s + fault.lasts_s, lambda: self._resume())

    def _resume(self) -> None:
        StopFile(self.data).resume()
        self.pushed()


def _cap_mw(dice: float) -> float:
    """A cap between almost nothing and most of the site's 0.052 MW."""
    return round(0.002 + 0.045 * dice, 4)


class Process:
    """One process of the service, from its start to its end. Raises LedgerUnavailable when it cannot start."""

    def __init__(self, run: Run) -> None:
        self.run_, self.data = run, run.data
        setup, clock, faults = run.setup, run.clock, run.faults
        self.engine = open_ledger(run.data, busy_s=0.0)
        run.disk.watch(self.engine)
        self.token = self._lease()
        self.fence = LeaseFence(self.engine, self.token, StopFile(run.data), clock.monotonic_s)
        self.telemetry = Telemetry(run.data / "telemetry", setup.site)
        self.drivers = {g.name: self._driver(g.name) for g in setup.site.groups}
        meters = MeterReadings({meter: Meter(run.true_mw, faults) for meter in meter_checks_of(setup)}, clock, meter_checks(setup))
        controller = RigController(setup.site, self.drivers, clock, self.telemetry, meters)
        settings = LinkSettings(name="desk", kind="simulated", obligation=CONTRACT, silent_after_s=1800.0)
        self.link = LinkedSite(settings, setup, Inbox(self.engine), clock, lambda: None)
        sources = [PolledSource(Market(faults))]
        observer = SiteObserver(clock, sources, controller, Inbox(self.engine), refresh_each_tick=True, stop=StopFile(run.data))
        self.world = World("replay", clock, _Observer(observer, self), _Executor(controller, faults), FaultyPlanner(faults))
        self.journal = _Journal(SpareJournal(SqlJournal(self.engine, self.token), run.data, clock.monotonic_s, SPARE_BYTES), run)
        self.snapshots = StateSnapshots(self.engine, setup)
        self._flushed = self._checked = clock.now()

    def _lease(self) -> int:
        watch = LeaseWatch(self.engine, f"process {self.run_.processes}", self.run_.clock.monotonic_s)
        try:
            while (token := watch.take()) is None:
                self.run_.clock.pass_until(self.run_.clock.run_s + 1.0)
        except LedgerUnavailable:
            self.engine.dispose()
            raise
        return token

    def _driver(self, group: str) -> GuardedDriver:
        run = self.run_
        rigs = Rigs(run.fleet, group, run.clock, run.faults, run.invariants.obeyed)
        return GuardedDriver(group, lambda: rigs, lambda: run.clock.now().timestamp(), self.fence)

    async def run(self) -> None:
        """Run the loop until the end. Raises Killed, Violated."""
        run = self.run_
        run.urgent = asyncio.Event()
        state = self.snapshots.recovered(State.start(run.setup, setup_from_document))
        started = run_started("replay", run.setup, run.clock.now(), self.token)
        await loop.run(self.world, self.journal, state, started, run.end, self._after_tick, lambda: holds_lease(self.engine, self.token))

    async def _after_tick(self, at: datetime, state: State) -> None:
        self.run_.faults.crossing()
        await self.snapshots(at, state)
        await self.snapshots.finish()
        if at - self._flushed >= timedelta(hours=1) and not self.run_.disk.full:
            self._flushed = at
            self.telemetry.flush()
        if at.date() != self._checked.date() and not self.run_.disk.full and not self.run_.disk.locked:
            self._checked = at
            self.telemetry.flush()
            self.run_.check_the_day(at)
        if (paused := self.run_.paused) is not None:
            self.run_.paused = None
            await paused.wake()

    async def wake(self) -> None:
        """It was paused while another process took the lead: neither a row nor an order of it may come through. Raises Violated."""
        try:
            self.journal.inner.append(RunEnded(at=self.run_.clock.now()))
            raise Violated("I3: a process that lost the lead wrote to the journal")
        except LeadershipLost:
            pass
        except LedgerUnavailable:
            return
        before = self.run_.fleet.modes("a-old", np.arange(8))
        for group, driver in self.drivers.items():
            sent = await driver.set_mode(range(8), "normal" if self.token % 2 else "sleep", 2.0)
            if sent.sent:
                raise Violated(f"I2: a process that lost the lead ordered rigs of {group}")
        if self.run_.fleet.modes("a-old", np.arange(8)) != before:
            raise Violated("I2: a process that lost the lead moved rigs")
        self.close()

    def flush(self) -> None:
        """Write what is in memory: readings, and the rows that wait in the spare file."""
        self.telemetry.flush()
        self.journal.inner.close()
        self.journal.inner = SpareJournal(SqlJournal(self.engine, self.token), self.data, self.run_.clock.monotonic_s, SPARE_BYTES)

    def close(self) -> None:
        """The process is gone: the system closes its files."""
        self.journal.inner.close()
        self.engine.dispose()


def meter_checks_of(setup: Any) -> list[Any]:
    from dispatch.meters.meter_sections import meter_tables

    return list(meter_tables(setup.site))


class _Journal:
    """The journal between two crossings; every durable row is held against the invariants."""

    def __init__(self, inner: SpareJournal, run: Run) -> None:
        self.inner, self._run = inner, run

    def append(self, entry: Entry) -> int:
        self._run.faults.crossing()
        seq = self.inner.append(entry)
        self._run.invariants.appended(seq, entry)
        self._run.faults.crossing()
        return seq

    def read(self, after: int = 0) -> Iterator[tuple[int, Entry]]:
        return self.inner.read(after)

    @property
    def head(self) -> tuple[int, str]:
        return self.inner.head


class _Executor:
    """The rig controller between crossings."""

    def __init__(self, inner: RigController, faults: InjectedFaults) -> None:
        self._inner, self._faults = inner, faults

    @property
    def busy(self) -> bool:
        return self._inner.busy

    async def begin(self, commanded: Commanded) -> None:
        self._faults.crossing()
        await self._inner.begin(commanded)
        self._faults.crossing()

    async def work(self, until: datetime) -> Done | None:
        self._faults.crossing()
        return await self._inner.work(until)

    def interrupt(self) -> None:
        self._inner.interrupt()


class _Observer:
    """The observer: what is pushed is noticed at once, the desk gives its signs of life, and the link's alarm is among the alerts."""

    def __init__(self, inner: SiteObserver, process: Process) -> None:
        self._inner, self._process = inner, process
        self.arrived, self.has_news, self.changed = inner.arrived, inner.has_news, inner.changed

    async def observe(self, at: datetime, state: State) -> Seen:
        run, link = self._process.run_, self._process.link
        run.faults.crossing()
        assert run.urgent is not None
        run.urgent.clear()
        if not run.faults.active("link_silent"):
            link.heard()
        link.watch(at)
        seen = await self._inner.observe(at, state)
        alerts = {link.key_name: text} if (text := link.alert(at)) else {}
        return replace(seen, alerts={**seen.alerts, **alerts}, sources_asked=tuple(sorted({*seen.sources_asked, link.key_name})))

    async def urgent(self) -> None:
        assert self._process.run_.urgent is not None
        await self._process.run_.urgent.wait()

    async def next_fact_at(self, after: datetime, before: datetime) -> datetime | None:
        found, event = await self._inner.next_fact_at(after, before), self._process.run_.clock.next_event()
        due = [at for at in (found, event) if at is not None and after < at < before]
        return min(due, default=None)
