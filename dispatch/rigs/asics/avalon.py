"""Canaan's Avalon A series."""

from __future__ import annotations

import asyncio

from pyasic.errors import APIError

from dispatch.clock import Clock
from dispatch.rigs import Ability
from dispatch.rigs.asics.connections import AvalonConnection, NoAnswer
from dispatch.rigs.asics.rig import REFUSED, SENT, UNSUPPORTED, NetworkRig
from dispatch.rigs.wire import avalon as wire
from dispatch.rigs.wire import cgminer
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import Mode, RigGroup


class Avalon(NetworkRig):
    """Stops and starts take effect at an instant of the rig's own clock, so that clock must be right: one that is behind stops late, and
    read-back shows it. A power limit is none here: pyasic turns watts into one of three levels."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.MODES})

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        self.rpc = AvalonConnection(ip)
        self._clock = clock
        # It takes one connection at a time.
        self._line = asyncio.Lock()

    async def read(self) -> tuple[float, float]:
        async with self._line:
            return wire.figures(await self.rpc.estats())

    async def identity(self) -> RigIdentity:
        async with self._line:
            return identities.avalon(await self.rpc.version())

    async def sleep(self) -> str:
        return await self._sent(wire.at("softoff", self._soon_s()))

    async def wake(self, mode: Mode | None) -> str:
        if mode is not None and mode.name not in wire.LEVELS:
            return UNSUPPORTED
        answer = SENT if mode is None else await self._sent(("0", "worklevel", "set", str(wire.LEVELS.index(mode.name))))
        return await self._sent(wire.at("softon", self._soon_s())) if answer == SENT else answer

    def _soon_s(self) -> float:
        return self._clock.now().timestamp() + wire.AHEAD_S

    async def _sent(self, words: tuple[str, ...]) -> str:
        try:
            async with self._line:
                letter, message = cgminer.status_and_message(await self.rpc.send_command("ascset", parameters=",".join(words)))
        except APIError as error:
            objection = str(error.message)
            if "Decode Error" in objection or "No data" in objection:
                raise NoAnswer("an answer that nobody can read") from None
            return REFUSED if "denied" in objection else UNSUPPORTED
        return SENT if wire.accepted(letter, message) else REFUSED
