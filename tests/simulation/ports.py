"""The ports of the service with their faults: market, rigs, meter, planner and store; and the crossings at which a process can be
killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Engine, event

from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import Planned
from dispatch.rigs import Readings, Sent
from dispatch.runtime.planner import InlinePlanner, rule_based
from dispatch.sim.driver import SimulatedDriver
from dispatch.sim.fleet import REFUSED, SENT, UNREACHABLE, UNSUPPORTED, Fleet
from dispatch.store.tables import ledger_file
from markets import SourceError
from markets.facts import Fact, HashPrice, Price, PriceMarket
from markets.grid import Interval
from tests.simulation.clock import SimulatedClock
from tests.simulation.faults import InjectedFault, Scenario
from tests.simulation.site import POINT

HOUR = timedelta(hours=1)
PUBLISHED_AFTER = timedelta(minutes=2)
NONSENSE = (ValueError("<html>504 Gateway Time-out</html>"), KeyError("price"), TimeoutError("no answer within 10 s"), OSError("reset"))


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing in the service may catch it."""


class InjectedFaults:
    """The faults of a run as they come and go. `fired` are those that took effect, by position in the scenario."""

    def __init__(self, scenario: Scenario, clock: SimulatedClock) -> None:
        self.scenario, self.clock = scenario, clock
        self.fired: set[int] = set()
        self.extra: Counter[int] = Counter()
        self._left, self._dead = 0, False

    def active(self, *kinds: str) -> InjectedFault | None:
        """The fault of these kinds that is under way, which thereby takes effect; None when there is none."""
        now_s = self.clock.run_s
        for n, fault in enumerate(self.scenario.faults):
            if fault.at_s > now_s:
                return None
            if fault.kind in kinds and now_s < fault.at_s + fault.lasts_s:
                self.fired.add(n)
                return fault
        return None

    def of_kind(self, kind: str) -> Iterator[tuple[int, InjectedFault]]:
        """The faults of a kind with their positions."""
        return ((n, fault) for n, fault in enumerate(self.scenario.faults) if fault.kind == kind)

    def rows(self) -> Counter[int]:
        """How many faults of each row of the fault matrix took effect."""
        return Counter(self.scenario.faults[n].row for n in self.fired) + self.extra

    def kill_after(self, crossings: int) -> None:
        """Kill the process at so many crossings from now."""
        self._left = crossings

    def process_started(self) -> None:
        """A new process crosses freely."""
        self._dead = False

    def crossing(self) -> None:
        """A place where the service touches the world. Raises Killed, and again wherever what is left of a killed process touches it."""
        if self._left > 0:
            self._left -= 1
            self._dead = self._left == 0
        if self._dead:
            raise Killed


def hour_price(seed: int, hour: int) -> float:
    """The price of an hour since 1970, $/MWh: mostly low, sometimes above what any rig earns, seldom very high or below zero."""
    dice = random.Random(f"{seed} {hour}")
    return round(dice.choice((dice.uniform(-5, 40), dice.uniform(20, 60), dice.uniform(50, 130), dice.uniform(60, 400))), 2)


