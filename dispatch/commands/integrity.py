"""archive, verify, redecide, backup, restore: archives of market facts, and the integrity of the journal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Ended, Json, instant, ledger, out, table
from markets import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markets.archive.archive import ImportReport
    from markets.grid import Interval, Market
    from markets.sources.history import FetchedDay

archive = typer.Typer(no_args_is_help=True, help="Archives of prices and other market facts.")
Folder = Annotated[Path, typer.Option("--archive", metavar="DIR", help="Folder of the archive.")]


@archive.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Tables with the columns that gridstatus writes, CSV or Parquet.")],
    archive: Folder,
    map_: Annotated[Path | None, typer.Option("--map", metavar="MAP.toml", help="How to read a table with other columns.")] = None,
    market: Annotated[
        str | None, typer.Option("--market", help="ercot or miso: the market of system loads and load forecasts, which name none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import tables of prices and other facts into an archive."""
    reports = _imported(files, archive, map_, market)
    rows = [{"file": f.name, "rows": r.rows, "facts": r.facts, "gaps": len(r.gaps), "findings": len(r.findings)} for f, r in reports]
    documents: list[dict[str, Any]] = [
        {**row, "gaps": [str(g) for g in r.gaps], "findings": [str(x) for x in r.findings]}
        for row, (_, r) in zip(rows, reports, strict=True)
    ]
    found = [f"{f.name}: {x}" for f, r in reports for x in r.findings]
    out({"imported": documents}, as_json, [*table(rows, ["file", "rows", "facts", "gaps", "findings"]), *found[:50]])
    if found:
        raise Ended(FINDINGS)


def _imported(files: list[Path], folder: Path, map_: Path | None, market: str | None) -> list[tuple[Path, ImportReport]]:
    """Import files in turn; one whose market is not known yet comes after those that may show it."""
    from markets.archive.archive import Archive
    from markets.archive.tables import ZONE, TableFault, UnknownMarket
    from markets.grid import Market

    if market is not None and market not in ZONE:
        raise Ended(WRONG, f"--market: {market!r} is none of {', '.join(ZONE)}")
    of_market = Market(market) if market else None
    kept, waiting = Archive(folder), list(files)
    reports: list[tuple[Path, ImportReport]] = []
    tried: set[Path] = set()
    while waiting:
        file = waiting.pop(0)
        try:
            reports.append((file, kept.import_file(file, map_, of_market)))
        except UnknownMarket as fault:  # another file of the command may show the market
            if file in tried:
                raise Ended(WRONG, str(fault)) from None
            tried.add(file)
            waiting.append(file)
        except TableFault as fault:
            raise Ended(WRONG, str(fault)) from None
        except OSError as error:
            raise Ended(WRONG, f"{error.filename or file}: {error.strerror or error}") from None
    return reports


POINTS = {
    "ercot": ("HB_HOUSTON", "HB_HUBAVG", "HB_NORTH", "HB_PAN", "HB_SOUTH", "HB_WEST", "LZ_HOUSTON", "LZ_NORTH", "LZ_SOUTH", "LZ_WEST"),
    "miso": ("ARKANSAS.HUB", "ILLINOIS.HUB", "INDIANA.HUB", "LOUISIANA.HUB", "MICHIGAN.HUB", "MINN.HUB", "MS.HUB", "TEXAS.HUB"),
}


