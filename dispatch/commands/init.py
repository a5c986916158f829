"""init: a first site file from a dozen answers, given as flags or asked for."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import WRONG, Ended, Json, note, out
from dispatch.commands.questions import Questions
from dispatch.commands.rigs import Wide, refuse_wide
from markets import counted

if TYPE_CHECKING:
    from dispatch.new_site.halls import HallOf
    from dispatch.new_site.proposed_groups import ProposedGroup
    from dispatch.new_site.site_document import NewSite
    from dispatch.site_file.rig_catalogue import RigModel
    from markets.grid import Market

Texts = list[str] | None
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The site file to write; it must not exist.")]
Name = Annotated[str | None, typer.Option(help="Name of the site, on pages and statements.")]
MarketName = Annotated[str | None, typer.Option("--market", help="ercot, miso, or tariff for a utility's rate.")]
Point = Annotated[str | None, typer.Option(help="Where its energy settles, such as LZ_WEST_EW.")]
Mw = Annotated[float | None, typer.Option(help="The most the site may draw, MW.")]
Loss = Annotated[float | None, typer.Option(help="Metered energy times this is what settles.")]
Rigs = Annotated[Texts, typer.Option("--rigs", metavar="MODEL=COUNT[@HALL]", help="Rigs by model of the catalogue; may be repeated.")]
Scan = Annotated[Texts, typer.Option("--scan", metavar="SUBNET", help="Find the rigs on this subnet; may be repeated.")]
Hall = Annotated[Texts, typer.Option("--hall", metavar="NAME=SUBNET", help="A hall's rigs, repeatable; or one CSV of ip and hall.")]
Password = Annotated[
    str | None, typer.Option("--credentials", metavar="REFERENCE", help="The rigs' password: file:PATH (see `keys seal`) or env:NAME.")
]
Rate = Annotated[str | None, typer.Option("--tariff-file", metavar="FILE", help="The utility's rate, for the market tariff.")]
Hashprice = Annotated[float | None, typer.Option("--usd-per-ph-day", help="A fixed hashprice, $ per PH/s and day.")]
Mempool = Annotated[
    str | None, typer.Option("--mempool-url", metavar="URL", help="Take hash economics from this mempool instance instead.")
]
Fee = Annotated[float | None, typer.Option(help="The pool's share of the payout: 0.01 is 1 %.")]
Adders = Annotated[float | None, typer.Option(help="What the retailer adds to each MWh, $.")]
Contracts = Annotated[
    Texts,
    typer.Option("--contract", metavar="KIND:FIGURE=VALUE,...", help="Such as block:mw=20,usd_per_mwh=32.5; may be repeated."),
]
Safe = Annotated[str | None, typer.Option("--safe-state", help="What rigs do when no price is known: hold, sleep or run.")]


def init(
    out_: Out = Path("site.toml"),
    name: Name = None,
    market: MarketName = None,
    settlement_point: Point = None,
    interconnect_mw: Mw = None,
    loss_factor: Loss = None,
    rigs: Rigs = None,
    scan: Scan = None,
    hall: Hall = None,
    credentials: Password = None,
    tariff_file: Rate = None,
    usd_per_ph_day: Hashprice = None,
    mempool_url: Mempool = None,
    pool_fee: Fee = None,
    adders_usd_per_mwh: Adders = None,
    contract: Contracts = None,
    safe_state: Safe = None,
    yes: Wide = False,
    as_json: Json = False,
) -> None:
    """Write a first site file: answer a dozen questions, or give the answers as flags."""
    from dispatch.new_site.site_document import NewSite

    ask = Questions(at_terminal=sys.stdin.isatty() and not as_json)
    kind = _market(ask, market)
    title = ask.text("--name", name, "Name of the site")
    point = ask.text("--settlement-point", settlement_point, "Settlement point (of a tariff: its name)")
    mw = ask.number("--interconnect-mw", interconnect_mw, "The most the site may draw, MW")
    loss = ask.number("--loss-factor", loss_factor, "Loss factor of its meter", 1.0)
    prices = _prices(ask, kind, tariff_file)
    economics = _hash_source(ask, usd_per_ph_day, mempool_url, pool_fee)
    adders = ask.number("--adders-usd-per-mwh", adders_usd_per_mwh, "What the retailer adds to each MWh, $", 0.0)
    safe = ask.one_of("--safe-state", safe_state, "What rigs do when no price is known", ["hold", "sleep", "run"], "hold")
    book = _contracts(ask, kind, contract)
    groups = _groups(ask, rigs, scan, _halls(hall), wide=yes)
    ask.all_answered()
    reached = _reached(ask, groups, credentials, out_)
    document = _write(out_, NewSite(title, kind, point, mw, groups, prices, economics, book, adders, loss, safe, *reached))
    out({"file": str(out_), **document}, as_json, _lines(out_, document))


def _reached(ask: Questions, groups: Sequence[ProposedGroup], credentials: str | None, path: Path) -> tuple[str | None, str | None]:
    """The reference to the rigs' password and the name of their map; None for rigs that are only counted."""
    if not any(group.rigs_at for group in groups):
        return None, None
    password = ask.text("--credentials", credentials, "The rigs' password (file:PATH or env:NAME; empty: as delivered)", "")
    return password or None, f"{path.stem}-map.csv"


def _market(ask: Questions, given: str | None) -> Market:
    from markets.grid import Market  # numpy comes with it, which --help does not need

    return Market(ask.one_of("--market", given, "Market", [market.value for market in Market]))


