"""Rigs with VNish."""

from __future__ import annotations

from dispatch.rigs import Ability
from dispatch.rigs.asics.json_rig import JsonRig
from dispatch.rigs.asics.rig import UNSUPPORTED
from dispatch.rigs.nameplate import watts_of
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire import vnish as wire
from dispatch.rigs.wire.identity import RigIdentity
from dispatch.rigs.wire.line import text
from optimizer.domain.site import SLEEP, Mode


class Vnish(JsonRig):
    """One awake mode: its presets are the owner's, and a change of preset may start a tuning of hours."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE})
    password = "admin"
    port, root = wire.PORT, wire.ROOT

    async def login(self) -> str:
        return text((await self.ask("POST", "unlock", {"pw": self._password}))[1].get("token"), "token")

    async def read(self) -> tuple[float, float]:
        watts, ths, stopped = wire.figures(await self.get("summary"))
        # Its watts are the boards': 0 when they are off.
        return (watts, ths) if watts > 0 else (watts_of(self._group, ths, SLEEP if stopped else self._group.full.name), ths)

    async def identity(self) -> RigIdentity:
        return identities.vnish(await self.get("info"))

    async def sleep(self) -> str:
        return (await self.order("POST", "mining/stop"))[0]

    async def wake(self, mode: Mode | None) -> str:
        if mode is not None and mode.name != self._group.full.name:
            return UNSUPPORTED
        return (await self.order("POST", "mining/start"))[0]
