"""Charges as CSV: MISO's statements (operating date, charge type, amount) and a supplier's invoice by its map."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

from dispatch.imports import UnreadableDocument
from dispatch.imports.csv_table import CsvTable, parse_day, parse_number, read_table
from dispatch.imports.statement import ReceivedCharge, ReceivedStatement, StatementMap
from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.money import ZERO, Finding

CHARGE = ("charge type", "charge type name", "charge code", "charge", "description", "line item", "item")
AMOUNT = ("amount", "amount usd", "charge amount", "settlement amount", "total", "net amount")
FROM = ("operating date", "operating day", "service from", "from", "start date", "date", "period start")
TO = ("service to", "to", "end date", "period end")
HOUR = ("hour", "hour ending", "he", "interval")
STATEMENT = ("statement type", "statement", "settlement type")


def read_charges(content: bytes, how: StatementMap, market: Market) -> ReceivedStatement:
    """A statement or an invoice. Raises UnreadableDocument when the columns of charges, amounts or days are not known."""
    rows = read_table(content)
    charge, amount, first, last, hour, kind = _columns(rows, how)
    findings: list[Finding] = []
    found: dict[tuple[str, date, date], ReceivedCharge] = {}
    types: list[str] = []
    for line, row in rows.rows:
        code = row.get(charge, "")
        try:
            begins, ends = _days(row, first, last, how)
            usd = parse_number(row.get(amount, "")) * how.to_site
            over = _hour(begins, row.get(hour, ""), market) if hour else None
        except ValueError as error:
            findings.append(Finding("value", f"row {line}: {code or 'a charge without a name'}: {error}: not compared"))
            continue
        if not code:
            findings.append(Finding("unknown-charge", f"row {line}: {usd:.2f} without a name: not compared"))
            continue
        types.append(row.get(kind, "") if kind else "")
        _add(found, ReceivedCharge(code, code, usd, begins, ends, f"row {line}", {over: usd} if over else {}))
    if not found:
        raise UnreadableDocument("\n".join(f.text for f in findings) or "has no charges")
    charges = tuple(found.values())
    what = "invoice" if how.kind == "invoice" else f"{market.value} statement"
    span = min(c.first for c in charges), max(c.last for c in charges)
    return ReceivedStatement(what, *span, charges, tuple(findings), statement_type=next((t for t in types if t), ""))


def _columns(rows: CsvTable, how: StatementMap) -> tuple[str, str, str | None, str | None, str | None, str | None]:
    keys = (("charge", CHARGE), ("amount", AMOUNT), ("from_", FROM), ("to", TO), ("hour", HOUR), ("statement", STATEMENT))
    found: list[str | None] = []
    for key, names in keys:
        told = getattr(how.columns, key)
        if told is not None and told not in rows.columns:
            raise UnreadableDocument(
                f"map: columns.{key.strip('_')}: there is no column {told!r}; there are {', '.join(map(repr, rows.columns))}"
            )
        found.append(told or rows.find(*names))
    charge, amount, *rest = found
    if charge is None or amount is None:
        raise UnreadableDocument(
            f"no column is known to hold {'charges' if charge is None else 'amounts'}: {', '.join(map(repr, rows.columns))}; give a map"
        )
    if rest[0] is None and how.from_ is None:
        raise UnreadableDocument("no column says which days: say `from` and `to` in a map")
    return charge, amount, rest[0], rest[1], rest[2], rest[3]


def _days(row: Mapping[str, str], first: str | None, last: str | None, how: StatementMap) -> tuple[date, date]:
    """First and last day of a row. Raises ValueError."""
    begins = parse_day(row[first]) if first and row.get(first) else how.from_
    if begins is None:
        raise ValueError("it has no day")
    ends = parse_day(row[last]) if last and row.get(last) else (how.to or begins) if first is None else begins
    if ends < begins:
        raise ValueError(f"it ends on {ends.isoformat()}, before {begins.isoformat()}")
    return begins, ends


def _hour(on: date, text: str, market: Market) -> Interval | None:
    """The hour ending of a day, 1 to 24, as an interval; None where the row speaks of the whole day. Raises ValueError."""
    if not text:
        return None
    whole = OperatingDay(market, on)
    hour = int(parse_number(text.upper().removeprefix("HE")))
    hours = round((whole.end - whole.start) / timedelta(hours=1))
    if not 1 <= hour <= hours:
        raise ValueError(f"hour {text!r} is not from 1 to {hours}")
    return Interval(whole.start + timedelta(hours=hour - 1), whole.start + timedelta(hours=hour))


def _add(found: dict[tuple[str, date, date], ReceivedCharge], new: ReceivedCharge) -> None:
    """Rows of one charge over the same days become one charge; its hours are kept apart."""
    key = (new.code, new.first, new.last)
    before = found.get(key)
    if before is None:
        found[key] = new
        return
    both = {i: _sum(before, new, i) for i in {**before.by_interval, **new.by_interval}}
    known = both if before.by_interval and new.by_interval else {}
    found[key] = ReceivedCharge(new.code, new.name, before.amount_usd + new.amount_usd, new.first, new.last, before.where, known)


def _sum(one: ReceivedCharge, other: ReceivedCharge, over: Interval) -> Decimal:
    return one.by_interval.get(over, ZERO) + other.by_interval.get(over, ZERO)
