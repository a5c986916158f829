"""The contracts that `loadstone init` asks about, because they have a figure or two. Others are written into the file by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markets.grid import Market


@dataclass(frozen=True, slots=True)
class AskedContract:
    """A contract with a figure or two.

    fields   what is always written
    figures  key of the site file to the question that asks for it
    """

    title: str
    markets: frozenset[Market]
    fields: Mapping[str, str]
    figures: Mapping[str, str]


_ALL = frozenset(Market)
_SOLD_POWER = frozenset({Market.ERCOT, Market.MISO})
_PER_KW = {"usd_per_kw_year": "$ per kW of demand and year"}
CONTRACTS = {
    "block": AskedContract(
        "a fixed block of power, sold back at the real-time price where it is not used",
        _SOLD_POWER,
        {"type": "block"},
        {"mw": "MW of the block", "usd_per_mwh": "$ per MWh of the block"},
    ),
    "4cp": AskedContract(
        "transmission billed by the load at the system's four summer peaks",
        frozenset({Market.ERCOT}),
        {"type": "transmission", "name": "4cp", "method": "4cp"},
        _PER_KW,
    ),
    "demand": AskedContract(
        "a demand charge on the month's own highest load",
        _ALL,
        {"type": "transmission", "name": "demand", "method": "ncp"},
        _PER_KW,
    ),
    "capacity": AskedContract(
        "capacity bought by the load at MISO's seasonal peaks",
        frozenset({Market.MISO}),
        {"type": "pra"},
        {"zone": "MISO local resource zone, 1 to 10"},
    ),
}


def offered(market: Market) -> dict[str, AskedContract]:
    """The contracts that are asked about in a market."""
    return {kind: contract for kind, contract in CONTRACTS.items() if market in contract.markets}


def contract_table(kind: str, figures: Mapping[str, float]) -> dict[str, Any]:
    """The table of a contract in the site file."""
    whole = {key: int(value) if value == int(value) else value for key, value in figures.items()}
    return {**CONTRACTS[kind].fields, **whole}


def contract_of(text: str, market: Market) -> dict[str, Any]:
    """The table of "KIND:FIGURE=VALUE,FIGURE=VALUE". Raises ValueError with what is wrong."""
    kind, _, rest = text.partition(":")
    known = offered(market)
    if kind not in known:
        raise ValueError(
            f"{kind!r} is not one of {', '.join(known)}; other contracts are written into the file: docs/reference/obligations.md"
        )
    figures: dict[str, float] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        try:
            figures[key.strip()] = float(value)
        except ValueError:
            raise ValueError(f"{part!r} is not FIGURE=VALUE") from None
    if set(figures) != set(known[kind].figures):
        example = ",".join(f"{key}=..." for key in known[kind].figures)
        raise ValueError(f"{text!r} is not {kind}:{example}")
    return contract_table(kind, figures)
