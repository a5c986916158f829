"""Antminers with LuxOS."""

from __future__ import annotations

import asyncio
from typing import Any

from pyasic.errors import APIError

from dispatch.clock import Clock
from dispatch.rigs import Ability
from dispatch.rigs.asics.connections import LuxosConnection, NoAnswer
from dispatch.rigs.asics.rig import REFUSED, SENT, UNSUPPORTED, NetworkRig
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire import luxos as wire
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import Mode, RigGroup


class Luxos(NetworkRig):
    """A mode is the profile whose watts are nearest to its own; a limit, the highest profile under it.

    A rig has one session at a time: ours is ended with each order, so that a person is never locked out by us; where somebody else's is
    open the order goes within that one, and it is left open.
    """

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.POWER_LIMIT, Ability.MODES})

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        self.rpc = LuxosConnection(ip)
        # The watts of its profiles by name, rising; empty until they were read.
        self._profiles: dict[str, float] = {}

    async def read(self) -> tuple[float, float]:
        return wire.figures(await self.rpc.send_command(wire.READ))

    async def identity(self) -> RigIdentity:
        version, config = await asyncio.gather(self.rpc.version(), self.rpc.config())
        return identities.luxos(version, config)

    async def sleep(self) -> str:
        return await self._sent(("curtail", wire.SLEEP))

    async def wake(self, mode: Mode | None) -> str:
        tuned = []
        if mode is not None:
            profiles = await self._known()
            tuned = [("profileset", min(profiles, key=lambda name: abs(profiles[name] - mode.watts)))]
        return await self._sent(*tuned, ("curtail", wire.WAKE))

    async def limit(self, watts: int) -> str:
        profiles = await self._known()
        under = [name for name, of in profiles.items() if of <= watts] or list(profiles)[:1]
        return await self._sent(("profileset", under[-1]))

    async def _known(self) -> dict[str, float]:
        if not self._profiles:
            self._profiles = wire.profiles(await self.rpc.profiles())
        return self._profiles

    async def _sent(self, *orders: tuple[str, str]) -> str:
        """The rig's answer to orders within one session."""
        session, ours = await self._session()
        if not session:
            return REFUSED
        try:
            for verb, word in orders:
                answer = await self._ask(verb, session, word)
                if not answer:
                    return REFUSED
                if "nvalid" in answer.get("objection", ""):
                    return UNSUPPORTED
        finally:
            if ours:
                await self._ask("logoff", session)
        return SENT

    async def _session(self) -> tuple[str, bool]:
        """A session and whether it is ours; no session when the rig gives none."""
        opened = wire.session(await self._ask("logon"))
        if opened:
            return opened, True
        return wire.session(await self._ask("session")), False

    async def _ask(self, *words: str) -> dict[str, Any]:
        """The answer; empty when the rig objects, and what it objects where a word was wrong."""
        try:
            return dict(await self.rpc.send_command(*words))
        except APIError as error:
            objection = str(error.message)
            if "Decode Error" in objection or "No data" in objection:
                raise NoAnswer("an answer that nobody can read") from None
            return {"objection": objection} if "nvalid" in objection else {}
