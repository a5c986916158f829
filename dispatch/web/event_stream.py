"""Server-sent events: the state whenever it changes, and a heartbeat while it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from dispatch.web.context import ApiContext, Context
from dispatch.web.errors import Refusal, responses
from dispatch.web.state_document import StateDocument

MAX_STREAMS = 64
HEARTBEAT_S = 10.0
MIN_PERIOD_S = 0.4  # between two states on one stream

router = APIRouter(prefix="/api/v1", tags=["read"], responses=responses(401, 403, 405, 422, 429, 500, 503))


@router.get(
    "/stream",
    summary="Server-sent events: `state` (state --json) on every change, comments in between",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def get_stream(context: Context, request: Request) -> StreamingResponse:
    context.view  # noqa: B018  answers 503 while the journal is still being read
    streams: set[Any] = request.app.state.streams
    if len(streams) >= MAX_STREAMS:
        raise Refusal(429, f"{len(streams)} streams are open already")
    return StreamingResponse(
        _states(context, streams, lambda: _let_in(request)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _let_in(request: Request) -> bool:
    """Whether the key or the session that opened the stream is still in force; a stream without a key always is."""
    key, session = request.scope["state"]["key"], request.scope["state"]["session"]
    found: bool = key is None or request.app.state.known_keys.is_in_force(key, session)
    return found


async def _states(context: ApiContext, streams: set[Any], let_in: Callable[[], bool]) -> AsyncIterator[str]:
    this = object()
    streams.add(this)
    try:
        yield "retry: 2000\n\n"
        while not context.tail.closing and await asyncio.to_thread(let_in):
            yield message(await asyncio.to_thread(context.state), context.tail.view.state.seq)
            await asyncio.sleep(MIN_PERIOD_S)
            while not await context.tail.wait(HEARTBEAT_S) and not context.tail.closing and await asyncio.to_thread(let_in):
                yield ": heartbeat\n\n"
    finally:
        streams.discard(this)


def message(state: StateDocument, seq: int) -> str:
    return f"id: {seq}\nevent: state\ndata: {json.dumps(state, separators=(',', ':'))}\n\n"
