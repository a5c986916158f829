"""The rigs of one group over TCP, whatever their dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pyasic.errors import APIError

from dispatch.clock import Clock, wall_s
from dispatch.rigs import Readings, Sent
from dispatch.rigs.asics.antminer import Antminer
from dispatch.rigs.asics.auradine import Auradine
from dispatch.rigs.asics.avalon import Avalon
from dispatch.rigs.asics.braiins import Braiins
from dispatch.rigs.asics.connections import NoAnswer
from dispatch.rigs.asics.epic import Epic
from dispatch.rigs.asics.luxos import Luxos
from dispatch.rigs.asics.proto import Proto
from dispatch.rigs.asics.rig import SILENT, NetworkRig
from dispatch.rigs.asics.vnish import Vnish
from dispatch.rigs.asics.whatsminer import WhatsminerV2, WhatsminerV3
from dispatch.rigs.concurrent_requests import AT_ONCE, RequestPool, readings, sent_by_answer
from dispatch.rigs.wire import Dialect
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import SLEEP, RigGroup

# pyasic keeps a token 30 minutes; it is renewed before, a few rigs at each poll, so that no stop waits for md5crypt.
TOKEN_AGE_S = 1500.0
IDENTIFIED_AT_ONCE = 20

OF_DIALECT: dict[Dialect, type[NetworkRig]] = {
    Dialect.WHATSMINER_V2: WhatsminerV2,
    Dialect.WHATSMINER_V3: WhatsminerV3,
    Dialect.ANTMINER: Antminer,
    Dialect.LUXOS: Luxos,
    Dialect.AVALON: Avalon,
    Dialect.AURADINE: Auradine,
    Dialect.PROTO: Proto,
    Dialect.BRAIINS: Braiins,
    Dialect.VNISH: Vnish,
    Dialect.EPIC: Epic,
}


class PyasicDriver:
    """The rigs of one group, by position: `ips[k]` is rig k; `model` is what they call themselves on the wire.

    Deadlines are wall seconds for each rig, from when it is asked. `at_once` rigs are asked at a time.
    """

    def __init__(
        self,
        group: RigGroup,
        ips: Sequence[str],
        model: str,
        clock: Clock,
        *,
        dialect: Dialect = Dialect.WHATSMINER_V2,
        password: str | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        if len(ips) != group.rigs:
            raise ValueError(f"group {group.name!r} has {group.rigs} rigs and {len(ips)} addresses")
        kind = OF_DIALECT[dialect]
        self.abilities = kind.abilities
        self._group, self._clock = group, clock
        self._rigs = [kind(ip, model, kind.password if password is None else password, group, clock) for ip in ips]
        self._requests = RequestPool(at_once, (NoAnswer, APIError, LookupError, TypeError, ValueError))
        # Identities are asked for in the background: they count for nothing when readings and orders are sorted.
        self._identifying = RequestPool(IDENTIFIED_AT_ONCE, (NoAnswer, APIError, LookupError, TypeError, ValueError, AttributeError))
        self._renewal: asyncio.Task[None] | None = None
        self._orders_come = False

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """Wall watts and TH/s of rigs, in the order of `rigs`."""
        found = await self._requests.all(rigs, lambda rig: self._rigs[rig].read(), deadline_s, self._clock)
        if self._orders_come and len(rigs) == len(self._rigs):
            self._renew_oldest(deadline_s)
        return readings(rigs, found)

    def prepare_orders(self) -> None:
        """Fetch tokens ahead of orders, from the next reading of all rigs on."""
        self._orders_come = True

    async def identify(self, rigs: Sequence[int], deadline_s: float) -> dict[int, RigIdentity]:
        """What rigs say they are, by position; those that do not answer are missing."""
        found = await self._identifying.all(rigs, lambda rig: self._rigs[rig].identity(), deadline_s, self._clock)
        return {rig: identity for rig, (identity, _) in found.items() if identity is not None}

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Order rigs into a mode; returns their answers."""
        if mode == SLEEP:
            return await self._order(rigs, lambda rig: rig.sleep(), deadline_s)
        # A group with one awake mode leaves each rig the one it has.
        named = self._group.mode(mode) if len(self._group.awake_modes) > 1 else None
        return await self._order(rigs, lambda rig: rig.wake(named), deadline_s)

    async def limit(self, rigs: Sequence[int], watts: int, deadline_s: float) -> Sent:
        """Limit the draw of rigs to `watts`; returns their answers."""
        return await self._order(rigs, lambda rig: rig.limit(watts), deadline_s)

    async def close(self) -> None:
        """Stop the renewal of tokens."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def _order(self, rigs: Sequence[int], order: Callable[[NetworkRig], Awaitable[str]], deadline_s: float) -> Sent:
        answers = await self._requests.all(rigs, lambda rig: order(self._rigs[rig]), deadline_s, self._clock)
        return sent_by_answer({rig: answer or SILENT for rig, (answer, _) in answers.items()})

    def _renew_oldest(self, deadline_s: float) -> None:
        """Renew the oldest tokens in the background: those of all rigs within forty polls."""
        if self._renewal is not None and not self._renewal.done():
            return
        old_s = wall_s() - TOKEN_AGE_S
        due = [rig for rig, each in enumerate(self._rigs) if rig not in self._requests.missed and each.due(old_s)]
        if due:
            self._renewal = asyncio.create_task(self._renew(due[: 10 + len(self._rigs) // 40], deadline_s))

    async def _renew(self, rigs: Sequence[int], deadline_s: float) -> None:
        for rig in rigs:
            await self.prefetch(rig, deadline_s)

    async def prefetch(self, rig: int, deadline_s: float) -> None:
        """Fetch the token or session of a rig ahead of an order."""
        await self._requests.one(rig, self._rigs[rig].prepare, deadline_s)
