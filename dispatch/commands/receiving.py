"""meter import, reconcile: what comes in from meters, markets and suppliers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, instant, ledger, out, setup_of_ledger

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
    from dispatch.received import Unreadable
    from dispatch.received.take import days_of, meter_file
    from dispatch.store.received import METER, Document, keep

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
    new = bool(read.readings) and keep(engine, Document(METER, file.name, content, at, map_text, first, last), read.readings)
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
