"""`python -m tests.docs.rules`: the dated rules of `config/programs.toml`, written as tables into docs/rules.md."""

from __future__ import annotations

from collections.abc import Iterable

from dispatch.site_file.market_rules import MarketRule, default_market_rules
from tests.docs.generated import write

PAGE = "rules.md"

# The part of the page that holds a rule, by how its id begins; the longest beginning counts.
PARTS = {
    "ercot.market_clock": "time",
    "ercot.settlement_interval": "time",
    "miso.market_clock": "time",
    "miso.settlement_interval": "time",
    "ercot.price": "ERCOT prices",
    "ercot.offer_cap": "ERCOT prices",
    "ercot.value_of_lost_load": "ERCOT prices",
    "ercot.load_settlement_point": "ERCOT prices",
    "ercot.real_time_price_final": "ERCOT prices",
    "ercot.day_ahead": "ERCOT prices",
    "ercot.as.": "ancillary services",
    "ercot.nclr.": "interruptible loads",
    "ercot.set_point.": "set points",
    "ercot.clr.": "controllable loads",
    "ercot.pclr.": "controllable loads",
    "ercot.ers.": "ERS",
    "ercot.transmission.": "transmission",
    "ercot.load_management.": "load management",
    "miso.price_floor": "MISO prices",
    "miso.offer_cap": "MISO prices",
    "miso.settled_price_kind": "MISO prices",
    "miso.day_ahead": "MISO prices",
    "miso.pra.": "capacity",
    "miso.lmr.": "LMR",
    "miso.drr.": "DRR",
    "miso.edr.": "EDR",
    "rounding": "rounding",
    "network_hash": "hashprice",
}


def part_of(id_: str) -> str:
    """Raises ValueError for a rule that no part of the page is for."""
    found = max((beginning for beginning in PARTS if id_.startswith(beginning)), key=len, default=None)
    if found is None:
        raise ValueError(f"docs/rules.md has no part for the rule {id_!r}: add it to tests.docs.rules")
    return PARTS[found]


def table(rules: Iterable[MarketRule]) -> str:
    head = ["| rule | value | holds | what it says | published | verified |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(rule) for rule in rules)]) + "\n"


def _row(rule: MarketRule) -> str:
    days = f"{rule.from_} to {rule.to}" if rule.to else f"from {rule.from_}"
    cells = (f"`{rule.id}`", f"{rule.value} {rule.unit}", days, rule.text, rule.published, "yes" if rule.verified else "**no**")
    return f"| {' | '.join(cell.replace('|', ';') for cell in cells)} |"


def parts() -> dict[str, str]:
    """The tables by the part they stand in, rules in the order of the file."""
    rules = default_market_rules().rules
    return {name: table(rule for rule in rules if part_of(rule.id) == name) for name in dict.fromkeys(PARTS.values())}


if __name__ == "__main__":
    write(PAGE, parts())
