"""Asking many rigs: what hangs gives its place to the next, within bounds, and an error of ours is not swallowed."""

from __future__ import annotations

import asyncio

import pytest

from dispatch.rigs.concurrent_requests import MOST_SLOW, RequestPool


async def asked(rigs: int, hung: set[int], at_once: int) -> tuple[list[int], int]:
    """In what order rigs that do not hang were done while those that do are held, and the most questions in the air."""
    done: list[int] = []
    held, most, now = asyncio.Event(), 0, 0
    asking = RequestPool(at_once, (OSError,))

    async def one(rig: int) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        if rig in hung:
            await held.wait()
        else:
            await asyncio.sleep(0)
            done.append(rig)
            if len(done) == rigs - len(hung):
                held.set()
        now -= 1

    async with asyncio.timeout(30.0):
        await asking.each(range(rigs), one)
    return done, most


async def test_rigs_that_hang_hold_up_nobody() -> None:
    """All four places hang at once; the forty behind them are done before any of the four lets go."""
    done, most = await asked(44, {0, 1, 2, 3}, at_once=4)
    assert len(done) == 40 and most <= 4 + MOST_SLOW * 4


async def test_how_many_may_be_late_is_bounded() -> None:
    hung = set(range(16))
    async with asyncio.timeout(30.0):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await asked(60, hung, at_once=4)


async def test_no_more_at_once_than_asked_for_where_nobody_hangs() -> None:
    _, most = await asked(200, set(), at_once=7)
    assert most == 7


async def test_an_error_of_ours_is_not_silence() -> None:
    async def broken(rig: int) -> None:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        await RequestPool(3, (OSError,)).each(range(5), broken)
