"""Whatsminers, API v2 and v3."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from pyasic.errors import APIError
from pyasic.miners.factory import MINER_CLASSES, MinerTypes

from dispatch.clock import Clock, wall_s
from dispatch.rigs import Ability
from dispatch.rigs.asics.connections import NoAnswer, WhatsminerConnection, WhatsminerV3Connection
from dispatch.rigs.asics.rig import REFUSED, SENT, UNSUPPORTED, NetworkRig
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire import whatsminer as wire
from dispatch.rigs.wire import whatsminer_v3 as wire_v3
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import Mode, RigGroup

POWER_MODES = ("low", "normal", "high")


def _name(model: str) -> str:
    """M60S_VK30 or M60S_VK34 as pyasic knows it: M60SVK30."""
    return model.replace("_", "")[:-1] + "0"


class WhatsminerV2(NetworkRig):
    """API v2. The write interface is never opened: a rig that refuses is one that refuses."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.POWER_LIMIT, Ability.MODES})
    password = "admin"

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        # The class pyasic would find, without asking the rig.
        kinds = MINER_CLASSES[MinerTypes.WHATSMINER]
        self.miner = kinds.get(_name(model), kinds[None])(ip)
        self.rpc = self.miner.rpc = WhatsminerConnection(ip)
        self.rpc.pwd = password
        self._model = model
        self._known: tuple[object, float] = (None, -np.inf)

    async def read(self) -> tuple[float, float]:
        return wire.figures(await self.rpc.summary())

    async def identity(self) -> RigIdentity:
        version, info = await asyncio.gather(self.rpc.get_version(), self.rpc.get_miner_info())
        return identities.whatsminer_v2(version, info, self._model)

    async def sleep(self) -> str:
        return await self._sent(self.miner.stop_mining)

    async def wake(self, mode: Mode | None) -> str:
        answer = SENT if mode is None else await self._sent(lambda: self._tune(mode))
        return await self._sent(self.miner.resume_mining) if answer == SENT else answer

    async def limit(self, watts: int) -> str:
        """The maker's document says that a rig starts over for it."""
        return await self._sent(lambda: _taken(self.rpc.adjust_power_limit(watts)))

    def due(self, before_s: float) -> bool:
        return self._known[1] < before_s

    async def prepare(self) -> bool:
        self.rpc.token = None
        await self.rpc.get_token()
        self._note_token()
        return True

    def _tune(self, mode: Mode) -> Awaitable[bool]:
        """A power mode by its name where rigs have one of that name, a power limit otherwise."""
        if mode.name in POWER_MODES:
            return _taken(getattr(self.rpc, f"set_{mode.name}_power")())
        return _taken(self.rpc.adjust_power_limit(round(mode.watts)))

    async def _sent(self, order: Callable[[], Awaitable[bool]]) -> str:
        """The rig's answer to an order; a token that ran out is renewed once."""
        for _ in range(2):
            if await order():
                self._note_token()
                return SENT
            if "token" not in self.rpc.objection:
                break
            self.rpc.token = None
        objection = self.rpc.objection
        if objection.startswith(("Decode Error", "No data")):
            raise NoAnswer("an answer that nobody can read")
        return UNSUPPORTED if "invalid" in objection else REFUSED

    def _note_token(self) -> None:
        if self.rpc.token is not self._known[0]:
            self._known = (self.rpc.token, wall_s())


async def _taken(order: Awaitable[Any]) -> bool:
    """Whether a rig took an order. pyasic's own set_power_limit cannot tell a refusal from a dead cable."""
    try:
        await order
    except APIError:
        return False
    return True


class WhatsminerV3(NetworkRig):
    """API v3."""

    abilities = WhatsminerV2.abilities
    password = "super"

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        self.rpc = WhatsminerV3Connection(ip)
        self.rpc.pwd = password

    async def read(self) -> tuple[float, float]:
        return wire_v3.figures(await self.rpc.get_miner_status_summary())

    async def identity(self) -> RigIdentity:
        return identities.whatsminer_v3(await self.rpc.get_device_info() or {})

    async def sleep(self) -> str:
        return await self._sent("set.miner.service", "stop")

    async def wake(self, mode: Mode | None) -> str:
        answer = SENT
        if mode is not None and mode.name in POWER_MODES:
            answer = await self._sent("set.miner.power_mode", mode.name)
        elif mode is not None:
            answer = await self.limit(round(mode.watts))
        return await self._sent("set.miner.service", "start") if answer == SENT else answer

    async def limit(self, watts: int) -> str:
        return await self._sent("set.miner.power_limit", watts)

    async def _sent(self, command: str, param: Any) -> str:
        """The rig's answer to an order. The salt is the rig's own; one that starts over may have another."""
        for _ in range(2):
            answer = await self.rpc.send_command(command, parameters=param)
            code = answer.get("code") if isinstance(answer, dict) else None
            if code == wire_v3.WhatsminerV3Code.OK:
                return SENT
            if self.rpc.salt is None:
                break
            self.rpc.salt = None
        return UNSUPPORTED if code == wire_v3.WhatsminerV3Code.INVALID else REFUSED
