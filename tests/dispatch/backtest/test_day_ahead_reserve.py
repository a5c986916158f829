"""Reserve sold day-ahead in a backtest: offered from what was known before offers were due, awarded at clearing prices, paid as carried."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bench.year import Measurement, ideal_usd
from dispatch.backtest.day_ahead_reserve import ClearingPrices, awards_by_strategy, foreseen_awards, offered_awards
from dispatch.backtest.document import document_of
from dispatch.backtest.ideal import IdealRun
from dispatch.backtest.market_facts import market_facts
from dispatch.backtest.part import run_part, setup_of
from dispatch.backtest.run import Backtest
from dispatch.backtest.valuation import Valuation, unsupported
from dispatch.sim.strategy_run import StrategyRun
from markets.facts import Award, Price, PriceMarket, ReservePrice
from markets.grid import Interval
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.solve.lexicographic import SolveError
from tests.dispatch.backtest.archives import POINT, add_reserve_prices, archive_of, site_file, spiky_prices
from tests.optimizer.fixtures import Dead
from tests.sites import small

START = datetime(2024, 8, 6, 5, tzinfo=UTC)  # midnight of an operating day
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
RESERVE = {"type": "ancillary", "products": ["RRS", "NSPIN"], "qualified_mw": {"RRS": 0.2, "NSPIN": 0.1}}
# RRS pays most until noon, Non-Spin after it; at 20:00 nobody pays for either.
RRS = [8.0] * 12 + [2.0] * 8 + [0.0] + [2.0] * 3
NSPIN = [3.0] * 12 + [6.0] * 8 + [0.0] + [6.0] * 3


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """One day that sells reserve, with two days of prices before it."""
    folder = tmp_path_factory.mktemp("reserve")
    archive = archive_of(folder / "archive", START - 2 * DAY, spiky_prices(4))
    add_reserve_prices(archive, START - 2 * DAY, {"RRS": RRS * 4, "NSPIN": NSPIN * 4})
    return Backtest(site_file(folder, obligations=[{"type": "power"}, RESERVE]), archive, START, START + DAY)


@pytest.fixture(scope="module")
def setup(asked):
    return setup_of(asked.config, asked.archive)


@pytest.fixture(scope="module")
def market(asked, setup):
    return market_facts(setup, Interval(START, START + DAY))


@pytest.fixture(scope="module")
def found(asked):
    return document_of([run_part(job) for job in asked.jobs()])


def mw_at(awards, hour, product):
    start = START + hour * HOUR
    return sum(a.mw for a in awards if a.product == product and a.over == Interval(start, start + HOUR))


def test_each_megawatt_is_awarded_in_the_product_that_clears_highest_and_never_twice(setup, market):
    sold = awards_by_strategy(setup, market)
    for awards in sold.values():
        assert mw_at(awards, 2, "RRS") == pytest.approx(0.2)  # 0.26 MW can be dropped, 0.2 are qualified
        assert 0.0 < mw_at(awards, 15, "NSPIN") <= 0.1 < mw_at(awards, 15, "NSPIN") + mw_at(awards, 15, "RRS") <= 0.26
        assert {a.market for a in awards} == {"DAM"} and all(a.mw <= 0.26 for a in awards)
    assert set(sold) == {"loadstone", "perfect_foresight"}
    assert all(a.known_at == datetime(2024, 8, 5, 18, 30, tzinfo=UTC) and a.mcpc_usd_per_mw_h for a in sold["loadstone"])


def test_offers_rest_on_nothing_that_became_known_after_they_were_made(setup, market):
    """Every price but the clearing prices themselves is scrambled from a quarter of an hour before 10:00 on."""
    due, rng = datetime(2024, 8, 5, 15, tzinfo=UTC), np.random.default_rng(1)

    def scrambled(fact):
        late = fact.known_at > due - timedelta(minutes=15)
        return replace(fact, usd_per_mwh=float(rng.uniform(-100.0, 4000.0))) if late and isinstance(fact, Price) else fact

    other = replace(market, facts=tuple(scrambled(fact) for fact in market.facts))
    cleared = ClearingPrices(market.facts)
    assert offered_awards(setup, other, cleared) == offered_awards(setup, market, cleared)
    dear = (replace(f, usd_per_mwh=5000.0) if isinstance(f, Price) and f.known_at <= due else f for f in market.facts)
    early = replace(market, facts=tuple(dear))
    assert offered_awards(setup, early, cleared) != offered_awards(setup, market, cleared)


def test_an_offer_above_the_clearing_price_is_not_awarded(setup, market):
    """At 900 $/MWh since yesterday no rig runs anyway, and carrying reserve costs more than it clears at."""
    dear = replace(market, facts=tuple(replace(f, usd_per_mwh=900.0) if isinstance(f, Price) else f for f in market.facts))
    assert offered_awards(setup, dear, ClearingPrices(market.facts)) == ()
    scarce = tuple(replace(f, usd_per_mw_h=5000.0) if isinstance(f, ReservePrice) else f for f in market.facts)
    assert offered_awards(setup, dear, ClearingPrices(scarce))


def test_perfect_foresight_sells_nothing_by_merit_order(setup, market):
    with pytest.raises(SolveError, match="no answer"):
        foreseen_awards(setup, market, ClearingPrices(market.facts), Dead())


def test_nothing_is_awarded_where_no_clearing_price_is_known(setup, market):
    without = tuple(fact for fact in market.facts if not isinstance(fact, ReservePrice) or fact.product != "NSPIN")
    awards = offered_awards(setup, replace(market, facts=without), ClearingPrices(without))
    assert {a.product for a in awards} == {"RRS"}


def day_ahead(start, usd):
    return Price(
        source="t",
        known_at=start - DAY,
        point=POINT,
        market=PriceMarket.DAY_AHEAD_HOURLY,
        over=Interval(start, start + HOUR),
        usd_per_mwh=usd,
    )


def test_the_weight_of_risk_is_that_of_the_offers(setup, market):
    """Scenarios are drawn from what real-time prices did beside day-ahead prices of $40, on quiet days too."""
    hourly = [day_ahead(START + n * HOUR, 40.0) for n in range(-120, 24)]
    real_time = [f for f in market.facts if isinstance(f, Price) and f.over.start < START - DAY]
    quiet = [
        replace(f, known_at=f.known_at - back, over=Interval(f.over.start - back, f.over.end - back), usd_per_mwh=38.0)
        for back in (DAY, 2 * DAY, 3 * DAY)
        for f in real_time
    ]
    known = replace(market, facts=tuple(sorted((*market.facts, *hourly, *quiet), key=lambda fact: fact.known_at)))
    cleared = ClearingPrices(replace(f, usd_per_mw_h=250.0) if isinstance(f, ReservePrice) else f for f in known.facts)
    calm, wary = (offered_awards(setup, known, cleared, weight) for weight in (0.0, 1.0))
    assert sum(a.mw for a in wary) < sum(a.mw for a in calm), "the dearest evening alone costs more than it clears at"
    dear = replace(known, facts=tuple(replace(f, usd_per_mw_h=250.0) if isinstance(f, ReservePrice) else f for f in known.facts))
    sold = [awards_by_strategy(setup, dear, weight)["loadstone"] for weight in (0.0, 1.0)]
    assert sum(a.mw for a in sold[1]) < sum(a.mw for a in sold[0])


@pytest.mark.parametrize("corrected_usd", [0.01, 50.0])
def test_a_corrected_clearing_price_pays_an_award_and_neither_makes_nor_announces_it(setup, market, corrected_usd):
    """RRS of 03:00 cleared at $8.00; the market corrected that in the evening."""
    hour = Interval(START + 3 * HOUR, START + 4 * HOUR)
    (first,) = (f for f in market.facts if isinstance(f, ReservePrice) and f.product == "RRS" and f.over == hour)
    later = replace(first, known_at=START + 20 * HOUR, usd_per_mw_h=corrected_usd)
    corrected = replace(market, facts=tuple(sorted((*market.facts, later), key=lambda f: f.known_at)))
    awards = offered_awards(setup, corrected, ClearingPrices(corrected.facts))
    assert awards == offered_awards(setup, market, ClearingPrices(market.facts))
    (here,) = (a for a in awards if a.over == hour and a.product == "RRS")
    assert (here.mcpc_usd_per_mw_h, here.known_at) == (8.0, first.known_at)
    n = len(market.grid)
    on = IdealRun(
        {g.name: np.full(n, g.rigs * g.full.watts / 4e6) for g in setup.site.groups}, {g.name: np.zeros(n) for g in setup.site.groups}
    )
    valuation = Valuation(setup, corrected)
    lines = valuation.earned(valuation.actuals(on, (here,)), 0.0).lines
    assert float(lines["ancillary/rrs_day_ahead"]) == pytest.approx(here.mw * corrected_usd)


def test_awards_are_paid_at_the_clearing_price_and_others_sell_nothing(found, setup, market):
    for name, awards in awards_by_strategy(setup, market).items():
        paid = sum(a.mw * a.mcpc_usd_per_mw_h for a in awards if a.product == "RRS")
        assert found["strategies"][name]["lines"]["ancillary/rrs_day_ahead"] == pytest.approx(paid, abs=0.01)
    for name in ("always_on", "one_strike", "model_strike"):
        assert not any(line.startswith("ancillary/") for line in found["strategies"][name]["lines"])
    ideal = {name: of["ideal_usd"] for name, of in found["strategies"].items()}
    assert max(ideal, key=lambda name: ideal[name]) == "perfect_foresight"
    assert found["strategies"]["loadstone"]["net_usd"] > found["strategies"]["model_strike"]["net_usd"]
    assert sum(found["causes"].values()) == pytest.approx(
        found["strategies"]["loadstone"]["net_usd"] - found["strategies"]["perfect_foresight"]["net_usd"], abs=1e-6
    )
    assert "sold other reserve" in found["ideal_causes"]


def test_other_awards_are_a_cause_of_their_own_and_no_fault_of_a_forecast(setup, market):
    """Two runs that did the same; perfect foresight alone sold 0.2 MW of RRS at $8.00 for an hour."""
    n, hour = len(market.grid), Interval(START + 3 * HOUR, START + 4 * HOUR)
    award = Award(
        source="t", known_at=START - DAY, obligation="ancillary", product="RRS", market="DAM", over=hour, mw=0.2, mcpc_usd_per_mw_h=8.0
    )
    energy = {g.name: np.full(n, g.rigs * g.full.watts / 4e6) for g in setup.site.groups}
    nothing_planned = ((START, {"intervals": []}),)
    run = StrategyRun(energy, {name: np.zeros(n) for name in energy}, np.zeros(n), nothing_planned, ())
    valuation = Valuation(setup, market)
    causes = valuation.causes(valuation.actuals(run, (award,)), run, valuation.actuals(run))
    assert {name: float(usd) for name, usd in causes.items() if usd} == {"sold other reserve": pytest.approx(-1.6)}


def test_the_measurement_of_real_years_sells_the_same_reserve_without_physics(asked, found):
    (job,) = asked.jobs()
    assert {name: float(usd) for name, usd in ideal_usd(job, delayed=False).items()} == pytest.approx(
        {name: of["ideal_usd"] for name, of in found["strategies"].items()}, abs=0.05
    )


def test_the_measurement_of_months_without_a_chosen_day_ends_with_a_sentence(asked):
    wanted = Measurement((2024,), 1, first_day=219, days=3, months=(4, 7), train_every=None, more=False, stacked=True)
    with ThreadPoolExecutor(1) as executor, pytest.raises(SystemExit, match="--months 4 7: none of the days of 2024 that are measured"):
        wanted.jobs(asked, executor)


def test_what_a_load_did_not_carry_is_charged_by_the_bills_own_formula(setup, market):
    """At 20 W a rig asleep nothing can be dropped: the award of the hour is paid back, and no more."""
    hour = Interval(START + 3 * HOUR, START + 4 * HOUR)
    award = Award(
        source="t", known_at=START - DAY, obligation="ancillary", product="RRS", market="DAM", over=hour, mw=0.2, mcpc_usd_per_mw_h=8.0
    )
    n, rigs = len(market.grid), {g.name: g.rigs for g in setup.site.groups}
    asleep = IdealRun({name: np.full(n, count * 20e-6 / 4) for name, count in rigs.items()}, {name: np.zeros(n) for name in rigs})
    valuation = Valuation(setup, market)
    lines = valuation.earned(valuation.actuals(asleep, (award,)), 0.0).lines
    assert float(lines["ancillary/rrs_day_ahead"]) == pytest.approx(1.6)
    assert float(lines["ancillary/rrs_failure"]) == pytest.approx(-1.6)
    ((name, promised, kept, lost_usd),) = valuation.promises(valuation.actuals(asleep, (award,)))
    assert (name, promised, kept, float(lost_usd)) == ("ancillary", 4, 0, pytest.approx(1.6))


@pytest.mark.parametrize(("carried", "kept"), [(1.0, 4), (0.995, 4), (0.9, 0)], ids=["all", "all but what meters err by", "nine tenths"])
def test_an_award_that_was_not_carried_is_a_broken_promise_at_its_charge(setup, market, carried, kept):
    hour = Interval(START + 3 * HOUR, START + 4 * HOUR)
    award = Award(
        source="t", known_at=START - DAY, obligation="ancillary", product="RRS", market="DAM", over=hour, mw=0.2, mcpc_usd_per_mw_h=8.0
    )
    n, rigs = len(market.grid), {g.name: g.rigs for g in setup.site.groups}
    mw = {name: count * 20e-6 + carried * 0.1 for name, count in rigs.items()}
    run = IdealRun({name: np.full(n, load / 4) for name, load in mw.items()}, {name: np.zeros(n) for name in rigs})
    valuation = Valuation(setup, market)
    assert [(promised, held) for _, promised, held, _ in valuation.promises(valuation.actuals(run, (award,)))] == [(4, kept)]
    ((*_, lost_usd),) = valuation.promises(valuation.actuals(run, (award,)))
    assert float(lost_usd) == pytest.approx(0.0 if kept else (1.0 - carried) * 1.6)


class AwardsNotFromLoad(Ancillary):
    """A contract whose awards do not say from which load on they are carried."""

    def award_terms(self, site):
        return {product: replace(terms, floor_mw=None) for product, terms in super().award_terms(site).items()}


def test_a_contract_whose_load_does_not_tell_what_it_carries_is_left_out():
    setup = small(obligations=[{"type": "power"}, RESERVE])
    assert unsupported(setup.book, setup) == {}
    other = AwardsNotFromLoad(products=("RRS",))
    assert unsupported((other,), setup) == {"ancillary": "awards are not simulated"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"products": ["RRS", "ECRS", "NSPIN"]}, "awards of ECRS are not simulated without its qualified_mw"),
        ({"shed_s": 900.0}, "awards of RRS are not simulated: shed_s 900 is longer than the 10 minutes within which it must respond"),
        ({"ramp_mw_per_min": 0.015}, "awards of RRS are not simulated: ramp_mw_per_min 0.015 allows less than 0.2 MW within 10 minutes"),
        (
            {"kind": "nclr", "products": ["ECRS"], "qualified_mw": {"ECRS": 0.2}, "block": {"min_mw": 0.1}},
            "awards of ECRS are not simulated: it is sold in blocks",
        ),
    ],
    ids=["a product without qualified MW", "rigs that sleep too slowly", "a ramp that limits", "blocks"],
)
def test_reserve_that_load_alone_does_not_carry_is_left_out_with_the_reason(asked, tmp_path, changes, says):
    contracts = [{"type": "power"}, RESERVE | changes]
    other = replace(asked, config=site_file(tmp_path, obligations=contracts))
    assert other.notes() == [f"contract 'ancillary' is left out: {says}"]
    assert "ancillary" not in {o.name for o in setup_of(other.config, other.archive).book}


def test_a_ramp_and_a_shed_time_that_do_not_limit_leave_nothing_out():
    setup = small(obligations=[{"type": "power"}, RESERVE | {"shed_s": 600.0, "ramp_mw_per_min": 0.02}])
    assert unsupported(setup.book, setup) == {}


def test_parts_that_reach_the_settlement_of_reserve_in_real_time_leave_it_out(tmp_path):
    """The parts are those of November's last days, and of December until the seventh: RTC+B came on the fifth."""
    start = datetime(2025, 11, 29, 6, tzinfo=UTC)
    archive = archive_of(tmp_path / "archive", start - 2 * DAY, [30.0] * 96 * 12)
    add_reserve_prices(archive, start - 2 * DAY, {"RRS": [8.0] * 24 * 12, "NSPIN": [3.0] * 24 * 12})
    asked = Backtest(site_file(tmp_path, obligations=[{"type": "power"}, RESERVE]), archive, start, start + 9 * DAY)
    before, after = asked.jobs()
    reached = "from 2025-12-05 on reserve settles in real time too (RTC+B), which is not simulated"
    assert asked.notes() == [f"contract 'ancillary' is left out from 2025-12-01T06:00Z on: {reached}"]
    assert replace(asked, end=start + 2 * DAY).notes() == []
    assert ["ancillary" in {o.name for o in setup_of(asked.config, archive, job.over.end).book} for job in (before, after)] == [True, False]
    for days, sold in ((3, True), (4, False)):
        noon = after.over.start + days * DAY + 12 * HOUR
        lines = run_part(replace(after, over=Interval(noon, noon + HOUR)))["strategies"]["perfect_foresight"]["lines"]
        assert ("ancillary/rrs_day_ahead" in lines) is sold
