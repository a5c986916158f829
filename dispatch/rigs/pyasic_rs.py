"""Real rigs over TCP through pyasic-rs, which is optional. The only file that knows it.

Rigs are identified once, by a read, and kept: an order to one that was never met is not sent. Whatsminers are not driven through it: it
opens their write interface by itself when they refuse, and calls an order to one that is switched off done. Its `is_mining` is true of a
rig that was never reached, so it is used only for a rig that has just answered with its hashrate.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

from pyasic_rs import Miner, MinerFactory
from pyasic_rs.data import HashRateUnit

from dispatch.clock import Clock
from dispatch.rigs import Ability, Readings, Sent
from dispatch.rigs.concurrent_requests import AT_ONCE, RequestPool, readings, sent_by_answer
from dispatch.rigs.nameplate import watts_of
from dispatch.rigs.wire import Dialect
from dispatch.rigs.wire.identity import RigIdentity, mac_address
from optimizer.domain.site import SLEEP, RigGroup

# By dialect the firmware as pyasic-rs names it, and the user of its orders.
FIRMWARE = {
    Dialect.ANTMINER: ("AntMiner Stock", "root"),
    Dialect.LUXOS: ("LuxOS", ""),
    Dialect.AURADINE: ("Auradine Stock", "admin"),
    Dialect.PROTO: ("Proto Stock", ""),
    Dialect.BRAIINS: ("Braiins", "root"),
    Dialect.VNISH: ("VNish", ""),
    Dialect.EPIC: ("UMC OS", ""),
}
POWER_LIMITED = frozenset({Dialect.AURADINE, Dialect.PROTO, Dialect.BRAIINS})
MEET_S = 10.0
IDENTIFIED_AT_ONCE = 20
# How pyasic-rs phrases an answer that is not an acceptance.
ANSWERED = re.compile(r"status code|error status|HTTP error: \d{3}\b")
SENT, REFUSED, SILENT = "sent", "refused", "unreachable"


class PyasicRsDriver:
    """The rigs of one group, by position: `ips[k]` is rig k. Deadlines are wall seconds for each rig, from when it is asked.

    Raises ValueError for a dialect that is not driven through pyasic-rs.
    """

    def __init__(
        self, group: RigGroup, ips: Sequence[str], clock: Clock, *, dialect: Dialect, password: str | None = None, at_once: int = AT_ONCE
    ) -> None:
        if len(ips) != group.rigs:
            raise ValueError(f"group {group.name!r} has {group.rigs} rigs and {len(ips)} addresses")
        if dialect not in FIRMWARE:
            raise ValueError(f'{dialect} is not driven through pyasic-rs, only {", ".join(FIRMWARE)} are: use kind = "pyasic"')
        self.abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE}) | (
            {Ability.POWER_LIMIT, Ability.MODES} if dialect in POWER_LIMITED else set()
        )
        self._group, self._ips, self._clock, self._dialect, self._password = group, ips, clock, dialect, password
        self._met: dict[int, Miner] = {}
        self._identifications: dict[int, asyncio.Task[Miner]] = {}
        # A refusal and a dead cable are one exception to pyasic-rs, of no class of its own.
        self._requests = RequestPool(at_once, (Exception,))
        self._identifying = RequestPool(IDENTIFIED_AT_ONCE, (Exception,))

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """Wall watts and TH/s of rigs, in the order of `rigs`."""
        return readings(rigs, await self._requests.all(rigs, self._read, deadline_s, self._clock))

    async def identify(self, rigs: Sequence[int], deadline_s: float) -> dict[int, RigIdentity]:
        """What rigs say they are, by position; those that do not answer are missing."""
        found = await self._identifying.all(rigs, self._identity, deadline_s, self._clock)
        return {rig: identity for rig, (identity, _) in found.items() if identity is not None}

    async def _identity(self, rig: int) -> RigIdentity:
        miner = self._met.get(rig) or await self._identified(rig)
        firmware, serial, mac = await asyncio.gather(miner.get_firmware_version(), miner.get_serial_number(), miner.get_mac())
        return RigIdentity(f"{miner.firmware} {firmware or ''}".strip(), miner.model, serial or "", mac_address(mac or ""))

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Order rigs into a mode; returns their answers."""
        if mode == SLEEP:
            return await self._order(rigs, lambda miner: miner.pause(), deadline_s)
        # A group with one awake mode leaves each rig the one it has.
        if len(self._group.awake_modes) == 1:
            return await self._order(rigs, lambda miner: miner.resume(), deadline_s)
        if Ability.MODES not in self.abilities:
            return Sent(unsupported=tuple(rigs))
        watts = round(self._group.mode(mode).watts)
        return await self._order(rigs, lambda miner: _resumed_at(miner, watts), deadline_s)

    async def limit(self, rigs: Sequence[int], watts: int, deadline_s: float) -> Sent:
        """Limit the draw of rigs to `watts`; returns their answers."""
        if Ability.POWER_LIMIT not in self.abilities:
            return Sent(unsupported=tuple(rigs))
        return await self._order(rigs, lambda miner: miner.set_power_limit(watts), deadline_s)

    async def _order(self, rigs: Sequence[int], order: Callable[[Miner], Awaitable[bool]], deadline_s: float) -> Sent:
        answers = await self._requests.all(rigs, lambda rig: self._send(rig, order), deadline_s, self._clock)
        return sent_by_answer({rig: answer or SILENT for rig, (answer, _) in answers.items()})

    async def close(self) -> None:
        """Stop every identification that is still going on."""
        for identification in self._identifications.values():
            identification.cancel()
        await asyncio.gather(*self._identifications.values(), return_exceptions=True)

    async def _read(self, rig: int) -> tuple[float, float] | None:
        miner = self._met.get(rig) or await self._identified(rig)
        watts, rate = await asyncio.gather(miner.get_wattage(), miner.get_hashrate())
        if rate is None:
            return None
        ths = float(rate.as_unit(HashRateUnit.TH).value)
        if self._dialect is not Dialect.ANTMINER:
            return None if watts is None else (float(watts), ths)
        # A stock Antminer reports 0 W asleep, and older firmware reports none at all.
        if watts:
            return float(watts), ths
        asleep = ths == 0 and not await miner.get_is_mining()
        return watts_of(self._group, ths, SLEEP if asleep else self._group.full.name), ths

    async def _send(self, rig: int, order: Callable[[Miner], Awaitable[bool]]) -> str:
        miner = self._met.get(rig)
        if miner is None:
            return SILENT
        try:
            return SENT if await order(miner) else REFUSED
        except RuntimeError as error:
            # The rig answered and refused; anything else is no answer.
            if ANSWERED.search(str(error)):
                return REFUSED
            raise

    async def _identified(self, rig: int) -> Miner:
        """Identify a rig, once. A caller may stop waiting; the identification goes on to its own deadline."""
        identification = self._identifications.get(rig)
        if identification is None or identification.done():
            identification = self._identifications[rig] = asyncio.create_task(self._identify(rig))
            # No caller may be left to see its failure.
            identification.add_done_callback(lambda over: over.cancelled() or over.exception())
        return await asyncio.shield(identification)

    async def _identify(self, rig: int) -> Miner:
        firmware, user = FIRMWARE[self._dialect]
        factory = MinerFactory()
        if self._password is not None:
            factory = factory.with_firmware_discovery_auth(firmware, user, self._password)
        async with asyncio.timeout(MEET_S):
            miner = await factory.get_miner(self._ips[rig])
        if miner is None or miner.firmware != firmware:
            raise LookupError(f"{self._ips[rig]} is no rig with {firmware}")
        self._met[rig] = miner
        return miner


async def _resumed_at(miner: Miner, watts: int) -> bool:
    return bool(await miner.set_power_limit(watts)) and bool(await miner.resume())


async def identified(ip: str) -> dict[str, str]:
    """Make, model, firmware and dialect of what answers at an address, each empty where pyasic-rs does not know it."""
    try:
        async with asyncio.timeout(MEET_S):
            miner = await MinerFactory().get_miner(ip)
            version = await miner.get_firmware_version() if miner is not None else None
    except (TimeoutError, RuntimeError):
        miner = None
    if miner is None:
        return dict.fromkeys(("make", "model", "firmware", "dialect"), "")
    dialect = next((dialect for dialect, (firmware, _) in FIRMWARE.items() if firmware == miner.firmware), "")
    return {"make": miner.make, "model": miner.model, "firmware": version or "", "dialect": dialect}
