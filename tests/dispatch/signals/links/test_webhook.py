"""The webhook against httpx: signed, idempotent, closed to everybody else."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatch.clock import wall_now
from dispatch.signals.links.webhook import signature
from tests.conformance.link_kit import LAWS, Bench, Law, free_address, linked_site, listening

SECRET = "between the desk and the site"


class Counterparty:
    """A dispatch desk that posts one call under one id."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http, self.id, self.last = http, f"event-{uuid.uuid4().hex[:6]}", {}

    async def post(self, document: Any, secret: str = SECRET, at_s: float | None = None, path: str = "/calls") -> httpx.Response:
        """A signed POST."""
        body = json.dumps(document).encode()
        stamp = f"{wall_now().timestamp() if at_s is None else at_s:.3f}"
        return await self.http.post(path, content=body, headers={"X-Timestamp": stamp, "X-Signature": signature(secret, stamp, body)})

    async def curtail(self, mw: float) -> bool:
        self.last = {"id": self.id, "kind": "deploy", "mw_cap": mw}
        return (await self.post(self.last)).status_code == 202

    async def ask_for_the_impossible(self) -> bool:
        return (await self.post({"id": "too-much", "kind": "set_point", "mw_target": 500.0})).status_code == 202

    async def repeat(self) -> None:
        answer = await self.post(self.last)
        assert answer.status_code == 202 and answer.json() == {"accepted": True, "repeated": True}

    async def release(self) -> None:
        assert (await self.post({"id": self.id, "kind": "recall"})).status_code == 202

    async def load_mw(self) -> float | None:
        stamp = f"{wall_now().timestamp():.3f}"
        answer = await self.http.get("/telemetry", headers={"X-Timestamp": stamp, "X-Signature": signature(SECRET, stamp, b"")})
        return float(answer.raise_for_status().json()["load_mw"])

    async def fall_silent(self) -> None:
        await self.http.aclose()


@asynccontextmanager
async def bench(data: Path) -> AsyncIterator[Bench]:
    address = free_address("127.43.0.1")
    link = {"kind": "webhook", "listen": address, "secret": "env:DESK_SECRET"}
    http = httpx.AsyncClient(base_url=f"http://{address}", trust_env=False)
    async with http, linked_site(data, link, secret=SECRET) as site:
        await listening(address)
        yield Bench(site, Counterparty(http))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_the_webhook(law: Law, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await law(made)


async def test_a_wrong_signature_an_old_one_and_a_large_body_change_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        desk, call = made.peer, {"id": "x", "kind": "deploy", "mw_cap": 0.0}
        assert isinstance(desk, Counterparty)
        rows = made.site.inbox.newest()
        assert (await desk.post(call, secret="guessed")).status_code == 401
        assert (await desk.post(call, at_s=wall_now().timestamp() - 3600)).status_code == 401
        assert (await desk.post({**call, "authority": "x" * 70_000})).status_code == 413
        assert (await desk.post([call])).status_code == 422
        assert (await desk.post({**call, "mw_cap": "none"})).status_code == 422
        assert (await desk.http.post("/calls", content=b"{}")).status_code == 401
        assert made.site.inbox.newest() == rows
