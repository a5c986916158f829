"""A webhook: the counterparty posts calls to POST /calls, signed with a shared secret, and reads GET /telemetry.

    X-Timestamp   seconds since the epoch; at most five minutes from this machine's clock
    X-Signature   hex of HMAC-SHA256(secret, timestamp + "." + body); of GET, an empty body

The answer is 202 with {"accepted": true, "repeated": bool}, 401 for a wrong signature, 422 with what is wrong. A request that is sent again
is a repeat by the call's own id and version. GET /telemetry is a sign of life too.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dispatch.clock import wall_now
from dispatch.signals.links.link import LinkFault, SiteSide
from markets.grid import format_instant

MOST_BYTES = 64 * 1024
BODY_WITHIN_S = 5.0
SKEW_S = 300.0


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What a sender puts into X-Signature."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest()


class Webhook:
    """Listens at HOST:PORT over HTTP; calls that name no contract are under `obligation`."""

    def __init__(self, listen: str, secret: str, obligation: str) -> None:
        host, _, port = listen.rpartition(":")
        self._host, self._port, self._secret, self._obligation = host, int(port), secret, obligation

    async def run(self, site: SiteSide) -> None:
        """Serve until cancelled. Raises LinkFault where the address cannot be listened on."""
        try:
            listening = await asyncio.get_running_loop().create_server(asyncio.Protocol, self._host, self._port)
        except OSError as fault:
            raise LinkFault(f"{self._host}:{self._port} cannot be listened on: {fault.strerror or fault}") from fault
        listening.close()
        await listening.wait_closed()
        config = uvicorn.Config(self._app(site), host=self._host, port=self._port, log_config=None, lifespan="off", access_log=False,
                                timeout_keep_alive=5, limit_concurrency=64)  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())  # `serve` would take the process's signals
        try:
            await serving
        finally:
            server.should_exit = True
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def _app(self, site: SiteSide) -> Starlette:
        def signed(answer: Callable[[SiteSide, bytes], Response]) -> Callable[[Request], Any]:
            async def route(request: Request) -> Response:
                body = await _body(request)
                if body is None:
                    return JSONResponse({"error": f"the body is larger than {MOST_BYTES} bytes, or was not sent in time"}, 413)
                if why := self._wrong_signature(request, body):
                    return JSONResponse({"error": why}, 401)
                site.heard()
                return answer(site, body)

            return route

        return Starlette(
            routes=[
                Route("/calls", signed(self._call), methods=["POST"]),
                Route("/telemetry", signed(_telemetry), methods=["GET"]),
            ]
        )

    def _wrong_signature(self, request: Request, body: bytes) -> str:
        timestamp = request.headers.get("x-timestamp", "")
        try:
            skew_s = abs(float(timestamp) - wall_now().timestamp())
        except ValueError:
            return "X-Timestamp must be seconds since the epoch"
        if not skew_s <= SKEW_S:
            return f"X-Timestamp is more than {SKEW_S:g} s from the site's clock"
        given = request.headers.get("x-signature", "").encode()
        right = signature(self._secret, timestamp, body).encode()
        return "" if hmac.compare_digest(given, right) else "X-Signature is not the HMAC-SHA256 of the timestamp, a dot and the body"

    def _call(self, site: SiteSide, body: bytes) -> Response:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return JSONResponse({"error": "the body is not JSON"}, 400)
        if not isinstance(document, dict):
            return JSONResponse({"error": "the body must be one call, an object"}, 422)
        (answer,) = site.receive([{"obligation": self._obligation, "source": "webhook", **document}])
        if not answer.accepted:
            return JSONResponse({"accepted": False, "error": answer.refused}, 422)
        return JSONResponse({"accepted": True, "repeated": answer.repeated}, 202)


async def _body(request: Request) -> bytes | None:
    body = b""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return body


def _telemetry(site: SiteSide, _: bytes) -> Response:
    telemetry = site.telemetry()
    if telemetry is None:
        return JSONResponse({"error": "nothing has been read yet"}, 503)
    return JSONResponse({**asdict(telemetry), "at": format_instant(telemetry.at), "set_point_mw": site.standing_mw()})
