"""Requests to many rigs at once, each within its own deadline, without one rig holding up another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from dispatch.clock import Clock, wall_s
from dispatch.meters.order_fence import OrderFenced, check_fence
from dispatch.rigs import Readings, Sent

T = TypeVar("T")
AT_ONCE = 100
# Wall seconds after which a request counts as slow, and how many times `at_once` slow requests may be open beside the others.
SLOW_AFTER_S, MOST_SLOW = 0.3, 3


class RequestPool:
    """At most `at_once` requests open at a time, slow ones aside. Rigs that missed their last answer come after the others.

    silence  the exceptions that mean a rig gave no readable answer
    missed   the rigs that missed their last answer
    """

    def __init__(self, at_once: int, silence: tuple[type[Exception], ...]) -> None:
        self._at_once = at_once
        self._silence: tuple[type[Exception], ...] = (TimeoutError, OrderFenced, *silence)
        self.missed: set[int] = set()

    async def each(self, rigs: Sequence[int], one: Callable[[int], Awaitable[None]]) -> None:
        """Do `one` for every rig. A rig whose request is slow gives its place to the next; how many may do so is bounded, because each
        keeps a connection open."""
        queue, over = iter(sorted(rigs, key=lambda r: r in self.missed)), False
        since: dict[object, float] = {}

        async def work(me: object) -> None:
            nonlocal over
            for rig in queue:
                since[me] = wall_s()
                await one(rig)
            over = True
            since.pop(me, None)

        def more(n: int) -> set[asyncio.Task[None]]:
            return {asyncio.create_task(work(object())) for _ in range(n)}

        workers = more(min(self._at_once, len(rigs)))
        try:
            while workers:
                done, workers = await asyncio.wait(workers, timeout=SLOW_AFTER_S)
                for task in done:
                    task.result()
                late = sum(at < wall_s() - SLOW_AFTER_S for at in since.values())
                if not over:
                    workers |= more(min(late, MOST_SLOW * self._at_once) + self._at_once - len(workers))
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def one(self, rig: int, request: Callable[[], Awaitable[T]], deadline_s: float) -> T | None:
        """The rig's answer within `deadline_s` wall seconds; None when there was none."""
        answer: T | None = None
        limit = asyncio.timeout(deadline_s)
        try:
            async with limit:
                check_fence()
                answer = await request()
        except self._silence:
            answer = None
        # Some libraries swallow a cancellation: the timeout decides.
        if limit.expired() or answer is None:
            self.missed.add(rig)
            return None
        self.missed.discard(rig)
        return answer

    async def all(
        self, rigs: Sequence[int], request: Callable[[int], Awaitable[T]], deadline_s: float, clock: Clock
    ) -> dict[int, tuple[T | None, float]]:
        """By rig its answer, None when there was none, and when that was known: epoch seconds of the world's clock."""
        found: dict[int, tuple[T | None, float]] = dict.fromkeys(rigs, (None, clock.now().timestamp()))

        async def ask(rig: int) -> None:
            answer = await self.one(rig, lambda: request(rig), deadline_s)
            found[rig] = answer, clock.now().timestamp()

        await self.each(rigs, ask)
        return found


def readings(rigs: Sequence[int], found: Mapping[int, tuple[tuple[float, float] | None, float]]) -> Readings:
    """Readings of `rigs` from their answers, in the order of `rigs`. An impossible reading counts as no answer."""
    rows = [(*_possible(found[rig][0]), found[rig][1]) for rig in rigs]
    watts, ths, at = np.array(rows, float).reshape(-1, 3).T
    return Readings(np.array(rigs, np.int64), watts, ths, at)


def _possible(figures: tuple[float, float] | None) -> tuple[float, float]:
    if figures is None or not (0.0 <= figures[0] < 1e6 and 0.0 <= figures[1] < 1e6):
        return float("nan"), float("nan")
    return figures


def sent_by_answer(answers: Mapping[int, str]) -> Sent:
    """The rigs by their answer ("sent", "refused", "unsupported", "unreachable")."""
    return Sent(**{field: tuple(rig for rig, answer in answers.items() if answer == field) for field in Sent.__slots__})
