"""A market's rule as a contract reads it: a figure, the operating days on which it holds, and how a line cites it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markets.grid import Grid, Market
from markets.grid import days as operating_days


@dataclass(frozen=True, slots=True)
class Dated:
    """One value of a rule over the operating days [from_, to); `to` None is until further notice. `cited` names where it is published and
    whether somebody checked."""

    id: str
    value: float | int | str
    from_: date
    to: date | None
    cited: str

    def holds(self, on: date) -> bool:
        return self.from_ <= on and (self.to is None or on < self.to)


def rule(rules: Sequence[Dated], id_: str, on: date) -> Dated:
    """The rule in force on an operating day. Raises LookupError when there is none."""
    for found in rules:
        if found.id == id_ and found.holds(on):
            return found
    raise LookupError(f"no rule {id_!r} holds on {on.isoformat()}: no market rules of that day were passed to the contract")


def days(grid: Grid, market: Market) -> tuple[date, ...]:
    """The operating day of each interval's start, shape (n,)."""
    return operating_days(market, grid)


def figures(rules: Sequence[Dated], id_: str, grid: Grid, market: Market) -> list[float]:
    """A rule's number in each interval, shape (n,). Raises LookupError when none holds somewhere, ValueError when it is no number."""
    by_day: dict[date, float] = {}
    out = []
    for on in days(grid, market):
        if on not in by_day:
            by_day[on] = float(rule(rules, id_, on).value)
        out.append(by_day[on])
    return out
