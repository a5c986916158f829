"""A statement as text: every line, like neighbours folded, then totals, net and the rules it cites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dispatch.settlement.statement_lines import line_rows
from markets.grid import Market
from optimizer.domain.money import Statement, plain

FIGURES = ("obligation", "charge_type", "quantity", "unit", "rate", "amount_usd", "settlement_point")


def printed(title: str, bill: Statement, market: Market = Market.ERCOT) -> str:
    out = [title, "=" * len(title)]
    out += [_line(row, n, last) for row, n, last in _folded(line_rows(bill, market))]
    out += ["", *(f"{o + '/' + charge:<34} {usd:>16.2f}" for (o, charge), usd in bill.totals.items())]
    out += [f"{'net':<34} {bill.net_usd:>16.2f}", f"{'net, unrounded':<34} {plain(bill.net_exact_usd):>16}", ""]
    out += [f"rule: {text}" for text in dict.fromkeys(line.rule for line in bill.lines)]
    return "\n".join(out).rstrip() + "\n"


def _folded(lines: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int, dict[str, Any]]]:
    """The first of lines that follow each other with the same figures, how many they are, and the last."""
    first: dict[str, Any] | None = None
    last: dict[str, Any] = {}
    n = 0
    for row in lines:
        if first is not None and all(row[k] == first[k] for k in FIGURES):
            n, last = n + 1, row
            continue
        if first is not None:
            yield first, n, last
        first, last, n = row, row, 1
    if first is not None:
        yield first, n, last


def _line(row: dict[str, Any], n: int, last: dict[str, Any]) -> str:
    span = f"{row['interval_start'][:16]}Z {row['label']}" + (f" to {last['interval_end'][:16]}Z, {n} of" if n > 1 else "")
    point = f" at {row['settlement_point']}" if row["settlement_point"] else ""
    flag = " *" if row["dst_flag"] == "Y" else ""
    figures = f"{row['quantity']} {row['unit']} x {row['rate']} = {row['amount_usd']}{point}"
    return f"{row['obligation']}/{row['charge_type']}  {span}{flag}  {figures}"
