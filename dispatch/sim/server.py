"""Simulated rigs on loopback: each on its own address, on the ports of its dialect, for any client of real rigs.

python -m dispatch.sim.server --spec FILE      # {"spec", "places", "start", "zero_s", "speed", "effects", "seed"}; prints "ready"
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
from errno import EACCES
from pathlib import Path

from dispatch.clock import Clock, WallClock
from dispatch.rigs.driver_sections import TcpSettings, driver_settings
from dispatch.rigs.roster import addresses
from dispatch.rigs.wire import WireError
from dispatch.sim.addressed_fleet import AddressedFleet
from dispatch.sim.models import ServeFault, faults_of, model_fleet, with_dialects
from dispatch.sim.ports import OF_DIALECT, Port
from dispatch.sim.rig import Rig
from dispatch.sim.site_devices import serve_devices
from dispatch.sim.spec import FleetSpec, RigFault, spec_from_json, spec_of
from dispatch.site_file.setup import Setup

SLOW_ANSWER_BYTE_S = 0.5
BACKLOG = 16


class _Connection(asyncio.Protocol):
    """One connection to one port of one rig."""

    def __init__(self, addressed: AddressedFleet, rig: Rig, port: Port, open_: set[asyncio.BaseTransport]) -> None:
        self._fleet, self._rig, self._port, self._open = addressed, rig, port, open_
        self._data = b""
        self._connection_fault: RigFault | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)
        self._connection_fault = self._fleet.connection_fault(self._rig)
        if self._connection_fault is RigFault.UNREACHABLE:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._connection_fault is RigFault.HANGS or self._transport.is_closing():
            return
        self._data += data
        try:
            while (size := self._port.complete(self._data)) and not self._transport.is_closing():
                message, self._data = self._data[:size], self._data[size:]
                self._fleet.advance()
                self._send(self._port.answer(self._rig, message))
        except WireError:
            self._transport.abort()

    def _send(self, answer: bytes) -> None:
        if self._connection_fault is RigFault.SLOW_ANSWERS:
            self._answer_slowly(answer)
            return
        self._transport.write(answer)
        if not self._port.lasting:
            self._transport.close()

    def _answer_slowly(self, rest: bytes) -> None:
        """Send the rest one byte at a time."""
        if self._transport.is_closing():
            return
        if not rest:
            self._transport.close()
            return
        self._transport.write(rest[:1])
        asyncio.get_running_loop().call_later(SLOW_ANSWER_BYTE_S, self._answer_slowly, rest[1:])


@asynccontextmanager
async def serving(
    spec: FleetSpec,
    places: Mapping[str, Sequence[str]],
    clock: Clock,
    effects_path: Path | None = None,
    *,
    seed: int = 0,
) -> AsyncIterator[AddressedFleet]:
    """Rigs that answer as long as the context is open. Raises ServeFault when an address cannot be listened on or is not loopback."""
    addressed = AddressedFleet(with_dialects(spec), places, clock, effects_path, seed)
    _allow_files(sum(len(OF_DIALECT[rig.dialect]) for rig in addressed.rigs.values()))
    open_: set[asyncio.BaseTransport] = set()
    servers: list[asyncio.Server] = []
    try:
        for rig in addressed.rigs.values():
            for port in OF_DIALECT[rig.dialect]:
                servers.append(await _listen(addressed, rig, port, open_))
        yield addressed
    finally:
        for server in servers:
            server.close()
        for transport in list(open_):
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        await asyncio.sleep(0)
        addressed.close()


async def serve(
    spec: FleetSpec,
    places: Mapping[str, Sequence[str]],
    clock: Clock,
    effects_path: Path | None = None,
    *,
    seed: int = 0,
) -> None:
    """Serve until cancelled. `places` gives each group's loopback addresses by position."""
    async with serving(spec, places, clock, effects_path, seed=seed):
        await asyncio.Event().wait()


async def serve_site(setup: Setup, clock: Clock, effects_path: Path, *, seed: int = 0, initial: str = "normal") -> None:
    """Serve the rigs of a site's groups that are reached over TCP at loopback addresses, its meters and its CPU miners likewise, until
    cancelled; rigs start in `initial` mode."""
    groups, places = [], {}
    for group in setup.site.groups:
        settings = driver_settings(setup, group.name)
        if isinstance(settings, TcpSettings) and settings.subnet and ipaddress.IPv4Network(settings.subnet).is_loopback:
            groups += [replace(g, initial=initial, dialect=settings.dialect or "") for g in spec_of([group]).groups]
            places[group.name] = addresses(settings.subnet, group.rigs)
    async with serving(FleetSpec(tuple(groups)), places, clock, effects_path, seed=seed) as addressed:
        try:
            async with serve_devices(setup, addressed.fleet, clock):
                await asyncio.Event().wait()
        except OSError as error:
            raise ServeFault(str(error)) from None


async def serve_models(
    count: int,
    subnet: str,
    models: Sequence[str],
    clock: Clock,
    *,
    seed: int = 0,
    faults: Path | None = None,
    effects_path: Path | None = None,
) -> None:
    """Serve `count` rigs on the first addresses of a loopback subnet, shared by weight among models (see `model_fleet`), until cancelled.
    `faults` is a file of them (see `faults_of`). Raises ServeFault."""
    spec = model_fleet(count, models, faults_of(faults, models) if faults else ())
    try:
        everywhere = iter(addresses(subnet, count))
    except ValueError as error:
        raise ServeFault(str(error)) from None
    places = {g.name: [next(everywhere) for _ in range(g.rigs)] for g in spec.groups}
    await serve(spec, places, clock, effects_path, seed=seed)


async def _listen(addressed: AddressedFleet, rig: Rig, port: Port, open_: set[asyncio.BaseTransport]) -> asyncio.Server:
    if not ipaddress.ip_address(rig.address).is_loopback:
        raise ServeFault(f"{rig.address} is not a loopback address: simulated rigs are served on loopback only")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((rig.address, port.number))
    except OSError as error:
        sock.close()
        low = f": rigs that speak {rig.dialect} answer on it, and this user may not listen under 1024" if error.errno == EACCES else ""
        raise ServeFault(f"{rig.address}:{port.number}: {error.strerror}{low}") from None
    return await asyncio.get_running_loop().create_server(lambda: _Connection(addressed, rig, port, open_), sock=sock, backlog=BACKLOG)


def _allow_files(ports: int) -> None:
    """Raise the limit of open files to a listening socket and some connections for every port."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * ports + 1024
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    if max(soft, resource.getrlimit(resource.RLIMIT_NOFILE)[0]) < ports + 256:
        raise ServeFault(f"{ports} ports need {ports + 256} open files at least; this system allows {hard}")


async def _main(path: Path) -> None:
    job = json.loads(path.read_text("utf-8"))
    start = datetime.fromisoformat(job["start"]) if job.get("start") else None
    clock = WallClock(start, job.get("speed", 1.0), job.get("zero_s"))
    effects = Path(job["effects"]) if job.get("effects") else None
    spec = spec_from_json(job["spec"])
    async with serving(spec, job["places"], clock, effects, seed=job.get("seed", 0)):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    from dispatch.child_process import die_with_parent

    arguments = argparse.ArgumentParser(description="Serve simulated rigs on loopback.")
    arguments.add_argument("--spec", type=Path, required=True)
    die_with_parent()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(arguments.parse_args().spec))
