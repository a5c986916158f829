"""Server-sent events: the state whenever it changes, and a heartbeat while it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from dispatch.web.context import ApiContext, desk
from dispatch.web.errors import Refusal, responses

At = Annotated[ApiContext, Depends(desk)]

MOST_READERS = 64
HEARTBEAT_S = 10.0
PAUSE_S = 0.4  # between two states to one reader

router = APIRouter(prefix="/api/v1", tags=["read"], responses=responses(401, 403, 405, 422, 429, 500, 503))


@router.get(
    "/stream",
    summary="Server-sent events: `state` (state --json) on every change, comments in between",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def get_stream(at: At, request: Request) -> StreamingResponse:
    at.view  # noqa: B018  refuses while the journal is still being read
    readers: set[Any] = request.app.state.readers
    if len(readers) >= MOST_READERS:
        raise Refusal(429, f"{len(readers)} streams are open already")
    return StreamingResponse(
        _states(at, readers), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _states(at: ApiContext, readers: set[Any]) -> AsyncIterator[str]:
    me = object()
    readers.add(me)
    try:
        yield "retry: 2000\n\n"
        while not at.tail.closing:
            yield message(await asyncio.to_thread(at.state), at.tail.view.state.seq)
            await asyncio.sleep(PAUSE_S)
            while not await at.tail.wait(HEARTBEAT_S) and not at.tail.closing:
                yield ": still here\n\n"
    finally:
        readers.discard(me)


def message(state: dict[str, Any], seq: int) -> str:
    return f"id: {seq}\nevent: state\ndata: {json.dumps(state, separators=(',', ':'))}\n\n"
