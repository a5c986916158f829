"""The statement as a workbook: a sheet to read first, then what an accountant sorts and sums. The same version is the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from dispatch.reports.labels import flags, footing, heading, words
from dispatch.settlement.statement_lines import COLUMNS
from markets.grid import parse_instant

NUMBERS = ("quantity", "rate", "amount_usd")


def as_xlsx(document: Mapping[str, Any]) -> bytes:
    """Sheets: Summary, Lines, Intervals, Other ways, Promises, So far, Notes. Amounts are numbers; what a spreadsheet cannot hold exactly
    stands in the JSON beside it."""
    out = BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": f"Settlement {document['date']} {document['site']}", "created": _made(document)})
    bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
    _summary(book.add_worksheet("Summary"), document, bold, money)
    _table(book.add_worksheet("Lines"), COLUMNS, [[_cell(c, line.get(c, "")) for c in COLUMNS] for line in document["lines"]], bold)
    _intervals(book.add_worksheet("Intervals"), document, bold)
    ways = [
        [words(n), _number(v["net_usd"]), v["energy_mwh"], v["hash_ph_days"], v["starts"]] for n, v in document["counterfactuals"].items()
    ]
    _table(book.add_worksheet("Other ways"), ("way", "net_usd", "energy_mwh", "hash_ph_days", "rig_starts"), ways, bold)
    kept = [
        [p["obligation"], "kept" if p["kept"] else "broken", _number(p["payable_usd"]), _number(p["lost_usd"])]
        for p in document["promises"]
    ]
    _table(book.add_worksheet("Promises"), ("contract", "state", "payable_usd", "lost_usd"), kept, bold)
    _figures(book.add_worksheet("So far"), document.get("standing", ()), bold)
    notes = [[text] for text in footing(document)]
    _table(book.add_worksheet("Notes"), ("note",), notes, bold)
    book.close()
    return out.getvalue()


def span_as_xlsx(document: Mapping[str, Any]) -> bytes:
    """A roll-up of days (span.py): sheets Summary, Figures, Days."""
    out = BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    last = datetime.fromisoformat(document["to"])
    book.set_properties({"title": f"Settlement {document['from']} to {document['to']} {document['site']}", "created": last})
    bold = book.add_format({"bold": True})
    totals = [[words(n), _number(v)] for n, v in document["totals"].items()]
    _table(book.add_worksheet("Summary"), ("charge", "usd"), [*totals, ["net", _number(document["net_usd"])]], bold)
    _figures(book.add_worksheet("Figures"), document["figures"], bold)
    days = [[d["date"], d["version"], _number(d["net_usd"]), "part" if d["partial"] else ""] for d in document["days"]]
    _table(book.add_worksheet("Days"), ("day", "version", "net_usd", "partial"), days, bold)
    book.close()
    return out.getvalue()


def _made(document: Mapping[str, Any]) -> datetime:
    """What was known, not when the file was written: the same version is the same bytes."""
    return parse_instant(document["known_at"]).replace(tzinfo=None, microsecond=0)


def _summary(sheet: Worksheet, d: Mapping[str, Any], bold: Any, money: Any) -> None:
    texts = [heading(d), f"Operating day {d['date']}", *flags(d), *d["story"]["earned"]]
    for row, text in enumerate(texts):
        sheet.write_string(row, 0, text, bold if row < 2 else None)
    at = len(texts) + 1
    for name, usd in d["totals"].items():
        sheet.write_string(at, 0, words(name))
        sheet.write_number(at, 1, float(usd), money)
        at += 1
    sheet.write_string(at, 0, "net", bold)
    sheet.write_number(at, 1, float(d["net_usd"]), money)
    for title, key in (("Why", "why"), ("What went wrong", "wrong"), ("What needs a person", "person")):
        at += 2
        sheet.write_string(at, 0, title, bold)
        for text in d["story"][key]:
            at += 1
            sheet.write_string(at, 0, text)
    sheet.write_string(at + 2, 0, f"Journal {d['journal_head']}, prices known to {d['known_at']}")
    sheet.set_column(0, 0, 60)
    sheet.set_column(1, 1, 16)


def _intervals(sheet: Worksheet, d: Mapping[str, Any], bold: Any) -> None:
    points = list(d["intervals"][0]["price_usd_per_mwh"])
    plain = ("start", "label", "load_mw", "energy_mwh", "hash_ph_days", "net_usd")
    head = (*plain, *(f"{p} usd_per_mwh" for p in points), "hashprice usd_per_ph_day", "unread")
    rows = [
        [row["start"], row["label"], *(_number(row[c]) for c in plain[2:]), *(_number(row["price_usd_per_mwh"][p]) for p in points),
         _number(row["hashprice_usd_per_ph_day"]), row["unread"]]
        for row in d["intervals"]
    ]  # fmt: skip
    _table(sheet, head, rows, bold)


def _figures(sheet: Worksheet, figures: Sequence[Mapping[str, str]], bold: Any) -> None:
    rows = [[f["name"], _number(f["value"]), f["unit"], f["how"]] for f in figures]
    _table(sheet, ("figure", "value", "unit", "what it counts"), rows, bold)


def _table(sheet: Worksheet, head: Sequence[str], rows: Sequence[Sequence[Any]], bold: Any) -> None:
    for column, name in enumerate(head):
        sheet.write_string(0, column, name, bold)
    for n, row in enumerate(rows, start=1):
        for column, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(n, column, value)
            elif value is not None:
                sheet.write_number(n, column, value)
    sheet.freeze_panes(1, 0)
    if rows:
        sheet.autofilter(0, 0, len(rows), len(head) - 1)
    sheet.set_column(0, len(head) - 1, 18)


def _cell(column: str, text: str) -> Any:
    return _number(text) if column in NUMBERS else text


def _number(text: str | None) -> float | None:
    return None if text is None else float(Decimal(text))
