"""Programmes that pay for load dropped on order: the season's pay, the call, and rigs that price never moves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest

from markets.grid import Grid, Market, OperatingDay
from optimizer.domain.time_periods import TimePeriod
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.load_management import LoadManagement, season_hours
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, POINT, actuals, available, call, grid, group, outlook, random_prices, site, so_far

# Summer weekdays from 13 to 19, as utilities have it.
SEASON = TimePeriod(name="summer", months=(6, 7, 8, 9), hours=(13, 14, 15, 16, 17, 18), weekdays=True)
BOOK = (Hashing(), Power(), Plant())


def contract(program="tdu", mw=2.0, **more):
    return LoadManagement(program=program, mw=mw, usd_per_kw=30.0, season=SEASON, **more)


def test_a_seasons_days_add_up_to_what_a_kilowatt_pays():
    """2026: 86 weekdays less two holidays of 6 hours each: 84 x 6 h; 2 MW at 30 $/kW are 60,000 $."""
    weekdays = [d for d in (date(2026, 6, 1) + timedelta(days=n) for n in range(122)) if SEASON.holds(datetime(d.year, d.month, d.day, 14))]
    assert season_hours(SEASON, 2026, Market.ERCOT) == 6 * len(weekdays)
    over, where = OperatingDay(Market.ERCOT, weekdays[30]).grid(60), site(group("g", "s21"))
    paid = settle((contract(),), actuals(where, over, {"g": ["1"] * 24}, {POINT: ["20"] * 24})).net_exact_usd
    assert float(paid) == pytest.approx(60_000 / len(weekdays), rel=1e-12)
    sunday = OperatingDay(Market.ERCOT, date(2026, 7, 12)).grid(60)
    assert settle((contract(),), actuals(where, sunday, {"g": ["1"] * 24}, {POINT: ["20"] * 24})).net_usd == D(0)


def test_a_call_brings_it_down_and_price_moves_a_utilitys_rigs_but_not_those_of_the_service():
    where, told = site(group("g", "s21")), (call("load_management", AT + timedelta(minutes=30), AT + timedelta(hours=1), mw_cap=0.5),)
    dear = outlook([500.0] * 8)
    for program, idle_mw in (("tdu", 0.0), ("sb6", 2.0)):
        made = plan(where, (*BOOK, contract(program)), dear, so_far())
        np.testing.assert_allclose(made.load_mw, idle_mw, atol=1e-6)
        made = plan(where, (*BOOK, contract(program)), dear, so_far(calls=told))
        expected = np.full(8, idle_mw)
        expected[2:4] = np.minimum(expected[2:4], 0.5)
        assert (made.load_mw <= expected + 1e-6).all() and (made.load_mw[[0, 1, 4, 5, 6, 7]] >= idle_mw - 1e-6).all()


def test_an_event_that_is_missed_is_not_verified():
    """0.2 MW stay of which none may: 30 $ a kW of the season on them. Under SB 6 it is also what does not run that could be dropped."""
    told = (call("load_management", AT, AT + timedelta(hours=1), mw_cap=0.0),)
    made = plan(site(group("g", "s21", standby=200.0)), (*BOOK, contract()), outlook([30.0] * 4), so_far(calls=told))
    assert [(s.promise, s.usd) for s in made.shortfalls] == [("call load_management", pytest.approx(200 * 30.0))]
    few = available(grid(4), g=[400] * 4)
    made = plan(site(group("g", "s21")), (*BOOK, contract("sb6")), outlook([30.0] * 4), so_far(), few)
    assert [(s.promise, s.usd) for s in made.shortfalls] == [("runs load_management", pytest.approx(600 * 30.0))]


@pytest.mark.parametrize("program", ["tdu", "sb6"])
def test_the_law(program):
    rng = np.random.default_rng(2)
    over = Grid.regular(datetime(2026, 8, 20, 16, tzinfo=UTC), datetime(2026, 8, 20, 22, tzinfo=UTC), 30)
    ahead = outlook(random_prices(rng, len(over)), over)
    kit.keeps_the_law(contract("tdu"), site(group("g", "s21")), ahead, rng, linear=True)
    kit.speaks_for_itself(contract("tdu"), site(group("g", "s21")), ahead, rng)
    kit.honours_calls(contract(program), site(group("g", "s21")), ahead)
