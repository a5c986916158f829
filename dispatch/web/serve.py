"""The API on its port, until it is told to stop; open streams end with it, and nothing waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from fastapi import FastAPI

GRACE_S = 3


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the process: they arrive here as a cancelled task."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, listen: str) -> None:
    """Serve `app` at HOST:PORT; returns once cancelled and closed. Raises OSError when the address cannot be had."""
    host, _, port = listen.rpartition(":")
    config = uvicorn.Config(
        app, host=host.strip("[]"), port=int(port), log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S
    )
    server = _Server(config)
    serving = asyncio.create_task(_started(server))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        app.state.desk.close()
        server.should_exit = True
        while not serving.done():  # Ctrl-C tells us and the supervisor, who tells us again: once is enough
            with suppress(asyncio.CancelledError):
                await asyncio.shield(serving)


async def _started(server: uvicorn.Server) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn's word for a port that is taken
        raise OSError(f"{server.config.host}:{server.config.port} cannot be listened on: is another process there?") from None
