"""Auradine's Teraflux."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

from pyasic.errors import APIError
from pyasic.web.auradine import AuradineWebAPI

from dispatch.clock import Clock
from dispatch.rigs import Ability
from dispatch.rigs.asics.connections import AuradineConnection
from dispatch.rigs.asics.rig import REFUSED, SENT, UNSUPPORTED, NetworkRig
from dispatch.rigs.wire import auradine as wire
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import Mode, RigGroup

# pyasic warns of every rig that does not let it in; that is an outcome here, and no warning.
warnings.filterwarnings("ignore", message="Could not authenticate web token")


class Auradine(NetworkRig):
    """Orders go by HTTP with a token that pyasic fetches and renews."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.POWER_LIMIT, Ability.MODES})
    password = "admin"

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        self.rpc, self.web = AuradineConnection(ip), AuradineWebAPI(ip)
        self.web.pwd = password

    async def read(self) -> tuple[float, float]:
        psu, summary = await asyncio.gather(self.web.get_psu(), self.rpc.summary())
        return wire.watts(psu), wire.ths(summary)

    async def identity(self) -> RigIdentity:
        return identities.auradine(await self.web.ipreport())

    async def sleep(self) -> str:
        return await self._sent(sleep="on")

    async def wake(self, mode: Mode | None) -> str:
        if mode is None:
            return await self._sent(sleep="off")
        if mode.name in wire.MODES:
            answer = await self._sent(mode=wire.MODES[mode.name])
        else:
            answer = await self.limit(round(mode.watts))
        return await self._sent(sleep="off") if answer == SENT else answer

    async def limit(self, watts: int) -> str:
        return await self._sent(mode="custom", tune="power", power=watts)

    async def _sent(self, **words: Any) -> str:
        """The rig's answer to an order. pyasic fails alike for a token that ran out, which it renews then, a refusal and a dead cable."""
        for _ in range(2):
            try:
                await self.web.set_mode(**words)
                return SENT
            except APIError as error:
                if "parameter" in str(error.message):
                    return UNSUPPORTED
        # The rig is there, and did not follow the order.
        await self.rpc.summary()
        return REFUSED
