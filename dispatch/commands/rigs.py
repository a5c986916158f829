"""rigs: simulated rigs for any real client, the rigs of a site, and the rigs on a subnet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dispatch.commands import WRONG, Config, Data, Ended, Json, note, out, table
from markets import counted

NOT_WIDE = 20
Wide = Annotated[bool, typer.Option("--yes", help=f"Scan a subnet wider than /{NOT_WIDE} all the same.")]

rigs = typer.Typer(no_args_is_help=True, help="Rigs: list, scan, simulate.")


@rigs.command()
def serve(
    count: Annotated[int, typer.Option("--count", min=1, max=20000, help="Number of rigs.")],
    subnet: Annotated[str, typer.Option("--subnet", help="Loopback subnet; each rig gets an address of its own.")] = "127.20.0.0/16",
    models: Annotated[
        str,
        typer.Option("--models", help="Models of config/rigs.toml, separated by commas, each as NAME, NAME:DIALECT or NAME=WEIGHT."),
    ] = "whatsminer-m60s",
    faults: Annotated[
        Path | None, typer.Option("--faults", metavar="FILE", help="JSON file with the schedule of injected rig faults.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the differences between rigs and of random faults.")] = 0,
) -> None:
    """Serve simulated rigs that any real client can talk to, until interrupted."""
    import asyncio

    from dispatch.clock import WallClock
    from dispatch.sim.models import ServeFault
    from dispatch.sim.server import serve_models

    try:
        note(f"loadstone: {counted(count, 'simulated rig')} on {subnet}; stop with Ctrl-C")
        asyncio.run(serve_models(count, subnet, [m.strip() for m in models.split(",")], WallClock(), seed=seed, faults=faults))
    except ServeFault as fault:
        raise Ended(WRONG, str(fault)) from None
    except KeyboardInterrupt:
        pass


@rigs.command("list")
def list_(config: Config, as_json: Json = False) -> None:
    """List the rig groups of a site and how their rigs are reached."""
    from dispatch.rigs.inventory import group_rows
    from dispatch.site_file.load import load_site_file

    rows = group_rows(load_site_file(config))
    out({"groups": rows}, as_json, table(rows, list(rows[0])))


@rigs.command()
def scan(
    subnet: Annotated[str, typer.Argument(help="Subnet to scan, such as 10.0.0.0/24.")], yes: Wide = False, as_json: Json = False
) -> None:
    """List the rigs that respond on a subnet, identified by pyasic or, where it is installed, by pyasic-rs."""
    import asyncio

    from dispatch.rigs.inventory import scan_rows

    try:
        refuse_wide(subnet, allowed=yes)
        rows = asyncio.run(scan_rows(subnet))
    except ValueError as error:
        raise Ended(WRONG, str(error)) from None
    out({"rigs": rows}, as_json, table(rows, ["ip", "make", "model", "firmware", "dialect", "note"]))


def refuse_wide(subnet: str, *, allowed: bool) -> None:
    """Raises ValueError for a subnet that rigs cannot be in, and for one of more than 4,096 addresses unless it is `allowed`."""
    from dispatch.site_file.field_types import rig_network

    network = rig_network(subnet)
    if network.prefixlen < NOT_WIDE and not allowed:
        raise ValueError(f"{subnet} has {network.num_addresses:,} addresses: scan the subnets that the rigs are in, or give --yes")


@rigs.command()
def exposure(
    config: Config,
    data: Data = Path("data"),
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Ed25519 key (PEM) to sign with.")] = None,
    as_json: Json = False,
) -> None:
    """How much load each maker's firmware controls, by what the rigs of a running site reported."""
    from dispatch.clock import wall_now
    from dispatch.evidence.exposure_report import exposure_document
    from dispatch.evidence.signing import read_key, signed
    from dispatch.rigs.denied_firmware import read_denied_firmware
    from dispatch.rigs.rig_identities import FILE, kept_identities
    from dispatch.site_file.defaults import default_file
    from dispatch.site_file.load import load_site_file

    known = dict(kept_identities(data / FILE))
    document = exposure_document(load_site_file(config).site, known, read_denied_firmware(default_file("firmware.toml")), wall_now())
    if key is not None:
        try:
            document = signed(document, read_key(key))
        except ValueError as fault:
            raise Ended(WRONG, f"--key: {fault}") from None
    rigs_counted, full_mw = counted(document["rigs"], "rig"), document["full_mw"]
    head = f"{rigs_counted}, {document['identified']} identified, {full_mw:.3f} MW at full draw ({'signed' if key else 'not signed'})"
    rows = [{**row, "firmware": row["firmware"] or "not read", "denied": row["denied"] or ""} for row in document["firmware"]]
    out(document, as_json, [head, *table(rows, ["maker", "firmware", "rigs", "full_mw", "share", "denied"])])
