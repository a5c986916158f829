"""settle: the day's statement, any version of it, as the ledger holds it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, instant, ledger, out, setup_of_ledger
from dispatch.commands.imports import Map, compare_with_received, disagrees, import_statement, told_of
from dispatch.commands.settle_month import rolled_up, span_of, told
from markets.grid import Market

if TYPE_CHECKING:
    from dispatch.settlement.document import DayStatement, MonthStatement

FORMATS = ("html", "pdf", "xlsx", "csv", "json")
LATEST = "latest"


def settle(
    day: Annotated[
        str,
        typer.Argument(
            metavar="DATE", help="Operating day, YYYY-MM-DD; `latest` is the newest that ran; YYYY-MM or FIRST..LAST adds days up."
        ),
    ],
    data: Data = Path("data"),
    known_at: Annotated[str | None, typer.Option("--known-at", help="With what was known at this instant.")] = None,
    version: Annotated[int | None, typer.Option("--version", min=1, help="This version, byte for byte.")] = None,
    statement: Annotated[Path | None, typer.Option("--statement", help="A received statement or invoice to compare with.")] = None,
    map_: Map = None,
    format_: Annotated[str, typer.Option("--format", help=f"Of {','.join(FORMATS)}; several with commas.")] = ",".join(FORMATS),
    out_: Annotated[Path | None, typer.Option("--out", help="Folder for the files; DATA/settlements unless told.")] = None,
    as_json: Json = False,
) -> None:
    """The day's settlement: the newest version with its delta to the one before."""
    _refuse(known_at, version, map_, statement)
    formats = _formats(format_)
    span = span_of(day)
    on = None if day == LATEST or span else _date(day)
    engine = ledger(data)
    setup = setup_of_ledger(engine)
    known = instant(known_at, "--known-at") if known_at else None
    folder = out_ or data / "settlements"
    came = import_statement(engine, statement, map_, setup.site.market) if statement else None
    if span:
        month, written, lines, wrong = _settle_span(engine, setup, data, span, known, folder, formats)
        document: dict[str, Any] = {**month}
    else:
        settled, written = _settle_day(engine, setup, data, on or _newest(engine, setup.site.market), (known, version), folder, formats)
        document, lines, wrong = {**settled}, _lines(settled), bool(settled["findings"])
    if came is not None:
        document = {**document, "received": compare_with_received(engine, setup, data, came, known)}
        wrong = wrong or disagrees(document["received"])
        lines += told_of(document["received"])
    out(document, as_json, [*lines, *(f"wrote {p}" for p in written)])
    if wrong:
        raise Ended(FINDINGS)


def _refuse(known_at: str | None, version: int | None, map_: Path | None, statement: Path | None) -> None:
    if known_at and version:
        raise Ended(WRONG, "--known-at and --version exclude each other")
    if map_ is not None and statement is None:
        raise Ended(WRONG, "--map says how to read a --statement, and there is none")


def _settle_day(
    engine: Any, setup: Any, data: Path, on: date, which: tuple[Any, int | None], folder: Path, formats: tuple[str, ...]
) -> tuple[DayStatement, list[Path]]:
    """The day's document and its files; `which` is what was known, or a version."""
    from dispatch.reports.write import write_day
    from dispatch.settlement.day import settle_day
    from dispatch.store.telemetry import Telemetry
    from dispatch.store.verify import verify as verified
    from markets.grid import OperatingDay

    known, version = which
    if version is None and (broken := verified(engine).findings):
        raise Ended(FINDINGS, *(f.text for f in broken), f"{on} is not settled again on this journal; --version N gives what was kept")
    over = OperatingDay(setup.site.market, on)
    try:
        document = settle_day(engine, Telemetry(data / "telemetry", setup.site), over, setup, known_at=known, version=version)
    except LookupError as error:
        raise Ended(WRONG, f"{on}: {error.args[0] if error.args else error}") from None
    return document, write_day(document, folder, formats)


def _settle_span(
    engine: Any, setup: Any, data: Path, span: tuple[date, date], known: Any, folder: Path, formats: tuple[str, ...]
) -> tuple[MonthStatement, list[Path], list[str], bool]:
    from dispatch.settlement.day import settle_day
    from dispatch.store.telemetry import Telemetry
    from markets.grid import OperatingDay

    def settled(on: date) -> DayStatement:
        return settle_day(engine, Telemetry(data / "telemetry", setup.site), OperatingDay(setup.site.market, on), setup, known_at=known)

    document, written = rolled_up(settled, *span, folder, formats)
    return document, written, told(document, []), bool(document["missing"])


def _formats(text: str) -> tuple[str, ...]:
    asked = tuple(f.strip() for f in text.split(",") if f.strip())
    unknown = [f for f in asked if f not in FORMATS]
    if unknown or not asked:
        raise Ended(WRONG, f"--format: {', '.join(unknown) or 'nothing'} is not built in this version; there are {', '.join(FORMATS)}")
    return asked


def _newest(engine: Any, market: Market) -> date:
    """The operating day of the last plan: the look that closes a run already falls on the day after."""
    from dispatch.store.journal import SqlJournal
    from markets.grid import OperatingDay

    journal = SqlJournal(engine)
    last = journal.last_at("Planned") or journal.last_at()
    assert last is not None  # a ledger with a run in it has rows
    return OperatingDay.of(market, last).on


def _date(text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise Ended(WRONG, f"{text!r} is not a date such as 2026-08-20") from None


def _lines(document: DayStatement) -> list[str]:
    head = f"{document['date']} {document['market']} version {document['version']}" + (" (partial day)" if document["partial"] else "")
    totals = [f"  {name:<28} {usd:>16} $" for name, usd in document["totals"].items()]
    ends = [f"  {'net':<28} {document['net_usd']:>16} $", *(f"finding: {f['text']}" for f in document["findings"])]
    return [head, *totals, *ends]
