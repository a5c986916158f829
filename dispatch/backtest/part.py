"""One part of a backtest: every strategy run through the simulated fleet and without physics, valued, and written as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch import ConfigError
from dispatch.backtest.coincident_peaks import peak_tallies
from dispatch.backtest.day_ahead_reserve import Awards, awards_by_strategy, with_awards
from dispatch.backtest.ideal import IdealRun, days_of, ideal_runs
from dispatch.backtest.market_facts import MarketFacts, market_facts, without_dispatch_runs
from dispatch.backtest.model_forecasts import with_forecasts
from dispatch.backtest.valuation import Earnings, Valuation, unsupported
from dispatch.decide.price_risk import risk_of_facts
from dispatch.decide.state import State
from dispatch.runtime.price_sources import archived
from dispatch.sim.strategies import AlwaysOn, Breakevens, Loadstone, PerfectForesight, RiskOf, Strategy, Strike
from dispatch.sim.strategy_run import StrategyRun, run_strategy
from dispatch.site_file.load import load_site_file
from dispatch.site_file.setup import Setup
from dispatch.store.price_models import KeptPriceModel
from markets.grid import Grid, Interval
from markets.outlook import Outlook
from optimizer.domain.site import Availability, SoFar
from optimizer.lp.cohorts import gather
from optimizer.planning.result import Risk

STRATEGIES = ("loadstone", "always_on", "one_strike", "model_strike", "perfect_foresight")
HOTTEST_C = 45.0  # halls that cannot reach their limit even then are one


@dataclass(frozen=True, slots=True)
class PartJob:
    """A part of a backtest as a worker process gets it. `setup_id` says what it is asked of (`setup_id_of`); `risk` is the weight of the
    worst price scenarios, None for none; `models` are the price models that it decides with, one of a settlement point."""

    config: Path
    archive: Path
    setup_id: str
    over: Interval
    risk: float | None = None
    seed: int = 0
    models: tuple[KeptPriceModel, ...] = ()


def run_part(job: PartJob) -> dict[str, Any]:
    """Run a part; the result as JSON values, dollars exact, as text. Raises ConfigError, also when the site file is no
    longer the one that the part was asked of; SourceError; and LookupError as `market_facts`."""
    setup = _setup_asked_of(job.config, job.archive, job.setup_id, job.over.end)
    market = with_forecasts(setup, market_facts(setup, job.over), job.models)
    valuation = Valuation(setup, market)
    risk_of = None if job.risk is None else _risk_of(job.risk)
    sold = awards_by_strategy(setup, market, job.risk or 0.0)
    runs = physical_runs(setup, market, job.seed, risk_of, sold)
    ideal = ideal_runs(setup, market, risk_of, sold=sold)
    return _document(valuation, market, runs, ideal, sold)


def physical_runs(
    setup: Setup, market: MarketFacts, seed: int = 0, risk_of: RiskOf | None = None, sold: Mapping[str, Awards] = MappingProxyType({})
) -> dict[str, StrategyRun]:
    """Every strategy on the same simulated fleet, with the facts as late as they were, by its name. Only this product reads forecasts and
    the prices of dispatch and look-ahead runs; the others decide on settled and day-ahead prices. `sold` are each one's day-ahead
    awards."""
    best = PerfectForesight(market.final, [day.start for day in days_of(setup, market)])
    shared: Breakevens = {}
    others: tuple[Strategy, ...] = (AlwaysOn(), Strike("one_strike", shared), Strike("model_strike", shared), best)
    settled = without_dispatch_runs(market.facts)
    ours = run_strategy(setup, market.grid, with_awards(market.facts, sold.get("loadstone", ())), Loadstone(risk_of), seed)
    seen = {s.name: with_awards(settled, sold.get(s.name, ())) for s in others}
    return {"loadstone": ours, **{s.name: run_strategy(setup, market.grid, seen[s.name], s, seed) for s in others}}


# Workers of a cluster outlive a command, and the site file may be edited between two: hence the id in the key.
@lru_cache(maxsize=4)
def _setup_asked_of(config: Path, archive: Path, setup_id: str, until: datetime) -> Setup:
    setup = setup_of(config, archive, until)
    if setup_id_of(setup) != setup_id:
        raise ConfigError([f"{config}: this worker reads another site file or other market rules than the backtest began with. Run again"])
    return setup


def setup_id_of(setup: Setup) -> str:
    """What a setup was made of, as a SHA-256: its site file and the market rules."""
    return sha256(f"{setup.hash_id} {setup.rules!r}".encode()).hexdigest()


def setup_of(config: Path, archive: Path, until: datetime | None = None) -> Setup:
    """The setup of a site file over an archive, without the contracts that a backtest leaves out, of a part that ends at `until`
    (`unsupported`), with groups that nothing tells apart as one, under the first one's name, and without the owner's weight of risk.
    Raises ConfigError."""
    setup = load_site_file(config, archived(config, archive))
    left_out = unsupported(setup.book, setup, until)
    book = tuple(o for o in setup.book if o.name not in left_out)
    cohorts = gather(setup.site, book, SoFar(datetime.min), Availability(), np.array([HOTTEST_C]))
    return replace(
        setup,
        book=book,
        site=setup.site.model_copy(update={"groups": cohorts.site.groups, "halls": cohorts.site.halls, "risk_weight": 0.0}),
    )


def _risk_of(weight: float) -> RiskOf:
    def risk_of(state: State, outlook: Outlook, at: datetime) -> Risk | None:
        try:
            return risk_of_facts(state.facts, outlook, at, weight, state.setup.book)
        except LookupError:
            return None

    return risk_of


def _document(
    valuation: Valuation,
    market: MarketFacts,
    runs: Mapping[str, StrategyRun],
    ideal: Mapping[str, IdealRun],
    sold: Mapping[str, Awards],
) -> dict[str, Any]:
    counted = market.counted
    did = {name: valuation.actuals(run, sold.get(name, ())) for name, run in runs.items()}
    could = {name: valuation.actuals(run, sold.get(name, ())) for name, run in ideal.items()}
    earned = {name: valuation.earned(did[name], float(runs[name].starts[counted].sum())) for name in STRATEGIES}
    ideally = {name: valuation.earned(could[name], 0.0) for name in STRATEGIES}
    best, ours = could["perfect_foresight"], did["loadstone"]
    return {
        "from": market.over.start.isoformat(),
        "to": market.over.end.isoformat(),
        "intervals": len(valuation.grid),
        "missing": market.missing,
        "disputed": market.disputed,
        "unknown": _unknown(valuation.grid, [*earned.values(), *ideally.values()]),
        "strategies": {name: _strategy(earned[name], ideally[name]) for name in STRATEGIES},
        "promises": [[name, promised, kept, _text(usd)] for name, promised, kept, usd in valuation.promises(ours)],
        "causes": _texts(valuation.causes(did["perfect_foresight"], runs["loadstone"], ours)),
        "ideal_causes": _texts(valuation.ideal_causes(best, could["loadstone"])),
        "stops": valuation.stops(best, ours),
        "peaks": [asdict(tally) for tally in peak_tallies(valuation.setup, market, ours, runs["loadstone"].plans)],
    }


def _strategy(earned: Earnings, ideally: Earnings) -> dict[str, Any]:
    return {
        "lines": _texts(earned.lines),
        "ideal_lines": _texts(ideally.lines),
        "by_day": {on.isoformat(): _text(usd) for on, usd in sorted(earned.by_day.items())},
        "energy_mwh": earned.energy_mwh,
        "hash_ph_days": earned.hash_ph_days,
        "starts": earned.starts,
    }


def _unknown(grid: Grid, earned: Iterable[Earnings]) -> list[list[Any]]:
    """Charges of unknown amount as [OBLIGATION/CHARGE_TYPE, why, intervals of the grid in which it is so for any strategy]."""
    here: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for charge in (charge for of in earned for charge in of.unknown):
        first, last = np.searchsorted(grid.edges, [charge.over.start.timestamp(), charge.over.end.timestamp()])
        here.setdefault((charge.name, charge.why), np.zeros(len(grid), dtype=np.bool_))[first:last] = True
    return [[name, why, int(positions.sum())] for (name, why), positions in here.items()]


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: _text(usd) for name, usd in amounts.items()}


def _text(usd: Decimal) -> str:
    return format(usd, "f")
