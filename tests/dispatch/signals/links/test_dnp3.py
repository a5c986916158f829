"""The DNP3 link (dnp3py's outstation) against the master of another library, py1815."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from py1815.decode import PointType
from py1815.master import Master, Outstation

from dispatch.clock import wall_now
from dispatch.signals.links.dnp3 import analog_counts
from dispatch.signals.links.link import SiteTelemetry
from tests.conformance.link_kit import LAWS, Bench, Law, free_address, linked_site, listening


class Counterparty:
    """A dispatch desk with py1815's master; one count is one kW."""

    def __init__(self, outstation: Outstation) -> None:
        self.outstation, self.last = outstation, 0.0

    async def curtail(self, mw: float) -> bool:
        self.last = mw
        operated = await self.outstation.operate(analog_outputs={0: round(mw * 1000.0)}, mode="select")
        return bool(operated.accepted)

    async def ask_for_the_impossible(self) -> bool:
        return await self.curtail(500.0)

    async def repeat(self) -> None:
        assert await self.curtail(self.last)

    async def release(self) -> None:
        assert (await self.outstation.operate(binary_outputs={0: "latch_off"})).accepted

    async def counts(self) -> dict[int, float]:
        """The analog inputs by index."""
        await self.outstation.integrity_poll()
        return {index: float(point.value) for index, point in self.outstation.store.points(PointType.ANALOG_INPUT).items()}

    async def load_mw(self) -> float | None:
        return (await self.counts())[0] / 1000.0

    async def fall_silent(self) -> None:
        await self.outstation.close()


@asynccontextmanager
async def bench(data: Path) -> AsyncIterator[Bench]:
    address = free_address("127.42.0.1")
    host, _, port = address.rpartition(":")
    async with linked_site(data, {"kind": "dnp3", "listen": address}) as site, Master() as master:
        await listening(address)
        outstation = await master.add("site", host=host, port=int(port), outstation_address=10, master_address=1)
        yield Bench(site, Counterparty(outstation))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_the_dnp3_link(law: Law, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await law(made)


async def test_the_points_are_the_sites_own_and_the_base_point_is_echoed(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        desk = made.peer
        assert isinstance(desk, Counterparty) and await desk.curtail(0.1)
        await made.site.until(lambda: made.site.load_mw() <= 0.1, "the load is below the base point")
        await asyncio.sleep(1.0)
        counts = await desk.counts()
        assert counts[1] < counts[0] <= 101 and counts[2] == 260 and counts[3] > 0 and counts[4] == 100
        bits = {n: point.value for n, point in desk.outstation.store.points(PointType.BINARY_INPUT).items()}
        assert bits == {0: True, 1: True}
        await desk.release()
        await asyncio.sleep(1.0)
        assert (await desk.counts())[4] == -1


def test_capability_follows_the_products_of_the_contract() -> None:
    telemetry = SiteTelemetry(wall_now(), 0.2, 0.01, 0.26, 0.05, {"ECRS": 0.1, "NSPIN": 0.05})
    assert analog_counts(telemetry, None, 10.0) == [20, 1, 26, 5, -1, 10, 5]
