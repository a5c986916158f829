"""The commands of the command line, one module for each kind of work. Shared here: options, output, and how a command ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, overload

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dispatch.site_file.setup import Setup

DONE, FINDINGS, WRONG, FAILED = 0, 1, 2, 3

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Data folder of the site.")]
Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="Site file (TOML).")]


class Ended(Exception):
    """A command ends with this exit status; `lines` are printed to stderr."""

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.status, self.lines = status, lines


def out(document: Any, as_json: bool, lines: Iterable[str] = ()) -> None:
    """Print the result to stdout: one JSON document, or lines of text."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        for line in lines:
            sys.stdout.write(f"{line}\n")


def note(text: str) -> None:
    """Print a remark to stderr."""
    sys.stderr.write(f"{text}\n")


def table(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> list[str]:
    """Rows as aligned text columns under a header."""
    columns = list(columns)
    cells = [[str(r.get(c, "")) for c in columns] for r in rows]
    widths = [max(len(c), *(len(row[k]) for row in cells)) if cells else len(c) for k, c in enumerate(columns)]
    head = "  ".join(c.ljust(w) for c, w in zip(columns, widths, strict=True))
    return [head.rstrip(), *("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)]


def usd(amount: Any, *, change: bool = False) -> str:
    """Dollars as text: "$1,234.50", "-$3.20"; a change that is a gain has its plus: "+$3.20"."""
    from optimizer.domain.money import usd_text  # numpy comes with it, which --help does not need

    text = usd_text(amount)
    return f"+{text}" if change and not text.startswith("-") else text


def ledger(data: Path, *, create: bool = False) -> Engine:
    """The ledger of a data folder. Raises Ended with status 2 when there is none."""
    from dispatch.store.tables import open_ledger

    return open_ledger(data if create else ledger_folder(data), create=create)


@overload
def ledger_folder(data: Path) -> Path: ...
@overload
def ledger_folder(data: Path | None) -> Path | None: ...
def ledger_folder(data: Path | None) -> Path | None:
    """The data folder, when one is given. Raises Ended with status 2 when it has no ledger."""
    if data is None:
        return None
    from dispatch.store.tables import ledger_file

    if not ledger_file(data).exists():
        raise Ended(WRONG, f"{data}: there is no ledger here; `loadstone run --data {data}` creates one")
    return data


def instant(text: str, name: str) -> datetime:
    """An instant from the command line. Raises Ended with status 2 when it is not one."""
    from markets.grid import parse_instant

    try:
        return parse_instant(text)
    except ValueError as error:
        raise Ended(WRONG, f"{name}: {error}") from None


def read_json(path: Path) -> Any:
    """A JSON file from the command line. Raises Ended with status 2 when it cannot be read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Ended(WRONG, f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise Ended(WRONG, f"{path}: is not JSON: {error}") from None


def setup_of_ledger(engine: Engine) -> Setup:
    """The setup of the newest run in a ledger. Raises Ended with status 2 when nothing has run."""
    from dispatch.store.recorded_setup import recorded_setup

    try:
        return recorded_setup(engine)
    except LookupError as error:
        raise Ended(WRONG, str(error.args[0])) from None


def day(text: str, name: str) -> date:
    """A date from the command line. Raises Ended with status 2 when it is not one."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Ended(WRONG, f"{name}: {text!r} is not a date such as 2026-08-20") from None
