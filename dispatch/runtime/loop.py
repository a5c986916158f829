"""The control loop: observe, record, decide, record, execute, record. Plans are made beside it. One loop for live, shadow, replay and
imagined worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from dispatch.decide.decide import ROUNDS, decide
from dispatch.decide.plan_inputs import ladder, plan_due
from dispatch.decide.reflex import instruction_in_force
from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, Entry, Planned, PriceBasisChanged, RunStarted
from dispatch.rigs import Outcome
from dispatch.runtime.world import World
from dispatch.store import Journal, JournalLost

log = structlog.get_logger()

INSTRUCTED_TICK_S = 60
RETRY_S = 0.5  # wall seconds between attempts to write a journal that cannot be written

AfterTick = Callable[[datetime, State], Awaitable[None]]


class Fenced(Exception):
    """Another process leads the site now; this one must stop."""


def fold(state: State, journal: Journal) -> State:
    """The state after everything the journal holds beyond it. Start-up is recovery: there is no other way to begin."""
    for seq, entry in journal.read(state.seq):
        state = state.after(entry, seq)
    return state


async def run(
    world: World,
    journal: Journal,
    state: State,
    started: RunStarted,
    until: datetime | None = None,
    after_tick: AfterTick | None = None,
    leads: Callable[[], bool] = lambda: True,
) -> State:
    """Run until `until` (for ever when None). Raises Fenced when `leads` says that another process took over."""
    return await _Run(world, journal, state, after_tick, leads).run(started, until)


class _Run:
    def __init__(self, world: World, journal: Journal, state: State, after_tick: AfterTick | None, leads: Callable[[], bool]) -> None:
        self.world, self.journal, self.state = world, journal, state
        self.after_tick, self.leads = after_tick, leads
        self.asked_seq = 0

    async def run(self, started: RunStarted, until: datetime | None) -> State:
        self.state = fold(self.state, self.journal)
        await self._until_written(started)
        while until is None or self.world.clock.now() < until:
            at = self.world.clock.now()
            try:
                await self._tick(at)
                if self.after_tick is not None:
                    await self.after_tick(at, self.state)
                await self._between(await self._due_after(at, until))
            except JournalLost as lost:
                await self._wait_out(lost)
        return self.state

    def _tick_s(self, at: datetime) -> int:
        """While an instruction is in force, rigs that leave their mode are noticed within a minute."""
        tick_s = self.state.site.tick_s
        return min(tick_s, INSTRUCTED_TICK_S) if instruction_in_force(self.state, at) else tick_s

    async def _due_after(self, at: datetime, until: datetime | None) -> datetime:
        """The next tick, or earlier what the sources will know before it: a price acts when it is published."""
        due = next_tick(at, self._tick_s(at))
        due = due if until is None else min(due, until)
        return await self.world.observer.next_fact_at(at, due) or due

    def _record(self, entry: Entry) -> None:
        # The state takes in only what is durable: after a lost row it is where the journal is.
        seq = self.journal.append(entry)
        self.state = self.state.after(entry, seq)

    async def _until_written(self, entry: Entry) -> None:
        while True:
            try:
                return self._record(entry)
            except JournalLost as lost:
                await self._wait_out(lost)

    async def _wait_out(self, lost: JournalLost) -> None:
        """No row, no command: wait a little and try again. Raises Fenced when another process leads."""
        if not self.leads():
            raise Fenced(str(lost)) from lost
        log.error("journal cannot be written: no commands until it can", error=str(lost))
        await asyncio.sleep(RETRY_S)

    async def _tick(self, at: datetime) -> None:
        seen = await self.world.observer.observe(at, self.state)
        self._record(seen)
        price_basis, why = ladder(self.state, at)
        if price_basis != self.state.price_basis:
            self._record(PriceBasisChanged(at=at, price_basis=price_basis, why=why or f"prices are {price_basis} again"))
        await self._act(at)
        self._ask(at)

    def _ask(self, at: datetime) -> None:
        newest = self.state.news[-1].seq if self.state.news else 0
        if plan_due(self.state) and newest > self.asked_seq:
            self.asked_seq = newest
            self.world.planner.ask(at, self.state.seq, self.state)

    async def _act(self, at: datetime) -> None:
        """Decide and execute, at most ROUNDS rounds: load that does not move is shed by other rigs. What is still missed is recorded."""
        for round_ in range(1, ROUNDS + 2):
            commanded = decide(self.state, at, round_)
            if commanded is None:
                return
            self._record(commanded)
            if not commanded.orders:
                return
            done, urgent = await self._execute(commanded)
            self._record(done)
            if urgent or (all_reached(done) and not done.meters):
                return

    async def _execute(self, commanded: Commanded) -> tuple[Done, bool]:
        """Execute; returns what came of it, and whether something urgent interrupted it: no call waits for a rig that hangs."""
        urgent = asyncio.ensure_future(self.world.observer.urgent())
        execution = asyncio.ensure_future(self.world.executor.execute(commanded))
        try:
            await asyncio.wait((execution, urgent), return_when=asyncio.FIRST_COMPLETED)
            if urgent.done() and not execution.done():
                self.world.executor.interrupt()
            return await execution, urgent.done()
        finally:
            for task in (execution, urgent):
                task.cancel()
            await asyncio.gather(execution, urgent, return_exceptions=True)

    async def _between(self, due: datetime) -> None:
        """Record and carry out plans as they come, until the next tick is due, something urgent was pushed or a fact arrived."""
        while await self._wait(due) == "plan":
            planned = self.world.planner.take()
            if planned is not None:
                await self._take(planned)

    async def _take(self, planned: Planned) -> None:
        self._record(planned)
        await self._act(planned.at)

    async def _wait(self, due: datetime) -> str:
        if self.world.planner.has_plan():
            return "plan"
        waits = {
            asyncio.ensure_future(self.world.planner.ready()): "plan",
            asyncio.ensure_future(self.world.observer.urgent()): "urgent",
            asyncio.ensure_future(self.world.observer.arrived()): "arrived",
            asyncio.ensure_future(self.world.clock.sleep_until(due)): "due",
        }
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(name for task, name in waits.items() if task in done)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def all_reached(done: Done) -> bool:
    """Whether every rig of every order reached its mode."""
    outcomes = {outcome for result in done.results for outcome, rigs in result.rigs_by_outcome.items() if rigs}
    return outcomes <= {Outcome.REACHED.value}


def next_tick(at: datetime, tick_s: int) -> datetime:
    """The next instant of the tick grid, which is aligned to the UTC hour."""
    stamp = int(at.timestamp() // tick_s + 1) * tick_s
    return max(datetime.fromtimestamp(stamp, UTC), at + timedelta(microseconds=1))
