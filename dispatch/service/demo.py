"""The demonstration: it begins at the next instant with a price that wakes every model, so that rigs are seen starting, and its rigs are at
loopback addresses that no other demonstration on the machine uses."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dispatch.rigs.dialects import dialect_and_wire_model
from dispatch.rigs.driver_sections import CpuMinerSettings, ListedSettings, driver_settings
from dispatch.rigs.wire import PORT, PORTS
from dispatch.site_file.sections import FixedHash, SyntheticPrices
from dispatch.site_file.setup import Setup
from markets.facts import Price, PriceMarket
from markets.hashmath import breakeven_usd_per_mwh
from markets.sources.synthetic import SyntheticSource
from optimizer.domain.site import RigGroup

# Share of the rigs' own breakeven that is left after overhead, adders and pool fee.
MARGIN = 0.75
AHEAD = timedelta(hours=24)
FIRST_OCTET, LAST_OCTET = 20, 59  # second octets of the rigs' subnets; the site file's own is the first
HOLD_HOST = "255.254"  # the last address of a second octet: bound by the demonstration that uses the octet, and no rig's
TRIES, PAUSE_S = 10, 0.3


async def demo_start(setup: Setup, now: datetime) -> datetime:
    """The first instant from `now` on at which the last published price is well under every model's breakeven; `now` when there is none."""
    if not isinstance(setup.prices, SyntheticPrices) or not isinstance(setup.hash, FixedHash):
        return now
    least = MARGIN * min(breakeven_usd_per_mwh(setup.hash.usd_per_ph_day, g.full.j_per_th) for g in setup.site.groups)
    market = SyntheticSource(setup.site.market, setup.prices.seed, [setup.site.settlement_point])
    for fact in await market.fetch(now - timedelta(minutes=16), now + AHEAD):
        if isinstance(fact, Price) and fact.market is PriceMarket.REAL_TIME_15_MIN and fact.usd_per_mwh < least:
            return max(now, fact.known_at + timedelta(seconds=30))
    return now


def needs_simulated_rigs(setup: Setup) -> bool:
    """Whether the site's rigs have to be simulated: its market is synthetic and all rigs are at loopback addresses on which nothing
    listens yet."""
    firsts = [_first_loopback_rig(setup, group) for group in setup.site.groups]
    return isinstance(setup.prices, SyntheticPrices) and all(first is not None and _is_free(*first) for first in firsts)


def _first_loopback_rig(setup: Setup, group: RigGroup) -> tuple[str, int] | None:
    """Where the first rig of a group listens; None where its rigs are not at loopback addresses."""
    driver = driver_settings(setup, group.name)
    if isinstance(driver, CpuMinerSettings):
        return (driver.host, driver.port) if driver.host.startswith("127.") else None
    if not isinstance(driver, ListedSettings) or driver.subnet is None or not ipaddress.IPv4Network(driver.subnet).is_loopback:
        return None
    return driver.addresses(setup, group)[0], PORTS[dialect_and_wire_model(group.model, driver.dialect)[0]][0]


@dataclass(frozen=True, slots=True)
class HeldAddresses:
    """The addresses of one demonstration's rigs and meters.

    sections  site file sections that move them there; empty where they are the site file's own
    hold      a bound socket that keeps every other demonstration of the machine out until it is closed or the process ends
    """

    sections: dict[str, Any]
    hold: socket.socket


def hold_addresses(path: Path) -> HeldAddresses:
    """Addresses for a demonstration's rigs and meters that nothing uses and no other demonstration can take.

    They are the site file's own when those become free within some seconds, as a site that was just killed frees them. Raises OSError when
    none are free.
    """
    written = tomllib.loads(path.read_text("utf-8"))
    sections = {name: written[name] for name in ("meters", "halls", "groups")}
    for _ in range(TRIES):
        if hold := _hold(FIRST_OCTET, sections):
            return HeldAddresses({}, hold)
        time.sleep(PAUSE_S)
    for octet in range(FIRST_OCTET + 1, LAST_OCTET + 1):
        moved: dict[str, Any] = json.loads(json.dumps(sections).replace(f'"127.{FIRST_OCTET}.', f'"127.{octet}.'))
        if hold := _hold(octet, moved):
            return HeldAddresses(moved, hold)
    raise OSError("no loopback addresses are free for simulated rigs: are that many demonstrations running here?")


def _hold(octet: int, sections: Mapping[str, Any]) -> socket.socket | None:
    """The socket that holds a second octet; None when another demonstration holds it or something listens at one of its addresses."""
    hold = socket.socket()
    try:
        # Never listens, so that the address is free again at the moment the process ends; without SO_REUSEADDR only one process binds it.
        hold.bind((f"127.{octet}.{HOLD_HOST}", PORT))
    except OSError:
        hold.close()
        return None
    if not _all_free(sections):
        hold.close()
        return None
    return hold


def _all_free(sections: Mapping[str, Any]) -> bool:
    """Whether nothing listens at the first rig of each subnet, nor at any meter or hashing rig."""
    drivers = [item["driver"] for items in sections.values() for item in items if "driver" in item]
    listening = [(d["subnet"].removesuffix("0/24") + "1", PORT) if "subnet" in d else (d["host"], d["port"]) for d in drivers]
    return all(_is_free(host, port) for host, port in listening)


def _is_free(host: str, port: int) -> bool:
    """Whether nothing listens at an address."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError:
            return False
    return True
