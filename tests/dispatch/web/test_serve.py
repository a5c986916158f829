"""The API as a process has it: it comes up without a ledger, says so, and ends at once though streams are open."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx
import pytest

from dispatch.entries import PriceBasisChanged, Seen
from dispatch.service.replay import run_started
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.keys import ApiKeys
from dispatch.store.tables import open_ledger
from dispatch.web.app import create_app
from dispatch.web.connections import MOST_UNFINISHED
from dispatch.web.limits import WRONG_KEYS_AN_ADDRESS
from dispatch.web.serve import GRACE_S, serve
from tests.dispatch.web.served import StoppedClock
from tests.fakes import NOON
from tests.sites import small


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def up(http: httpx.AsyncClient, path: str, *statuses: int) -> httpx.Response:
    async with asyncio.timeout(20):
        while True:
            try:
                answer = await http.get(path)
                if answer.status_code in statuses:
                    return answer
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)


async def test_a_site_that_has_not_started_is_not_ready(tmp_path: Path) -> None:
    open_ledger(tmp_path).dispose()
    port = free_port()
    serving = asyncio.create_task(serve(create_app(tmp_path, small(), clock=StoppedClock(NOON)), f"127.0.0.1:{port}"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        state = (await up(http, "/api/v1/state", 200)).json()
        assert state["price"] is None and state["reasons"] == ["Nothing has been observed yet."]
        assert (await http.get("/api/v1/plan")).status_code == 404
        ready = await http.get("/api/v1/health/ready")
        assert ready.status_code == 503 and "no process holds the leader lease" in ready.json()["detail"] and ready.headers["retry-after"]
        assert (await http.post("/api/v1/what-if", json={})).status_code == 503
        assert "No rig responds" in (await http.get("/")).text
    serving.cancel()
    await serving


async def test_a_ledger_that_cannot_be_opened_is_a_503_until_it_can(tmp_path: Path) -> None:
    broken = tmp_path / "ledger.sqlite"
    broken.write_bytes(b"this is no database" * 100)
    port = free_port()
    serving = asyncio.create_task(serve(create_app(tmp_path, small(), clock=StoppedClock(NOON)), f"127.0.0.1:{port}"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await up(http, "/api/v1/health/live", 200)).json() == {"live": True}
        for path in ("/api/v1/state", "/metrics", "/", "/api/v1/stream", "/api/v1/settlements"):
            answer = await http.get(path)
            assert answer.status_code == 503 and answer.headers["content-type"] == "application/problem+json", path
        assert (await http.post("/api/v1/calls", json={}, headers={"X-API-Key": "a.b"})).status_code == 503
        broken.unlink()
        await up(http, "/api/v1/state", 200)
    serving.cancel()
    await serving


async def test_the_server_stops_although_a_stream_is_open(tmp_path: Path) -> None:
    open_ledger(tmp_path).dispose()
    port = free_port()
    serving = asyncio.create_task(serve(create_app(tmp_path, small(), clock=StoppedClock(NOON)), f"127.0.0.1:{port}"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await up(http, "/api/v1/state", 200)
        async with http.stream("GET", "/api/v1/stream") as stream:
            assert await anext(stream.aiter_lines()) == "retry: 2000"
            serving.cancel()
            async with asyncio.timeout(GRACE_S + 5):
                await serving


async def test_a_second_stop_signal_changes_nothing(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of a terminal, and the supervisor tells each again."""
    open_ledger(tmp_path).dispose()
    port = free_port()
    serving = asyncio.create_task(serve(create_app(tmp_path, small(), clock=StoppedClock(NOON)), f"127.0.0.1:{port}"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await up(http, "/api/v1/state", 200)
    for _ in range(3):
        serving.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(GRACE_S + 5):
        await serving
    assert not serving.cancelled()


async def test_a_port_in_use_raises_a_readable_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="cannot be listened on"):
            await serve(create_app(tmp_path, small(), clock=StoppedClock(NOON)), f"127.0.0.1:{taken.getsockname()[1]}")


async def test_clients_with_unfinished_headers_are_cut_off_and_block_nobody(tmp_path: Path) -> None:
    open_ledger(tmp_path).dispose()
    port = free_port()
    app = create_app(tmp_path, small(), clock=StoppedClock(NOON))
    serving = asyncio.create_task(serve(app, f"127.0.0.1:{port}", header_s=1.5))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await up(http, "/api/v1/health/live", 200)
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_UNFINISHED + 40)]
        for _, writer in slow:
            writer.write(b"POST /api/v1/calls HTTP/1.1\r\nHost: 127")
            await writer.drain()
        assert (await http.get("/api/v1/health/live")).status_code == 200
        async with asyncio.timeout(10):
            for reader, writer in slow:
                assert await reader.read() == b""  # closed, the first to make room and the others at their deadline
                writer.close()
    serving.cancel()
    await serving


async def test_a_site_that_never_saw_a_price_is_not_ready(tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    journal = SqlJournal(engine, lease.take(engine, "leader", 600))
    journal.append(run_started("live", small(), NOON, 1))
    journal.append(Seen(at=NOON))
    journal.append(PriceBasisChanged(at=NOON, price_basis="safe-state", why="no price is known"))
    port = free_port()
    serving = asyncio.create_task(serve(create_app(tmp_path, small(), clock=StoppedClock(NOON)), f"127.0.0.1:{port}"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        health = (await up(http, "/api/v1/state", 200)).json()["health"]
        assert health["leader"] == health["loop"] == health["ledger"] == "ok" and not health["ready"]
        ready = await http.get("/api/v1/health/ready")
        assert ready.status_code == 503 and "no price is known" in ready.json()["detail"]
    serving.cancel()
    await serving


async def test_wrong_keys_in_a_row_meet_a_limit_that_a_good_key_passes(tmp_path: Path) -> None:
    secret, port = ApiKeys(open_ledger(tmp_path)).add("reader", ["read"]), free_port()
    serving = asyncio.create_task(serve(create_app(tmp_path, small(), clock=StoppedClock(NOON)), f"127.0.0.1:{port}"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await up(http, "/api/v1/state", 200)
        wrong = [(await http.get("/api/v1/state", headers={"X-API-Key": f"reader.{n}"})).status_code for n in range(25)]
        assert wrong == [401] * WRONG_KEYS_AN_ADDRESS + [429] * (25 - WRONG_KEYS_AN_ADDRESS)
        assert (await http.get("/api/v1/state", headers={"X-API-Key": secret})).status_code == 200
    serving.cancel()
    await serving
