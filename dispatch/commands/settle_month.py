"""settle MONTH: the roll-up of a month, or of any days, from their statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dispatch.commands import WRONG, Ended, note

if TYPE_CHECKING:
    from dispatch.settlement.document import DayStatement, MonthStatement

MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
DAYS = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")


def span_of(text: str) -> tuple[date, date] | None:
    """First and last day of "2026-08" or "2026-06-01..2026-08-31"; None for anything else. Raises Ended when the days are no days."""
    if found := MONTH.fullmatch(text):
        first = date(int(found[1]), int(found[2]), 1)
        return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    if found := DAYS.fullmatch(text):
        try:
            first, last = date.fromisoformat(found[1]), date.fromisoformat(found[2])
        except ValueError as error:
            raise Ended(WRONG, f"{text}: {error}") from None
        if last < first:
            raise Ended(WRONG, f"{text}: the last day is before the first")
        return first, last
    return None


def rolled_up(
    settled: Callable[[date], DayStatement], first: date, last: date, folder: Path, formats: Sequence[str]
) -> tuple[MonthStatement, list[Path]]:
    """The roll-up of days as they are settled now, and its files. `settled` raises LookupError for a day that was not run: it is named.
    Raises Ended when none was."""
    from dispatch.reports.write import write_month
    from dispatch.settlement.month import add_up

    days = []
    for n in range((last - first).days + 1):
        try:
            days.append(settled(first + timedelta(days=n)))
        except LookupError as why:
            note(f"{first + timedelta(days=n)}: {why.args[0] if why.args else why}")
    if not days:
        raise Ended(WRONG, f"no day from {first} to {last} was run")
    document = add_up(days, first, last)
    return document, write_month(document, folder, formats)


def told(document: MonthStatement, written: Sequence[Path]) -> list[str]:
    """The roll-up in lines."""
    totals = [f"  {name:<36} {usd:>16} $" for name, usd in document["totals"].items()]
    figures = [f"  {f['name']:<36} {f['value']:>16} {f['unit']}" for f in document["figures"]]
    head = f"{document['from']} to {document['to']} {document['market']}: {len(document['days'])} days"
    missing = [f"missing: {', '.join(document['missing'])}"] if document["missing"] else []
    return [head, *totals, f"  {'net':<36} {document['net_usd']:>16} $", *figures, *missing, *(f"wrote {p}" for p in written)]
