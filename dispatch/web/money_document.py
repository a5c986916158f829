"""The money of a settled day and of its month, as the API and its page show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypedDict

from dispatch.reports.write import ALL, stem
from dispatch.settlement.document import DayStatement, MonthStatement, known_totals
from dispatch.settlement.month import HASHING, add_up
from dispatch.web.context import ApiContext
from dispatch.web.errors import Refusal
from optimizer.domain.money import ZERO


class WaterfallStep(TypedDict):
    """A bar of the waterfall: an amount of the day, and the sum before and after it. `name` is as in the totals, "net" for the last."""

    name: str
    usd: str
    from_usd: str
    to_usd: str


class Comparison(TypedDict):
    """What another way of running the day would have earned, and by how much the site earned more."""

    strategy: str
    net_usd: str
    more_usd: str


class MonthDay(TypedDict):
    """A day of the month: null amounts where it is not settled, totals null where unknown. The two sums run from the month's first day."""

    date: str
    version: int | None
    totals: dict[str, str | None]
    settled_usd: str | None
    accrued_usd: str | None
    net_usd: str | None
    settled_so_far_usd: str
    accrued_so_far_usd: str


class KeptVersion(TypedDict):
    """A version of the day's statement and the formats it was written in."""

    version: int
    formats: list[str]


class MoneyDocument(TypedDict):
    """`statement` is the day's, without its lines and intervals; `month` adds up what is settled of its month, day by day in `days`.
    `earlier` and `later` are the settled days beside it. All null or empty before the first settled day."""

    date: str | None
    earlier: str | None
    later: str | None
    versions: list[KeptVersion]
    statement: dict[str, Any] | None
    waterfall: list[WaterfallStep]
    compared: list[Comparison]
    month: MonthStatement | None
    days: list[MonthDay]


def money_document(context: ApiContext, on: date | None) -> MoneyDocument:
    """Of a settled day, the newest when None. Raises Refusal when that day is not settled, LedgerUnavailable, JournalBroken."""
    market, engine, kept = context.view.state.site.market.value, context.ledger.engine, context.statements
    versions = kept.versions(engine, market)
    settled = sorted(versions)
    if on is not None and on not in versions:
        raise Refusal(404, f"{on} is not settled" + (f"; the newest settled day is {settled[-1]}" if settled else ""))
    if not settled:
        none: list[Any] = []
        return MoneyDocument(
            date=None, earlier=None, later=None, versions=none, statement=None, waterfall=none, compared=none, month=None, days=none
        )
    day = on or settled[-1]
    month = [d for d in settled if (d.year, d.month) == (day.year, day.month)]
    first = max(settled[0], day.replace(day=1))
    statements = [kept.statement(engine, d, market, versions[d][-1]) for d in month]
    statement, k = statements[month.index(day)], settled.index(day)
    return {
        "date": day.isoformat(),
        "earlier": settled[k - 1].isoformat() if k else None,
        "later": settled[k + 1].isoformat() if k + 1 < len(settled) else None,
        "versions": [{"version": v, "formats": _formats(context, statement, v)} for v in reversed(versions[day])],
        "statement": {key: value for key, value in statement.items() if key not in ("lines", "intervals")},
        "waterfall": waterfall_steps(statement),
        "compared": compared(statement),
        "month": add_up(statements, first, month[-1]),
        "days": month_days(statements, first, month[-1]),
    }


def _formats(context: ApiContext, statement: DayStatement, version: int) -> list[str]:
    """The formats in which `GET /api/v1/settlements/{day}` gives a version: JSON comes from the ledger, the others are files."""
    folder = context.data_dir / "settlements" / statement["date"]
    name = stem({**statement, "version": version})
    return ["json", *(kind for kind in ALL if kind != "json" and (folder / f"{name}.{kind}").is_file())]


def waterfall_steps(statement: DayStatement) -> list[WaterfallStep]:
    """From hash revenue through every known amount to the net, which is the last step and starts at zero."""
    totals = known_totals(statement)
    steps, total = list[WaterfallStep](), ZERO
    for name in sorted(totals, key=lambda name: not name.startswith(HASHING)):
        if usd := totals[name]:
            steps.append({"name": name, "usd": f"{usd:.2f}", "from_usd": f"{total:.2f}", "to_usd": f"{total + usd:.2f}"})
            total += usd
    return [*steps, {"name": "net", "usd": statement["net_usd"], "from_usd": "0.00", "to_usd": statement["net_usd"]}]


def compared(statement: DayStatement) -> list[Comparison]:
    """What the site earned against every other way of running that the statement values."""
    net = Decimal(statement["net_usd"])
    return [
        {"strategy": name, "net_usd": other["net_usd"], "more_usd": f"{net - Decimal(other['net_usd']):.2f}"}
        for name, other in statement["counterfactuals"].items()
    ]


def month_days(statements: Sequence[DayStatement], first: date, last: date) -> list[MonthDay]:
    """Each day from `first` to `last` with its lines, and what settled and what is accrued by its end."""
    by_day: Mapping[str, DayStatement] = {s["date"]: s for s in statements}
    settled = accrued = ZERO
    rows = list[MonthDay]()
    for n in range((last - first).days + 1):
        on = (first + timedelta(days=n)).isoformat()
        if (statement := by_day.get(on)) is not None:  # statements kept before there were accruals have settled all
            own = {"settled": statement.get("settled_usd", statement["net_usd"]), "accrued": statement.get("accrued_usd", "0.00")}
            settled, accrued = settled + Decimal(own["settled"]), accrued + Decimal(own["accrued"])
        rows.append(
            {
                "date": on,
                "version": statement["version"] if statement else None,
                "totals": statement["totals"] if statement else {},
                "settled_usd": own["settled"] if statement else None,
                "accrued_usd": own["accrued"] if statement else None,
                "net_usd": statement["net_usd"] if statement else None,
                "settled_so_far_usd": f"{settled:.2f}",
                "accrued_so_far_usd": f"{accrued:.2f}",
            }
        )
    return rows
