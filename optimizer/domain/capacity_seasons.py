"""Capacity: the seasons of MISO's planning year, and what a megawatt of capacity clears at in each (Planning Resource Auction).

Market rules: docs/rules.md#capacity-in-miso.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import Field

from markets.grid import Grid, Market
from optimizer.domain.market_rules import Dated, days, rule
from optimizer.domain.site import NotNegative

Season = Literal["winter", "spring", "summer", "fall"]
Zone = Annotated[int, Field(ge=1, le=10)]
BySeason = Mapping[Season, NotNegative]
# Local resource zones 1 to 7 clear together as a rule, and so do 8 to 10.
SOUTH = (8, 9, 10)


def season(on: date) -> Season:
    """The season of a day: summer is June to August, winter December to February (MISO Tariff, Module E-1)."""
    names: tuple[Season, ...] = get_args(Season)
    return names[on.month % 12 // 3]


def season_start(on: date) -> date:
    """The first day of the season that holds a day."""
    month = on.month - on.month % 12 % 3
    return date(on.year, month, 1) if month else date(on.year - 1, 12, 1)


def cleared(rules: Sequence[Dated], zone: int, own: BySeason, grid: Grid, market: Market) -> list[float]:
    """usd_per_mw_day in each interval, shape (n,): the contract's own figure of the season where it has one, else what the auction cleared
    at in the zone. Raises LookupError when neither is known."""
    by_day: dict[date, float] = {}
    out = []
    for on in days(grid, market):
        if on not in by_day:
            mine = own.get(season(on))
            by_day[on] = float(auction(rules, zone, on).value) if mine is None else float(mine)
        out.append(by_day[on])
    return out


def auction(rules: Sequence[Dated], zone: int, on: date) -> Dated:
    """The rule that says what capacity of a zone clears at on a day: the zone's own where it parted from the others. Raises LookupError."""
    alone = f"miso.pra.zone_{zone}.usd_per_mw_day"
    if any(r.id == alone and r.holds(on) for r in rules):
        return rule(rules, alone, on)
    return rule(rules, f"miso.pra.{'south' if zone in SOUTH else 'north'}.usd_per_mw_day", on)


def cited(rules: Sequence[Dated], zone: int, own: BySeason, on: date) -> str:
    """Where the price of a day comes from, for a line to cite."""
    return f"{season(on)} price of the contract" if season(on) in own else auction(rules, zone, on).cited
