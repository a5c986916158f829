"""Serves the API on its port until cancelled. Open event streams are ended, not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from dispatch.web.connections import HEADER_S, timed_protocol

GRACE_S = 3


class _Server(uvicorn.Server):
    """Leaves signals to the process around it: they arrive here as a cancelled task."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, listen: str, tls: tuple[Path, Path] | None = None, header_s: float = HEADER_S) -> None:
    """Serve `app` at HOST:PORT, over TLS with a certificate and its key when they are given; returns once cancelled and closed. A
    client has `header_s` wall seconds for a request's header. Raises OSError when the address cannot be listened on."""
    host, _, port = listen.rpartition(":")
    certificate, key = tls or (None, None)
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=int(port),
        http=timed_protocol(header_s),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    server = _Server(config)
    serving = asyncio.create_task(_started(server))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        app.state.context.close()
        server.should_exit = True
        while not serving.done():  # Ctrl-C cancels this task directly and through the supervisor: once is enough
            with suppress(asyncio.CancelledError):
                await asyncio.shield(serving)


async def _started(server: uvicorn.Server) -> None:
    try:
        await server.serve()
    except SystemExit:  # what uvicorn raises when the port is in use
        raise OSError(f"{server.config.host}:{server.config.port} cannot be listened on: another process may be using it") from None
