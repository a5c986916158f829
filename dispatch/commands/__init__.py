"""The command line, a room a kind of work. What they share: one way to print, one way to end."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

DONE, FINDINGS, WRONG, FAILED = 0, 1, 2, 3

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Data = Annotated[Path, typer.Option("--data", help="The site's data folder.")]
Config = Annotated[Path, typer.Option("--config", help="The site file.")]


class Ended(Exception):
    """A command ends early: its exit status and what it says, a line each."""

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.status, self.lines = status, lines


def out(document: Any, as_json: bool, lines: Iterable[str] = ()) -> None:
    """The answer: one JSON document, or lines for people."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        for line in lines:
            sys.stdout.write(f"{line}\n")


def note(text: str) -> None:
    """Progress and remarks, for people, on stderr."""
    sys.stderr.write(f"{text}\n")


def table(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> list[str]:
    """Rows as text columns."""
    columns = list(columns)
    cells = [[str(r.get(c, "")) for c in columns] for r in rows]
    widths = [max(len(c), *(len(row[k]) for row in cells)) if cells else len(c) for k, c in enumerate(columns)]
    head = "  ".join(c.ljust(w) for c, w in zip(columns, widths, strict=True))
    return [head.rstrip(), *("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)]


def logs_to_stderr(level: int = logging.INFO) -> None:
    """structlog on stderr: readable on a terminal, JSON lines elsewhere."""
    import structlog

    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def ledger(data: Path, *, create: bool = False) -> Any:
    """The ledger of a data folder. Ends with 2 when there is none."""
    from dispatch.store.tables import ledger_file, open_ledger

    if not create and not ledger_file(data).exists():
        raise Ended(WRONG, f"{data}: there is no ledger here; `loadstone run --data {data}` makes one")
    return open_ledger(data, create=create)


def instant(text: str, name: str) -> Any:
    """An instant from the command line. Ends with 2 in the user's words."""
    from markets.grid import parse_instant

    try:
        return parse_instant(text)
    except ValueError as error:
        raise Ended(WRONG, f"{name}: {error}") from None


def read_json(path: Path) -> Any:
    """A JSON file from the command line. Ends with 2 when it cannot be read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Ended(WRONG, f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise Ended(WRONG, f"{path}: is not JSON: {error}") from None


def setup_of_ledger(engine: Any) -> Any:
    """The Setup of the newest run a ledger holds. Ends with 2 when nothing ever ran."""
    from dispatch.entries import RunStarted
    from dispatch.site_file.load import setup_from_document
    from dispatch.store.journal import SqlJournal

    started = None
    for _, entry in SqlJournal(engine).read():
        if isinstance(entry, RunStarted):
            started = entry
    if started is None:
        raise Ended(WRONG, "nothing has run on this data folder yet")
    return setup_from_document(started.config)
