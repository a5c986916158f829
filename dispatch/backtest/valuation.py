"""What strategies earned over a part of a backtest: the bill of what each did, and the gap to perfect foresight by cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np

from dispatch.backtest.carried_reserve import as_if_carried, not_carried, short_awards
from dispatch.backtest.day_ahead_reserve import ClearingPrices
from dispatch.backtest.ideal import IdealRun
from dispatch.backtest.market_facts import Floats, MarketFacts
from dispatch.sim.strategy_run import StrategyRun
from dispatch.site_file.setup import Setup
from markets.facts import Award
from markets.grid import Grid, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.money import ZERO, UnknownCharge, decimals
from optimizer.domain.obligation import Obligation
from optimizer.settlement.performance import Promise, promises
from optimizer.settlement.settle import carried_usd, net_usd, settle, weighed_net_usd
from optimizer.settlement.variance import foresight_gap_by_cause, planned_energy

RAN_TOO_DEAR, SLEPT_TOO_CHEAP = "ran above the breakeven", "slept below the breakeven"
SOLD_OTHER_RESERVE = "sold other reserve"
IMBALANCE = "ercot.as.imbalance"  # the rule that says what becomes of day-ahead awards in real time
UNALIKE_MWH = 1e-9


@dataclass(frozen=True, slots=True)
class Earnings:
    """What a strategy earned, exact.

    lines   by OBLIGATION/CHARGE_TYPE, dollars; a charge of a period that reaches beyond the part has a line CHARGE_TYPE_carried
    by_day  dollars by operating day
    unknown charges that are owed or paid and cannot be computed: no line holds them
    """

    lines: Mapping[str, Decimal]
    by_day: Mapping[date, Decimal]
    energy_mwh: float
    hash_ph_days: float
    starts: float
    unknown: tuple[UnknownCharge, ...]


class Valuation:
    """Prices and book of a part, by which what strategies did is valued."""

    def __init__(self, setup: Setup, market: MarketFacts) -> None:
        counted = market.counted
        self.setup, self.market = setup, market
        self._cleared = ClearingPrices(market.facts)
        self.grid = Grid(market.grid.edges[counted.start :])
        unpriced = np.any([np.isnan(values[counted]) for values in market.prices.values()], axis=0)
        self._base = Actuals(
            site=setup.site,
            grid=self.grid,
            energy_mwh={},
            hash_ph_days={},
            energy_price={point: decimals(values[counted]) for point, values in market.prices.items()},
            hashprice=decimals(market.final.hashprice.values[counted]),
            peak_share=market.peak_share,
            gaps=frozenset(np.flatnonzero(unpriced).tolist()),
        )

    def actuals(self, run: StrategyRun | IdealRun, sold: tuple[Award, ...] = ()) -> Actuals:
        """What a run did, as the bill reads it: energy at the meters, in the intervals that count; the reserve it had `sold` day-ahead, at
        the newest of its clearing prices, and what it carried of that."""
        sold = self._cleared.billed(sold)
        celsius = self.market.final.temperature_c.values
        at_meter = run.at_meter_mwh(self.setup.site, celsius.tolist()) if isinstance(run, StrategyRun) else run.energy_mwh
        did = replace(self._base, energy_mwh=self._counted(at_meter), hash_ph_days=self._counted(run.hash_ph_days))
        return replace(did, awards=(*sold, *short_awards(self.setup.book, did, sold, celsius[self.market.counted])))

    def _counted(self, by_group: Mapping[str, Floats]) -> dict[str, list[Decimal]]:
        return {name: decimals(values[self.market.counted]) for name, values in by_group.items()}

    def earned(self, actuals: Actuals, starts: float) -> Earnings:
        """The bill of what a strategy did."""
        lines: dict[str, Decimal] = {}
        by_day: dict[date, Decimal] = {}
        statement = settle(self.setup.book, actuals)
        for line in statement.lines:
            name = f"{line.obligation}/{line.charge_type}"
            lines[name] = lines.get(name, ZERO) + line.amount_usd
            on = OperatingDay.of(self.setup.site.market, max(line.over.start, self.grid.start)).on
            by_day[on] = by_day.get(on, ZERO) + line.amount_usd
        carried = {name: usd for name, usd in carried_usd(self.setup.book, actuals).items() if usd}
        energy, hashed = (float(sum(sum(v) for v in by.values())) for by in (actuals.energy_mwh, actuals.hash_ph_days))
        return Earnings(lines | carried, by_day, energy, hashed, starts, statement.unknown)

    def promises(self, actuals: Actuals) -> list[tuple[str, int, int, Decimal]]:
        """Of each contract with something to keep: its name, the intervals in which there was, those of them in which it was kept, and what
        a breach cost, usd. Reserve that was awarded and not carried is a breach too, whether or not it was worth its charge."""
        contracts = {contract.name: contract for contract in self.setup.book}
        return [self._kept(contracts[promise.obligation], promise, actuals) for promise in promises(self.setup.book, actuals)]

    def _kept(self, contract: Obligation, promise: Promise, actuals: Actuals) -> tuple[str, int, int, Decimal]:
        short = not_carried(contract, actuals)
        outside = {over for over, _, _ in promise.broken}
        broken = outside | {over for over, here in zip(self.grid.intervals, short, strict=True) if here}
        charged = (
            net_usd(self.setup.book, as_if_carried(contract, actuals, short)) - net_usd(self.setup.book, actuals) if short.any() else ZERO
        )
        return promise.obligation, promise.intervals, promise.intervals - len(broken), promise.lost_usd + charged

    def causes(self, foreseen: Actuals, run: StrategyRun, actuals: Actuals) -> dict[str, Decimal]:
        """What `run` earned less what perfect foresight earned on the same fleet, by cause, adding up exactly: with the awards of perfect
        foresight, then what its own awards, and carrying them, earned beside those."""
        alike = replace(actuals, awards=foreseen.awards)
        causes = foresight_gap_by_cause(self.setup.book, foreseen, planned_energy(self.grid, run.plans), alike)
        return causes | self._other_reserve(foreseen, actuals)

    def ideal_causes(self, foreseen: Actuals, actuals: Actuals) -> dict[str, Decimal]:
        """The same without physics: what it cost to run where perfect foresight slept, and to sleep where it ran; where reserve was sold,
        also what its awards, and carrying them, earned beside those of perfect foresight."""
        stages = [foreseen, _taking(foreseen, actuals, more=True), replace(actuals, awards=foreseen.awards)]
        worth = [weighed_net_usd(self.setup.book, stage) for stage in stages]
        causes = {RAN_TOO_DEAR: worth[1] - worth[0], SLEPT_TOO_CHEAP: worth[2] - worth[1]}
        return causes | self._other_reserve(foreseen, actuals)

    def _other_reserve(self, foreseen: Actuals, actuals: Actuals) -> dict[str, Decimal]:
        """What the awards of `actuals`, and carrying them, earned beside those of perfect foresight; empty where neither sold reserve."""
        if not foreseen.awards and not actuals.awards:
            return {}
        book = self.setup.book
        return {SOLD_OTHER_RESERVE: weighed_net_usd(book, actuals) - weighed_net_usd(book, replace(actuals, awards=foreseen.awards))}

    def stops(self, foreseen: Actuals, actuals: Actuals) -> dict[str, float]:
        """MWh that perfect foresight (without physics) did not draw, of what the rigs draw at most, and of these the MWh a run did not
        draw either; and the MWh that the run did not draw and perfect foresight did."""
        caught = missed = false_alarm = 0.0
        for name, values in foreseen.energy_mwh.items():
            best, ran = (np.array([float(v) for v in side]) for side in (values, actuals.energy_mwh[name]))
            most = max(float(best.max()), float(ran.max())) if len(best) else 0.0
            short, kept = np.maximum(0.0, most - best), np.maximum(0.0, most - ran)
            caught += float(np.minimum(short, kept).sum())
            missed += float(np.maximum(0.0, short - kept).sum())
            false_alarm += float(np.maximum(0.0, kept - short).sum())
        return {"caught_mwh": caught, "missed_mwh": missed, "false_alarm_mwh": false_alarm}


def _taking(foreseen: Actuals, actuals: Actuals, *, more: bool) -> Actuals:
    """Perfect foresight, with the actual figures where a group ran more (or less)."""
    energy, hashed = {}, {}
    for name, best in foreseen.energy_mwh.items():
        ran = actuals.energy_mwh[name]
        here = [(r > b) is more and abs(float(r - b)) > UNALIKE_MWH for r, b in zip(ran, best, strict=True)]
        energy[name] = [r if taken else b for taken, r, b in zip(here, ran, best, strict=True)]
        both = zip(here, actuals.hash_ph_days[name], foreseen.hash_ph_days[name], strict=True)
        hashed[name] = [r if taken else b for taken, r, b in both]
    return replace(foreseen, energy_mwh=energy, hash_ph_days=hashed)


def unsupported(book: tuple[Obligation, ...], setup: Setup, until: datetime | None = None) -> dict[str, str]:
    """Contracts that a backtest leaves out, each with the reason; with `until`, of a part that ends then: market rules of its days may be
    the reason too."""
    found = {}
    for obligation in book:
        if why := _awards_not_simulated(obligation, setup, until):
            found[obligation.name] = why
        elif obligation.generator(setup.site) is not None:
            found[obligation.name] = "generation is not simulated"
    return found


def _awards_not_simulated(obligation: Obligation, setup: Setup, until: datetime | None) -> str:
    """Why what a contract sells day-ahead is not simulated; empty where it is, or where it sells nothing. Simulated is reserve that a
    load carries by what it draws alone, up to what the market has qualified, while it earns in the day-ahead market alone."""
    terms = obligation.award_terms(setup.site)
    for product in obligation.reserve_products():
        if product not in terms or terms[product].floor_mw is None:
            return "awards are not simulated"
        if limit := terms[product].limited_by:
            return f"awards of {product} are not simulated: {limit}"
        if not terms[product].qualified:
            return f"awards of {product} are not simulated without its qualified_mw"
    if until is not None and obligation.reserve_products():
        imbalance = setup.rules.find(IMBALANCE, OperatingDay.of(setup.site.market, until - timedelta(microseconds=1)).on)
        if imbalance is not None and imbalance.value == "two settlements":
            return f"from {imbalance.from_} on reserve settles in real time too (RTC+B), which is not simulated"
    return ""
