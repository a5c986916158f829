"""Rigs with Braiins OS from 25.07 on."""

from __future__ import annotations

from dispatch.rigs import Ability
from dispatch.rigs.asics.json_rig import JsonRig
from dispatch.rigs.asics.rig import SENT
from dispatch.rigs.wire import braiins as wire
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire.identity import RigIdentity
from dispatch.rigs.wire.line import text
from optimizer.domain.site import Mode


class Braiins(JsonRig):
    """A mode is a power target of its watts: the tuner needs minutes to reach one that is new to it."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.POWER_LIMIT, Ability.MODES})
    password = "root"
    port, root = wire.PORT, wire.ROOT

    async def login(self) -> str:
        return text((await self.ask("POST", "auth/login", {"username": wire.USER, "password": self._password}))[1].get("token"), "token")

    def authorization(self, token: str) -> dict[str, str]:
        return {"Authorization": token}

    async def read(self) -> tuple[float, float]:
        return wire.figures(await self.get("miner/stats"))

    async def identity(self) -> RigIdentity:
        return identities.braiins(await self.get("miner/details"))

    async def sleep(self) -> str:
        return (await self.order("PUT", "actions/pause"))[0]

    async def wake(self, mode: Mode | None) -> str:
        answer = SENT if mode is None else await self.limit(round(mode.watts))
        return (await self.order("PUT", "actions/resume"))[0] if answer == SENT else answer

    async def limit(self, watts: int) -> str:
        return (await self.order("PUT", "performance/power-target", {"watt": watts}))[0]
