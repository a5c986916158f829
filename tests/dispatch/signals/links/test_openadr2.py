"""The OpenADR 2.0b VEN against openleadr's VTN; both run in the environment of the link (requirements/openadr.txt)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dispatch.signals.links.openadr2 import ENVIRONMENT, EventTerms, NotSupported, calls_of
from tests.conformance.link_kit import LAWS, Bench, Law, free_address, linked_site

VTN = Path(__file__).with_name("openadr2_vtn.py")
TERMS = EventTerms("plant", 0.001)


class Counterparty:
    """A utility with openleadr's VTN, one event at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.events, self.modification = process, 0, 0
        self.opts: asyncio.Queue[str] = asyncio.Queue()
        self.load_kw: float | None = None
        self.ready = asyncio.Event()
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if not line.startswith(b"{"):
                continue  # the VTN's greeting
            document = json.loads(line)
            if "ready" in document:
                self.ready.set()
            elif "opt" in document:
                self.opts.put_nowait(document["opt"])
            else:
                self.load_kw = document["load_kw"]

    def order(self, document: dict[str, Any]) -> None:
        """Send an order to the VTN."""
        assert self.process.stdin is not None
        self.process.stdin.write((json.dumps(document) + "\n").encode())

    async def send(self, kw: float, kind: str = "setpoint") -> bool:
        """The event, with these kW, and the VEN's answer."""
        event = {"id": "event-1", "kind": kind, "kw": kw, "minutes": 10, "modification": self.modification}
        self.modification += 1
        self.order({"event": event})
        return await asyncio.wait_for(self.opts.get(), 15) == "optIn"

    async def curtail(self, mw: float) -> bool:
        return await self.send(mw * 1000.0)

    async def ask_for_the_impossible(self) -> bool:
        return await self.curtail(500.0)

    async def repeat(self) -> None:
        await asyncio.sleep(2.0)  # the VTN distributes what it has at each poll

    async def release(self) -> None:
        self.order({"cancel": "event-1"})

    async def load_mw(self) -> float | None:
        for _ in range(100):
            if self.load_kw is not None:
                return self.load_kw / 1000.0
            await asyncio.sleep(0.1)
        return None

    async def fall_silent(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def bench(data: Path) -> AsyncIterator[Bench]:
    address = free_address("127.44.0.1")
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(str(ENVIRONMENT), str(VTN), *address.split(":"), **pipes)  # type: ignore[arg-type]
    desk = Counterparty(process)
    link = {"kind": "openadr2", "url": f"http://{address}/OpenADR2/Simple/2.0b", "ven": "site", "poll_s": 0.5}
    try:
        await asyncio.wait_for(desk.ready.wait(), 20)
        async with linked_site(data, link) as site:
            await site.until(lambda: site.link._ever_heard, "the VEN is registered")
            yield Bench(site, desk)
    finally:
        desk.listening.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.skipif(not ENVIRONMENT.exists(), reason="no environment of the OpenADR 2.0b link: ./loadstone test makes it")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_the_openadr_2_link(law: Law, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await law(made)


def event(kind: str = "setpoint", *payloads: float, name: str = "LOAD_DISPATCH", status: str = "active", **more: Any) -> dict[str, Any]:
    intervals = [
        {"dtstart": f"2026-08-20T17:{15 * n:02d}:00+00:00", "duration": 900.0, "signal_payload": mw} for n, mw in enumerate(payloads)
    ]
    head = {"event_id": "E", "modification_number": 2, "event_status": status, "market_context": "http://desk"}
    return {"event_descriptor": head, "event_signals": [{"signal_name": name, "signal_type": kind, "intervals": intervals, **more}]}


def test_each_interval_is_a_call_and_units_are_obeyed() -> None:
    first, second = calls_of(event("setpoint", 4000.0, 2000.0), TERMS)
    assert (first["id"], first["version"], first["mw_target"], first["end_at"]) == ("E", 3, 4.0, "2026-08-20T17:15:00Z")
    assert (second["id"], second["mw_target"], second["start_at"]) == ("E#2", 2.0, "2026-08-20T17:15:00Z")
    (call,) = calls_of(event("delta", -3.0, measurement={"unit": "W", "scale": "M"}), TERMS)
    assert call["mw_delta"] == 3.0
    assert [c["mw_cap"] for c in calls_of(event("level", 2.0, name="SIMPLE"), TERMS)] == [0.0]
    assert calls_of(event("level", 0.0, name="SIMPLE"), TERMS) == []


def test_what_an_event_has_no_more_is_recalled_and_what_is_unclear_refused() -> None:
    recalls = calls_of(event("setpoint", 4000.0, status="cancelled"), TERMS, {"E", "E#2", "other"})
    assert [(c["id"], c["kind"]) for c in recalls] == [("E", "recall"), ("E#2", "recall")] and "version" not in recalls[0]
    for wrong in (
        event("multiplier", 0.5),
        event("price", 20.0, name="ELECTRICITY_PRICE"),
        event("setpoint", 1.0, measurement={"unit": "A"}),
    ):
        with pytest.raises(NotSupported):
            calls_of(wrong, TERMS)
