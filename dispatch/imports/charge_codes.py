"""The names markets give their charges, and the charge types of ours they are: OBLIGATION/CHARGE_TYPE, * for any obligation."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.imports.csv_table import normalized
from dispatch.imports.statement import ReceivedStatement, StatementMap
from markets.grid import Market

ChargeTypes = Mapping[str, tuple[str, ...]]

# ERCOT Nodal Protocols 6.6 and 4.6: real time settles metered load, purchases returned and trades as one amount.
_PRODUCTS = {"RU": ("regup",), "RD": ("regdn",), "RR": ("rrs", "rrsffr", "rrsufr"), "ECR": ("ecrs",), "NS": ("nspin",)}
ERCOT_DAY_AHEAD: ChargeTypes = {
    "DAEPAMT": ("*/day_ahead",),
    **{f"PC{word}AMT": tuple(f"*/{product}_day_ahead" for product in products) for word, products in _PRODUCTS.items()},
}
ERCOT_REAL_TIME: ChargeTypes = {
    "RTEIAMT": ("*/energy", "*/day_ahead_return", "*/block_settlement"),
    **{f"RT{word}IMBAMT": tuple(f"*/{product}_imbalance" for product in products) for word, products in _PRODUCTS.items()},
    "SPDAMT": ("*/set_point_deviation",),
}
# Former names of charges.
FORMER_NAMES = {"BPDAMT": "SPDAMT"}
# MISO's charge type matrix, by the names its statements print.
MISO: ChargeTypes = {
    "Day Ahead Asset Energy": ("*/day_ahead",),
    "Real Time Asset Energy": ("*/energy", "*/block_settlement"),
    "Day Ahead Demand Response": ("*/drr_day_ahead",),
    "Real Time Demand Response": ("*/drr_energy", "*/drr_buy_back"),
    "Real Time Revenue Sufficiency Guarantee Make Whole Payment": ("*/drr_make_whole",),
    "Excessive Deficient Energy Deployment": ("*/drr_deviation",),
}


def our_charge_types(code: str, how: StatementMap, market: Market) -> tuple[str, ...]:
    """Our charge types that a charge of a document corresponds to; none for an unknown charge."""
    told = {normalized(name): of for name, of in how.charge_types().items()}
    if normalized(code) in told:
        return told[normalized(code)]
    if how.kind == "invoice":
        return ()
    known = {normalized(name): of for name, of in settled_charges(market).items()}
    return known.get(normalized(FORMER_NAMES.get(code, code)), ())


def settled_charges(market: Market) -> ChargeTypes:
    """The charges of a market that our settlement computes, with our charge types."""
    return {**ERCOT_DAY_AHEAD, **ERCOT_REAL_TIME} if market is Market.ERCOT else MISO if market is Market.MISO else {}


def expected_charges(received: ReceivedStatement, how: StatementMap, market: Market) -> ChargeTypes:
    """The charges a document must have where our settlement has any of them: those of its map, and of an ERCOT statement those of its
    market (day-ahead or real-time)."""
    mapped = how.charge_types()
    if received.kind == "invoice":
        return mapped
    if received.kind != "ercot statement":
        return {}
    return {**(ERCOT_DAY_AHEAD if received.market_type.startswith("DA") else ERCOT_REAL_TIME), **mapped}


def iso_code(market: Market, charge_type: str) -> str:
    """The market's name of one of our charge types; empty for a charge that no market settles."""
    named = (code for code, ours in settled_charges(market).items() if f"*/{charge_type}" in ours)
    return next(named, "")
