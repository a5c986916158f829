"""What a dispatch desk does in any protocol: it sends the messages of a scenario, and gives signs of life."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from dispatch.clock import wall_s
from dispatch.rehearsal.scenarios import Message
from dispatch.signals.links.linked_site import LinkedSite
from markets.grid import format_instant

LISTENS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A message with the scenario's own event id, its instants and its megawatts (None where it names none)."""

    message: Message
    id: str
    sent_at: datetime
    start: datetime | None
    end: datetime | None
    mw: float | None
    obligation: str


class DeskEnd(Protocol):
    """The desk's end of a link to a site."""

    async def send(self, timed: Timed) -> bool:
        """Send a message once. Returns whether the site accepted it, True where the protocol has no answer."""
        ...

    async def sign_of_life(self) -> None:
        """Let the site hear the desk, without a message."""
        ...

    async def end_all(self) -> None:
        """Take back whatever is in force of the desk's own."""
        ...


class DeskProtocol(Protocol):
    """A protocol of desks. `speaks` are the kinds of scenarios it can say, `carried` by what its messages reach the site's link."""

    @property
    def name(self) -> str: ...

    @property
    def carried(self) -> str: ...

    @property
    def speaks(self) -> tuple[str, ...]: ...

    def reach(self, site: LinkedSite) -> AbstractAsyncContextManager[DeskEnd]:
        """Connect a desk with a site's link, as long as the context is open."""
        ...


def call_document(timed: Timed) -> dict[str, Any]:
    """A message as a call document; a set point that follows another is its next version, a release its recall."""
    message = timed.message
    kind = {"release": "recall"}.get(message.kind, message.kind)
    figure = "mw_target" if kind == "set_point" else "mw_delta" if message.reduce else "mw_cap"
    times = {"start_at": timed.start, "end_at": timed.end, "notice_at": timed.sent_at}
    document = {"id": timed.id, "obligation": timed.obligation, "kind": kind, "version": message.version, figure: timed.mw}
    document |= {key: format_instant(at) for key, at in times.items() if at is not None and kind in ("deploy", "test")}
    return {key: value for key, value in document.items() if value is not None}


def free_address(host: str = "127.0.0.1") -> str:
    """An address of this machine on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


async def listening(address: str, serving: asyncio.Task[Any]) -> None:
    """Returns once something listens at an address. Raises what `serving` raises where it ends before, TimeoutError."""
    host, _, port = address.rpartition(":")
    until = wall_s() + LISTENS_WITHIN_S
    while True:
        if serving.done():
            serving.result()
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            if wall_s() > until:
                raise TimeoutError(f"nothing listens at {address}") from None
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


async def ended(serving: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
