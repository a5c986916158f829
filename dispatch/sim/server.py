"""Simulated rigs on loopback: each on its own address, port 4028, for any client that talks to real ones.

python -m dispatch.sim.server --spec FILE      # {"spec", "places", "start", "zero_s", "speed", "effects", "seed", "port"}; prints "ready"
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import resource
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dispatch.clock import Clock, WallClock
from dispatch.config import Setup
from dispatch.rigs.roster import addresses
from dispatch.rigs.wire import line
from dispatch.rigs.wire import whatsminer as wire
from dispatch.settings import TcpSettings
from dispatch.shipped import default_file
from dispatch.sim.spec import Affliction, Fault, FleetSpec, GroupSpec, fault_from_json, spec_from_json, spec_of
from dispatch.sim.yard import Place, Yard

DRIP_S = 0.5
BACKLOG = 16


class ServeFault(Exception):
    """These rigs cannot be served as asked; the text says why."""


class _Rig(asyncio.Protocol):
    """One connection to one rig."""

    def __init__(self, yard: Yard, place: Place, open_: set[asyncio.BaseTransport]) -> None:
        self._yard, self._place, self._open = yard, place, open_
        self._data = b""
        self._manner: Fault | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)
        self._manner = self._yard.manner(self._place)
        if self._manner is Fault.UNREACHABLE:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._manner is Fault.HANGS or self._transport.is_closing():
            return
        self._data += data
        try:
            if not line.complete(self._data):
                return
            answer = self._yard.handle(self._place, self._data)
        except line.WireError:
            self._transport.abort()
            return
        self._data = b""
        if self._manner is Fault.DRIPS:
            self._drip(answer)
        else:
            self._transport.write(answer)
            self._transport.close()

    def _drip(self, rest: bytes) -> None:
        """A byte now and then."""
        if self._transport.is_closing():
            return
        if not rest:
            self._transport.close()
            return
        self._transport.write(rest[:1])
        asyncio.get_running_loop().call_later(DRIP_S, self._drip, rest[1:])


@asynccontextmanager
async def serving(
    spec: FleetSpec,
    places: Mapping[str, Sequence[str]],
    clock: Clock,
    effects_path: Path | None = None,
    *,
    seed: int = 0,
    port: int = wire.PORT,
) -> AsyncIterator[Yard]:
    """Rigs that answer as long as the context is open. Raises ServeFault when an address cannot be had or is not loopback."""
    yard = Yard(spec, places, clock, effects_path, seed)
    yard.models = wire_models(spec)
    _allow_files(len(yard.places))
    open_: set[asyncio.BaseTransport] = set()
    servers: list[asyncio.Server] = []
    try:
        for place in yard.places.values():
            servers.append(await _listen(yard, place, open_, port))
        yield yard
    finally:
        for server in servers:
            server.close()
        for transport in list(open_):
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        await asyncio.sleep(0)
        yard.close()


async def serve(
    spec: FleetSpec,
    places: Mapping[str, Sequence[str]],
    clock: Clock,
    effects_path: Path | None = None,
    *,
    seed: int = 0,
    port: int = wire.PORT,
) -> None:
    """Serve until cancelled. `places` gives each group's loopback addresses by position."""
    async with serving(spec, places, clock, effects_path, seed=seed, port=port):
        await asyncio.Event().wait()


async def serve_site(setup: Setup, clock: Clock, effects_path: Path, *, seed: int = 0, initial: str = "normal") -> None:
    """Serve the rigs of a site's groups that are reached over TCP at loopback addresses, until cancelled; they start in `initial` mode."""
    groups, places = [], {}
    for group in setup.site.groups:
        how = setup.driver(group.name)
        if isinstance(how, TcpSettings) and how.subnet and ipaddress.IPv4Network(how.subnet).is_loopback:
            groups.append(group)
            places[group.name] = addresses(how.subnet, group.rigs)
    spec = spec_of(groups)
    spec = replace(spec, groups=tuple(replace(g, initial=initial) for g in spec.groups))
    await serve(spec, places, clock, effects_path, seed=seed)


