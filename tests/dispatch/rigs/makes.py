"""A small group of rigs of each dialect, served on loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from dispatch.clock import Clock
from dispatch.rigs import Driver
from dispatch.rigs.asics import OF_DIALECT, PyasicDriver
from dispatch.rigs.roster import addresses
from dispatch.rigs.wire import PORTS, Dialect
from dispatch.sim.addressed_fleet import AddressedFleet
from dispatch.sim.server import serving
from dispatch.sim.spec import ScheduledFault, spec_of
from optimizer.domain.site import RigGroup
from tests.dispatch.rigs.fakes import site

# What rigs of the dialect call themselves here.
WIRE_MODELS = {
    Dialect.WHATSMINER_V2: "M60S_VK30",
    Dialect.WHATSMINER_V3: "M60S_VK40",
    Dialect.ANTMINER: "Antminer S21",
    Dialect.LUXOS: "Antminer S19k Pro",
    Dialect.AVALON: "15-194",
    Dialect.AURADINE: "AT2880",
    Dialect.PROTO: "Rig",
    Dialect.BRAIINS: "Antminer S19 XP",
    Dialect.VNISH: "Antminer S19k Pro",
    Dialect.EPIC: "Antminer S19k Pro",
}
THROUGH_PYASIC = tuple(OF_DIALECT)


def through_pyasic(group: RigGroup, ips: tuple[str, ...], clock: Clock, dialect: Dialect) -> Driver:
    return PyasicDriver(group, ips, WIRE_MODELS[dialect], clock, dialect=dialect)


def through_pyasic_rs(group: RigGroup, ips: tuple[str, ...], clock: Clock, dialect: Dialect) -> Driver:
    pytest.importorskip("pyasic_rs", reason="pyasic-rs is an extra")
    from dispatch.rigs.pyasic_rs import PyasicRsDriver

    return PyasicRsDriver(group, ips, clock, dialect=dialect)


def need_ports(dialect: Dialect) -> None:
    """Skip where this user may not listen on the ports of a dialect."""
    for port in PORTS[dialect]:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.39.255.1", port))
            except PermissionError:
                pytest.skip(f"this user may not listen on port {port}")


@dataclass(frozen=True)
class Served:
    """Rigs that answer: their group, their addresses, and the fleet that serves them."""

    group: RigGroup
    ips: tuple[str, ...]
    addressed: AddressedFleet


@asynccontextmanager
async def served(
    dialect: Dialect, subnet: str, rigs: int, clock: Clock, *faults: ScheduledFault, modes: int = 3, seed: int = 3
) -> AsyncIterator[Served]:
    """`rigs` rigs of group g0 with the first and last of `modes` modes: 3 for sleep, low and normal, 2 for sleep and normal."""
    need_ports(dialect)
    group = site(rigs).groups[0]
    if modes == 2:
        group = group.model_copy(update={"modes": (group.modes[0], group.modes[-1])})
    spec = spec_of([group])
    spec = replace(spec, groups=tuple(replace(g, dialect=dialect, wire_model=WIRE_MODELS[dialect]) for g in spec.groups))
    ips = addresses(subnet, rigs)
    async with serving(spec.with_faults(faults), {"g0": ips}, clock, seed=seed) as addressed:
        yield Served(group, ips, addressed)
