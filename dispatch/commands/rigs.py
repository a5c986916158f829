"""rigs: simulated rigs for any real client, what answers on a subnet, what a site has."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch.commands import WRONG, Config, Ended, Json, note, out, table

rigs = typer.Typer(no_args_is_help=True, help="Rigs, simulated and real.")


@rigs.command()
def serve(
    count: Annotated[int, typer.Option("--count", min=1, max=20000, help="How many.")],
    subnet: Annotated[str, typer.Option("--subnet", help="Loopback subnet, an address a rig.")] = "127.20.0.0/16",
    models: Annotated[
        str, typer.Option("--models", help="Models of config/rigs.toml, with commas: NAME, NAME:DIALECT, NAME=WEIGHT.")
    ] = "whatsminer-m60s",
    faults: Annotated[Path | None, typer.Option("--faults", help="JSON of seeded faults.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Simulated rigs that any real client can talk to, until interrupted."""
    from dispatch.clock import WallClock
    from dispatch.sim.models import ServeFault
    from dispatch.sim.server import serve_models

    try:
        note(f"loadstone: {count} simulated rigs on {subnet}; interrupt to end")
        asyncio.run(serve_models(count, subnet, [m.strip() for m in models.split(",")], WallClock(), seed=seed, faults=faults))
    except ServeFault as fault:
        raise Ended(WRONG, str(fault)) from None
    except KeyboardInterrupt:
        pass


@rigs.command("list")
def list_(config: Config, as_json: Json = False) -> None:
    """The groups of a site and how their rigs are reached."""
    from dispatch.rigs.driver_sections import driver_settings
    from dispatch.site_file.load import load_site_file

    setup = load_site_file(config)
    site, ways = setup.site, {g.name: driver_settings(setup, g.name) for g in setup.site.groups}
    rows = [
        {
            "group": g.name,
            "hall": g.hall,
            "model": g.model,
            "rigs": g.rigs,
            "j_per_th": round(g.full.j_per_th, 2),
            "driver": ways[g.name].kind,
            "dialect": _dialect(g.model, getattr(ways[g.name], "dialect", None)),
            "where": getattr(ways[g.name], "subnet", None) or getattr(ways[g.name], "roster", None) or "",
        }
        for g in site.groups
    ]
    out({"groups": rows}, as_json, table(rows, list(rows[0])))


async def _known_otherwise(rows: list[dict[str, Any]]) -> None:
    """What pyasic does not know pyasic-rs may, where it is installed."""
    try:
        from dispatch.rigs.pyasic_rs import identified
    except ImportError:
        return
    for row in rows:
        row |= await identified(row["ip"])


def _dialect(model: str, told: str | None) -> str:
    from dispatch.rigs.dialects import spoken

    try:
        return spoken(model, told)[0]
    except ValueError:
        return ""


@rigs.command()
def scan(subnet: str, as_json: Json = False) -> None:
    """What answers on a subnet, identified by pyasic, or else by pyasic-rs where it is installed."""
    from dispatch.rigs.asics import scan as scanned

    try:
        rows = [asdict(found) for found in asyncio.run(scanned(subnet))]
    except ValueError as error:
        raise Ended(WRONG, f"{subnet}: {error}") from None
    asyncio.run(_known_otherwise([row for row in rows if not row["make"]]))
    out({"rigs": rows}, as_json, table(rows, ["ip", "make", "model", "firmware", "dialect"]))
