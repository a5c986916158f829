"""Rigs stop, and start, for what that is expected to earn until they move again: not for the last price alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dispatch.runtime.history import facts_before
from dispatch.runtime.price_sources import polled_sources
from dispatch.sim.simulated_site import SimulatedSite
from dispatch.sim.strategies import Loadstone, Strike
from dispatch.site_file.load import load_site_file
from dispatch.site_file.setup import Setup
from markets.facts import Fact, Price, PriceMarket
from markets.grid import Grid, Interval

SITE = Path(__file__).parents[3] / "config" / "demo-site.toml"
START = datetime(2026, 7, 8, 20, tzinfo=UTC)
AT = START + timedelta(minutes=17)  # two minutes after an interval
HOUR = timedelta(hours=1)
WORST, BREAK_EVEN = "a-m50s", 62.9  # the first group to stop, and the price at which it earns nothing, usd_per_mwh


def price(point: str, start: datetime, minutes: int, usd: float, market: PriceMarket, known_at: datetime) -> Price:
    over = Interval(start, start + timedelta(minutes=minutes))
    return Price(source="test", known_at=known_at, point=point, market=market, over=over, usd_per_mwh=usd)


def facts(setup: Setup, last_usd: float, day_ahead_usd: float) -> tuple[Fact, ...]:
    """A last quarter hour at one price, and a day-ahead market at another; the hashprice of the site file."""
    point, dam = setup.site.settlement_point, PriceMarket.DAY_AHEAD_HOURLY
    ahead = [price(point, START + k * HOUR, 60, day_ahead_usd, dam, START - 9 * HOUR) for k in range(-2, 12)]
    last = price(point, START, 15, last_usd, PriceMarket.REAL_TIME_15_MIN, AT)
    economics = [p.source for p in polled_sources(setup, lambda: AT)][-1]
    hashprice = asyncio.run(facts_before(economics, setup, (AT - timedelta(days=2), AT)))
    return (*ahead, *(f for f in hashprice if not isinstance(f, Price)), last)


def running(strategy: Loadstone | Strike, last_usd: float, day_ahead_usd: float, mode: str = "normal") -> float:
    """The share of the worst group's rigs that a strategy wants awake next, from all awake or all asleep."""
    setup = load_site_file(SITE, {"prices": {"source": "synthetic", "seed": 1, "dispatch_runs": False}})
    site = SimulatedSite(setup, Grid.regular(START, START + 2 * HOUR, 15))
    for group in setup.site.groups:
        site.fleet.place(group.name, np.arange(group.rigs), mode)
    site.observe(AT, facts(setup, last_usd, day_ahead_usd))
    plan, _ = strategy.plan(AT, site.state)
    assert plan is not None
    modes = plan["intervals"][0]["groups"][WORST]["modes"]
    return 1.0 - modes.get("sleep", 0.0) / sum(modes.values())


@pytest.mark.parametrize(("last_usd", "runs"), [(BREAK_EVEN + 10.0, 1.0), (BREAK_EVEN + 150.0, 0.0)])
def test_rigs_stop_only_where_the_stop_saves_more_than_the_next_start_costs(last_usd: float, runs: float) -> None:
    assert running(Loadstone(), last_usd, day_ahead_usd=30.0) == pytest.approx(runs)
    assert running(Strike("model_strike"), last_usd, day_ahead_usd=30.0) == 0.0, "a bot stops at the last price"


@pytest.mark.parametrize(("day_ahead_usd", "runs"), [(30.0, 1.0), (150.0, 0.0)])
def test_rigs_start_only_where_the_hours_to_come_repay_the_start(day_ahead_usd: float, runs: float) -> None:
    assert running(Loadstone(), BREAK_EVEN - 10.0, day_ahead_usd, mode="sleep") == pytest.approx(runs)
    assert running(Strike("model_strike"), BREAK_EVEN - 10.0, day_ahead_usd, mode="sleep") == 1.0, "a bot starts at the last price"
