"""Rigs with ePIC's firmware."""

from __future__ import annotations

import asyncio

from dispatch.rigs import Ability
from dispatch.rigs.asics.json_rig import JsonRig
from dispatch.rigs.asics.rig import REFUSED, SENT, UNSUPPORTED
from dispatch.rigs.nameplate import watts_of
from dispatch.rigs.wire import epic as wire
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import SLEEP, Mode


class Epic(JsonRig):
    """One awake mode. Orders carry the password; reads need none."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE})
    password = "letmein"
    port = wire.PORT

    async def read(self) -> tuple[float, float]:
        watts, ths, idle = wire.figures(await self.get("summary"))
        return (watts, ths) if watts > 0 else (watts_of(self._group, ths, SLEEP if idle else self._group.full.name), ths)

    async def identity(self) -> RigIdentity:
        summary, capabilities, network = await asyncio.gather(self.get("summary"), self.get("capabilities"), self.get("network"))
        return identities.epic(summary, capabilities, network)

    async def sleep(self) -> str:
        return await self._sent(wire.SLEEP)

    async def wake(self, mode: Mode | None) -> str:
        if mode is not None and mode.name != self._group.full.name:
            return UNSUPPORTED
        return await self._sent(wire.WAKE)

    async def _sent(self, verb: str) -> str:
        answer, document = await self.order("POST", "miner", {"param": verb, "password": self._password})
        return REFUSED if answer == SENT and not wire.accepted(document) else answer
