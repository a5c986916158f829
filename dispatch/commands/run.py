"""run, shadow, replay: the control loop on a live site, as a dry run, and over archived prices."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import DONE, FAILED, WRONG, Config, Data, Ended, Json, instant, note, out

if TYPE_CHECKING:
    from dispatch.service.start import RunOptions

Listen = Annotated[
    str | None,
    typer.Option("--listen", metavar="HOST:PORT", help="Address of the API and the page. Default: the site file's, or 127.0.0.1:8787."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="INSTANT", help="Stop at this instant (ISO 8601) and exit with status 0.")]
Speed = Annotated[
    float | None,
    typer.Option(
        "--speed",
        min=0.01,
        help="Simulated seconds per real second (60 = one hour per minute). Only with synthetic or archived prices.",
    ),
]

AcceptFindings = Annotated[
    bool,
    typer.Option(
        "--accept-findings",
        help="Start although rows of the ledger were cut off, changed or added, and take the ledger as it is from now on.",
    ),
]


def run(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Site file (TOML). Without it, the demonstration site runs.")
    ] = None,
    data: Data = Path("data"),
    listen: Listen = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="INSTANT", help="Start simulated time at this instant (ISO 8601). Only with synthetic or archived prices."
        ),
    ] = None,
    until: Until = None,
    speed: Speed = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the synthetic market.")] = None,
    accept_findings: AcceptFindings = False,
) -> None:
    """Run a site, with its API and page.

    Without --config this is a demonstration: about 1 MW of simulated rigs in a synthetic ERCOT market.
    """
    from dispatch.service.start import RunOptions

    start, end = instant(from_, "--from") if from_ else None, instant(until, "--until") if until else None
    _run(RunOptions("live", config, data, listen, start, end, speed, seed, accept_findings))


def shadow(
    config: Config,
    data: Data = Path("data"),
    listen: Listen = None,
    until: Until = None,
    speed: Speed = None,
    accept_findings: AcceptFindings = False,
) -> None:
    """Dry run on live data: reads your rigs, never writes to one."""
    from dispatch.service.start import RunOptions

    end = instant(until, "--until") if until else None
    _run(RunOptions("shadow", config, data, listen, until=end, speed=speed, accept_findings=accept_findings))


def _run(options: RunOptions) -> None:
    import asyncio

    from dispatch.service.start import AddressInUse, RunRefused, prepare_run
    from dispatch.service.supervisor import supervise

    try:
        prepared = prepare_run(options)
    except RunRefused as refused:
        raise Ended(WRONG, *str(refused).splitlines()) from None
    except AddressInUse as fault:
        raise Ended(FAILED, str(fault)) from None
    for text in prepared.notes:
        note(f"loadstone: {text}")
    code = asyncio.run(supervise(prepared.job, prepared.roles))
    raise Ended(code if code in (DONE, WRONG) else FAILED)


def replay(
    config: Config,
    archive: Annotated[Path, typer.Option("--archive", metavar="DIR", help="Folder of the archive with prices and other facts.")],
    from_: Annotated[str, typer.Option("--from", metavar="INSTANT", help="Start of the span (ISO 8601).")],
    to: Annotated[str, typer.Option("--to", metavar="INSTANT", help="End of the span (ISO 8601).")],
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Run the control loop over archived prices with simulated rigs, as fast as possible.

    Writes a journal and settled days to the data folder.
    """
    import asyncio

    from dispatch.runtime.price_sources import archived
    from dispatch.service.replay import replay as replay_span
    from dispatch.site_file.load import load_site_file

    start, end = instant(from_, "--from"), instant(to, "--to")
    if end <= start:
        raise Ended(WRONG, f"--to {to} is not after --from {from_}")
    if not archive.is_dir():
        raise Ended(WRONG, f"--archive: there is no folder {archive}")
    setup = load_site_file(config, archived(config, archive))
    state = asyncio.run(replay_span(setup, data, start, end, progress=_progress_bar(start, end)))
    document = {"from": start.isoformat(), "to": end.isoformat(), "rows": state.seq, "data": str(data)}
    out(document, as_json, [f"replayed {start:%Y-%m-%d %H:%MZ} to {end:%Y-%m-%d %H:%MZ}: {state.seq:,} journal rows in {data}"])


def _progress_bar(start: datetime, end: datetime) -> Any:
    """A callback after each tick that draws a progress bar; None when stderr is not a terminal."""
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
