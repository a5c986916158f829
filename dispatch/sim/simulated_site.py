"""A site run on simulated rigs without sockets, journal or telemetry: decisions are the control loop's own, physics are the fleet's.

What it did is kept as energy and hashing of each group in each interval of a grid. The backtest and the daily statement compare
strategies with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.contract_memory import ContractMemories
from dispatch.decide.decide import decide
from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, Entry, GroupSeen, Order, Result, Seen, unpack
from dispatch.rigs import Outcome, Readings
from dispatch.rigs.group_readings import GroupReadings
from dispatch.rigs.order_dispatch import WAVE_S
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from markets.facts import Fact
from markets.grid import Grid
from optimizer.domain.memory import Memory
from optimizer.domain.site import SLEEP

Floats = NDArray[np.float64]
# Rigs count as settled so long after an order: twice the slowest wake time, as `GroupReadings` allows, and the rise of the watts.
SETTLED_AFTER_WAKES, RISE_S = 2.5, 120.0
# A rig shows in its watts that it starts so long after the last wave of an order went out.
SHOWN_S = 10.0


class SimulatedSite:
    """The rigs of a setup, all in their normal mode at the start of `grid`, and the state that decisions read.

    energy_mwh    by group, MWh at the rigs in each interval of the grid, overhead not included, shape (n,)
    hash_ph_days  by group, PH/s times days in each interval, shape (n,)
    starts        rigs woken so far, by interval, shape (n,)
    decisions     every decision that was recorded, in order
    """

    def __init__(self, setup: Setup, grid: Grid, seed: int = 0) -> None:
        site = setup.site
        self.grid, self._edges = grid, grid.edges.tolist()
        self.fleet = Fleet(spec_of(site.groups), seed, float(self._edges[0]))
        self.state = State.start(setup, setup_from_document)
        self.energy_mwh = {g.name: np.zeros(len(grid)) for g in site.groups}
        self.hash_ph_days = {g.name: np.zeros(len(grid)) for g in site.groups}
        self.starts = np.zeros(len(grid))
        self.decisions: list[Commanded] = []
        self.settled = False
        self._readings = {g.name: GroupReadings(g) for g in site.groups}
        self._read_since_settled = False
        self._settles_s = self.fleet.now_s
        self._wake_s = max(60.0 * g.wake_min for g in site.groups)
        self._waves: list[tuple[float, str, NDArray[np.int64], str]] = []
        self._under_way: list[tuple[float, Order]] = []
        self._interval = 0
        self._totals = self._read_totals()

    def begin(self, modes: Mapping[str, Mapping[str, float]], memories: Mapping[str, Memory]) -> None:
        """Put rigs into modes as if they had long been there, and give contracts their memory. Before the first observation."""
        for name, by_mode in modes.items():
            first = 0
            for mode, rigs in by_mode.items():
                last = min(first + round(rigs), self._readings[name].group.rigs)
                self.fleet.place(name, np.arange(first, last), mode)
                first = last
        self.state = replace(self.state, contract_memories=ContractMemories(memories))

    def observe(self, at: datetime, facts: Sequence[Fact] = ()) -> None:
        """Read the rigs and take in facts that became known."""
        self.advance(at)
        self._end_orders(at)
        self.record(Seen(at=at, facts=tuple(facts), fleet=self._read(at)))

    def record(self, entry: Entry) -> None:
        """Fold an entry into the state, as the journal's next row."""
        self.state = self.state.after(entry, self.state.seq + 1)

    def act(self, at: datetime) -> None:
        """Decide and carry out the orders. `settled` says whether nothing is left to do: no order was given, and no rig held back."""
        self.advance(at)
        self._end_orders(at)
        commanded = decide(self.state, at, 1)
        if commanded is not None:
            self.record(commanded)
            self.decisions.append(commanded)
        self.settled = commanded is None or not (commanded.orders or commanded.skipped)
        if commanded is not None and commanded.orders:
            for order in commanded.orders:
                self._send(order, at)
            self.advance(at)
            self._end_orders(at)

    def _end_orders(self, at: datetime) -> None:
        """Record the outcome of the orders that every rig has had; until then a rig that waits for its wave gets no second order."""
        ended = [order for done_s, order in self._under_way if done_s <= at.timestamp()]
        if ended:
            self._under_way = [(done_s, order) for done_s, order in self._under_way if done_s > at.timestamp()]
            reached = tuple(Result(order=o.id, rigs_by_outcome={Outcome.REACHED.value: o.rigs}) for o in ended)
            self.record(Done(at=at, results=reached))

    def advance(self, to: datetime) -> None:
        """Let time pass to an instant; waves of orders on their way go out."""
        to_s = to.timestamp()
        while self._waves and self._waves[0][0] <= to_s:
            at_s, group, rigs, mode = self._waves.pop(0)
            self._pass(at_s)
            self._command(group, rigs, mode)
        self._pass(to_s)

    def _pass(self, to_s: float) -> None:
        """Let time pass; what an interval drew is kept at its end."""
        while self._interval < len(self.grid) and self._edges[self._interval + 1] <= to_s:
            self.fleet.advance(self._edges[self._interval + 1])
            totals, before = self._read_totals(), self._totals
            for name, (mwh, ph_days) in totals.items():
                self.energy_mwh[name][self._interval] = mwh - before[name][0]
                self.hash_ph_days[name][self._interval] = ph_days - before[name][1]
            self._totals = totals
            self._interval += 1
        self.fleet.advance(to_s)

    def _read_totals(self) -> dict[str, tuple[float, float]]:
        return {g.name: (self.fleet.energy_mwh(g.name), self.fleet.hash_ph_days(g.name)) for g in self.fleet.spec.groups}

    def _send(self, order: Order, at: datetime) -> None:
        """Send an order in waves over its `spread_s`, as `OrderDispatch` does."""
        at_s, rigs = at.timestamp(), np.array(unpack(order.rigs), np.int64)
        waves = max(1, min(len(rigs), int(order.spread_s // WAVE_S)))
        parts = np.array_split(rigs, waves)
        self._waves += [(at_s + k * order.spread_s / waves, order.group, part, order.mode) for k, part in enumerate(parts)]
        self._waves.sort(key=lambda wave: wave[0])
        self._under_way.append((at_s + order.spread_s + (SHOWN_S if order.spread_s else 0.0), order))
        self._settles_s = at_s + order.spread_s + SETTLED_AFTER_WAKES * self._wake_s + RISE_S
        self._read_since_settled = False

    def _command(self, group: str, rigs: NDArray[np.int64], mode: str) -> None:
        readings = self._readings[group]
        if mode != SLEEP and self._interval < len(self.grid):
            self.starts[self._interval] += self.fleet.modes(group, rigs).count(SLEEP)
        readings.ordered(rigs, mode, RISE_S)
        readings.order_answered(rigs, self.fleet.now_s)
        self.fleet.command(group, rigs, mode)

    def _read(self, at: datetime) -> dict[str, GroupSeen]:
        """The groups as read now; nothing while every rig has settled since the last reading, because none has changed."""
        at_s, last = at.timestamp(), self.state.seen_at
        if last is not None and self._read_since_settled:
            return {}
        for name, readings in self._readings.items():
            rigs = np.arange(readings.group.rigs)
            watts, ths = self.fleet.read(name, rigs)
            readings.add(Readings(rigs, watts, ths, np.full(len(rigs), at_s)))
        self._read_since_settled = at_s > self._settles_s
        return {name: readings.snapshot(at_s) for name, readings in self._readings.items()}


def instant_of(stamp_s: float) -> datetime:
    """Epoch seconds as an instant in UTC."""
    return datetime.fromtimestamp(stamp_s, UTC)
