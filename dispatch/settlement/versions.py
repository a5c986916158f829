"""The versions of a day's statement. A version is kept in the ledger and never changes; other content makes the next version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Engine

from dispatch.entries import canonical_json
from dispatch.imports.calendar import statement_type
from dispatch.settlement.document import DayContent, DayStatement, Delta, from_json, to_json
from dispatch.store import statements
from dispatch.store.journal import SqlJournal
from dispatch.store.received import settlement_calendar
from markets.grid import OperatingDay

# Keys that differ between two statements of the same content.
VERSION_KEYS = ("version", "stage", "statement_type", "delta", "journal_head")
NOT_KEPT = 0


def kept_version(engine: Engine, day: OperatingDay, version: int) -> DayStatement:
    """A version as it was kept. Raises LookupError when there is none of that number, LedgerUnavailable."""
    kept = statements.kept_statement(engine, day.on, day.market.value, version)
    if kept is None:
        raise LookupError(f"There is no version {version} of this statement.")
    return from_json(kept.document)


def version_known_then(engine: Engine, day: OperatingDay, content: DayContent) -> DayStatement:
    """The newest kept version with this content; else version 0, which is not kept. Raises LedgerUnavailable."""
    same = next((kept for kept in _newest_first(engine, day) if _same(kept, content)), None)
    return same or _statement(engine, content, NOT_KEPT, None)


def current_version(engine: Engine, day: OperatingDay, content: DayContent) -> DayStatement:
    """The newest kept version when its content is this, else the next version, which is kept now. Raises LedgerUnavailable."""
    newest = next(_newest_first(engine, day), None)
    if newest is not None and _same(newest, content):
        return newest
    statement = _statement(engine, content, newest["version"] + 1 if newest else 1, newest)
    text = to_json(statement)
    known_at = datetime.fromisoformat(content["known_at"])
    try:
        statements.keep_statement(engine, day.on, day.market.value, statement["version"], text, known_at, statement["journal_head"])
    except ValueError:  # another process kept a version of this number in the meantime
        return current_version(engine, day, content)
    return from_json(text)


def _newest_first(engine: Engine, day: OperatingDay) -> Iterator[DayStatement]:
    newest = statements.kept_statement(engine, day.on, day.market.value)
    for number in range(newest.version if newest else 0, 0, -1):
        if kept := statements.kept_statement(engine, day.on, day.market.value, number):
            yield from_json(kept.document)


def _same(statement: DayStatement, content: DayContent) -> bool:
    return canonical_json({k: v for k, v in statement.items() if k not in VERSION_KEYS}) == canonical_json(dict(content))


def _statement(engine: Engine, content: DayContent, version: int, before: DayStatement | None) -> DayStatement:
    seq, head = SqlJournal(engine).head
    known_on = datetime.fromisoformat(content["known_at"]).date()
    stage = settlement_calendar(engine).stage(date.fromisoformat(content["date"]), known_on)
    return {
        "date": content["date"],
        "market": content["market"],
        "version": version,
        "stage": stage,
        "statement_type": statement_type(stage),
        **content,
        "delta": _delta(before, content),
        "journal_head": f"{seq}:{head}",
    }


def _delta(before: DayStatement | None, content: DayContent) -> Delta | None:
    """What changed against the version before, by total."""
    if before is None:
        return None
    names = list(dict.fromkeys([*content["totals"], *before["totals"]]))
    changed = {n: _difference(content["totals"].get(n, "0"), before["totals"].get(n, "0")) for n in names}
    net = Decimal(content["net_usd"]) - Decimal(before["net_usd"])
    return {"version": before["version"], "net_usd": f"{net:.2f}", "totals": {n: usd for n, usd in changed.items() if usd != "0.00"}}


def _difference(now: str | None, before: str | None) -> str | None:
    """Between two totals, to the cent; None where one of them is not known and the other is."""
    if now is None or before is None:
        return "0.00" if now is before else None
    return f"{Decimal(now) - Decimal(before):.2f}"
