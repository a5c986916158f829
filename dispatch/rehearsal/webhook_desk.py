"""A desk that posts signed calls to the site's webhook over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from dispatch.clock import wall_now
from dispatch.rehearsal.desk_protocols import Timed, call_document, ended, free_address, listening
from dispatch.rehearsal.scenarios import DOCUMENTS, EVENTS, NUMBERED, SET_POINTS
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.signals.links.webhook import Webhook, signature

SECRET = "of the rehearsal"


class WebhookDesk:
    """Calls as JSON documents, the same that `POST /api/v1/calls`, the command line and the watched folder take."""

    name, carried = "webhook", "HTTP over a loopback socket, signed"
    speaks = (EVENTS, NUMBERED, DOCUMENTS, SET_POINTS)

    @asynccontextmanager
    async def reach(self, site: LinkedSite) -> AsyncIterator[_WebhookEnd]:
        """Serve the site's webhook, and a client of it."""
        address = free_address()
        serving = asyncio.create_task(Webhook(address, SECRET, site.settings.obligation).run(site))
        try:
            await listening(address, serving)
            async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
                yield _WebhookEnd(http, site)
        finally:
            await ended(serving)


@dataclass(slots=True)
class _WebhookEnd:
    http: httpx.AsyncClient
    site: LinkedSite

    async def send(self, timed: Timed) -> bool:
        body = json.dumps(call_document(timed)).encode()
        return (await self.http.post("/calls", content=body, headers=_signed(body))).status_code == 202

    async def sign_of_life(self) -> None:
        await self.http.get("/telemetry", headers=_signed(b""))

    async def end_all(self) -> None:
        for id_ in self.site.open_ids():
            body = json.dumps({"id": id_, "obligation": self.site.settings.obligation, "kind": "recall"}).encode()
            await self.http.post("/calls", content=body, headers=_signed(body))


def _signed(body: bytes) -> dict[str, str]:
    stamp = f"{wall_now().timestamp():.3f}"
    return {"X-Timestamp": stamp, "X-Signature": signature(SECRET, stamp, body)}
