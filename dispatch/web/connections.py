"""HTTP connections that cannot be held for ever: a client has some seconds for a request's header, and when many wait with an unfinished
one, the oldest of them is closed to make room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 10.0
MOST_UNFINISHED = 256


class UnfinishedConnections:
    """Connections whose request header is not complete, the oldest first."""

    def __init__(self, most: int = MOST_UNFINISHED) -> None:
        self._most = most
        self._since: OrderedDict[TimedProtocol, None] = OrderedDict()

    def add(self, connection: TimedProtocol) -> None:
        """A connection waits for a header; the oldest are closed where too many do."""
        self._since[connection] = None
        while len(self._since) > self._most:
            oldest, _ = self._since.popitem(last=False)
            oldest.cut_off()

    def discard(self, connection: TimedProtocol) -> None:
        """A connection's header is complete, or it was closed."""
        self._since.pop(connection, None)


class TimedProtocol(H11Protocol):
    """Uvicorn's HTTP protocol with a deadline for each request header."""

    unfinished: UnfinishedConnections
    header_s: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first header is waited for from here on."""
        super().connection_made(transport)
        self._wait_for_header()

    def data_received(self, data: bytes) -> None:
        """After each piece, the deadline runs while a header is unfinished; it does not begin anew with the piece."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_header()
        else:
            self._header_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._header_complete()
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Close the connection without an answer."""
        self._header_complete()
        if self.transport is not None:
            self.transport.abort()

    def _wait_for_header(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_s, self.cut_off)
            self.unfinished.add(self)

    def _header_complete(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.unfinished.discard(self)


def timed_protocol(header_s: float = HEADER_S) -> type[TimedProtocol]:
    """The protocol of one server, with `header_s` wall seconds for a header."""

    class OfOneServer(TimedProtocol):
        pass

    OfOneServer.unfinished, OfOneServer.header_s = UnfinishedConnections(), header_s
    return OfOneServer
