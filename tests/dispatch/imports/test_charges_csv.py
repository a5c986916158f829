"""Statements and invoices as CSV: what is read, what is left out with a finding, and what is refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D

import pytest

from dispatch.imports import UnreadableDocument
from dispatch.imports.charges_csv import read_charges
from dispatch.imports.statement import ReceivedStatement, StatementMap
from markets.grid import Market

HEAD = "Operating Date,Charge Type,Hour Ending,Amount\n"
DAY = date(2026, 8, 20)


def read(text: str) -> ReceivedStatement:
    """A positive amount is a charge to the site, as markets write it."""
    return read_charges(text.encode(), StatementMap(), Market.MISO)


def test_hours_of_one_charge_become_one_charge_that_keeps_them_apart() -> None:
    statement = read(f"{HEAD}2026-08-20,Energy,HE07,12.50\n2026-08-20,Energy,HE08,-2.00\n")
    (charge,) = statement.charges
    assert (charge.code, charge.amount_usd, charge.first, charge.last) == ("Energy", D("-10.50"), DAY, DAY)
    assert sorted(charge.by_interval.values()) == [D("-12.50"), D("2.00")]


def test_rows_that_cannot_be_read_are_left_out_with_a_finding() -> None:
    rows = ["2026-08-20,Energy,HE07,12.50", "2026-08-20,Energy,HE25,1", "2026-08-20,,HE07,3", ",Energy,HE07,4", "2026-08-20,Uplift,,5"]
    statement = read(HEAD + "\n".join(rows))
    assert [(c.code, c.amount_usd) for c in statement.charges] == [("Energy", D("-12.50")), ("Uplift", D(-5))]
    assert [f.kind for f in statement.findings] == ["value", "unknown-charge", "value"]
    assert not statement.charges[1].by_interval, "a row without an hour is of the whole day"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Operating Date,Charge Type,Kind\n2026-08-20,Energy,x\n", "amounts"),
        ("Operating Date,Kind,Amount\n2026-08-20,x,1\n", "charges"),
        ("Charge Type,Amount\nEnergy,1\n", "days"),
        (HEAD + "2026-08-20,Energy,HE25,1\n", "HE25"),
        ("From,To,Charge,Amount\n2026-08-20,2026-08-19,Energy,1\n", "before 2026-08-20"),
    ],
)
def test_a_file_without_a_readable_charge_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UnreadableDocument, match=problem):
        read(text)
