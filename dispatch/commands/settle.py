"""settle: the statement of a day, of a month or of any span of days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, day, instant, ledger, note, out, setup_of_ledger, usd
from dispatch.commands.imports import Map, compare_with_received, comparison_lines, disagrees, import_received
from markets import counted

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dispatch.settlement.document import DayStatement
    from dispatch.settlement.requested_days import SpanSettlement
    from dispatch.site_file.setup import Setup

if TYPE_CHECKING:
    from dispatch.settlement.document import DayStatement

FORMATS = ("html", "pdf", "xlsx", "csv", "json")
ALL_FORMATS = ",".join(FORMATS)
LATEST = "latest"


Day = Annotated[
    str,
    typer.Argument(
        metavar="DATE", help="Operating day (YYYY-MM-DD), `latest`, or several days added up: a month (YYYY-MM) or FIRST..LAST."
    ),
]
KnownAt = Annotated[
    str | None, typer.Option("--known-at", metavar="INSTANT", help="Settle with the prices and readings known at this instant (ISO 8601).")
]
Version = Annotated[int | None, typer.Option("--version", min=1, help="Print this version as it was kept, byte for byte.")]
Received = Annotated[
    Path | None, typer.Option("--statement", metavar="FILE", help="Received statement or invoice to compare with; it is kept.")
]
Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="The statement of one tenant: its rigs, its hosting agreements, its uptime.")
]
Formats = Annotated[str, typer.Option("--format", help=f"File formats to write, separated by commas: {', '.join(FORMATS)}.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for the files. Default: `settlements` in the data folder.")]


def settle(
    date_: Day,
    data: Data = Path("data"),
    known_at: KnownAt = None,
    version: Version = None,
    statement: Received = None,
    map_: Map = None,
    tenant: Tenant = None,
    format_: Formats = ALL_FORMATS,
    out_: Out = None,
    as_json: Json = False,
) -> None:
    """Settle a day and print what it earned and cost; by default the newest version with its change from the one before."""
    _check_options(known_at, version, map_, statement, tenant)
    formats = _formats(format_)
    span = _span(date_)
    on = None if span or date_ == LATEST else day(date_, "DATE")
    engine = ledger(data)
    setup = setup_of_ledger(engine)
    known = instant(known_at, "--known-at") if known_at else None
    folder = out_ or data / "settlements"
    received = import_received(engine, setup, statement, map_) if statement else None
    if span:
        document, lines, found = _settle_span(engine, setup, data, span, known, tenant, folder, formats)
    else:
        document, lines, found = _settle_day(engine, setup, data, on, known, version, tenant, folder, formats)
    if received is not None:
        comparison = compare_with_received(engine, setup, data, received, known)
        document = {**document, "received": comparison}
        found = found or disagrees(comparison)
        lines += comparison_lines(comparison)
    out(document, as_json, lines)
    if found:
        raise Ended(FINDINGS)


def _check_options(known_at: str | None, version: int | None, map_: Path | None, statement: Path | None, tenant: str | None) -> None:
    if tenant is not None and statement is not None:
        raise Ended(WRONG, "--tenant and --statement cannot be used together: a received statement is the site's")
    if known_at and version:
        raise Ended(WRONG, "--known-at and --version cannot be used together")
    if map_ is not None and statement is None:
        raise Ended(WRONG, "--map needs --statement: it tells how to read that file")


def _formats(text: str) -> tuple[str, ...]:
    requested = tuple(f.strip() for f in text.split(",") if f.strip())
    unknown = [f for f in requested if f not in FORMATS]
    if unknown or not requested:
        raise Ended(WRONG, f"--format: unknown format {', '.join(unknown) or '(none given)'}; choose from {', '.join(FORMATS)}")
    return requested


def _span(text: str) -> tuple[date, date] | None:
    from dispatch.settlement.requested_days import parse_span

    try:
        return parse_span(text)
    except ValueError as error:
        raise Ended(WRONG, str(error)) from None


def _settle_day(
    engine: Engine,
    setup: Setup,
    data: Path,
    on: date | None,
    known: datetime | None,
    version: int | None,
    tenant: str | None,
    folder: Path,
    formats: tuple[str, ...],
) -> tuple[Mapping[str, Any], list[str], bool]:
    from dispatch.reports.write import write_day
    from dispatch.settlement.requested_days import newest_day, settle_requested_day
    from dispatch.settlement.tenant_statement import tenant_statement
    from dispatch.store.telemetry import Telemetry

    on = on or newest_day(engine, setup.site.market)
    try:
        document = settle_requested_day(engine, Telemetry(data / "telemetry", setup.site), setup, on, known, version)
        document = tenant_statement(document, setup, tenant) if tenant is not None else document
    except LookupError as error:
        raise Ended(WRONG, f"{on}: {error.args[0] if error.args else error}") from None
    written = write_day(document, folder, formats)
    return document, [*_day_lines(document), *(f"wrote {p}" for p in written)], bool(document["findings"])


def _settle_span(
    engine: Engine,
    setup: Setup,
    data: Path,
    span: tuple[date, date],
    known: datetime | None,
    tenant: str | None,
    folder: Path,
    formats: tuple[str, ...],
) -> tuple[Mapping[str, Any], list[str], bool]:
    from dispatch.reports.write import write_month
    from dispatch.settlement.requested_days import settle_span
    from dispatch.store.telemetry import Telemetry

    try:
        settled = settle_span(engine, Telemetry(data / "telemetry", setup.site), setup, span, known, tenant)
    except LookupError as error:
        raise Ended(WRONG, str(error.args[0])) from None
    written = write_month(settled.document, folder, formats)
    return settled.document, [*_span_lines(settled), *(f"wrote {p}" for p in written)], bool(settled.missing or settled.document["unknown"])


def _day_lines(document: DayStatement) -> list[str]:
    from dispatch.settlement.statement_lines import UNKNOWN

    head = f"{document['date']} {document['market']} version {document['version']}" + (" (partial day)" if document["partial"] else "")
    totals = [f"  {name:<28} {UNKNOWN if amount is None else usd(amount):>16}" for name, amount in document["totals"].items()]
    return [
        head,
        *totals,
        f"  {'net':<28} {usd(document['net_usd']):>16}",
        *(f"finding: {f['text']}" for f in document["findings"]),
    ]


def _span_lines(settled: SpanSettlement) -> list[str]:
    from dispatch.settlement.statement_lines import UNKNOWN

    document = settled.document
    for on, why in settled.missing.items():
        note(f"{on}: {why}")
    totals = [f"  {name:<36} {UNKNOWN if amount is None else usd(amount):>16}" for name, amount in document["totals"].items()]
    figures = [f"  {f['name']:<36} {f['value']:>16} {f['unit']}" for f in document["figures"]]
    head = f"{document['from']} to {document['to']} {document['market']}: {counted(len(document['days']), 'day')}"
    missing = [f"missing: {', '.join(document['missing'])}"] if document["missing"] else []
    lacking = [f"finding: the amount of {row['name']} is unknown: {row['why']}; the net does not cover it" for row in document["unknown"]]
    return [head, *totals, f"  {'net':<36} {usd(document['net_usd']):>16}", *figures, *missing, *lacking]
