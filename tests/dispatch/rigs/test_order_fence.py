"""A process that lost the lead, or whose site was stopped, sends no order: not even one whose connection is open already."""

from __future__ import annotations

import asyncio

import pytest

from dispatch.meters.order_fence import fenced
from dispatch.rigs import Sent
from dispatch.rigs.asics.connections import LuxosConnection, NoAnswer
from dispatch.rigs.concurrent_requests import RequestPool
from dispatch.rigs.guarded_driver import GuardedDriver
from tests.dispatch.rigs.test_guarded_driver import Flaky


class Lead:
    """Leads until it is told otherwise."""

    why = ""

    def __call__(self, mode: str) -> str:
        return self.why


async def test_nothing_leaves_a_connection_opened_before_the_lead_was_lost() -> None:
    lead, received, closed = Lead(), bytearray(), asyncio.Event()

    async def rig(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())
        closed.set()
        writer.close()

    class Slow(LuxosConnection):
        """The lead is lost while it connects."""

        @property
        def ip(self) -> str:
            lead.why = "another process leads"
            return "127.0.0.1"

        @ip.setter
        def ip(self, ip: str) -> None:
            pass

    server = await asyncio.start_server(rig, "127.0.0.1", 0)
    connection = Slow("127.0.0.1")
    connection.port = server.sockets[0].getsockname()[1]
    lead.why = ""
    async with server:
        with fenced(lead, "sleep"), pytest.raises(NoAnswer, match="another process leads"):
            await connection._send_bytes(b"curtail")
        await asyncio.wait_for(closed.wait(), 5.0)
    assert bytes(received) == b""


async def test_the_rest_of_a_wave_is_not_sent_and_its_rigs_count_as_unreachable() -> None:
    lead, sent = Lead(), []
    pool = RequestPool(1, ())

    async def order(rig: int) -> str:
        sent.append(rig)
        if rig == 2:
            lead.why = "another process leads"
        return "sent"

    with fenced(lead, "sleep"):
        answers = [await pool.one(rig, lambda rig=rig: order(rig), 1.0) for rig in range(6)]
    assert sent == [0, 1, 2] and answers == ["sent"] * 3 + [None] * 3
    assert await pool.one(9, lambda: order(9), 1.0) == "sent"  # readings are not fenced


async def test_a_group_whose_orders_may_not_be_sent_counts_as_unreachable() -> None:
    lead = Lead()
    guarded = GuardedDriver("g", Flaky, lambda: 0.0, lead)
    lead.why = "a global stop is in force"
    assert await guarded.set_mode([0, 1], "normal", 1.0) == Sent(unreachable=(0, 1))
    lead.why = ""
    assert (await guarded.set_mode([0, 1], "normal", 1.0)).sent == (0, 1)
