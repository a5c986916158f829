"""The texts and figures of the money page, made from the API's document."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, cast

from dispatch.reports import labels as words
from dispatch.settlement.document import DayStatement
from dispatch.web.context import ApiContext
from dispatch.web.errors import Refusal
from dispatch.web.money_document import MoneyDocument, money_document
from optimizer.domain.money import usd_text


def money_values(context: ApiContext, day: str) -> dict[str, Any]:
    """Every value that the page's template shows; `fault` says why another day than the one asked for is shown."""
    fault = ""
    try:
        document = money_document(context, date.fromisoformat(day) if day else None)
    except Refusal as refused:
        document, fault = money_document(context, None), refused.detail
    except ValueError:
        document, fault = money_document(context, None), f"{day!r} is not a day; write it as 2026-07-31"
    found = {"fault": fault, "document": document, "figures": _figures(document), "word": words.title, "amount": words.amount}
    if document["statement"] is None:
        return found
    statement = cast(DayStatement, document["statement"])
    return found | {
        "day": statement,
        "flags": words.flags(statement),
        "heading": words.heading(statement),
        "charges": words.charges(statement),
        "verdict": _verdict(document),
        "forecast_columns": words.FORECAST_COLUMNS,
        "forecast_rows": words.forecast_rows(statement),
        "forecast_texts": words.forecast_texts(statement),
        "month_flags": words.month_flags(document["month"]) if document["month"] else [],
        "lines": list(document["month"]["totals"]) if document["month"] else [],
    }


def _verdict(document: MoneyDocument) -> str:
    """What the site earned beside hashing at all hours, in a sentence; empty where the statement does not compare."""
    for row in document["compared"]:
        if row["strategy"] == "always_on":
            more = Decimal(row["more_usd"])
            than = f"{usd_text(abs(more))} {'more' if more >= 0 else 'less'} than" if more else "the same as"
            return f"The site earned {than} with every rig hashing at all hours."
    return ""


def _figures(document: MoneyDocument) -> list[dict[str, Any]]:
    """The bars of the chart, labelled."""
    return [
        {
            "name": words.title(step["name"]),
            "usd": float(step["usd"]),
            "from_usd": float(step["from_usd"]),
            "label": usd_text(step["usd"]),
            "net": step["name"] == "net",
        }
        for step in document["waterfall"]
    ]
