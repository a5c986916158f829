"""The demonstration's first full day earns at least what always-on and the strike bots earn on the same simulated rigs, and more wherever
foresight is worth something."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from dispatch.backtest.market_facts import market_facts
from dispatch.backtest.part import STRATEGIES, physical_runs
from dispatch.backtest.valuation import Valuation
from dispatch.site_file.load import load_site_file
from markets.grid import Interval, OperatingDay

SITE = Path(__file__).parents[2] / "config" / "demo-site.toml"
BOTS = ("always_on", "one_strike", "model_strike")
FIRST_DAY, DAYS_APART = date(2026, 1, 20), 17  # one day for each seed: 20 seeds are spread over eleven months
WORTH_FORESEEING = 0.01
NOISE_USD = 1.0  # of rigs that differ a little from their model, which no plan knows; days earn about $1,100


def earned_usd(seed: int) -> dict[str, float]:
    """What each strategy earns on a seed's day, less the wear of its starts. The CPU miner is a rig like the others here."""
    setup = load_site_file(SITE, {"prices": {"source": "synthetic", "seed": seed}})
    day = OperatingDay(setup.site.market, FIRST_DAY + timedelta(days=DAYS_APART * seed))
    market = market_facts(setup, Interval(day.start, day.end))
    valuation, runs = Valuation(setup, market), physical_runs(setup, market, seed)
    (wear,) = {group.wear_usd_per_start for group in setup.site.groups}
    starts = {name: float(runs[name].starts[market.counted].sum()) for name in STRATEGIES}
    bills = {name: valuation.earned(valuation.actuals(runs[name]), starts[name]) for name in STRATEGIES}
    return {name: float(sum(bills[name].lines.values())) - wear * starts[name] for name in STRATEGIES}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow(sample=seed in (3, 11))) for seed in range(20)])
def test_a_full_day_earns_at_least_what_bots_earn_with_the_same_physics(seed: int) -> None:
    usd = earned_usd(seed)
    best = max(usd[name] for name in BOTS)
    foreseen = usd["perfect_foresight"]
    assert usd["loadstone"] >= best, usd
    assert usd["loadstone"] > best or foreseen <= best * (1 + WORTH_FORESEEING), usd
    assert usd["loadstone"] <= foreseen + NOISE_USD, usd
    assert best <= foreseen + NOISE_USD, usd
