"""Real rigs over TCP through pyasic. The only file that knows it.

A miner object is made from address and model; nothing is identified again at dispatch time. pyasic's word is "sent" at most. Around it:
its own deadline is 100 s and a hung rig keeps its socket, so every exchange here has a deadline and closes what it opened; a rig that
is off makes pyasic raise KeyError or answer an empty document, which here is silence; `open_api` and anything that writes pools is
never called.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyasic
from pyasic.errors import APIError
from pyasic.miners.factory import MINER_CLASSES, MinerTypes
from pyasic.rpc.btminer import BTMinerRPCAPI

from dispatch.clock import Clock, wall_s
from dispatch.rigs import Ability, Readings, Sent
from dispatch.rigs.asking import Asking
from optimizer.site import SLEEP, RigGroup

AT_ONCE = 100
DEFAULT_PASSWORD = "admin"
# pyasic keeps a token 30 minutes; it is renewed before, a few rigs at each poll, so that no stop waits for md5crypt.
TOKEN_AGE_S = 1500.0
POWER_MODES = ("low", "normal", "high")

SENT, REFUSED, UNSUPPORTED, SILENT = "sent", "refused", "unsupported", "unreachable"


class NoAnswer(Exception):
    """The rig did not take the connection or closed it without a word."""


class _Line(BTMinerRPCAPI):  # type: ignore[misc]
    """pyasic's Whatsminer codec on a connection that is closed whatever happens. Remembers what the rig last objected to."""

    objection = ""

    async def _send_bytes(self, data: bytes, *, port: int | None = None, timeout: int = 100) -> bytes:
        try:
            reader, writer = await asyncio.open_connection(str(self.ip), port or self.port)
        except OSError as error:
            raise NoAnswer(str(error)) from None
        try:
            writer.write(data)
            await writer.drain()
            answer: bytes = await reader.read()
        except OSError as error:
            raise NoAnswer(str(error)) from None
        finally:
            writer.transport.abort()
        if not answer:
            raise NoAnswer("closed without an answer")
        return answer

    async def send_privileged_command(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.objection = ""
        try:
            return dict(await super().send_privileged_command(*args, **kwargs))
        except APIError as error:
            self.objection = str(error.message)
            raise


class Miner(Protocol):
    """What is used of a pyasic miner."""

    rpc: _Line

    async def stop_mining(self) -> bool: ...

    async def resume_mining(self) -> bool: ...


class Asics:
    """The Whatsminers of one group, by position: `ips[k]` is rig k; `model` is what they call themselves on the wire.

    Deadlines are wall seconds for each rig, from when it is asked. `at_once` connections are open at a time.
    """

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.POWER_LIMIT, Ability.MODES})

    def __init__(
        self, group: RigGroup, ips: Sequence[str], model: str, clock: Clock, *, password: str = DEFAULT_PASSWORD, at_once: int = AT_ONCE
    ) -> None:
        if len(ips) != group.rigs:
            raise ValueError(f"group {group.name!r} has {group.rigs} rigs and {len(ips)} addresses")
        self._group, self._clock = group, clock
        self._miners = [_miner(ip, model, password) for ip in ips]
        self._asking = Asking(at_once, (NoAnswer, APIError, LookupError, TypeError, ValueError))
        # Each rig's token as last seen, and since when; to renew it before it runs out.
        self._tokens: list[tuple[object, float]] = [(None, -np.inf)] * len(ips)
        self._warming: asyncio.Task[None] | None = None

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        watts, ths = dict.fromkeys(rigs, np.nan), dict.fromkeys(rigs, np.nan)
        at = dict.fromkeys(rigs, self._clock.now().timestamp())

        async def one(rig: int) -> None:
            found = await self._asking.one(rig, self._miners[rig].rpc.summary, deadline_s)
            at[rig] = self._clock.now().timestamp()
            watts[rig], ths[rig] = _figures(found)

        await self._asking.each(rigs, one)
        if len(rigs) == len(self._miners):
            self._warm(deadline_s)
        in_order = (np.array([by[r] for r in rigs]) for by in (watts, ths, at))
        return Readings(np.array(rigs, np.int64), *in_order)

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        return await self._tell(rigs, lambda rig: self._order(rig, mode, deadline_s))

    async def limit(self, rigs: Sequence[int], watts: int, deadline_s: float) -> Sent:
        """Let rigs draw at most `watts`. The maker's document says that a rig starts over for it."""
        return await self._tell(rigs, lambda rig: self._said(rig, lambda m: _taken(m.rpc.adjust_power_limit(watts)), deadline_s))

    async def _tell(self, rigs: Sequence[int], order: Callable[[int], Awaitable[str]]) -> Sent:
        said: dict[int, str] = dict.fromkeys(rigs, SILENT)

        async def one(rig: int) -> None:
            said[rig] = await order(rig)

        await self._asking.each(rigs, one)
        of = {word: tuple(r for r in rigs if said[r] == word) for word in (SENT, REFUSED, UNSUPPORTED, SILENT)}
        return Sent(of[SENT], of[REFUSED], of[UNSUPPORTED], of[SILENT])

    async def close(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)

    async def _order(self, rig: int, mode: str, deadline_s: float) -> str:
        if mode == SLEEP:
            return await self._said(rig, lambda m: m.stop_mining(), deadline_s)
        if len(self._group.awake_modes) > 1:
            said = await self._said(rig, lambda m: _tune(m, self._group, mode), deadline_s)
            if said != SENT:
                return said
        return await self._said(rig, lambda m: m.resume_mining(), deadline_s)

    async def _said(self, rig: int, order: Callable[[Miner], Awaitable[bool]], deadline_s: float) -> str:
        """What the rig made of an order, in one of the four words; a token that ran out is renewed once."""
        miner = self._miners[rig]
        for _ in range(2):
            taken = await self._asking.one(rig, lambda: order(miner), deadline_s)
            if taken is None:
                return SILENT
            if taken:
                self._note_token(rig)
                return SENT
            if "token" not in miner.rpc.objection:
                break
            miner.rpc.token = None
        return _word(miner.rpc.objection)

    def _warm(self, deadline_s: float) -> None:
        """Renew the tokens of the rigs whose tokens are oldest, beside everything else: all of them in forty polls."""
        if self._warming is not None and not self._warming.done():
            return
        old_s = wall_s() - TOKEN_AGE_S
        due = [r for r, (_, since_s) in enumerate(self._tokens) if since_s < old_s and r not in self._asking.missed]
        due = sorted(due, key=lambda r: self._tokens[r][1])[: 10 + len(self._miners) // 40]
        if due:
            self._warming = asyncio.create_task(self._warm_up(due, deadline_s))

    async def _warm_up(self, rigs: Sequence[int], deadline_s: float) -> None:
        for rig in rigs:
            await self.prefetch(rig, deadline_s)

    async def prefetch(self, rig: int, deadline_s: float) -> None:
        """Have a fresh token for a rig before it is needed."""
        miner = self._miners[rig]
        miner.rpc.token = None
        if await self._asking.one(rig, miner.rpc.get_token, deadline_s) is not None:
            self._note_token(rig)

    def _note_token(self, rig: int) -> None:
        token = self._miners[rig].rpc.token
        if token is not self._tokens[rig][0]:
            self._tokens[rig] = (token, wall_s())


def _miner(ip: str, wire_model: str, password: str) -> Miner:
    """A miner by what it calls itself on the wire, e.g. "M60S_VK30"; its class is the one pyasic would find."""
    classes = MINER_CLASSES[MinerTypes.WHATSMINER]
    kind = classes.get(wire_model.replace("_", "")[:-1].upper() + "0", classes[None])
    miner = kind(ip)
    miner.rpc = _Line(ip)
    miner.rpc.pwd = password
    return miner  # type: ignore[no-any-return]


def _tune(miner: Miner, group: RigGroup, mode: str) -> Awaitable[bool]:
    """A power mode by its name where the rig has one of that name, a power limit otherwise."""
    if mode in POWER_MODES:
        return _taken(getattr(miner.rpc, f"set_{mode}_power")())
    return _taken(miner.rpc.adjust_power_limit(round(group.mode(mode).watts)))


async def _taken(order: Awaitable[Any]) -> bool:
    """Whether a rig took an order. pyasic's own set_power_limit cannot tell a refusal from a dead cable."""
    try:
        await order
    except APIError:
        return False
    return True


def _word(objection: str) -> str:
    """What an objection of pyasic's means. An answer nobody can read is none."""
    if objection.startswith(("Decode Error", "No data")):
        return SILENT
    return UNSUPPORTED if "invalid" in objection else REFUSED


def _figures(summary: Any) -> tuple[float, float]:
    """Wall watts and TH/s of a `summary`; NaN both when either is missing: half a reading proves nothing."""
    try:
        row = summary["SUMMARY"][0]
        watts = float(row["Power"])
        mhs = float(next(row[k] for k in ("HS RT", "MHS 1m", "MHS av") if k in row))
    except (LookupError, TypeError, ValueError, StopIteration):
        return float("nan"), float("nan")
    if not (0.0 <= watts < 1e6 and 0.0 <= mhs < 1e12):
        return float("nan"), float("nan")
    return watts, mhs / 1e6


@dataclass(frozen=True, slots=True)
class Found:
    """A rig that a scan identified; `model` is empty where something answers that pyasic does not know."""

    ip: str
    make: str
    model: str
    firmware: str


async def scan(subnet: str, at_once: int = AT_ONCE) -> list[Found]:
    """What answers on a subnet, identified by pyasic, at most `at_once` at a time: with no bound it finds nothing and says nothing.

    Raises ValueError when it is no subnet.
    """
    hosts = iter(ipaddress.IPv4Network(subnet).hosts())
    found: list[Found] = []

    async def work() -> None:
        for host in hosts:
            if await _open(str(host)):
                found.append(await _identify(str(host)))

    await asyncio.gather(*(work() for _ in range(at_once)))
    return sorted(found, key=lambda f: ipaddress.IPv4Address(f.ip))


async def _open(ip: str) -> bool:
    for port in (4028, 80):
        try:
            async with asyncio.timeout(1.0):
                _, writer = await asyncio.open_connection(ip, port)
        except (OSError, TimeoutError):
            continue
        writer.transport.abort()
        return True
    return False


async def _identify(ip: str) -> Found:
    for _ in range(2):
        try:
            async with asyncio.timeout(10.0):
                miner = await pyasic.get_miner(ip)
                if miner is not None:
                    return Found(ip, str(miner.make or ""), str(miner.raw_model or ""), str(await miner.get_fw_ver() or ""))
        except (TimeoutError, OSError, APIError, LookupError, TypeError, ValueError):
            continue
    return Found(ip, "", "", "")
