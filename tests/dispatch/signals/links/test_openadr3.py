"""The OpenADR 3 VEN against a small VTN of the tests, with the paths and shapes of the published OpenADR 3.0 interface."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

import pytest
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request

from dispatch.clock import wall_now
from dispatch.signals.links.link import Answer, Document, SiteSide
from dispatch.signals.links.openadr3 import OpenAdr3Ven, calls_of, minutes_of
from markets.grid import format_instant
from tests.conformance.link_kit import LAWS, Bench, Law, linked_site


class Vtn:
    """A VTN with one event, of one program; only who has its token is answered."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.reports: dict[str, dict[str, Any]] = {}
        self.app = FastAPI()
        self.app.post("/auth/token")(self.token)
        self.app.get("/events")(self.get_events)
        self.app.post("/reports", status_code=201)(self.post_report)
        self.app.put("/reports/{id}")(self.put_report)

    def _authorized(self, authorization: str) -> None:
        if authorization != "Bearer token-1":
            raise HTTPException(403)

    async def token(self, request: Request) -> dict[str, Any]:
        form = parse_qs((await request.body()).decode())
        if form != {"grant_type": ["client_credentials"], "client_id": ["site"], "client_secret": ["secret"]}:
            raise HTTPException(401)
        return {"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600}

    def get_events(self, skip: int = 0, limit: int = 50, programID: str = "", authorization: str = Header("")) -> list[dict[str, Any]]:
        self._authorized(authorization)
        return [e for e in self.events if programID in ("", e["programID"])][skip : skip + limit]

    def post_report(self, report: dict[str, Any], authorization: str = Header("")) -> dict[str, Any]:
        self._authorized(authorization)
        assert report["objectType"] == "REPORT" and report["programID"] and report["eventID"] and report["clientName"]
        id_ = f"report-{len(self.reports)}"
        self.reports[id_] = report
        return {"id": id_, **report}

    def put_report(self, id: str, report: dict[str, Any], authorization: str = Header("")) -> dict[str, Any]:
        self._authorized(authorization)
        self.reports[id] = report
        return {"id": id, **report}


def event(payload: str, *values: float, units: str = "KW", **more: Any) -> dict[str, Any]:
    """An event of ten-minute intervals that begins now."""
    return {
        "id": "event-1",
        "objectType": "EVENT",
        "programID": "program-1",
        "eventName": "peak",
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": payload, "units": units}],
        "intervalPeriod": {"start": format_instant(wall_now()), "duration": "PT10M"},
        "intervals": [{"id": n, "payloads": [{"type": payload, "values": [value]}]} for n, value in enumerate(values)],
        **more,
    }


class Counterparty:
    """A utility behind the VTN."""

    def __init__(self, vtn: Vtn, server: uvicorn.Server) -> None:
        self.vtn, self.server, self.site = vtn, server, None

    async def curtail(self, mw: float) -> bool:
        self.vtn.events[:] = [event("CONSUMPTION_POWER_LIMIT", mw * 1000.0)]
        return True  # a VTN is not told; what a VEN refuses it logs

    async def ask_for_the_impossible(self) -> bool:
        self.vtn.events[:] = [event("DISPATCH_SETPOINT", 500.0, units="MW")]
        await asyncio.sleep(1.5)
        return False

    async def repeat(self) -> None:
        await asyncio.sleep(1.0)  # the VTN lists what it has at each poll

    async def release(self) -> None:
        self.vtn.events.clear()

    async def load_mw(self) -> float | None:
        for _ in range(50):
            if self.vtn.reports:
                (report,) = self.vtn.reports.values()
                return float(report["resources"][0]["intervals"][0]["payloads"][0]["values"][0]) / 1000.0
            await asyncio.sleep(0.1)
        return None

    async def fall_silent(self) -> None:
        self.server.should_exit = True


@asynccontextmanager
async def bench(data: Path) -> AsyncIterator[Bench]:
    vtn = Vtn()
    with socket.create_server(("127.45.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(vtn.app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server._serve([listening]))
        url = f"http://127.45.0.1:{listening.getsockname()[1]}"
        link = {"kind": "openadr3", "url": url, "ven": "site", "client": "site", "secret": "env:VTN_SECRET", "poll_s": 0.4}
        try:
            async with linked_site(data, link, secret="secret") as site:
                yield Bench(site, Counterparty(vtn, server))
        finally:
            server.should_exit = True
            await serving


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_the_openadr_3_link(law: Law, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await law(made)


def test_durations_and_payloads_of_the_standard() -> None:
    assert [minutes_of(text) for text in ("PT15M", "PT1H30M", "P1DT2H", "PT30S", "P9999Y")] == [15.0, 90.0, 1560.0, 0.5, None]
    with pytest.raises(ValueError):
        minutes_of("soon")
    first, second = calls_of(event("DISPATCH_SETPOINT_RELATIVE", -400.0, 200.0), "plant")
    assert (first["mw_delta"], second["mw_delta"], second["id"]) == (0.4, 0.2, "event-1#2") and second["start_at"] == first["end_at"]
    assert calls_of(event("SIMPLE", 0.0), "plant") == [] and calls_of(event("SIMPLE", 2.0), "plant")[0]["mw_cap"] == 0.0
    for wrong in (event("PRICE", 30.0), event("DISPATCH_SETPOINT", 1.0, units="KWH"), event("SIMPLE", 1.0, intervalPeriod=None)):
        with pytest.raises((ValueError, KeyError)):
            calls_of(wrong, "plant")


class OpenCalls:
    """A site that takes up what it can, and keeps the ids of its calls."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    def receive(self, documents: Sequence[Document]) -> list[Answer]:
        for document in documents:
            (self.open.discard if document["kind"] == "recall" else self.open.add)(document["id"])
        return [Answer() for _ in documents]

    def open_ids(self) -> set[str]:
        return set(self.open)


def test_a_call_stays_in_force_while_its_event_cannot_be_read() -> None:
    site, ven = OpenCalls(), OpenAdr3Ven("http://127.0.0.1", "site", None, None, 1.0, "plant")

    def polled(*events: Any) -> set[str]:
        ven._obey(events, cast(SiteSide, site))
        return site.open_ids()

    running, other = event("CONSUMPTION_POWER_LIMIT", 100.0, 50.0), event("SIMPLE", 1.0, id="event-10")
    both = {"event-1", "event-1#2", "event-10"}
    assert polled(running, other) == both
    assert polled({**running, "intervals": "soon"}, other) == both
    assert polled({**running, "intervals": "soon"}) == {"event-1", "event-1#2"}, "an event that is listed no more is recalled all the same"
    assert polled(running, other) == both
    for nameless in ("event-1", {**running, "id": None}, {"intervals": []}):
        assert polled(nameless, other) == both, "nobody knows which event it is"
    assert polled({**running, "intervals": []}, other) == {"event-10"}, "an event that asks for nothing any more is recalled"