async def serve_models(
    count: int,
    subnet: str,
    models: Sequence[str],
    clock: Clock,
    *,
    seed: int = 0,
    faults: Path | None = None,
    effects_path: Path | None = None,
    port: int = wire.PORT,
) -> None:
    """Serve `count` rigs on the first addresses of a loopback subnet, shared evenly among models of the catalogue, until cancelled.

    `faults` is a JSON list of {"fault", "group" (a model), "rigs" or "rate", "from_s", "until_s"}. Raises ServeFault.
    """
    spec = model_fleet(count, models, _faults(faults, models) if faults else ())
    try:
        everywhere = iter(addresses(subnet, count))
    except ValueError as error:
        raise ServeFault(str(error)) from None
    places = {g.name: [next(everywhere) for _ in range(g.rigs)] for g in spec.groups}
    await serve(spec, places, clock, effects_path, seed=seed, port=port)


def model_fleet(count: int, models: Sequence[str], afflictions: Sequence[Affliction] = ()) -> FleetSpec:
    """`count` rigs, one group a model. Raises ServeFault for a model the catalogue or the wire does not know."""
    known = _catalogue()
    for name in models:
        if name not in known:
            raise ServeFault(f"{name!r} is not in the catalogue; it has {', '.join(known)}")
        if known[name].wire_model is None:
            raise ServeFault(
                f"{name!r}: its protocol is not simulated in this version; {', '.join(n for n in known if known[n].wire_model)} are"
            )
    shares = [count // len(models) + (k < count % len(models)) for k in range(len(models))]
    groups = (GroupSpec(m, m, n, known[m].modes, known[m].wake_min) for m, n in zip(models, shares, strict=True) if n)
    return FleetSpec(tuple(groups), tuple(afflictions))


def wire_models(spec: FleetSpec) -> dict[str, str]:
    """What rigs call themselves on the wire, by model of the catalogue."""
    known = _catalogue()
    return {g.model: known[g.model].wire_model or "" for g in spec.groups if g.model in known and known[g.model].wire_model}


def _catalogue() -> Mapping[str, Any]:
    from dispatch import catalogue

    return catalogue.read(default_file("rigs.toml")).models


def _faults(path: Path, groups: Sequence[str]) -> tuple[Affliction, ...]:
    try:
        document = json.loads(path.read_text("utf-8"))
        found = tuple(fault_from_json(f) for f in (document if isinstance(document, list) else document["faults"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServeFault(f"{path}: {error}") from None
    for n, a in enumerate(found):
        if a.group is not None and a.group not in groups:
            raise ServeFault(f"{path}: [{n}].group: {a.group!r} is none of {', '.join(groups)}")
    return found


async def _listen(yard: Yard, place: Place, open_: set[asyncio.BaseTransport], port: int) -> asyncio.Server:
    if not ipaddress.ip_address(place.address).is_loopback:
        raise ServeFault(f"{place.address} is no loopback address: simulated rigs do not go out")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((place.address, port))
    except OSError as error:
        sock.close()
        raise ServeFault(f"{place.address}:{port}: {error.strerror}") from None
    return await asyncio.get_running_loop().create_server(lambda: _Rig(yard, place, open_), sock=sock, backlog=BACKLOG)


def _allow_files(rigs: int) -> None:
    """A listening socket and some connections for every rig."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * rigs + 1024
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    if max(soft, resource.getrlimit(resource.RLIMIT_NOFILE)[0]) < rigs + 256:
        raise ServeFault(f"{rigs} rigs need {rigs + 256} open files at least; this system allows {hard}")


async def _main(path: Path) -> None:
    told = json.loads(path.read_text("utf-8"))
    start = datetime.fromisoformat(told["start"]) if told.get("start") else None
    clock = WallClock(start, told.get("speed", 1.0), told.get("zero_s"))
    effects = Path(told["effects"]) if told.get("effects") else None
    spec = spec_from_json(told["spec"])
    async with serving(spec, told["places"], clock, effects, seed=told.get("seed", 0), port=told.get("port", wire.PORT)):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    from dispatch.process import die_with_parent

    arguments = argparse.ArgumentParser(description="Serve simulated rigs on loopback.")
    arguments.add_argument("--spec", type=Path, required=True)
    die_with_parent()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(arguments.parse_args().spec))