class Market:
    """Hourly prices, published two minutes after the hour, and a hashprice; with the faults of its feed."""

    name, synthetic = "market", False

    def __init__(self, faults: InjectedFaults) -> None:
        self._faults, self._clock, self._seed = faults, faults.clock, faults.scenario.seed

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """What became known in (since, until]. Raises whatever a broken feed raises."""
        if self._faults.active("feed_silent", "feed_silent_for_long"):
            raise SourceError("the feed does not answer")
        if fault := self._faults.active("feed_nonsense"):
            raise NONSENSE[int(fault.dice[0] * len(NONSENSE))]
        facts = [fact for fact in self._published(since, until) if since < fact.known_at <= until]
        if facts and self._faults.active("feed_nan"):
            facts = [replace(f, usd_per_mwh=float("nan")) if isinstance(f, Price) else f for f in facts]
        return sorted(facts, key=lambda fact: fact.known_at)

    def _published(self, since: datetime, until: datetime) -> Iterator[Fact]:
        first, last = int((since - 12 * HOUR).timestamp() // 3600), int(until.timestamp() // 3600)
        for hour in range(first, last):
            yield self._price(hour)
        day = datetime(until.year, until.month, until.day, tzinfo=UTC)
        over = Interval(day, day + timedelta(days=1))
        yield HashPrice(source=self.name, known_at=day, over=over, usd_per_ph_day=45.0, basis="simulated")
        yield from self._single(since, until)

    def _price(self, hour: int) -> Price:
        start = datetime.fromtimestamp(hour * 3600, UTC)
        known_at = start + HOUR + PUBLISHED_AFTER
        known_s = (known_at - self._clock.start).total_seconds()
        for n, late in self._faults.of_kind("feed_late"):
            if late.at_s <= known_s < late.at_s + late.lasts_s:
                self._faults.fired.add(n)
                known_at = self._clock.start + timedelta(seconds=late.at_s + late.lasts_s)
        return Price(
            source=self.name, known_at=known_at, point=POINT, market=PriceMarket.REAL_TIME_HOURLY,
            over=Interval(start, start + HOUR), usd_per_mwh=hour_price(self._seed, hour),
        )  # fmt: skip

    def _single(self, since: datetime, until: datetime) -> Iterator[Fact]:
        """Corrections, repeated and implausible prices, each published once."""
        for kind in ("feed_corrected", "feed_repeated", "feed_implausible"):
            for n, fault in self._faults.of_kind(kind):
                at = self._clock.start + timedelta(seconds=fault.at_s)
                if not since < at <= until:
                    continue
                self._faults.fired.add(n)
                earlier = self._price(int(at.timestamp() // 3600) - 3 - int(6 * fault.dice[0]))
                if kind == "feed_corrected":
                    yield replace(earlier, known_at=at, usd_per_mwh=round(earlier.usd_per_mwh + 10 * fault.dice[1] + 1, 2))
                elif kind == "feed_repeated":
                    yield replace(earlier, known_at=at)
                else:
                    newest = self._price(int(at.timestamp() // 3600) - 1)
                    yield replace(newest, known_at=at, usd_per_mwh=1e6 * (1 + fault.dice[0]))


class Rigs(SimulatedDriver):
    """Rigs whose physics follow a clock that nobody sets; `obeyed` is told which rigs an order moved."""

    def __init__(
        self, fleet: Fleet, group: str, clock: SimulatedClock, faults: InjectedFaults, obeyed: Callable[[str, Sequence[int], str], None]
    ) -> None:
        super().__init__(fleet, group, clock)
        self._steady, self._faults, self._obeyed = clock, faults, obeyed

    def _advance(self) -> float:
        self._fleet.advance(self._steady.true_now().timestamp())
        return self._clock.now().timestamp()

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """As a rig's reading, after a crossing."""
        self._faults.crossing()
        return await super().read(rigs, deadline_s)

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Order rigs into a mode, between two crossings."""
        self._faults.crossing()
        self._advance()
        positions = np.array(rigs, np.int64)
        answers = self._fleet.command(self._group, positions, mode)
        if answers.moved.any():
            self._obeyed(self._group, positions[answers.moved].tolist(), mode)
        self._faults.crossing()
        of = {code: tuple(positions[answers.code == code].tolist()) for code in (SENT, REFUSED, UNSUPPORTED, UNREACHABLE)}
        return Sent(of[SENT], of[REFUSED], of[UNSUPPORTED], of[UNREACHABLE])


class Meter:
    """The revenue meter: the true load, unless it is silent or wrong."""

    def __init__(self, true_mw: Callable[[], float], faults: InjectedFaults) -> None:
        self._true_mw, self._faults = true_mw, faults

    async def read_mw(self, deadline_s: float) -> float | None:
        """MW; None while the meter is silent."""
        if self._faults.active("meter_silent"):
            return None
        if fault := self._faults.active("meter_wrong"):
            return (0.0, 1.7, 12.0)[int(3 * fault.dice[0])] * self._true_mw()
        return self._true_mw()

    async def close(self) -> None:
        """Nothing is open."""


def no_time() -> float:
    """The stopwatch of planners: how long a plan took would differ from run to run."""
    return 0.0


class FaultyPlanner(InlinePlanner):
    """A planner that is killed, and then plans by rules, or that finds nothing."""

    def __init__(self, faults: InjectedFaults) -> None:
        super().__init__(no_time)
        self._faults = faults

    def ask(self, at: datetime, seq: int, state: State) -> None:
        """Make the plan now, or fail to."""
        self._faults.crossing()
        if self._faults.active("planner_fails"):
            self._planned = Planned(at=at, as_of=seq, plan=None, failed="the planner finds nothing")
        elif self._faults.active("planner_killed"):
            try:
                self._planned = Planned(at=at, as_of=seq, plan=rule_based(inputs(state, at), "the planner was killed", no_time))
            except Exception as fault:  # as the service's own planner does
                self._planned = Planned(at=at, as_of=seq, plan=None, failed=repr(fault))
        else:
            super().ask(at, seq, state)


class Disk:
    """The disk of the ledger: full or not, locked by another program or not."""

    def __init__(self) -> None:
        self.full = False
        self._lock: Any = None

    def watch(self, engine: Engine) -> None:
        """Have every connection of an engine find the disk full while it is."""

        @event.listens_for(engine, "checkout")
        def _checkout(connection: Any, record: Any, proxy: Any) -> None:
            # One page is fewer than the ledger has: SQLite then adds none.
            connection.execute(f"PRAGMA max_page_count={1 if self.full else 2**30}").fetchall()

    @property
    def locked(self) -> bool:
        """Whether another program holds the ledger."""
        return self._lock is not None

    def lock(self, data: Path) -> None:
        """Another program begins to write the ledger."""
        self.unlock()
        self._lock = sqlite.connect(ledger_file(data), timeout=0, isolation_level=None)
        self._lock.execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        """The other program ends."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


@contextmanager
def edited_row(data: Path, seq: int) -> Iterator[None]:
    """A ledger in which a row of the journal was edited by hand; as it was afterwards."""
    with _raw(data) as raw:
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'journal'").fetchall()
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("UPDATE journal SET document = document || ' ' WHERE seq = ?", (seq,))
    try:
        yield
    finally:
        with _raw(data) as raw:
            raw.execute("UPDATE journal SET document = substr(document, 1, length(document) - 1) WHERE seq = ?", (seq,))
            for _, sql in triggers:
                raw.execute(sql)


@contextmanager
def _raw(data: Path) -> Iterator[Any]:
    connection = sqlite.connect(ledger_file(data), isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
