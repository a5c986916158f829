"""When the demonstration begins: at the next instant whose price wakes every model, so that a cold site is seen coming up. And where its
rigs are: at loopback addresses that no other demonstration of this machine has."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dispatch.rigs.dialects import spoken
from dispatch.rigs.driver_sections import ListedSettings, driver_settings
from dispatch.rigs.wire import PORT, PORTS
from dispatch.site_file.sections import FixedHash, SyntheticPrices
from dispatch.site_file.setup import Setup
from markets.facts import Price, PriceMarket
from markets.hashmath import breakeven_usd_per_mwh
from markets.sources.synthetic import SyntheticSource

# Overhead, adders and pool fee come off the breakeven of bare rigs.
MARGIN = 0.75
AHEAD = timedelta(hours=24)
FIRST, LAST = 20, 59  # second octets of the rigs' subnets; the file's own is the first
TRIES, PAUSE_S = 10, 0.3


async def opening(setup: Setup, now: datetime) -> datetime:
    """The first instant from `now` on at which the last published price is well under every model's breakeven; `now` when there is none."""
    if not isinstance(setup.prices, SyntheticPrices) or not isinstance(setup.hash, FixedHash):
        return now
    least = MARGIN * min(breakeven_usd_per_mwh(setup.hash.usd_per_ph_day, g.full.j_per_th) for g in setup.site.groups)
    market = SyntheticSource(setup.site.market, setup.prices.seed, [setup.site.settlement_point])
    for fact in await market.fetch(now - timedelta(minutes=16), now + AHEAD):
        if isinstance(fact, Price) and fact.market is PriceMarket.REAL_TIME_15_MIN and fact.usd_per_mwh < least:
            return max(now, fact.known_at + timedelta(seconds=30))
    return now


def unserved(setup: Setup) -> bool:
    """Whether a site is a demonstration whatever it is called: a synthetic market, and all its rigs at loopback addresses, where only
    simulated ones can be, which nobody serves yet."""
    told = [(group, driver_settings(setup, group.name)) for group in setup.site.groups]
    ways = [(group, way) for group, way in told if isinstance(way, ListedSettings) and _loopback(way)]
    if not isinstance(setup.prices, SyntheticPrices) or len(ways) < len(told):
        return False
    firsts = [(way.addresses(setup, group)[0], PORTS[spoken(group.model, way.dialect)[0]][0]) for group, way in ways]
    return all(_nobody(first) for first in firsts)


def _loopback(way: ListedSettings) -> bool:
    return way.subnet is not None and ipaddress.IPv4Network(way.subnet).is_loopback


def own_rigs(path: Path) -> dict[str, Any]:
    """The sections that move the rigs and meters of the demonstration's file to free addresses: none where the file's own are. Those of a
    site that was just killed come free within moments. Raises OSError when there are none."""
    written = tomllib.loads(path.read_text("utf-8"))
    sections = {name: written[name] for name in ("meters", "halls", "groups")}
    for _ in range(TRIES):
        if _free(sections):
            return {}
        time.sleep(PAUSE_S)
    for octet in range(FIRST + 1, LAST + 1):
        moved: dict[str, Any] = json.loads(json.dumps(sections).replace(f'"127.{FIRST}.', f'"127.{octet}.'))
        if _free(moved):
            return moved
    raise OSError("no loopback addresses are free for simulated rigs: are that many demonstrations running here?")


def _free(sections: Mapping[str, Any]) -> bool:
    """Whether nobody listens at the first rig of each subnet, nor where a meter or a hashing rig is to be."""
    tables = [item["driver"] for items in sections.values() for item in items if "driver" in item]
    for driver in tables:
        at = (driver["subnet"].removesuffix("0/24") + "1", PORT) if "subnet" in driver else (driver["host"], driver["port"])
        if not _nobody(at):
            return False
    return True


def _nobody(at: tuple[str, int]) -> bool:
    """Whether nobody listens at an address and a port."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(at)
        except OSError:
            return False
    return True
