"""What markets call a charge, and which charge types of ours it is: OBLIGATION/CHARGE_TYPE, * for any obligation."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.imports.csv_table import plain
from dispatch.imports.statement import Received, StatementMap
from markets.grid import Market

Ours = Mapping[str, tuple[str, ...]]

# ERCOT Nodal Protocols 6.6 and 4.6: real time settles metered load, purchases returned and trades as one amount.
_PRODUCTS = {"RU": ("regup",), "RD": ("regdn",), "RR": ("rrs", "rrsffr", "rrsufr"), "ECR": ("ecrs",), "NS": ("nspin",)}
ERCOT_DAY_AHEAD: Ours = {
    "DAEPAMT": ("*/day_ahead",),
    **{f"PC{word}AMT": tuple(f"*/{product}_day_ahead" for product in products) for word, products in _PRODUCTS.items()},
}
ERCOT_REAL_TIME: Ours = {
    "RTEIAMT": ("*/energy", "*/day_ahead_return", "*/block_settlement"),
    **{f"RT{word}IMBAMT": tuple(f"*/{product}_imbalance" for product in products) for word, products in _PRODUCTS.items()},
    "SPDAMT": ("*/set_point_deviation",),
}
# What a charge was called at other times.
ALSO = {"BPDAMT": "SPDAMT"}
# MISO's charge type matrix, by the names its statements print.
MISO: Ours = {
    "Day Ahead Asset Energy": ("*/day_ahead",),
    "Real Time Asset Energy": ("*/energy", "*/block_settlement"),
    "Day Ahead Demand Response": ("*/drr_day_ahead",),
    "Real Time Demand Response": ("*/drr_energy", "*/drr_buy_back"),
    "Excessive Deficient Energy Deployment": ("*/drr_deviation",),
}


def ours_of(code: str, how: StatementMap, market: Market) -> tuple[str, ...]:
    """The charge types of ours that a charge of a document is; none when nobody knows it."""
    told = {plain(name): of for name, of in how.ours().items()}
    if plain(code) in told:
        return told[plain(code)]
    if how.kind == "invoice":
        return ()
    known = {plain(name): of for name, of in expected(market).items()}
    return known.get(plain(ALSO.get(code, code)), ())


def expected(market: Market) -> Ours:
    """The charges of a market whose counterparts we settle."""
    return {**ERCOT_DAY_AHEAD, **ERCOT_REAL_TIME} if market is Market.ERCOT else MISO if market is Market.MISO else {}


def should_hold(received: Received, how: StatementMap, market: Market) -> Ours:
    """The charges a document ought to have where we have any of the kind: those of its map; of ERCOT's statements those of their market."""
    mapped = how.ours()
    if received.kind == "invoice":
        return mapped
    if received.kind != "ercot statement":
        return {}
    return {**(ERCOT_DAY_AHEAD if received.market_type.startswith("DA") else ERCOT_REAL_TIME), **mapped}
