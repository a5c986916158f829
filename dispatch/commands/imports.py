"""meter import, reconcile: what comes in from meters, markets and suppliers."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, instant, ledger, note, out, setup_of_ledger
from markets.grid import Market

if TYPE_CHECKING:
    from dispatch.store.received import ReceivedDocument

meter = typer.Typer(no_args_is_help=True, help="Revenue meters.")
# No file of readings or statements is near this; one that is, is something else.
BYTES_AT_MOST = 256 * 2**20
LINES = 50

Map = Annotated[Path | None, typer.Option("--map", help="MAP.toml: how to read a file whose header does not say enough.")]


@meter.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Interval meter data: CSV, or Green Button XML.")],
    data: Data = Path("data"),
    map_: Map = None,
    known_at: Annotated[str | None, typer.Option("--known-at", help="When the file came; now unless told.")] = None,
    as_json: Json = False,
) -> None:
    """Take in interval meter data: a new vintage, nothing is overwritten. Days it speaks of settle on it."""
    from dispatch.clock import wall_now
    from dispatch.imports import Unreadable
    from dispatch.imports.detect import days_of, meter_file
    from dispatch.store.received import METER, ReceivedDocument, keep

    engine = ledger(data)
    site = setup_of_ledger(engine).site
    content, map_text = content_of(file), content_of(map_).decode("utf-8", "replace") if map_ else ""
    at = instant(known_at, "--known-at") if known_at else wall_now()
    try:
        read = meter_file(content, map_text, site)
    except Unreadable as fault:
        raise Ended(WRONG, *(f"{file}: {line}" for line in str(fault).splitlines())) from None
    found = [{"kind": f.kind, "text": f.text} for f in read.findings]
    first, last = days_of(read, site.market)
    new = bool(read.readings) and keep(engine, ReceivedDocument(METER, file.name, content, at, map_text, first, last), read.readings)
    document: dict[str, Any] = {
        "file": file.name,
        "rows": read.rows,
        "readings": len(read.readings),
        "estimated": sum(r.quality == "estimated" for r in read.readings),
        "meters": sorted({r.meter for r in read.readings}),
        "from": first.isoformat() if first else None,
        "to": last.isoformat() if last else None,
        "new": new,
        "findings": found,
    }
    out(document, as_json, _told(document))
    if found or not read.readings:
        raise Ended(FINDINGS)


def reconcile(
    first: Annotated[str, typer.Option("--from", help="First operating day.")],
    last: Annotated[str, typer.Option("--to", help="Last operating day.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Statements and invoices to take in first.")] = None,
    data: Data = Path("data"),
    map_: Map = None,
    calendar: Annotated[Path | None, typer.Option("--calendar", help="Settlement calendar extract to take in first.")] = None,
    known_at: Annotated[str | None, typer.Option("--known-at", help="With what was known at this instant.")] = None,
    as_json: Json = False,
) -> None:
    """Received statements and invoices of a span against ours, by charge, with the cause where it can be shown."""
    from dispatch.clock import wall_now
    from dispatch.settlement.reconciliation import reconcile
    from dispatch.store.telemetry import Telemetry

    span = _day(first, "--from"), _day(last, "--to")
    if span[1] < span[0]:
        raise Ended(WRONG, f"--to {last} is before --from {first}")
    engine = ledger(data)
    setup = setup_of_ledger(engine)
    if calendar is not None:
        _take_calendar(engine, calendar)
    for file in files or ():
        import_statement(engine, file, map_, setup.site.market)
    known = instant(known_at, "--known-at") if known_at else None
    document = reconcile(engine, Telemetry(data / "telemetry", setup.site), setup, span, (known or wall_now()).date(), known)
    lines = [line for row in document["statements"] for line in told_of(row)]
    days = [f"{d['date']}: {', '.join(d['due'])} posted and not received" for d in document["days"] if d["due"]]
    out(document, as_json, [*lines, *days, f"{len(document['statements'])} statements, {document['disagree']} charges differ"])
    if any(disagrees(row) for row in document["statements"]) or days:
        raise Ended(FINDINGS)


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Ended(WRONG, f"{name}: {text!r} is not a date such as 2026-08-20") from None


def import_statement(engine: Any, file: Path, map_: Path | None, market: Market) -> ReceivedDocument:
    """A statement or an invoice, kept as it came. Ends with 2, a line a fault, when it cannot be read."""
    from dispatch.clock import wall_now
    from dispatch.imports import Unreadable
    from dispatch.imports.detect import statement
    from dispatch.store.received import STATEMENT, ReceivedDocument, keep

    content, map_text = _with_partner(file), content_of(map_).decode("utf-8", "replace") if map_ else ""
    try:
        read, _ = statement(content, map_text, market)
    except Unreadable as fault:
        raise Ended(WRONG, *(f"{file}: {line}" for line in str(fault).splitlines())) from None
    document = ReceivedDocument(STATEMENT, file.name, content, wall_now(), map_text, read.first, read.last)
    keep(engine, document)
    return document


def compare_with_received(engine: Any, setup: Any, data: Path, document: ReceivedDocument, known: Any) -> dict[str, Any]:
    """A kept document against ours. Ends with 2 when nothing of its days was run."""
    from dispatch.settlement.reconciliation import compare_document
    from dispatch.store.telemetry import Telemetry

    try:
        return compare_document(engine, Telemetry(data / "telemetry", setup.site), setup, document, known)
    except LookupError as error:
        raise Ended(WRONG, f"{document.name}: {error.args[0] if error.args else error}") from None


def disagrees(row: dict[str, Any]) -> bool:
    return bool(row["findings"]) or any(not d["agrees"] for d in row["differences"])


def told_of(row: dict[str, Any]) -> list[str]:
    """A comparison in lines."""
    head = f"{row['file']}: {row['kind']} {row['statement_type']} {row['version']}".rstrip()
    lines = [f"{head}, {row['from']} to {row['to']}"]
    for d in row["differences"]:
        how = "agrees" if d["agrees"] else f"differs by {d['difference_usd']} $"
        lines.append(f"  {d['charge']:<28} received {d['received_usd']:>14} $  ours {d['ours_usd']:>14} $  {how}")
        lines += [f"    {c['cause']}: {c['usd']} $, {c['text']}" for c in d["causes"]]
        if not d["agrees"] and float(d["unexplained_usd"]):
            lines.append(f"    unexplained: {d['unexplained_usd']} $")
    return [*lines, *(f"  finding: {f['text']}" for f in row["findings"][:LINES])]


def _take_calendar(engine: Any, file: Path) -> None:
    from dispatch.clock import wall_now
    from dispatch.imports import Unreadable
    from dispatch.imports.calendar import read_calendar, span
    from dispatch.store.received import CALENDAR, ReceivedDocument, keep

    content = content_of(file)
    try:
        read = read_calendar(content)
    except Unreadable as fault:
        raise Ended(WRONG, *(f"{file}: {line}" for line in str(fault).splitlines())) from None
    for finding in read.findings[:LINES]:
        note(f"{file}: {finding.text}")
    keep(engine, ReceivedDocument(CALENDAR, file.name, content, wall_now(), "", *span(read)))


def _with_partner(file: Path) -> bytes:
    """The file; of an extract's header or interval table in CSV both, in one zip."""
    import io
    import zipfile

    content = content_of(file)
    name = file.name
    partner = name.replace("HEADER", "INTERVAL") if "HEADER" in name else name.replace("INTERVAL", "HEADER")
    if partner == name or content.startswith(b"PK") or not file.with_name(partner).is_file():
        return content
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part, bytes_ in sorted({name: content, partner: content_of(file.with_name(partner))}.items()):
            archive.writestr(zipfile.ZipInfo(part), bytes_)  # without a date: the same tables are the same bytes
    return packed.getvalue()


def _told(document: dict[str, Any]) -> list[str]:
    of = ", ".join(document["meters"]) or "no meter"
    span = f", days {document['from']} to {document['to']}" if document["from"] else ""
    head = f"{document['file']}: {document['readings']} readings of {document['rows']} rows, {of}{span}"
    news = "taken in" if document["new"] else "nothing new: it is known already" if document["readings"] else "nothing taken in"
    return [head, news, *(f"finding: {f['text']}" for f in document["findings"][:LINES])]


def content_of(file: Path) -> bytes:
    """The bytes of a file from outside. Ends with 2 when it cannot be read or is far too large."""
    try:
        if file.stat().st_size > BYTES_AT_MOST:
            raise Ended(WRONG, f"{file}: is larger than {BYTES_AT_MOST // 2**20} MiB")
        return file.read_bytes()
    except OSError as error:
        raise Ended(WRONG, f"{file}: {error.strerror or error}") from None
