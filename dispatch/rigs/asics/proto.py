"""Block's Proto rigs."""

from __future__ import annotations

import asyncio

from dispatch.rigs import Ability
from dispatch.rigs.asics.json_rig import JsonRig
from dispatch.rigs.asics.rig import SENT
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire import proto as wire
from dispatch.rigs.wire.identity import RigIdentity
from dispatch.rigs.wire.line import text
from optimizer.domain.site import Mode


class Proto(JsonRig):
    """A mode is a power target of its watts."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.POWER_LIMIT, Ability.MODES})
    port, root = wire.PORT, wire.ROOT

    async def login(self) -> str:
        _, document = await self.ask("POST", "auth/login", {"password": self._password})
        return text(document.get("access_token"), "token")

    async def read(self) -> tuple[float, float]:
        return wire.figures(await self.get("mining"))

    async def identity(self) -> RigIdentity:
        system, network = await asyncio.gather(self.get("system"), self.get("network"))
        return identities.proto(system, network)

    async def sleep(self) -> str:
        return (await self.order("POST", "mining/stop"))[0]

    async def wake(self, mode: Mode | None) -> str:
        answer = SENT if mode is None else await self.limit(round(mode.watts))
        return (await self.order("POST", "mining/start"))[0] if answer == SENT else answer

    async def limit(self, watts: int) -> str:
        target = {"power_target_watts": watts, "performance_mode": "MaximumHashrate"}
        return (await self.order("PUT", "mining/target", target))[0]
