"""pyasic's codecs on connections that are always closed.

Its own deadline is 100 s, a hung rig keeps its socket, and one that is off reads as an empty document: here that is NoAnswer.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from pyasic.errors import APIError
from pyasic.rpc.antminer import AntminerRPCAPI
from pyasic.rpc.avalonminer import AvalonMinerRPCAPI
from pyasic.rpc.btminer import BTMinerRPCAPI, BTMinerV3RPCAPI
from pyasic.rpc.gcminer import GCMinerRPCAPI
from pyasic.rpc.luxminer import LUXMinerRPCAPI

from dispatch.meters.order_fence import check_fence

_HEAD = struct.Struct("<I")
_MOST = 1 << 20


class NoAnswer(Exception):
    """The rig did not accept the connection, or closed it without an answer."""


async def _all(reader: asyncio.StreamReader) -> bytes:
    return await reader.read()


async def _framed(reader: asyncio.StreamReader) -> bytes:
    (size,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if size > _MOST:
        raise NoAnswer("an answer too long to be one")
    return await reader.readexactly(size)


class _ClosingConnection:
    """Exchanges bytes with a rig; `_complete` decides when its answer is complete."""

    ip: Any
    port: int
    _complete = staticmethod(_all)

    async def _send_bytes(self, data: bytes, *, port: int | None = None, timeout: int = 100) -> bytes:
        try:
            reader, writer = await asyncio.open_connection(str(self.ip), port or self.port)
        except OSError as error:
            raise NoAnswer(str(error)) from None
        try:
            check_fence()
            writer.write(data)
            await writer.drain()
            answer = await self._complete(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise NoAnswer(str(error)) from None
        finally:
            writer.transport.abort()
        if not answer:
            raise NoAnswer("closed without an answer")
        return answer


class WhatsminerConnection(_ClosingConnection, BTMinerRPCAPI):  # type: ignore[misc]
    """API v2. Remembers what the rig last objected to."""

    objection = ""

    async def send_privileged_command(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Send an order; `objection` is the rig's message when it refuses, empty otherwise."""
        self.objection = ""
        try:
            return dict(await super().send_privileged_command(*args, **kwargs))
        except APIError as error:
            self.objection = str(error.message)
            raise


class WhatsminerV3Connection(_ClosingConnection, BTMinerV3RPCAPI):  # type: ignore[misc]
    """API v3."""

    _complete = staticmethod(_framed)


class LuxosConnection(_ClosingConnection, LUXMinerRPCAPI):  # type: ignore[misc]
    """LuxOS."""


class AntminerConnection(_ClosingConnection, AntminerRPCAPI):  # type: ignore[misc]
    """Reads of stock Antminers."""


class AvalonConnection(_ClosingConnection, AvalonMinerRPCAPI):  # type: ignore[misc]
    """Avalon."""


class AuradineConnection(_ClosingConnection, GCMinerRPCAPI):  # type: ignore[misc]
    """Reads of Auradine."""
