"""ERCOT's settlement statement as XML (Statements.xsd): charge types with amounts and, where they are given, intervals.

There a payment to the QSE is negative; here it is positive. Intervals go by their number in the operating day, so days of 92 and 100
quarter hours need no clock.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element

from dispatch.imports import UnreadableDocument
from dispatch.imports.csv_table import parse_day, parse_number
from dispatch.imports.safe_xml import child_text, children, local_name
from dispatch.imports.statement import ReceivedCharge, ReceivedStatement
from markets.grid import Grid, Interval, Market, OperatingDay
from optimizer.domain.money import ZERO, Finding
from optimizer.settlement.reconcile import tolerance

MINUTES = (5, 15, 60, 1440)


def is_ercot_statement(root: Element) -> bool:
    return local_name(root) == "Statement"


def read_ercot_statement(root: Element) -> ReceivedStatement:
    """A statement of one operating day. Raises UnreadableDocument when it does not say of which."""
    account = next(children(root, "AccountSection"), None)
    if account is None:
        raise UnreadableDocument("has no AccountSection: it is not a settlement statement")
    try:
        on = parse_day(child_text(account, "OperatingDay"))
    except ValueError as error:
        raise UnreadableDocument(f"AccountSection/OperatingDay: {error}") from None
    findings: list[Finding] = []
    channel = child_text(account, "Channel")
    charges = [
        charge
        for section in children(root, "DataSection")
        for n, element in enumerate(children(section, "ChargeType"), 1)
        if (charge := _charge(element, n, on, channel, findings)) is not None
    ]
    findings += _foots(root, charges)
    return ReceivedStatement(
        kind="ercot statement",
        first=on,
        last=on,
        charges=tuple(charges),
        findings=tuple(findings),
        statement_type=child_text(account, "StatementType"),
        version=channel,
        market_type=child_text(account, "MarketType").upper(),
    )


def _charge(element: Element, n: int, on: date, channel: str, findings: list[Finding]) -> ReceivedCharge | None:
    code, name = child_text(element, "AmountCode"), child_text(element, "AmountDescription")
    where = f"ChargeType {n} {code or name or 'without a code'}"
    if not code:
        findings.append(Finding("unknown-charge", f"{where}: has no AmountCode: not compared"))
        return None
    by_interval = _intervals(element, where, on, findings)
    try:
        amount = _amount(element, channel)
    except ValueError as error:
        findings.append(Finding("value", f"{where}: {error}: not compared"))
        return None
    added = sum(by_interval.values(), ZERO)
    if amount is None and not by_interval:
        findings.append(Finding("value", f"{where}: has neither an amount nor intervals: not compared"))
        return None
    if amount is not None and by_interval and abs(added - amount) > tolerance(amount) + Decimal("0.005") * len(by_interval):
        findings.append(Finding("does-not-foot", f"{where}: its intervals add up to {-added:.2f}, its amount is {-amount:.2f}"))
    return ReceivedCharge(code, name, added if amount is None else amount, on, on, where, by_interval)


def _amount(element: Element, channel: str) -> Decimal | None:
    """The amount of this statement's own channel, site view; None without one. Raises ValueError."""
    details = list(children(element, "BillingDetails"))
    own = [d for d in details if channel and _same(child_text(d, "SaveChannel"), channel)] or details
    for detail in reversed(own):
        if said := child_text(detail, "Amount") or child_text(detail, "BillAmount"):
            return -parse_number(said)
    return None


def _same(one: str, other: str) -> bool:
    try:
        return parse_number(one) == parse_number(other)
    except ValueError:
        return one == other


def _intervals(element: Element, where: str, on: date, findings: list[Finding]) -> dict[Interval, Decimal]:
    rows = list(children(element, "Interval"))
    if not rows:
        return {}
    told = child_text(element, "NumberOfIntervals")
    over = operating_day_grid(on, int(told) if told.isdecimal() and len(told) < 6 else len(rows))
    if over is None:
        words = f"{where}: {told or len(rows)} intervals do not make up operating day {on.isoformat()}: not compared by interval"
        findings.append(Finding("intervals", words))
        return {}
    found: dict[Interval, Decimal] = {}
    for row in rows:
        num = row.get("NUM", "")
        try:
            place = over.intervals[_place(num, len(over))]
            value = -parse_number(child_text(row, "IntervalValue"))
        except ValueError as error:
            findings.append(Finding("value", f"{where}, interval {num}: {error}: not used"))
            continue
        if place in found:
            findings.append(Finding("duplicate", f"{where}, interval {num}: is listed twice: the first is used"))
            continue
        found[place] = value
    if len(found) < len(over):
        findings.append(Finding("missing", f"{where}: {len(over) - len(found)} of {len(over)} intervals are missing"))
    return found


def _place(num: str, n: int) -> int:
    if not num.isdecimal() or len(num) > 5 or not 1 <= int(num) <= n:
        raise ValueError(f"NUM {num[:20]!r} is not from 1 to {n}")
    return int(num) - 1


def operating_day_grid(on: date, count: int, market: Market = Market.ERCOT) -> Grid | None:
    """The operating day in so many intervals of 5, 15 or 60 minutes, or as a whole; None when it has no such number."""
    whole = OperatingDay(market, on)
    return next((g for minutes in MINUTES if len(g := whole.grid(minutes)) == count), None)


def _foots(root: Element, charges: list[ReceivedCharge]) -> list[Finding]:
    """Whether the charges add up to the statement's own total."""
    told = [
        child_text(current, "StatementTotal") for summary in children(root, "Summary") for current in children(summary, "CurrentDollars")
    ]
    try:
        total = -parse_number(told[0]) if told else None
    except ValueError as error:
        return [Finding("value", f"Summary/StatementTotal: {error}")]
    added = sum((c.amount_usd for c in charges), ZERO)
    if total is None or abs(added - total) <= tolerance(total) + Decimal("0.005") * len(charges):
        return []
    return [Finding("does-not-foot", f"Summary: the charges add up to {-added:.2f}, StatementTotal is {-total:.2f}")]
