"""A day under other strategies on simulated rigs: they wake and ramp, keep minimum times, and a price is known when it was published. So
strategies are compared, not physics; the figures without physics stand beside."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from typing_extensions import TypedDict

from dispatch.settlement.counterfactuals import (
    GAP_TEXT,
    as_statement_value,
    beside_the_bill,
    counterfactuals,
    final_outlook,
    modes_at,
)
from dispatch.settlement.document import CauseRow, StrategyValue
from dispatch.settlement.measured_day import MeasuredDay
from dispatch.settlement.plan_differences import cause_rows, has_all_figures, plans_in_force
from dispatch.sim.strategies import AlwaysOn, Breakevens, PerfectForesight, Strategy, Strike
from dispatch.sim.strategy_run import StrategyRun, run_strategy
from markets.facts import Fact, HashPrice, Price, PriceMarket, Temperature
from markets.grid import Interval
from markets.outlook import Outlook
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import generators_by_meter
from optimizer.domain.money import decimals
from optimizer.settlement.counterfactuals import PUBLISHED_AFTER_S, value_of_actuals
from optimizer.settlement.settle import carried_usd, settle
from optimizer.settlement.variance import foresight_gap_by_cause


class FleetComparison(TypedDict):
    """A day under other strategies. The gap of each kind is by cause, from perfect foresight to what was earned, and adds up exactly.

    net_usd  what was earned by the day's bill; `strategies` on simulated rigs, `ideal_strategies` without physics
    """

    date: str
    net_usd: str
    strategies: dict[str, StrategyValue]
    foresight_gap: list[CauseRow]
    ideal_strategies: dict[str, StrategyValue]
    ideal_foresight_gap: list[CauseRow]
    notes: list[str]


def compared_on_fleet(measured: MeasuredDay, seed: int = 0) -> FleetComparison:
    """Every strategy under the day's book, calls, awards and final prices, from the modes the day began with; rigs differ by `seed`."""
    setup, actuals, ideal = measured.setup, measured.actuals, counterfactuals(measured)
    bill = settle(setup.book, actuals, round_each_interval=setup.reports.rounding == "interval")
    found: FleetComparison = {
        "date": measured.record.day.on.isoformat(),
        "net_usd": f"{bill.net_usd:.2f}",
        "strategies": {},
        "foresight_gap": [],
        "ideal_strategies": ideal.strategies,
        "ideal_foresight_gap": ideal.foresight_gap,
        "notes": list(ideal.notes),
    }
    if not ideal.strategies:
        return found
    if any(generators_by_meter(setup.book, setup.site).values()):
        return {**found, "notes": [*ideal.notes, "Strategies are not run on simulated rigs: generators are not simulated."]}
    runs = _runs(measured, seed)
    did = {name: _actuals(measured, run) for name, run in runs.items()}
    own = carried_usd(setup.book, actuals)
    values = {name: value_of_actuals(setup.book, did[name], float(runs[name].starts.sum())) for name in runs}
    found["strategies"] = {name: as_statement_value(beside_the_bill(value, own)) for name, value in values.items()}
    if all(has_all_figures(actuals, n) for n in range(len(actuals.grid))):
        planned = plans_in_force(actuals.grid, measured.record.plans)
        found["foresight_gap"] = cause_rows(foresight_gap_by_cause(setup.book, did["perfect_foresight"], planned, actuals), GAP_TEXT)
    return found


def _runs(measured: MeasuredDay, seed: int) -> dict[str, StrategyRun]:
    """What each strategy does on simulated rigs that begin the day as the site's did."""
    setup, actuals, at = measured.setup, measured.actuals, measured.actuals.grid.start
    final = final_outlook(actuals, measured.temperature_c)
    facts = _published(measured, final)
    begun = {name: now.modes for name, now in modes_at(measured.record, at).items()}
    shared: Breakevens = {}
    strikes = Strike("one_strike", shared), Strike("model_strike", shared)
    strategies: tuple[Strategy, ...] = (AlwaysOn(), *strikes, PerfectForesight(final, [at]))
    return {s.name: run_strategy(setup, actuals.grid, facts, s, seed, begun, actuals.memory) for s in strategies}


def _published(measured: MeasuredDay, final: Outlook) -> tuple[Fact, ...]:
    """The day's final prices, each known as late as real-time prices are published; its temperatures and hashprices at once; its calls and
    awards when they came. In order of `known_at`."""
    grid, delay, run = final.grid, timedelta(seconds=PUBLISHED_AFTER_S), PriceMarket.REAL_TIME_15_MIN
    facts: list[Fact] = [*measured.actuals.calls, *measured.actuals.awards]
    for point, series in final.energy.items():
        before = measured.prices.energy_before[point]
        first = grid.intervals[0]
        earlier = Interval(first.start - (first.end - first.start), first.start)
        priced = [(earlier, before), *zip(grid.intervals, series.values.tolist(), strict=True)]
        for over, usd in priced:
            if usd == usd:
                facts.append(Price(source="settled", known_at=over.end + delay, point=point, market=run, over=over, usd_per_mwh=usd))
    for over, celsius, usd in zip(grid.intervals, final.temperature_c.values.tolist(), final.hashprice.values.tolist(), strict=True):
        facts.append(Temperature(source="settled", known_at=over.start, over=over, celsius=celsius))
        facts.append(HashPrice(source="settled", known_at=over.start, over=over, usd_per_ph_day=usd, basis="as the day settled"))
    return tuple(sorted(facts, key=lambda fact: fact.known_at))


def _actuals(measured: MeasuredDay, run: StrategyRun) -> Actuals:
    """The day with what a strategy's rigs drew, brought to the meter, and hashed."""
    at_meter = run.at_meter_mwh(measured.setup.site, measured.temperature_c)
    energy = {name: decimals(mwh) for name, mwh in at_meter.items()}
    return replace(measured.actuals, energy_mwh=energy, hash_ph_days={name: decimals(ph) for name, ph in run.hash_ph_days.items()})
