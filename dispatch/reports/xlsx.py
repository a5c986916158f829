"""The statement as a workbook: a summary, then sheets to sort and sum. The same version is the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from dispatch.reports.labels import charges, flags, footing, heading, listed, month_flags, nets, title
from dispatch.settlement.document import DayStatement, Figure, MonthStatement, known_totals
from dispatch.settlement.document_rows import LineRow
from dispatch.settlement.statement_lines import COLUMNS, UNKNOWN, columns_of
from markets.grid import parse_instant

FORECAST = ("settlement_point", "intervals", "lost_usd", "last_price_lost_usd", "pinball_usd_per_mwh", "last_price_pinball_usd_per_mwh",
            "share of prices within each quantile", "in words")  # fmt: skip
NUMBERS = ("quantity", "rate", "amount_usd", "metered_mwh", "loss_factor", "day_ahead_mw")


def as_xlsx(statement: DayStatement) -> bytes:
    """Sheets: Summary, Lines, Intervals, Groups, Strategies, Promises, Contract progress, Forecast, Notes. Amounts are floating-point
    numbers; the JSON file has them exactly. Totals are formulas over the lines."""
    out = BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": f"Settlement {statement['date']} {statement['site']}", "created": _created(statement)})
    bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
    in_order = _by_charge(statement)
    _summary(book.add_worksheet("Summary"), statement, in_order, bold, money)
    lines = [[_cell(column, text) for column, text in columns_of(line)] for of_charge in in_order.values() for line in of_charge]
    _table(book.add_worksheet("Lines"), COLUMNS, lines, bold)
    _intervals(book.add_worksheet("Intervals"), statement, bold)
    groups = [
        [g["group"], g["tenant"], *(_number(g[key] or None) for key in ("energy_mwh", "hash_ph_days", "btc_mined", "btc_usd", "hash_usd"))]
        for g in statement.get("groups", ())
    ]
    heads = ("group", "tenant", "energy_mwh", "hash_ph_days", "btc_mined", "btc_usd", "hash_usd")
    _table(book.add_worksheet("Groups"), heads, groups, bold)
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
    scores = [
        [s["point"], s["intervals"], *(_number(s[key]) for key in ("lost_usd", "last_price_lost_usd")),
         *(_number(s[key]) for key in ("pinball_usd_per_mwh", "last_price_pinball_usd_per_mwh")),
         ", ".join(f"{c['level']:g}: {c['share']:g}" for c in s["covered"]), s["text"]]
        for s in statement.get("forecast_scores", ())
    ]  # fmt: skip
    _table(book.add_worksheet("Forecast"), FORECAST, scores, bold)
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
    partly = [row["name"] for row in statement["unknown"]]
    known = [(name, usd) for name, usd in known_totals(statement).items() if usd or name not in partly]
    totals: list[list[Any]] = [[title(n), float(usd)] for n, usd in known]
    totals += [[title(n), UNKNOWN] for n in partly]
    summary = book.add_worksheet("Summary")
    _table(summary, ("charge", "usd"), totals, bold)
    summary.write_string(len(totals) + 1, 0, "net", bold)
    summary.write_formula(
        len(totals) + 1, 1, f"=ROUND(SUM(B2:B{len(totals) + 1}),2)" if totals else "=0", None, float(statement["net_usd"])
    )
    for row, text in enumerate(month_flags(statement), start=len(totals) + 3):
        summary.write_string(row, 0, text)
    _figures(book.add_worksheet("Figures"), statement["figures"], bold)
    days = [[d["date"], d["version"], _number(d["net_usd"]), "part" if d["partial"] else ""] for d in statement["days"]]
    _table(book.add_worksheet("Days"), ("day", "version", "net_usd", "partial"), days, bold)
    book.close()
    return out.getvalue()


def _created(statement: DayStatement) -> datetime:
    """When its newest input was known, not when the file was written: the same version is the same bytes."""
    return parse_instant(statement["known_at"]).replace(tzinfo=None, microsecond=0)


def _by_charge(d: DayStatement) -> dict[str, list[LineRow]]:
    """The lines of each total, one after the other, so that a total is the sum of one range."""
    ordered: dict[str, list[LineRow]] = {name: [] for name in d["totals"]}
    for line in d["lines"]:
        ordered.setdefault(f"{line['obligation']}/{line['charge_type']}", []).append(line)
    return ordered


def _charges(sheet: Worksheet, row: int, d: DayStatement, in_order: Mapping[str, Sequence[LineRow]], bold: Any, money: Any) -> int:
    """The charges from a row on, each the sum of its lines, and the net; the row after them."""
    heads = ("charge", "settled_usd", "accrued_usd", "market_code", "meters", "quantity", "unit", "average_rate")
    for column, text in enumerate(heads):
        sheet.write_string(row, column, text, bold)
    known = known_totals(d)
    first, line, amount_column = row + 1, 2, xl_col_to_name(COLUMNS.index("amount_usd"))
    for row, charge in enumerate(charges(d), start=first):
        name = f"{charge['obligation']}/{charge['charge_type']}"
        last = line + len(in_order.get(name, ())) - 1
        total = f"=ROUND(SUM(Lines!{amount_column}{line}:{amount_column}{last}),2)" if last >= line else "=0"
        sheet.write_string(row, 0, title(name))
        amount_usd = known.get(name, Decimal(0))
        if charge["amount_usd"] is None:
            sheet.write_string(row, 1 if charge["accrued"] else 2, UNKNOWN if not amount_usd else "a part is unknown")
        sheet.write_formula(row, 2 if charge["accrued"] else 1, total, money, float(amount_usd))
        for column, text in enumerate((charge["iso_code"], ", ".join(charge["meters"])), start=3):
            sheet.write_string(row, column, text)
        sheet.write_string(row, 6, charge["unit"])
        for column, number in ((5, charge["quantity"]), (7, charge["average_rate"])):
            if number:
                sheet.write_number(row, column, float(number))
        line = last + 1
    row = first + len(d["totals"])
    for name, usd in nets(d):
        span = {"Settled": f"B{first + 1}:B{first + len(d['totals'])}", "Accrued": f"C{first + 1}:C{first + len(d['totals'])}"}
        both = span.get(name, f"B{first + 1}:C{first + len(d['totals'])}")
        sheet.write_string(row, 0, name.lower(), bold)
        sheet.write_formula(row, 1, f"=ROUND(SUM({both}),2)", money, float(usd))
        row += 1
    return row


def _summary(sheet: Worksheet, d: DayStatement, in_order: Mapping[str, Sequence[LineRow]], bold: Any, money: Any) -> None:
    texts = [heading(d), f"Operating day {d['date']}", *flags(d), *d["narrative"]["earned"]]
    for row, text in enumerate(texts):
        sheet.write_string(row, 0, text, bold if row < 2 else None)
    row = _charges(sheet, len(texts) + 1, d, in_order, bold, money) - 1
    sections = {"Why": d["narrative"]["why"], "Issues": d["narrative"]["issues"], "Actions": d["narrative"]["actions"]}
    for section, sentences in sections.items():
        row += 2
        sheet.write_string(row, 0, section, bold)
        for text in listed(sentences):
            row += 1
            sheet.write_string(row, 0, text)
    sheet.write_string(row + 2, 0, f"Journal {d['journal_head']}, prices known to {d['known_at']}")
    sheet.set_column(0, 0, 60)
    sheet.set_column(1, 7, 16)


def _intervals(sheet: Worksheet, d: DayStatement, bold: Any) -> None:
    points = list(d["intervals"][0]["price_usd_per_mwh"])
    first = ("start", "label", "load_mw", "energy_mwh", "hash_ph_days", "net_usd")
    head = (*first, *(f"{p} usd_per_mwh" for p in points), "hashprice usd_per_ph_day", "unread")
    rows = [
        [row["start"], row["label"], _number(row["load_mw"]), _number(row["energy_mwh"]), _number(row["hash_ph_days"] or None),
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
    return _number(text or None) if column in NUMBERS and text != UNKNOWN else text


def _number(text: str | None) -> float | None:
    return None if text is None else float(Decimal(text))
