"""The statement as a workbook: a summary, then sheets to sort and sum. The same version is the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from dispatch.reports.labels import flags, footing, heading, listed, title
from dispatch.settlement.document import DayStatement, Figure, MonthStatement
from dispatch.settlement.statement_lines import COLUMNS, columns_of
from markets.grid import parse_instant

NUMBERS = ("quantity", "rate", "amount_usd")


def as_xlsx(statement: DayStatement) -> bytes:
    """Sheets: Summary, Lines, Intervals, Strategies, Promises, Contract progress, Notes. Amounts are floating-point numbers; the JSON file
    has them exactly."""
    out = BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": f"Settlement {statement['date']} {statement['site']}", "created": _created(statement)})
    bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
    _summary(book.add_worksheet("Summary"), statement, bold, money)
    lines = [[_cell(column, text) for column, text in columns_of(line)] for line in statement["lines"]]
    _table(book.add_worksheet("Lines"), COLUMNS, lines, bold)
    _intervals(book.add_worksheet("Intervals"), statement, bold)
    strategies = [
        [title(n), _number(v["net_usd"]), v["energy_mwh"], v["hash_ph_days"], v["starts"]] for n, v in statement["counterfactuals"].items()
    ]
    _table(book.add_worksheet("Strategies"), ("strategy", "net_usd", "energy_mwh", "hash_ph_days", "rig_starts"), strategies, bold)
    kept = [
        [p["obligation"], "kept" if p["kept"] else "broken", _number(p["payable_usd"]), _number(p["lost_usd"])]
        for p in statement["promises"]
    ]
    _table(book.add_worksheet("Promises"), ("contract", "state", "payable_usd", "lost_usd"), kept, bold)
    _figures(book.add_worksheet("Contract progress"), statement["contract_progress"], bold)
    notes = [[text] for text in footing(statement)]
    _table(book.add_worksheet("Notes"), ("note",), notes, bold)
    book.close()
    return out.getvalue()


def month_as_xlsx(statement: MonthStatement) -> bytes:
    """Several days added up: sheets Summary, Figures, Days."""
    out = BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    last = datetime.fromisoformat(statement["to"])
    book.set_properties({"title": f"Settlement {statement['from']} to {statement['to']} {statement['site']}", "created": last})
    bold = book.add_format({"bold": True})
    totals = [[title(n), _number(v)] for n, v in statement["totals"].items()]
    _table(book.add_worksheet("Summary"), ("charge", "usd"), [*totals, ["net", _number(statement["net_usd"])]], bold)
    _figures(book.add_worksheet("Figures"), statement["figures"], bold)
    days = [[d["date"], d["version"], _number(d["net_usd"]), "part" if d["partial"] else ""] for d in statement["days"]]
    _table(book.add_worksheet("Days"), ("day", "version", "net_usd", "partial"), days, bold)
    book.close()
    return out.getvalue()


def _created(statement: DayStatement) -> datetime:
    """When its newest input was known, not when the file was written: the same version is the same bytes."""
    return parse_instant(statement["known_at"]).replace(tzinfo=None, microsecond=0)


def _summary(sheet: Worksheet, d: DayStatement, bold: Any, money: Any) -> None:
    texts = [heading(d), f"Operating day {d['date']}", *flags(d), *d["narrative"]["earned"]]
    for row, text in enumerate(texts):
        sheet.write_string(row, 0, text, bold if row < 2 else None)
    row = len(texts) + 1
    for name, usd in d["totals"].items():
        sheet.write_string(row, 0, title(name))
        sheet.write_number(row, 1, float(usd), money)
        row += 1
    sheet.write_string(row, 0, "net", bold)
    sheet.write_number(row, 1, float(d["net_usd"]), money)
    sections = {"Why": d["narrative"]["why"], "Issues": d["narrative"]["issues"], "Actions": d["narrative"]["actions"]}
    for section, sentences in sections.items():
        row += 2
        sheet.write_string(row, 0, section, bold)
        for text in listed(sentences):
            row += 1
            sheet.write_string(row, 0, text)
    sheet.write_string(row + 2, 0, f"Journal {d['journal_head']}, prices known to {d['known_at']}")
    sheet.set_column(0, 0, 60)
    sheet.set_column(1, 1, 16)


def _intervals(sheet: Worksheet, d: DayStatement, bold: Any) -> None:
    points = list(d["intervals"][0]["price_usd_per_mwh"])
    first = ("start", "label", "load_mw", "energy_mwh", "hash_ph_days", "net_usd")
    head = (*first, *(f"{p} usd_per_mwh" for p in points), "hashprice usd_per_ph_day", "unread")
    rows = [
        [row["start"], row["label"], _number(row["load_mw"]), _number(row["energy_mwh"]), _number(row["hash_ph_days"]),
         _number(row["net_usd"]), *(_number(row["price_usd_per_mwh"][p]) for p in points),
         _number(row["hashprice_usd_per_ph_day"]), row["unread"]]
        for row in d["intervals"]
    ]  # fmt: skip
    _table(sheet, head, rows, bold)


def _figures(sheet: Worksheet, figures: Sequence[Figure], bold: Any) -> None:
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