def _prices(ask: Questions, market: Market, tariff_file: str | None) -> dict[str, Any]:
    if market.value != "tariff":
        return {"source": "gridstatus"}
    return {
        "source": "tariff",
        "file": ask.text("--tariff-file", tariff_file, "The file of the utility's rate, beside the site file"),
    }


def _hash_source(ask: Questions, usd_per_ph_day: float | None, mempool_url: str | None, pool_fee: float | None) -> dict[str, Any]:
    if mempool_url:
        source: dict[str, Any] = {"source": "mempool", "url": mempool_url}
    else:
        hashprice = ask.number("--usd-per-ph-day", usd_per_ph_day, "Hashprice, $ per PH/s and day (or stop, and give --mempool-url)")
        source = {"source": "fixed", "usd_per_ph_day": hashprice}
    return {**source, "pool_fee": ask.number("--pool-fee", pool_fee, "The pool's share of the payout", 0.01)}


def _contracts(ask: Questions, market: Market, given: Texts) -> list[dict[str, Any]]:
    """The tables of the contracts beside hashing, power and the plant. Raises Ended."""
    from dispatch.new_site.contracts import contract_of, contract_table, offered

    try:
        tables = [contract_of(text, market) for text in given or () if text != "none"]
    except ValueError as error:
        raise Ended(WRONG, f"--contract: {error}") from None
    if given is None:
        for kind, asked in offered(market).items():
            if ask.confirm(f"Is there {asked.title}?"):
                tables.append(contract_table(kind, {key: ask.number("", None, question) for key, question in asked.figures.items()}))
    return tables


def _groups(ask: Questions, rigs: Texts, scan: Texts, hall_of: HallOf, *, wide: bool) -> Sequence[ProposedGroup]:
    """The groups: those of the models that are counted, and those that a scan proposes. Raises Ended."""
    from dispatch.new_site.proposed_groups import counted_group
    from dispatch.site_file.defaults import default_file
    from dispatch.site_file.rig_catalogue import read_rig_catalogue

    models = read_rig_catalogue(default_file("rigs.toml")).models
    if not rigs and not scan and ask.at_terminal:
        answers = ask.text("--rigs", None, "Rigs as MODEL=COUNT[@HALL], or a subnet to scan; several separated by spaces").split()
        rigs, scan = [a for a in answers if "=" in a], [a for a in answers if "=" not in a]
    if not rigs and not scan:
        ask.need("--rigs or --scan", "which rigs there are")
    try:
        return [*(counted_group(text, models) for text in rigs or ()), *(_scanned(scan, hall_of, models, wide=wide) if scan else ())]
    except ValueError as error:
        raise Ended(WRONG, str(error)) from None


def _halls(given: Texts) -> HallOf:
    """The hall of a rig by its address. Raises Ended."""
    from dispatch.new_site.halls import halls_by_map, halls_by_subnet

    only = given[0] if given and len(given) == 1 and "=" not in given[0] else None
    try:
        return halls_by_map(Path(only)) if only and Path(only).is_file() else halls_by_subnet(given or ())
    except ValueError as error:
        raise Ended(WRONG, f"--hall: {error}") from None


def _scanned(subnets: Sequence[str], hall_of: HallOf, models: Mapping[str, RigModel], *, wide: bool) -> Sequence[ProposedGroup]:
    """The groups that a scan proposes; what is in none of them is noted. Raises ValueError."""
    import asyncio

    from dispatch.new_site.proposed_groups import groups_of_scan
    from dispatch.rigs.inventory import scan_rows

    rows = []
    for subnet in subnets:
        refuse_wide(subnet, allowed=wide)
        note(f"scanning {subnet} ...")
        found = asyncio.run(scan_rows(subnet))
        note(f"{subnet}: {counted(len(found), 'rig')} answered")
        rows += found
    proposal = groups_of_scan(rows, models, hall_of)
    for line in proposal.left_out:
        note(line)
    if not proposal.groups:
        raise ValueError("no rig that can be driven was found")
    return proposal.groups


def _write(path: Path, site: NewSite) -> dict[str, Any]:
    """Write the site file and its map, when `check` accepts them. Raises Ended with every fault."""
    from dispatch.new_site.proposed_groups import map_rows
    from dispatch.new_site.site_document import site_text
    from dispatch.site_file.defaults import default_file
    from dispatch.site_file.load import check_site_file
    from dispatch.site_file.rig_catalogue import read_rig_catalogue

    beside = path.with_name(site.roster) if site.roster else None
    if taken := [file for file in (path, beside) if file is not None and file.exists()]:
        raise Ended(WRONG, f"{taken[0]} exists: choose another --out")
    draft = path.with_name(f".{path.name}.draft")
    try:
        if beside is not None:
            beside.write_text(_csv(map_rows(site.groups)), "utf-8")
        draft.write_text(site_text(site, read_rig_catalogue(default_file("rigs.toml")).models), "utf-8")
        checked = check_site_file(draft)
        if checked.faults:
            raise Ended(WRONG, *(fault.replace(str(draft), str(path)) for fault in checked.faults))
        draft.rename(path)
    except BaseException:
        if beside is not None:
            beside.unlink(missing_ok=True)
        raise
    finally:
        draft.unlink(missing_ok=True)
    return dict(checked.summary)


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _lines(path: Path, summary: Mapping[str, Any]) -> list[str]:
    return [
        f"wrote {path}: {counted(summary['rigs'], 'rig')}, {summary['full_load_mw']:.3f} MW",
        "next:",
        f"  loadstone check {path}               what it says, and which figures nobody has verified",
        f"  loadstone doctor --config {path}     whether feeds, rigs and meters answer",
        f"  loadstone shadow --config {path}     a dry run that moves nothing",
    ]
