"""Prepares a run: the site file with what the command line changes in it, where time starts and how fast it runs, the address of the API,
and the processes to start."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dispatch.clock import wall_now
from dispatch.runtime.price_sources import simulated_market
from dispatch.service.demo import HeldAddresses, demo_start, hold_addresses, needs_simulated_rigs
from dispatch.service.supervisor import Job
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import load_site_file
from dispatch.site_file.sections import SyntheticPrices
from dispatch.site_file.setup import ApiSettings, Setup
from dispatch.store import JournalBroken
from dispatch.store.journal import SqlJournal
from dispatch.store.keys import ApiKey, ApiKeys
from dispatch.store.start_check import accept_faults, start_faults
from dispatch.store.tables import ledger_file, open_ledger

DEMO_SPEED = 60.0
PORT_ATTEMPTS, PORT_PAUSE_S = 10, 0.3
AFTER_JOURNAL = timedelta(seconds=1)


class RunRefused(Exception):
    """The options contradict the site file or each other; one line for each fault."""


class AddressInUse(Exception):
    """Another process listens at the address."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line asks of a run; None leaves the choice to the site file, or to the demonstration without one.
    `accept_findings` starts on a ledger that does not hold what it should."""

    world: str
    config: Path | None
    data: Path
    listen: str | None = None
    start: datetime | None = None
    until: datetime | None = None
    speed: float | None = None
    seed: int | None = None
    accept_findings: bool = False


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that can be started: the job of its processes, their roles, and remarks for the user; a demonstration holds its addresses as
    long as this value lives."""

    job: Job
    roles: tuple[str, ...]
    notes: tuple[str, ...]
    addresses: HeldAddresses | None = None


def prepare_run(options: RunOptions) -> PreparedRun:
    """Check the options and the ledger, and make the data folder. Raises RunRefused, AddressInUse, ConfigError, JournalBroken when the
    ledger does not hold what it should, LedgerUnavailable."""
    path = options.config or default_file(DEMO_SITE)
    setup = load_site_file(path)
    demonstration = options.config is None or (options.world == "live" and needs_simulated_rigs(setup))
    override = _seed(options, path, setup)
    _check_pace(options, path, setup)
    notes = _check_ledger(options, setup)
    speed = options.speed if options.speed is not None else DEMO_SPEED if demonstration and not options.start else 1.0
    asked = options.start
    if demonstration and asked is None and speed != 1.0:
        asked = asyncio.run(demo_start(load_site_file(path, override or None), wall_now()))
    held = hold_addresses(path) if options.config is None else None
    if held and held.sections:
        subnet = held.sections["groups"][0]["driver"]["subnet"]
        notes.append(f"another site uses the demonstration's addresses; the rigs of this one are at {subnet} and above")
        override |= held.sections
    simulated_time = simulated_market(setup) and (asked is not None or speed != 1.0)
    start, remark = _start(options.data, asked or wall_now(), simulated_time)
    if options.until and options.until <= start:
        raise RunRefused(f"--until {options.until.isoformat()} is not after the start, {start.isoformat()}")
    listen = _listen_address(options.listen) if options.listen else setup.api.listen
    _require_keys(options.data, listen)
    _require_free(listen)
    options.data.mkdir(parents=True, exist_ok=True)
    pace = f"; time runs {speed:g} times as fast" if speed != 1.0 else ""
    if not _is_loopback(listen) and not setup.api.tls_certificate:
        notes.append(f"{listen} is served without TLS: put a TLS proxy before it, or set tls_certificate and tls_key in [api]")
    notes += [*remark, f"{setup.site.name}, {options.world} world; page at http://{listen}/{pace}"]
    rigs = ["rigs"] if demonstration and options.world == "live" else []
    job = _job(options, path, listen, start, simulated_time, speed, override)
    return PreparedRun(job, (*rigs, "loop", "api"), tuple(notes), held)


def _seed(options: RunOptions, path: Path, setup: Setup) -> dict[str, Any]:
    """The sections that a seed replaces in the site file."""
    if options.seed is None:
        return {}
    if not isinstance(setup.prices, SyntheticPrices):
        raise RunRefused(f"--seed: {path} has no synthetic prices")
    return {"prices": {"source": "synthetic", "seed": options.seed}}


def _check_ledger(options: RunOptions, setup: Setup) -> list[str]:
    """Remarks on findings that were accepted. Raises JournalBroken."""
    if not (faults := start_faults(options.data, [setup.resolve(name) for name in setup.reports.head_files])):
        return []
    if not options.accept_findings:
        raise JournalBroken(
            f"{options.data}: the site is not started, because its ledger does not hold what it should: {'; '.join(faults)}. "
            "Restore a backup, or start all the same with --accept-findings"
        )
    engine = open_ledger(options.data)
    accept_faults(engine, faults)
    engine.dispose()
    return [f"{options.data}: accepted: {fault}" for fault in faults]


def _check_pace(options: RunOptions, path: Path, setup: Setup) -> None:
    if not simulated_market(setup) and (options.start or (options.speed or 1.0) != 1.0):
        raise RunRefused(f"--from, --speed: {path} uses live prices, which arrive in real time only")


def _start(data: Path, start: datetime, simulated_time: bool) -> tuple[datetime, list[str]]:
    """Where time starts, and a remark when it is not where it was asked for: simulated time starts after every instant of the journal, so
    that no tick is lived twice, however the run before ended."""
    if simulated_time and ledger_file(data).exists():
        last = SqlJournal(open_ledger(data)).latest_at()
        if last is not None and last >= start:
            return last + AFTER_JOURNAL, [f"{data} already holds a journal up to {last.isoformat()}; the run continues from there"]
    return start, []


def _listen_address(listen: str) -> str:
    """HOST:PORT from the command line. Raises RunRefused when it is not one."""
    try:
        return ApiSettings(listen=listen).listen
    except ValidationError as error:
        raise RunRefused("\n".join(f"--listen: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())) from None


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_keys(data: Path, listen: str) -> None:
    """Raises RunRefused when others could reach an API to which nobody has a key: somebody would open it by a proxy or a rule instead."""
    if not _is_loopback(listen) and not (ledger_file(data).is_file() and any(k.revoked_at is None for k in _keys(data))):
        raise RunRefused(f"{listen} can be reached from other machines, and {data} has no API key: loadstone keys add NAME --data {data}")


def _keys(data: Path) -> tuple[ApiKey, ...]:
    engine = open_ledger(data)
    try:
        return ApiKeys(engine).list()
    finally:
        engine.dispose()


def _require_free(listen: str) -> None:
    """Raises AddressInUse when another process keeps the address; a process that was just killed frees it within moments."""
    host, _, port = listen.rpartition(":")
    for left in range(PORT_ATTEMPTS, 0, -1):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return
        except OSError as error:
            if left == 1:
                raise AddressInUse(f"{listen} cannot be listened on: {error.strerror or error}") from None
            time.sleep(PORT_PAUSE_S)


def _job(
    options: RunOptions, path: Path, listen: str, start: datetime, simulated_time: bool, speed: float, override: dict[str, Any]
) -> Job:
    return Job(
        config=str(path.resolve()),
        data=str(options.data.resolve()),
        listen=listen,
        world=options.world,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        start=start.isoformat(),
        simulated_time=simulated_time,
        speed=speed,
        until=options.until.isoformat() if options.until else None,
        override=override or None,
    )
