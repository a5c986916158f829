"""Asking many rigs at once, each within its own time, without one holding up another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Asking:
    """At most `at_once` questions in the air. Rigs that missed their last answer are asked after the others.

    silence  the exceptions that mean a rig did not answer in a way that can be read
    """

    def __init__(self, at_once: int, silence: tuple[type[Exception], ...]) -> None:
        self._at_once = at_once
        self._silence: tuple[type[Exception], ...] = (TimeoutError, *silence)
        self.missed: set[int] = set()

    async def each(self, rigs: Sequence[int], one: Callable[[int], Awaitable[None]]) -> None:
        """Do `one` for every rig."""
        queue = iter(sorted(rigs, key=lambda r: r in self.missed))

        async def work() -> None:
            for rig in queue:
                await one(rig)

        await asyncio.gather(*(work() for _ in range(min(self._at_once, len(rigs)))))

    async def one(self, rig: int, question: Callable[[], Awaitable[T]], deadline_s: float) -> T | None:
        """The rig's answer within `deadline_s` wall seconds; None when there was none."""
        answer: T | None = None
        limit = asyncio.timeout(deadline_s)
        try:
            async with limit:
                answer = await question()
        except self._silence:
            answer = None
        # Some libraries swallow a cancellation; the timeout knows better.
        if limit.expired() or answer is None:
            self.missed.add(rig)
            return None
        self.missed.discard(rig)
        return answer
