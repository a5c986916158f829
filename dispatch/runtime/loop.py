"""The control loop: observe, record, decide, record, execute, record. Plans are made beside it. One loop for live, shadow, replay and
imagined worlds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from dispatch.clock import at_least
from dispatch.decide.decide import decide
from dispatch.decide.limit_check import LimitCheck
from dispatch.decide.move_limits import room_is_read_at
from dispatch.decide.plan_inputs import ladder, plan_due
from dispatch.decide.reflex import instruction_in_force, next_call_edge
from dispatch.decide.state import State
from dispatch.entries import Done, Entry, PriceBasisChanged, RunStarted
from dispatch.runtime.world import World
from dispatch.store import Journal, JournalLost

log = structlog.get_logger()

INSTRUCTED_TICK_S = 60
ROUND_S, ROUND_WALL_S = 5.0, 0.1  # a round may decide by an observation that is no older: world seconds, and wall seconds at least
WORK_S = 3.0  # after so long what open orders did is looked at
ROUNDS = timedelta(seconds=60)  # how long a tick goes on with rounds while orders are open, before the next one is waited for
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
        self.pause = at_least(world.clock, ROUND_S, ROUND_WALL_S)
        self.round = 0
        self.ended: list[Done] = []  # outcomes that are not in the journal yet

    async def run(self, started: RunStarted, until: datetime | None) -> State:
        self.state = fold(self.state, self.journal)
        await self._until_written(started)
        while until is None or self.world.clock.now() < until:
            at, self.round = self.world.clock.now(), 0
            try:
                await self._act()
                await self._between(at + ROUNDS, only_while_busy=True)
                if self.after_tick is not None:
                    await self.after_tick(at, self.state)
                await self._between(await self._due_after(at, until))
            except JournalLost as lost:
                await self._wait_out(lost)
        return self.state

    def _due(self, at: datetime) -> datetime:
        """When the next tick is: on the tick grid, every minute while an instruction is in force, when a call begins or ends, and when a
        meter can show the room under a limit that rigs wait for."""
        tick_s, edge = self.state.site.tick_s, next_call_edge(self.state, at)
        if instruction_in_force(self.state, at):
            tick_s = min(tick_s, INSTRUCTED_TICK_S)
        room_at = room_is_read_at(self.state)
        return min([next_tick(at, tick_s), *([edge] if edge else []), *([max(room_at, at + self.pause)] if room_at else [])])

    async def _due_after(self, at: datetime, until: datetime | None) -> datetime:
        """The next tick, or earlier what the sources will know before it: a price acts when it is published."""
        due = self._due(at)
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

    async def _act(self, *, fresh: bool = True) -> None:
        """One round: read, decide by what is read, and send the orders. Nobody waits for their outcome: it is news for a further round.
        Without `fresh` an observation of the last ROUND_S will do."""
        at = self.world.clock.now()
        while self.ended:
            self._record(self.ended[0])
            self.ended.pop(0)
        if fresh or self.state.seen_at is None or not timedelta(0) <= at - self.state.seen_at < self.pause:
            await self._observe(at)
        self.round += 1
        commanded = decide(self.state, at, self.round)
        if commanded is not None:
            self._record(commanded)
            if commanded.orders or commanded.generators:
                await self.world.executor.begin(commanded)
        self._ask(at)

    async def _observe(self, at: datetime) -> None:
        self._record(await self.world.observer.observe(at, self.state))
        price_basis, why = ladder(self.state, at)
        if price_basis != self.state.price_basis:
            self._record(PriceBasisChanged(at=at, price_basis=price_basis, why=why or f"prices are {price_basis} again"))

    def _ask(self, at: datetime) -> None:
        newest = self.state.news[-1].seq if self.state.news else 0
        if plan_due(self.state) and newest > self.asked_seq:
            self.asked_seq = newest
            self.world.planner.ask(self.state.seen_at or at, self.state.seq, self.state)

    async def _between(self, due: datetime, *, only_while_busy: bool = False) -> None:
        """Further rounds as plans, outcomes and news come, until `due`, the clock is set back, something urgent was pushed or a fact
        arrived."""
        before = self.world.clock.now()
        while before <= (now := self.world.clock.now()) < due and not (only_while_busy and not self._under_way()):
            before = now
            match await self._wait(due):
                case "tick":
                    return
                case "plan":
                    planned = self.world.planner.take()
                    if planned is not None:
                        self._record(planned)
                        await self._act(fresh=False)
                case "news":
                    await self._act()

    def _under_way(self) -> bool:
        """Whether orders are under way, or ended and are not in the journal yet."""
        return self.world.executor.busy or bool(self.ended)

    async def _wait(self, due: datetime) -> str:
        """What comes first: a plan, something that calls for a tick, news, or nothing by the end of a round."""
        if self.world.planner.has_plan():
            return "plan"
        ready = asyncio.ensure_future(self.world.planner.ready())
        urgent = asyncio.ensure_future(self.world.observer.urgent())
        arrived = asyncio.ensure_future(self.world.observer.arrived())
        watch = asyncio.ensure_future(self._watch(due))
        try:
            await asyncio.wait((ready, urgent, arrived, watch), return_when=asyncio.FIRST_COMPLETED)
            if not watch.done() and self.world.executor.busy:  # what came of orders is not lost
                self.world.executor.interrupt()
                await watch
            if urgent.done() or arrived.done():
                return "tick"
            return "news" if watch.done() and watch.result() else "plan" if ready.done() else "nothing"
        finally:
            for task in (ready, urgent, arrived, watch):
                task.cancel()
            await asyncio.gather(ready, urgent, arrived, watch, return_exceptions=True)

    async def _watch(self, due: datetime) -> bool:
        """Carry on with the orders under way, or with readings alone; whether anything came of it that calls for a round."""
        now = self.world.clock.now()
        closely, check = instruction_in_force(self.state, now), LimitCheck(self.state, now)
        if not self.world.executor.busy:
            return await self.world.observer.changed(due, closely, check.exceeded)
        done = await self.world.executor.work(min(due, now + at_least(self.world.clock, WORK_S, ROUND_WALL_S)))
        self.ended += [done] if done else []
        return await self.world.observer.has_news(closely, check.exceeded) or bool(self.ended)


def next_tick(at: datetime, tick_s: int) -> datetime:
    """The next instant of the tick grid, which is aligned to the UTC hour."""
    stamp = int(at.timestamp() // tick_s + 1) * tick_s
    return max(datetime.fromtimestamp(stamp, UTC), at + timedelta(microseconds=1))
