"""pyasic's codecs on connections that are closed whatever happens.

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

_HEAD = struct.Struct("<I")
_MOST = 1 << 20


class NoAnswer(Exception):
    """The rig did not take the connection or closed it without a word."""


async def _all(reader: asyncio.StreamReader) -> bytes:
    return await reader.read()


async def _framed(reader: asyncio.StreamReader) -> bytes:
    (size,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if size > _MOST:
        raise NoAnswer("an answer too long to be one")
    return await reader.readexactly(size)


class _Closing:
    """Exchanges bytes with a rig; `_taken` says when its answer is whole."""

    ip: Any
    port: int
    _taken = staticmethod(_all)

    async def _send_bytes(self, data: bytes, *, port: int | None = None, timeout: int = 100) -> bytes:
        try:
            reader, writer = await asyncio.open_connection(str(self.ip), port or self.port)
        except OSError as error:
            raise NoAnswer(str(error)) from None
        try:
            writer.write(data)
            await writer.drain()
            answer = await self._taken(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise NoAnswer(str(error)) from None
        finally:
            writer.transport.abort()
        if not answer:
            raise NoAnswer("closed without an answer")
        return answer


class WhatsminerLine(_Closing, BTMinerRPCAPI):  # type: ignore[misc]
    """API v2. Remembers what the rig last objected to."""

    objection = ""

    async def send_privileged_command(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.objection = ""
        try:
            return dict(await super().send_privileged_command(*args, **kwargs))
        except APIError as error:
            self.objection = str(error.message)
            raise


class WhatsminerV3Line(_Closing, BTMinerV3RPCAPI):  # type: ignore[misc]
    """API v3."""

    _taken = staticmethod(_framed)


class LuxosLine(_Closing, LUXMinerRPCAPI):  # type: ignore[misc]
    """LuxOS."""


class AntminerLine(_Closing, AntminerRPCAPI):  # type: ignore[misc]
    """Reads of stock Antminers."""


class AvalonLine(_Closing, AvalonMinerRPCAPI):  # type: ignore[misc]
    """Avalon."""


class AuradineLine(_Closing, GCMinerRPCAPI):  # type: ignore[misc]
    """Reads of Auradine."""
