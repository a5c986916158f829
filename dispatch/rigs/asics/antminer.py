"""Antminers with the maker's firmware."""

from __future__ import annotations

from typing import Any

from pyasic.web.antminer import AntminerModernWebAPI

from dispatch.clock import Clock
from dispatch.rigs import Ability
from dispatch.rigs.asics.connections import AntminerConnection, NoAnswer
from dispatch.rigs.asics.rig import REFUSED, SENT, UNSUPPORTED, NetworkRig
from dispatch.rigs.nameplate import watts_of
from dispatch.rigs.wire import antminer as wire
from dispatch.rigs.wire import identity as identities
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import SLEEP, Mode, RigGroup


class Antminer(NetworkRig):
    """An order is a whole configuration: read afresh, changed in its mode alone, and posted only with the pools it was read with. pyasic's
    own stop_mining posts empty pools when that read fails, so it is not used. Where the firmware reports no watts they are the catalogue's
    at the hashrate reported."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.MODES, Ability.STORED_ORDERS})
    password = "root"

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        self.rpc, self.web = AntminerConnection(ip), AntminerModernWebAPI(ip)
        self.web.pwd = password
        self._group = group
        # The work mode it had before it was put to sleep.
        self._awake = wire.WORK_MODES["normal"]
        self._mode_is_text = False

    async def read(self) -> tuple[float, float]:
        watts, ths = wire.figures(await self.rpc.stats())
        # Asleep it reports 0 W: its control board and fans draw what the catalogue says.
        if watts:
            return watts, ths
        # Only a rig that does not hash has to be asked what it is in.
        conf = {"miner-mode": 0} if ths > 0 else await self._page(self.web.get_miner_conf())
        return watts_of(self._group, ths, _mode(wire.work_mode(conf))), ths

    async def identity(self) -> RigIdentity:
        return identities.antminer(await self._page(self.web.get_system_info()))

    async def sleep(self) -> str:
        return await self._order(wire.WORK_MODES[SLEEP])

    async def wake(self, mode: Mode | None) -> str:
        if mode is not None and mode.name not in wire.WORK_MODES:
            return UNSUPPORTED
        return await self._order(self._awake if mode is None else wire.WORK_MODES[mode.name])

    async def _order(self, mode: int) -> str:
        conf = await self._page(self.web.get_miner_conf())
        if not conf:
            return REFUSED
        was = wire.work_mode(conf)
        answer = await self._post(conf, mode)
        if not answer and not self._mode_is_text:
            self._mode_is_text = True
            answer = await self._post(conf, mode)
        if was != wire.WORK_MODES[SLEEP]:
            self._awake = was
        return SENT if wire.accepted(answer) else REFUSED

    async def _post(self, conf: dict[str, Any], mode: int) -> dict[str, Any]:
        """The rig's answer to a configuration with another mode; empty when it does not accept the form of the document."""
        return await self._page(self.web.set_miner_conf(wire.ordered(conf, str(mode) if self._mode_is_text else mode)))

    async def _page(self, asking: Any) -> dict[str, Any]:
        """A page's document; empty when the rig refuses it. pyasic reports both that and silence as documents of its own."""
        document = await asking
        if not isinstance(document, dict) or (document.get("success") is False and "HTTP error" in str(document.get("message"))):
            raise NoAnswer("no page")
        return {} if document.get("success") is False else document


def _mode(number: int) -> str:
    return next((name for name, n in wire.WORK_MODES.items() if n == number), "normal")
