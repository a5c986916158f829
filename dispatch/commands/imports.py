"""meter import, reconcile: files from meters, markets and suppliers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, day, instant, ledger, note, out, setup_of_ledger, usd
from markets import counted

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dispatch.site_file.setup import Setup
    from dispatch.store.document_import import MeterImport
    from dispatch.store.received import ReceivedDocument

meter = typer.Typer(no_args_is_help=True, help="Data of revenue meters.")
MAX_LINES = 50  # findings printed; --json has all of them

Map = Annotated[
    Path | None,
    typer.Option("--map", metavar="MAP.toml", help="How to read a file whose header does not give columns, units or time zone."),
]


@meter.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Interval meter data: CSV, or Green Button XML.")],
    data: Data = Path("data"),
    map_: Map = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", metavar="INSTANT", help="When the file was received (ISO 8601). Default: now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import meter data as a new version; the days it covers are settled again."""
    from dispatch.clock import wall_now
    from dispatch.store.document_import import import_meter_data

    engine = ledger(data)
    site = setup_of_ledger(engine).site
    at = instant(known_at, "--known-at") if known_at else wall_now()
    with _reading(file):
        imported = import_meter_data(engine, site, file, map_, at)
    document = _meter_document(file, imported)
    out(document, as_json, _meter_lines(document))
    if document["findings"] or not document["readings"]:
        raise Ended(FINDINGS)


def reconcile(
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First operating day.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last operating day.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Statements and invoices to import first.")] = None,
    data: Data = Path("data"),
    map_: Map = None,
    calendar: Annotated[
        Path | None, typer.Option("--calendar", metavar="FILE", help="Extract of the market's settlement calendar, imported first.")
    ] = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", metavar="INSTANT", help="Use only documents, prices and readings known at this instant.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare received statements and invoices with our own settlement, charge by charge, with the cause of each difference."""
    from dispatch.clock import wall_now
    from dispatch.settlement.reconciliation import reconcile as reconcile_span
    from dispatch.store.document_import import import_calendar
    from dispatch.store.telemetry import Telemetry

    span = day(first, "--from"), day(last, "--to")
    if span[1] < span[0]:
        raise Ended(WRONG, f"--to {last} is before --from {first}")
    engine = ledger(data)
    setup = setup_of_ledger(engine)
    if calendar is not None:
        with _reading(calendar):
            for text in import_calendar(engine, calendar, wall_now())[:MAX_LINES]:
                note(f"{calendar}: {text}")
    for file in files or ():
        import_received(engine, setup, file, map_)
    known = instant(known_at, "--known-at") if known_at else None
    document = reconcile_span(engine, Telemetry(data / "telemetry", setup.site), setup, span, (known or wall_now()).date(), known)
    out(document, as_json, _reconciliation_lines(document))
    if any(disagrees(row) for row in document["statements"]) or any(d["due"] for d in document["days"]):
        raise Ended(FINDINGS)


def import_received(engine: Engine, setup: Setup, file: Path, map_: Path | None) -> ReceivedDocument:
    """Import a statement or an invoice. Raises Ended with status 2 when it cannot be read."""
    from dispatch.clock import wall_now
    from dispatch.store.document_import import import_statement

    with _reading(file):
        return import_statement(engine, setup.site.market, file, map_, wall_now())


def compare_with_received(engine: Engine, setup: Setup, data: Path, document: ReceivedDocument, known: datetime | None) -> dict[str, Any]:
    """A kept document compared with our own settlement. Raises Ended with status 2 when its days were not run."""
    from dispatch.settlement.reconciliation import compare_document
    from dispatch.store.telemetry import Telemetry

    try:
        return compare_document(engine, Telemetry(data / "telemetry", setup.site), setup, document, known)
    except LookupError as error:
        raise Ended(WRONG, f"{document.name}: {error.args[0] if error.args else error}") from None


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Ends the command with status 2 when the file cannot be read, one line for each fault."""
    from dispatch.imports import UnreadableDocument

    try:
        yield
    except UnreadableDocument as fault:
        raise Ended(WRONG, *(f"{file}: {line}" for line in str(fault).splitlines())) from None
    except OSError as error:
        raise Ended(WRONG, f"{error.filename or file}: {error.strerror or error}") from None


def disagrees(comparison: dict[str, Any]) -> bool:
    """Whether a comparison has findings or a charge that differs."""
    return bool(comparison["findings"]) or any(not d["agrees"] for d in comparison["differences"])


def comparison_lines(comparison: dict[str, Any]) -> list[str]:
    """A comparison as text: one line for each charge, then its causes."""
    head = f"{comparison['file']}: {comparison['kind']} {comparison['statement_type']} {comparison['version']}".rstrip()
    lines = [f"{head}, {comparison['from']} to {comparison['to']}"]
    for d in comparison["differences"]:
        verdict = "agrees" if d["agrees"] else f"differs by {usd(d['difference_usd'])}"
        lines.append(f"  {d['charge']:<28} received {usd(d['received_usd']):>15}  ours {usd(d['ours_usd']):>15}  {verdict}")
        lines += [f"    {c['cause']}: {usd(c['usd'])}, {c['text']}" for c in d["causes"]]
        if not d["agrees"] and float(d["unexplained_usd"]):
            lines.append(f"    unexplained: {usd(d['unexplained_usd'])}")
    return [*lines, *(f"  finding: {f['text']}" for f in comparison["findings"][:MAX_LINES])]


def _reconciliation_lines(document: dict[str, Any]) -> list[str]:
    lines = [line for row in document["statements"] for line in comparison_lines(row)]
    due = [f"{d['date']}: {', '.join(d['due'])} posted and not received" for d in document["days"] if d["due"]]
    differing = f"{counted(document['disagree'], 'charge')} {'differs' if document['disagree'] == 1 else 'differ'}"
    return [*lines, *due, f"{counted(len(document['statements']), 'statement')}, {differing}"]


def _meter_document(file: Path, imported: MeterImport) -> dict[str, Any]:
    content = imported.content
    return {
        "file": file.name,
        "rows": content.rows,
        "readings": len(content.readings),
        "estimated": sum(r.quality == "estimated" for r in content.readings),
        "meters": sorted({r.meter for r in content.readings}),
        "from": imported.first.isoformat() if imported.first else None,
        "to": imported.last.isoformat() if imported.last else None,
        "new": imported.new,
        "findings": [{"kind": f.kind, "text": f.text} for f in content.findings],
    }


def _meter_lines(document: dict[str, Any]) -> list[str]:
    meters = ", ".join(document["meters"]) or "no meter"
    span = f", days {document['from']} to {document['to']}" if document["from"] else ""
    head = f"{document['file']}: {counted(document['readings'], 'reading')} in {counted(document['rows'], 'row')}, {meters}{span}"
    result = "imported" if document["new"] else "unchanged: this file was imported before" if document["readings"] else "nothing imported"
    return [head, result, *(f"finding: {f['text']}" for f in document["findings"][:MAX_LINES])]
