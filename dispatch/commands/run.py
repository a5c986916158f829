"""run, shadow, replay: the loop in its worlds."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch.commands import DONE, FAILED, WRONG, Config, Data, Ended, Json, instant, note, out

DEMO_SPEED = 60.0
PORT_TRIES, PORT_PAUSE_S = 10, 0.3
Listen = Annotated[str | None, typer.Option("--listen", help="HOST:PORT of API and page; 127.0.0.1:8787 unless told.")]


def run(
    config: Annotated[Path | None, typer.Option("--config", help="The site file; without one, the demonstration.")] = None,
    data: Data = Path("data"),
    listen: Listen = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Start simulated time here (ISO 8601; synthetic or archived markets).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="End here, exit 0.")] = None,
    speed: Annotated[float | None, typer.Option("--speed", min=0.01, help="World seconds a wall second; 60 runs an hour a minute.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the synthetic market.")] = None,
) -> None:
    """The autonomous daemon with API and page. Without --config: about 1 MW of simulated rigs in a synthetic ERCOT market."""
    _daemon("live", config, data, listen, from_, until, speed, seed)


def shadow(
    config: Config,
    data: Data = Path("data"),
    listen: Listen = None,
    until: Annotated[str | None, typer.Option("--until", help="End here, exit 0.")] = None,
    speed: Annotated[
        float | None, typer.Option("--speed", min=0.01, help="World seconds a wall second (synthetic or archived markets).")
    ] = None,
) -> None:
    """Dry run on live data: reads your rigs, never writes to one."""
    _daemon("shadow", config, data, listen, None, until, speed, None)


def replay(
    config: Config,
    archive: Annotated[Path, typer.Option("--archive", help="The fact archive.")],
    from_: Annotated[str, typer.Option("--from", help="ISO 8601 instant.")],
    to: Annotated[str, typer.Option("--to", help="ISO 8601 instant.")],
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """The same loop over archived facts with a simulated fleet, as fast as it goes; leaves a journal and settlements."""
    from dispatch.runtime.price_sources import archived
    from dispatch.service.replay import replay as replayed
    from dispatch.site_file.load import load_site_file

    start, end = instant(from_, "--from"), instant(to, "--to")
    if end <= start:
        raise Ended(WRONG, f"--to {to} is not after --from {from_}")
    if not archive.is_dir():
        raise Ended(WRONG, f"--archive: there is no folder {archive}")
    setup = load_site_file(config, archived(config, archive))
    state = asyncio.run(replayed(setup, data, start, end, progress=_progress(start, end)))
    head = {"from": start.isoformat(), "to": end.isoformat(), "rows": state.seq, "data": str(data)}
    out(head, as_json, [f"replayed {start:%Y-%m-%d %H:%MZ} to {end:%Y-%m-%d %H:%MZ}: {state.seq} journal rows in {data}"])


def _progress(start: datetime, end: datetime) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    bar = Progress(console=console)
    bar.start()
    task = bar.add_task("replay", total=(end - start).total_seconds())

    async def after(at: datetime, state: Any) -> None:
        bar.update(task, completed=(at - start).total_seconds())

    return after


def _daemon(
    world: str,
    config: Path | None,
    data: Path,
    listen: str | None,
    from_: str | None,
    until: str | None,
    speed: float | None,
    seed: int | None,
) -> None:
    from dispatch.clock import wall_now, wall_s
    from dispatch.runtime.price_sources import simulated_market
    from dispatch.service.demo import demo_start, free_addresses, needs_simulated_rigs
    from dispatch.service.supervisor import Job, supervise
    from dispatch.site_file.defaults import DEMO_SITE, default_file
    from dispatch.site_file.load import load_site_file
    from dispatch.site_file.sections import SyntheticPrices

    path = config or default_file(DEMO_SITE)
    setup = load_site_file(path)
    demonstration = config is None or (world == "live" and needs_simulated_rigs(setup))
    override: dict[str, Any] = {}
    if seed is not None:
        if not isinstance(setup.prices, SyntheticPrices):
            raise Ended(WRONG, f"--seed: {path} has no synthetic prices")
        override["prices"] = {"source": "synthetic", "seed": seed}
    if not simulated_market(setup) and (from_ or (speed or 1.0) != 1.0):
        raise Ended(WRONG, f"--from, --speed: {path} takes live prices, and they come at the wall's pace only")
    pace = speed if speed is not None else DEMO_SPEED if demonstration and not from_ else 1.0
    asked = instant(from_, "--from") if from_ else None
    if demonstration and asked is None and pace != 1.0:
        asked = asyncio.run(demo_start(load_site_file(path, override or None), wall_now()))
    if config is None and (moved := free_addresses(path)):
        note(f"loadstone: another site has the demonstration's addresses; its rigs are at {moved['groups'][0]['driver']['subnet']} and on")
        override |= moved
    start = _start(data, asked, simulated_market(setup), pace)
    if until and instant(until, "--until") <= start:
        raise Ended(WRONG, f"--until {until} is not after the start, {start.isoformat()}")
    where = _address(listen) if listen else setup.api.listen
    _free(where)
    data.mkdir(parents=True, exist_ok=True)
    job = Job(
        config=str(path.resolve()),
        data=str(data.resolve()),
        listen=where,
        world=world,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        start=start.isoformat(),
        zero_s=None if simulated_market(setup) and (asked or pace != 1.0) else wall_s(),
        speed=pace,
        until=instant(until, "--until").isoformat() if until else None,
        override=override or None,
    )
    note(f"loadstone: {setup.site.name}, world {world}; page at http://{where}/" + (f"; time runs {pace:g} x" if pace != 1.0 else ""))
    roles = [*(["rigs"] if demonstration and world == "live" else []), "loop", "api"]
    code = asyncio.run(supervise(job, roles))
    raise Ended(code if code in (DONE, WRONG) else FAILED)


def _address(listen: str) -> str:
    """HOST:PORT from the command line. Ends with 2 when it is none."""
    from pydantic import ValidationError

    from dispatch.site_file.setup import ApiSettings

    try:
        return ApiSettings(listen=listen).listen
    except ValidationError as error:
        raise Ended(WRONG, *(f"--listen: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())) from None


def _free(listen: str) -> None:
    """Ends with 3 when another process has the address and keeps it; one that was just killed lets go of it within moments."""
    import time

    host, _, port = listen.rpartition(":")
    for left in range(PORT_TRIES, 0, -1):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
                return
        except OSError as error:
            if left == 1:
                raise Ended(FAILED, f"{listen} cannot be listened on: {error.strerror or error}") from None
            time.sleep(PORT_PAUSE_S)


def _start(data: Path, asked: datetime | None, simulated: bool, pace: float) -> datetime:
    """Where time begins: what was asked, or now; a simulated time never runs back behind what the journal already holds."""
    from dispatch.clock import wall_now
    from dispatch.store.journal import SqlJournal
    from dispatch.store.tables import ledger_file, open_ledger

    start = asked or wall_now()
    if simulated and (asked or pace != 1.0) and ledger_file(data).exists():
        last = SqlJournal(open_ledger(data)).last_at()
        if last is not None and last > start:
            note(f"loadstone: {data} already holds time up to {last.isoformat()}; going on from there")
            return last
    return start
