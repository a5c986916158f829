"""A desk behind an OpenADR 3 VTN that the site's VEN polls.

The VTN holds back each answer until the desk has something to say or gives a sign of life: the site's clock jumps, and between two of its
instants nothing is polled.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dispatch.rehearsal.desk_protocols import Timed, ended
from dispatch.rehearsal.scenarios import EVENTS
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.signals.links.openadr3 import ENDLESS, OpenAdr3Ven
from markets.grid import format_instant

POLL_S, ANSWERED_WITHIN_S, LOOKED_S, HELD_BACK_S = 0.005, 30.0, 0.2, 3600.0
KW = 1000.0


class OpenAdr3Desk:
    """Events as a VTN lists them; they have no version and no answer, and a recall takes one off the list."""

    name, carried, speaks = "OpenADR 3", "HTTP over a loopback socket, polled by the site's VEN", (EVENTS,)

    @asynccontextmanager
    async def reach(self, site: LinkedSite) -> AsyncIterator[_Vtn]:
        """Serve a VTN, and run the site's VEN against it."""
        vtn = _Vtn(site)
        with socket.create_server(("127.0.0.1", 0)) as listens:
            server = uvicorn.Server(uvicorn.Config(vtn.app(), log_config=None, lifespan="off", access_log=False))
            serving = asyncio.create_task(server._serve([listens]))  # `serve` would take the process's signals
            url = f"http://127.0.0.1:{listens.getsockname()[1]}"
            ven = OpenAdr3Ven(url, "site", None, None, POLL_S, site.settings.obligation)
            ven.timeout_s = HELD_BACK_S
            polling = asyncio.create_task(ven.run(site))
            try:
                yield vtn
            finally:
                await ended(polling)
                server.should_exit = True
                await serving


class _Vtn:
    """A VTN with the events of one desk, in the order of their arrival."""

    def __init__(self, site: LinkedSite) -> None:
        self._site, self._events = site, dict[str, dict[str, Any]]()
        self._waits, self._answers = asyncio.Event(), asyncio.Semaphore(0)

    def app(self) -> Starlette:
        """Its HTTP interface: the paths that a VEN needs."""
        return Starlette(
            routes=[
                Route("/events", self._list, methods=["GET"]),
                Route("/reports", _took_report, methods=["POST"]),
                Route("/reports/{id}", _took_report, methods=["PUT"]),
            ]
        )

    async def _list(self, request: Request) -> JSONResponse:
        self._waits.set()
        while not await request.is_disconnected():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._answers.acquire(), LOOKED_S)
                return JSONResponse(list(self._events.values()))
        return JSONResponse([], 408)

    async def sign_of_life(self) -> None:
        """One poll, until the site has acted on its answer: its VEN asks again then. Raises TimeoutError."""
        await asyncio.wait_for(self._waits.wait(), ANSWERED_WITHIN_S)
        self._waits.clear()
        self._answers.release()
        await asyncio.wait_for(self._waits.wait(), ANSWERED_WITHIN_S)

    async def send(self, timed: Timed) -> bool:
        """Change the list, and be polled. A VTN is not told what a site refuses."""
        if timed.message.kind in ("recall", "cancel"):
            self._events.pop(timed.id, None)
        else:
            self._events[timed.id] = _event(timed)
        await self.sign_of_life()
        return True

    async def end_all(self) -> None:
        """List nothing."""
        self._events.clear()
        await self.sign_of_life()


def _event(timed: Timed) -> dict[str, Any]:
    payload = "DISPATCH_SETPOINT_RELATIVE" if timed.message.reduce else "CONSUMPTION_POWER_LIMIT"
    if timed.mw is None:
        raise ValueError(f"event {timed.id} names no load: a VTN would send none")
    start = timed.start or timed.sent_at
    duration = f"PT{(timed.end - start).total_seconds():.0f}S" if timed.end else ENDLESS
    return {
        "id": timed.id,
        "objectType": "EVENT",
        "programID": "rehearsal",
        "eventName": timed.id,
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": payload, "units": "KW"}],
        "intervalPeriod": {"start": format_instant(start), "duration": duration},
        "intervals": [{"id": 0, "payloads": [{"type": payload, "values": [timed.mw * KW]}]}],
    }


async def _took_report(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params.get("id", "report"), **(await request.json())}, 201)
