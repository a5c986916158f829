"""Load management: programmes that pay a season's kilowatts for load that is dropped on order.

    tdu   a transmission and distribution utility's own: no penalty, not beside ERS (docs/rules.md, Load management)
    sb6   ERCOT's large-load demand management service: only for load that follows no price and sells nothing else

What a season pays for a verified kilowatt is spread over the hours in which it may be called. The utility verifies each event: where less
came than was promised it pays less than this. Rigs under `sb6` run whenever they are not called: price never moves them.

Market rules: docs/rules.md#load-management-and-large-load-service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np

from markets.facts import Call
from markets.grid import Grid, Interval, Market
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.contract import Contract
from optimizer.domain.formula import Bounds, Charge, Quantities
from optimizer.domain.market_rules import rule
from optimizer.domain.memory import Memory
from optimizer.domain.obligation import ANY_SERVICE
from optimizer.domain.row_kind import RowKind
from optimizer.domain.site import NotNegative, Positive, Site
from optimizer.domain.time_periods import TimePeriod, period_at
from optimizer.lp.arrays import Yields
from optimizer.lp.program import Program

PAID = {
    "tdu": "Load management programme of the utility: a season's verified kilowatts (utility tariff; not verified)",
    "sb6": "Large-load demand management service (SB 6, PUCT Project 58482; not verified)",
}

NO_OTHER = "the large-load service is not open to loads that follow prices or sell another service (SB 6, PUCT Project 58482)"
EXCLUDES: Mapping[str, Mapping[str, str]] = {
    "tdu": {
        "tdu": "two programmes of the utility pay for the same rigs (utility tariff, load management)",
        "ers": "a load in a utility's load management may not be in ERS (16 TAC 25.507; utility tariff)",
    },
    "sb6": {ANY_SERVICE: NO_OTHER},
}


class LoadManagement(Contract):
    """A programme under which load is dropped on order.

    program      tdu | sb6
    mw           promised to be dropped
    usd_per_kw   what a year's season pays for a kilowatt
    season       when it may be called: { name, months, hours, weekdays }
    """

    type: ClassVar[str] = "load_management"
    charge_types: ClassVar[tuple[str, ...]] = ("load_management",)
    rule_prefixes: ClassVar[tuple[str, ...]] = ("ercot.load_management.",)
    name: str = "load_management"
    program: Literal["tdu", "sb6"]
    mw: Positive
    usd_per_kw: NotNegative
    season: TimePeriod

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        """The promised megawatts in every hour of the season."""
        market, zero = its.site.market, its.during(None) * its.number(0)
        due = [period_at((self.season,), over.start, market) is not None for over in its.grid.intervals]
        year_h = [season_hours(self.season, year, market) for year in _years(its.grid, market)]
        rate = [its.number(self.usd_per_kw * 1000.0) / its.number(h) if on else its.number(0) for on, h in zip(due, year_h, strict=True)]
        sold = its.hours * its.number(self.mw)
        yield Charge("load_management", its.sum([]) + sold, "mw_h", zero + np.array(rate, dtype=zero.dtype), PAID[self.program])

    def market(self) -> Market | None:
        return Market.ERCOT

    def service(self) -> str:
        return self.program

    def excludes(self) -> Mapping[str, str]:
        return EXCLUDES[self.program]

    def promised_mw(self) -> float:
        return self.mw

    def call_terms(self, on: date) -> CallTerms:
        """Within the notice that the programme gives, for as long as its events last."""
        notice, longest = (rule(self._rules, f"ercot.load_management.{self.program}.{word}", on) for word in ("notice_min", "event_h"))
        return CallTerms(float(notice.value), True, sustain_h=float(longest.value), rule=notice.cited)

    def bounds(self, site: Site, memory: Memory, calls: Sequence[Call], over: Interval) -> Bounds:
        """Its calls; rigs under `sb6` run at what they promised while none is in force."""
        said = super().bounds(site, memory, calls, over)
        if self.program == "tdu" or said.cap_mw < float("inf"):
            return said
        return replace(said, floor_mw=self.mw, why=f"{self.name}: load under this service follows no price")

    def shape(self, program: Program) -> None:
        """Its pay and its calls; that price moves no rig gives way to instructions, and to nothing else."""
        super().shape(program)
        if self.program == "sb6":
            memory = self.memory_from(program.memories)
            floor = np.array([self.bounds(program.site, memory, program.so_far.calls, over).floor_mw for over in program.grid.intervals])
            load = program.load_mw(self.scope.names(program.site))
            program.at_least(f"runs {self.name}", load, floor, Yields.CAPACITY, floor > 0, kind=RowKind.LOAD, obligation=self.name)

    def shortfall_usd(self, program: Program, path: Any, short_mw: Any) -> float:
        """A season pays verified kilowatts: what an event misses, or does not find running, is not verified."""
        return float(min(short_mw.max(), self.mw)) * 1000.0 * self.usd_per_kw


def _years(grid: Grid, market: Market) -> list[int]:
    return [over.start.astimezone(market.tz).year for over in grid.intervals]


@lru_cache(maxsize=64)
def season_hours(season: TimePeriod, year: int, market: Market) -> int:
    """Clock hours of a calendar year in which it may be called; at least one, so that a season without any pays nothing."""
    at = datetime(year, 1, 1, tzinfo=market.tz).astimezone(UTC)
    hours = (at + timedelta(hours=n) for n in range(366 * 24))
    return max(1, sum(season.holds(here) for h in hours if (here := h.astimezone(market.tz)).year == year))
