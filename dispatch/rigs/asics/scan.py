"""The rigs that answer on a subnet, identified by pyasic."""

from __future__ import annotations

import asyncio
import ipaddress
import warnings
from dataclasses import dataclass
from typing import Any

import pyasic
from pyasic.errors import APIError
from pyasic.miners.backends import (
    AntminerModern,
    Auradine,
    AvalonMiner,
    BitAxe,
    BOSer,
    BTMinerV2,
    BTMinerV3,
    HiveonModern,
    LUXMiner,
    MaraMiner,
    VNish,
)
from pyasic.miners.backends.epic import ePIC

from dispatch.rigs.asics.connections import NoAnswer
from dispatch.rigs.asics.json_rig import exchange
from dispatch.rigs.concurrent_requests import AT_ONCE
from dispatch.rigs.wire import NOT_DRIVEN, PORT, PORTS, Dialect, WireError, identity, proto
from dispatch.site_file.field_types import rig_network

IDENTIFY_S, CONNECT_S = 10.0, 1.0
# What pyasic raises about rigs that it cannot read.
SILENT = (TimeoutError, OSError, APIError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class ScannedRig:
    """A rig that a scan identified; `model` is empty where pyasic does not know what answers, `dialect` where no driver speaks it, and
    `note` says why none does."""

    ip: str
    make: str
    model: str
    firmware: str
    dialect: str
    note: str = ""


_DIALECTS: dict[type, Dialect] = {
    BTMinerV2: Dialect.WHATSMINER_V2,
    BTMinerV3: Dialect.WHATSMINER_V3,
    AntminerModern: Dialect.ANTMINER,
    LUXMiner: Dialect.LUXOS,
    AvalonMiner: Dialect.AVALON,
    Auradine: Dialect.AURADINE,
    BOSer: Dialect.BRAIINS,
    VNish: Dialect.VNISH,
    ePIC: Dialect.EPIC,
}
_NOT_DRIVEN: dict[type, str] = {MaraMiner: NOT_DRIVEN["mara"], HiveonModern: NOT_DRIVEN["hiveon"], BitAxe: NOT_DRIVEN["bitaxe"]}


async def scan(subnet: str, at_once: int = AT_ONCE) -> list[ScannedRig]:
    """The rigs that answer on a subnet, identified by pyasic, at most `at_once` at a time: without a bound it finds nothing and reports no
    error.

    Raises ValueError when it is not a subnet that rigs may be in (`rig_network`).
    """
    hosts = iter(rig_network(subnet).hosts())
    found: list[ScannedRig] = []

    async def work() -> None:
        for host in hosts:
            if await _open(str(host)):
                found.append(await _identify(str(host)))

    # pyasic warns about models of which it knows only the make; the table shows that.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await asyncio.gather(*(work() for _ in range(at_once)))
    return sorted(found, key=lambda f: ipaddress.IPv4Address(f.ip))


async def _open(ip: str) -> bool:
    for port in sorted({port for ports in PORTS.values() for port in ports}, key=lambda p: p != PORT):
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(ip, port)
        except TimeoutError:
            return False
        except OSError:
            continue
        writer.transport.abort()
        return True
    return False


async def _identify(ip: str) -> ScannedRig:
    for _ in range(2):
        try:
            async with asyncio.timeout(IDENTIFY_S):
                miner = await pyasic.get_miner(ip)
                if miner is not None:
                    dialect = next((d for kind, d in _DIALECTS.items() if isinstance(miner, kind)), "")
                    note = "" if dialect else next((n for kind, n in _NOT_DRIVEN.items() if isinstance(miner, kind)), "not driven")
                    return ScannedRig(ip, str(miner.make or ""), str(miner.raw_model or ""), await _firmware(miner), dialect, note)
        except SILENT:
            continue
    return await _proto(ip) or ScannedRig(ip, "", "", "", "")


async def _firmware(miner: Any) -> str:
    """The firmware version of a rig; empty where pyasic cannot read it."""
    try:
        return str((await miner.get_data(include=["fw_ver"])).fw_ver or "")
    except SILENT:
        return ""


async def _proto(ip: str) -> ScannedRig | None:
    """Block's rigs, which pyasic does not know; None when it is none of them."""
    try:
        async with asyncio.timeout(IDENTIFY_S):
            said = identity.proto((await exchange(f"http://{ip}:{proto.PORT}", "GET", f"{proto.ROOT}system"))[1], {"network-info": {}})
    except (TimeoutError, NoAnswer, WireError):
        return None
    return ScannedRig(ip, "Proto", said.model, said.firmware, Dialect.PROTO)
