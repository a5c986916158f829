"""archive, verify, redecide, backup, restore: what is kept, and whether it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Ended, Json, ledger, out, table

archive = typer.Typer(no_args_is_help=True, help="Fact archives: fill and read.")
Folder = Annotated[Path, typer.Option("--archive", help="The archive's folder.")]


@archive.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Tables as gridstatus returns them, CSV or Parquet.")],
    archive: Folder,
    map_: Annotated[Path | None, typer.Option("--map", help="MAP.toml for a wide table.")] = None,
    as_json: Json = False,
) -> None:
    """Fill an archive from tables."""
    from markets.archive.archive import Archive
    from markets.archive.tables import TableFault

    kept, reports = Archive(archive), []
    for file in files:
        try:
            reports.append((file, kept.import_file(file, map_)))
        except TableFault as fault:
            raise Ended(WRONG, str(fault)) from None
        except OSError as error:
            raise Ended(WRONG, f"{error.filename or file}: {error.strerror or error}") from None
    rows = [{"file": f.name, "rows": r.rows, "facts": r.facts, "gaps": len(r.gaps), "findings": len(r.findings)} for f, r in reports]
    documents: list[dict[str, Any]] = [
        {**row, "gaps": [str(g) for g in r.gaps], "findings": [str(x) for x in r.findings]}
        for row, (_, r) in zip(rows, reports, strict=True)
    ]
    found = [f"{f.name}: {x}" for f, r in reports for x in r.findings]
    out({"imported": documents}, as_json, [*table(rows, ["file", "rows", "facts", "gaps", "findings"]), *found[:50]])
    if found:
        raise Ended(FINDINGS)


@archive.command("show")
def show(folder: Annotated[Path, typer.Argument(metavar="DIR")], as_json: Json = False) -> None:
    """What an archive holds: spans, intervals, gaps."""
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
    lines = table([{**r, "gaps": len(r["gaps"])} for r in rows], list(rows[0])) if rows else ["nothing"]
    out({"archive": rows}, as_json, lines)


def verify(data: Annotated[Path, typer.Argument(metavar="DATA")], as_json: Json = False) -> None:
    """The journal's chain: the first row that does not hold."""
    from dispatch.store.verify import verify as verified

    report = verified(ledger(data))
    document: dict[str, Any] = {"rows": report.rows, "head": report.head, "findings": [f.text for f in report.findings]}
    out(document, as_json, [f"{report.rows} rows, head {report.head[:16]}", *document["findings"]])
    if report.findings:
        raise Ended(FINDINGS)


def redecide(data: Annotated[Path, typer.Argument(metavar="DATA")], as_json: Json = False) -> None:
    """Every recorded decision made again; the differences named."""
    from dispatch.runtime.redecide import redecide as again
    from dispatch.store.journal import SqlJournal
    from dispatch.store.verify import verify as verified

    engine = ledger(data)
    # What was changed after it was written may well decide the same: the chain is looked at first.
    broken = [f.text for f in verified(engine).findings]
    said = again(SqlJournal(engine).read())
    document: dict[str, Any] = {"commands": said.commands, "plans": said.plans, "findings": [*broken, *(f.text for f in said.findings)]}
    out(document, as_json, [f"{said.commands} commands and {said.plans} plans made again", *document["findings"][:20]])
    if document["findings"]:
        raise Ended(FINDINGS)


def backup(
    data: Annotated[Path, typer.Argument(metavar="DATA")], file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False
) -> None:
    """Online backup of a data folder, while it runs."""
    from dispatch.store.backup import backup as backed_up

    ledger(data)
    backed_up(data, file)
    out({"backup": str(file), "bytes": file.stat().st_size}, as_json, [f"wrote {file} ({file.stat().st_size:,} bytes)"])


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE")], data: Annotated[Path, typer.Argument(metavar="DATA")], as_json: Json = False
) -> None:
    """Restore a backup into an empty folder, chain-checked."""
    from dispatch.store.backup import RestoreRefused
    from dispatch.store.backup import restore as restored

    try:
        rows = restored(file, data)
    except RestoreRefused as error:
        raise Ended(WRONG, str(error)) from None
    out({"restored": str(data), "rows": rows}, as_json, [f"restored {data}: {rows} journal rows, the chain holds"])