@archive.command("fetch")
def fetch(
    archive: Folder,
    market: Annotated[str, typer.Option("--market", help="ercot or miso.")],
    from_: Annotated[str, typer.Option("--from", metavar="INSTANT", help="Start of the span (ISO 8601).")],
    to: Annotated[str, typer.Option("--to", metavar="INSTANT", help="End of the span (ISO 8601).")],
    point: Annotated[list[str] | None, typer.Option("--point", help="A settlement point. Default: the market's hubs and zones.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also ask for days that the archive has, and keep other prices.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch past real-time and day-ahead prices into an archive through gridstatus. A second call goes on where the first ended."""
    import asyncio

    from markets.grid import Interval, Market

    if market not in POINTS:
        raise Ended(WRONG, f"--market: {market!r} is none of {', '.join(POINTS)}")
    start, end = instant(from_, "--from"), instant(to, "--to")
    if end <= start:
        raise Ended(WRONG, f"--to {to} is not after --from {from_}")
    days = asyncio.run(_fetched(archive, Market(market), Interval(start, end), point or POINTS[market], again))
    rows = [
        {"day": d.on.isoformat(), "market": d.market.value, "facts": d.facts, "corrected": d.corrected, "missing": d.missing} for d in days
    ]
    findings = [text for d in days for text in d.findings]
    out({"fetched": rows, "findings": findings}, as_json, [*table(rows, ("day", "market", "facts", "corrected", "missing")), *findings])
    if findings or any(d.missing for d in days):
        raise Ended(FINDINGS)


async def _fetched(folder: Path, market: Market, over: Interval, points: Sequence[str], again: bool) -> list[FetchedDay]:
    """Every day of a span in turn; each is in the archive when the next is asked for."""
    from dispatch.clock import wall_now
    from markets.archive.archive import Archive
    from markets.sources.feed import Feed
    from markets.sources.history import ANSWER_S, CHILDREN, History, days_between

    feed = Feed(CHILDREN[market], deadline_s=ANSWER_S)
    try:
        past = History(feed, Archive(folder), market, points, wall_now, again=again)
        return [found for on in days_between(market, over) for found in await past.fetch(on)]
    finally:
        await feed.aclose()


@archive.command("show")
def show(folder: Annotated[Path, typer.Argument(metavar="DIR")], as_json: Json = False) -> None:
    """List what an archive holds: series with their spans, intervals, corrections and gaps."""
    from markets.archive.archive import Archive

    if not folder.is_dir():
        raise Ended(WRONG, f"there is no folder {folder}")
    rows: list[dict[str, Any]] = [
        {
            "fact": h.kind,
            "of": h.key,
            "market": h.market,
            "from": h.over.start.isoformat(),
            "to": h.over.end.isoformat(),
            "intervals": h.intervals,
            "corrected": h.corrected,
            "disputed": h.disputed,
            "gaps": [str(g) for g in h.gaps],
        }
        for h in Archive(folder).show()
    ]
    lines = table([{**r, "gaps": len(r["gaps"])} for r in rows], list(rows[0])) if rows else ["The archive is empty."]
    out({"archive": rows}, as_json, lines)


def verify(
    data: Annotated[Path, typer.Argument(metavar="DATA")],
    heads: Annotated[list[Path] | None, typer.Option("--heads", metavar="FILE", help="Heads that were published; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Verify the ledger's hash chains and tables, and name what is broken."""
    from dispatch.store.verify import verify as verified

    for file in heads or ():
        if not file.is_file():
            raise Ended(WRONG, f"--heads: there is no file {file}")
    report = verified(ledger(data), heads or ())
    document: dict[str, Any] = {"rows": report.rows, "head": report.head, "findings": [f.text for f in report.findings]}
    out(document, as_json, [f"{counted(report.rows, 'row')}, head {report.head[:16]}", *document["findings"]])
    if report.findings:
        raise Ended(FINDINGS)


def redecide(data: Annotated[Path, typer.Argument(metavar="DATA")], as_json: Json = False) -> None:
    """Make every recorded decision again and name those that come out differently."""
    from dispatch.runtime.redecide import redecide as again
    from dispatch.store.journal import SqlJournal
    from dispatch.store.verify import verify as verified

    engine = ledger(data)
    # A row changed after it was written may still lead to the same decision, so the chain is verified first.
    broken = [f.text for f in verified(engine).findings]
    replayed = again(SqlJournal(engine).read())
    findings = [*broken, *(f.text for f in replayed.findings)]
    document: dict[str, Any] = {"commands": replayed.commands, "plans": replayed.plans, "findings": findings}
    head = f"{counted(replayed.commands, 'command')} and {counted(replayed.plans, 'plan')} made again"
    out(document, as_json, [head, *findings[:20]])
    if findings:
        raise Ended(FINDINGS)


def backup(
    data: Annotated[Path, typer.Argument(metavar="DATA")], file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False
) -> None:
    """Back up a data folder; the site may keep running."""
    from dispatch.store.backup import backup as backed_up

    ledger(data)
    backed_up(data, file)
    out({"backup": str(file), "bytes": file.stat().st_size}, as_json, [f"wrote {file} ({file.stat().st_size:,} bytes)"])


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE")], data: Annotated[Path, typer.Argument(metavar="DATA")], as_json: Json = False
) -> None:
    """Restore a backup into an empty folder and verify its journal."""
    from dispatch.store.backup import RestoreRefused
    from dispatch.store.backup import restore as restored

    try:
        rows = restored(file, data)
    except RestoreRefused as error:
        raise Ended(WRONG, str(error)) from None
    out({"restored": str(data), "rows": rows}, as_json, [f"restored {data}: {counted(rows, 'journal row')}, hash chain verified"])
