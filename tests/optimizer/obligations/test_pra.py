"""Capacity in MISO as cost and as credit: EX-9 to the cent, the season's peak by fact and by probability, and the law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from markets.facts import SystemLoad
from markets.forecasting.peaks import coincident_peak_share
from markets.grid import Grid, Interval, Market, OperatingDay
from markets.series import Series
from optimizer.domain.site import Meter, Mode
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.pra import METERED, Pra
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import actuals, call, group, outlook, random_prices, site, so_far
from tests.rule_cases import with_market_rules

HUB = "INDIANA.HUB"
HOUR = timedelta(hours=1)
ONE = (Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=250))
YEAR = Grid.regular(datetime(2025, 6, 1, 5, tzinfo=UTC), datetime(2026, 6, 1, 5, tzinfo=UTC), 60)
# An hour in each season, the highest of its system.
PEAKS = [datetime(2025, 7, 29, 21, tzinfo=UTC), datetime(2025, 9, 3, 20, tzinfo=UTC), datetime(2026, 1, 14, 12, tzinfo=UTC),
         datetime(2026, 5, 28, 21, tzinfo=UTC)]  # fmt: skip


def miso(*groups, **more):
    return site(
        *(groups or (group("g", rigs=4800, modes=ONE),)), market=Market.MISO, meters=(Meter(id="main", settlement_point=HUB),), **more
    )


def pra(**more):
    return with_market_rules(Pra(**{"zone": 6, **more}))


def year_of(mw_at_peaks, otherwise="24", grid=YEAR, **more):
    mw = [D(otherwise)] * len(grid)
    for at, value in zip(PEAKS, mw_at_peaks, strict=True):
        mw[grid.index(at)] = D(value)
    hours = [D(int(s)) / 3600 for s in np.diff(grid.edges)]
    return actuals(miso(), grid, {"g": [v * h for v, h in zip(mw, hours, strict=True)]}, {HUB: ["0"] * len(grid)}, **more)


def at_the_peaks(grid=YEAR):
    loads = [SystemLoad(source="t", known_at=over.end, over=over, load_mw=110_000.0 if over.start in PEAKS else 80_000.0)
             for over in YEAR.intervals]  # fmt: skip
    return {METERED: [D(repr(float(v))) for v in coincident_peak_share(loads, grid, Market.MISO, METERED).values]}


def test_ex9_ten_megawatts_at_every_seasons_peak_cost_a_planning_year():
    """EX-9: 79,070.56 $/MW-year, 790,705.60 for 10 MW; what runs in every other hour costs nothing."""
    statement = settle((pra(),), year_of(["10"] * 4, peak_share=at_the_peaks()))
    assert statement.totals == {("pra", "capacity_cost"): D("-790705.60")}
    assert [line.over.start for line in statement.lines] == PEAKS
    assert settle((pra(zone=9),), year_of(["1"] * 4, peak_share=at_the_peaks())).net_usd == D("-77477.15")
    assert settle((pra(),), year_of(["0"] * 4, peak_share=at_the_peaks())).net_usd == 0


def test_each_season_costs_its_days_at_its_price():
    """3 MW at the summer's, 5 at the winter's: 3 x 666.50 x 92 + 5 x 33.20 x 90."""
    statement = settle((pra(),), year_of(["3", "0", "5", "0"], peak_share=at_the_peaks()))
    assert statement.net_usd == -(3 * D("666.50") * 92 + 5 * D("33.20") * 90)
    margin = settle((pra(reserve_margin={"summer": 0.079}),), year_of(["3", "0", "0", "0"], peak_share=at_the_peaks()))
    assert margin.net_usd == -(3 * D("1.079") * D("666.50") * 92).quantize(D("0.01"))
    own = settle((pra(usd_per_mw_day={"summer": 100.0}),), year_of(["3", "0", "0", "0"], peak_share=at_the_peaks()))
    assert own.net_usd == D("-27600.00")


def test_hours_that_were_told_come_before_what_system_load_says():
    """The utility named another summer hour; the others go by system load. Five-minute intervals count a twelfth each."""
    told = Interval(datetime(2025, 7, 30, 20, tzinfo=UTC), datetime(2025, 7, 30, 21, tzinfo=UTC))
    contract = pra(peaks=[{"from": told.start, "to": told.end}])
    assert settle((contract,), year_of(["0", "0", "5", "0"], "2", peak_share=at_the_peaks())).net_usd == -(
        2 * D("666.50") * 92 + 5 * D("33.20") * 90
    )
    day = OperatingDay(Market.MISO, date(2025, 7, 30)).grid()
    inside = [t for t, over in enumerate(day.intervals) if told.start <= over.start < told.end]
    mwh = ["2"] * len(day)
    for n, t in enumerate(inside):
        mwh[t] = str(n)
    statement = settle((contract,), actuals(miso(), day, {"g": mwh}, {HUB: ["0"] * len(day)}))
    assert statement.net_usd == -(D(sum(range(12))) * D("666.50") * 92), "the hour's mean is 66 MW: sum of twelve five-minute MWh"


def test_credits_without_a_charge():
    day = OperatingDay(Market.MISO, date(2025, 7, 1)).grid()
    contract = pra(charged=False, zrc={"summer": 10.0})
    assert contract.peak_windows() == () and pra().peak_windows() == (METERED,)
    real = actuals(miso(), day, {"g": ["2"] * 288}, {HUB: ["0"] * 288})
    assert settle((contract,), real).totals == {("pra", "capacity_credit"): D("6665.00")}


def test_a_plan_stands_back_where_the_seasons_peak_is_likely():
    """A summer peak costs 61,318 $/MW, an hour's hashing earns 93.75 - 30 a MWh: not worth from 0.104 % on."""
    at = datetime(2025, 7, 29, 17, tzinfo=UTC)
    over = Grid.regular(at, at + 8 * HOUR, 60)
    share = np.array([0, 0.0005, 0.001, 0.0011, 0.3, 0.01, 0.001, 0])
    ahead = replace(outlook({HUB: [30.0] * 8}, over), peak_share={METERED: Series(over, share, "share")})
    made = plan(miso(), (Hashing(), Power(), Plant(), pra()), ahead, so_far(at))
    np.testing.assert_allclose(made.load_mw, [24, 24, 24, 0, 0, 0, 24, 24], atol=1e-6)
    assert made.lines[("pra", "capacity_cost")].sum() == pytest.approx(-24 * 0.0025 * 666.5 * 92)
    lazy = (Mode(name="sleep", watts=1000, ths=0), Mode(name="normal", watts=5000, ths=250))
    told = (call("pra", at + 4 * HOUR, at + 5 * HOUR, mw_cap=0.0),)
    missed = plan(miso(group("g", rigs=1000, modes=lazy)), (Hashing(), Power(), Plant(), pra()), ahead, so_far(at, calls=told))
    assert [(s.promise, round(s.usd, 6)) for s in missed.shortfalls] == [("call pra", round(1.0 * 0.3 * 666.5 * 92, 6))]


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), margin=st.floats(0, 0.3), charged=st.booleans(), sold=st.booleans(), named=st.booleans())
def test_it_says_what_it_pays(seed, margin, charged, sold, named):
    rng = np.random.default_rng(seed)
    where = miso(group("g", rigs=800, low=True, standby=10.0), group("h", "s19jpro", rigs=900))
    at = datetime(2025, 8, 31, 22, tzinfo=UTC)  # over the end of summer
    over = Grid.regular(at, at + 12 * HOUR, 60)
    ahead = outlook({HUB: random_prices(rng, 12)}, over)
    ahead = replace(ahead, peak_share={METERED: Series(over, rng.uniform(0, 0.2, 12), "share")})
    peaks = [{"from": at + HOUR / 2, "to": at + 3 * HOUR / 2}] if named else []
    contract = pra(reserve_margin={"summer": margin}, charged=charged, zrc={"summer": 3.0, "fall": 2.0} if sold else {}, peaks=peaks)
    kit.holds(contract, where, ahead, rng, linear=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"zone": 0}, "zone"), ({"zrc": {"autumn": 1}}, "zrc"), ({"reserve_margin": {"summer": -0.1}}, "reserve_margin"),
     ({"peaks": [{"from": PEAKS[0], "to": PEAKS[0]}]}, "not after"),
     ({"peaks": [{"from": "2025-07-29T16:00:00", "to": PEAKS[1]}]}, "offset")],
)  # fmt: skip
def test_what_is_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        pra(**options)
