"""Which charge types of ours a market's charge is: names as the market writes them, charge types that exist."""

from __future__ import annotations

import ast
from datetime import date
from pathlib import Path

import pytest

from dispatch.imports.charge_codes import expected_charges, our_charge_types, settled_charges
from dispatch.imports.statement import ReceivedStatement, StatementMap, parse_statement_map
from markets.grid import Market

ON = date(2026, 8, 20)
ROOT = Path(__file__).parents[3]


def words() -> set[str]:
    """Every text that stands in a contract: charge types are among them, whole or as the end of a name built from a product."""
    found = set()
    for path in (ROOT / "optimizer").rglob("*.py"):
        found |= {n.value for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return found


@pytest.mark.parametrize("market", [Market.ERCOT, Market.MISO])
def test_every_charge_leads_to_charge_types_that_contracts_have(market: Market) -> None:
    known = words()
    for patterns in settled_charges(market).values():
        for pattern in patterns:
            charge = pattern.removeprefix("*/")
            product, _, rest = charge.partition("_")
            assert charge in known or (product.upper() in known and f"_{rest}" in known), charge


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("RTEIAMT", ("*/energy", "*/day_ahead_return", "*/block_settlement")),
        ("PCECRAMT", ("*/ecrs_day_ahead",)),
        ("RTRRIMBAMT", ("*/rrs_imbalance", "*/rrsffr_imbalance", "*/rrsufr_imbalance")),
        ("BPDAMT", ("*/set_point_deviation",)),
        ("LARTRUAMT", ()),
    ],
)
def test_ercot_charge_names(code: str, ours: tuple[str, ...]) -> None:
    assert our_charge_types(code, StatementMap(), Market.ERCOT) == ours


def test_a_map_wins_and_an_invoice_uses_only_its_map() -> None:
    how = parse_statement_map('[charges]\nRTEIAMT = "west/energy"\n"Load, real time" = ["*/energy", "*/adders"]')
    assert our_charge_types("RTEIAMT", how, Market.ERCOT) == ("west/energy",)
    assert our_charge_types("load real-time", how, Market.ERCOT) == ("*/energy", "*/adders")
    invoice = how.model_copy(update={"kind": "invoice"})
    assert our_charge_types("DAEPAMT", invoice, Market.ERCOT) == () != our_charge_types("DAEPAMT", how, Market.ERCOT)


def test_a_statement_of_a_market_is_asked_for_that_markets_charges() -> None:
    def held(market_type: str) -> set[str]:
        return set(
            expected_charges(ReceivedStatement("ercot statement", ON, ON, (), market_type=market_type), StatementMap(), Market.ERCOT)
        )

    assert "DAEPAMT" in held("DAM") and "RTEIAMT" not in held("DAM")
    assert "RTEIAMT" in held("RTM") and "DAEPAMT" not in held("RTM")
    assert expected_charges(ReceivedStatement("ercot extract", ON, ON, ()), StatementMap(), Market.ERCOT) == {}
