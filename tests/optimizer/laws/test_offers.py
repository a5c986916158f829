"""The laws of offers over random cases: prices rise with the megawatts, all products together can be carried, and an award of any part of
the offers at their prices never earns the site less than no award. Bids for energy fall with the megawatts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from markets.facts import Award
from markets.grid import Market
from optimizer.domain.reserve_awards import DAY_AHEAD
from optimizer.planning.energy_bids import energy_bids
from optimizer.planning.offer_rows import Curve, OfferCase
from optimizer.planning.plan import plan
from optimizer.planning.reserve_offers import reserve_offers, risk_price
from optimizer.planning.result import Plan
from optimizer.solve import Session
from tests.optimizer import contracts, fixtures, random_cases

SMALL_USD = 0.02


def drawn(seed: int) -> OfferCase:
    """A site that sells reserve from the rigs behind one meter, before and after real-time settlement of reserve began."""
    rng = np.random.default_rng(seed)
    start = random_cases.STARTS[int(rng.integers(len(random_cases.STARTS)))]
    over = fixtures.grid(8, 60, start)
    where = random_cases.site(rng, tight=bool(rng.random() < 0.6), where=Market.ERCOT)
    market = random_cases.market(rng, over)
    terms = [draw(rng, where, over) for draw in (contracts.plant, contracts.hashing, contracts.power, contracts.ancillary)]
    inside = np.arange(len(over)) >= 2
    state = fixtures.so_far(start, groups=random_cases.doing(rng, where, start))
    book = tuple(t.contract for t in terms)
    return OfferCase(where, book, market, state, random_cases.maintenance(rng, where, over), inside)


def accepted(case: OfferCase, curves: tuple[Curve, ...], rng: np.random.Generator) -> tuple[Award, ...]:
    """Awards of some hours and products up to the end of a random step, or within it, at the price of that step."""
    found = []
    for curve in curves:
        for t, over in enumerate(case.outlook.grid.intervals):
            step = int(rng.integers(len(curve.mw)))
            mw = float(curve.mw[step, t])
            if rng.random() < 0.3 and step:
                mw = float(curve.mw[step - 1, t] + rng.random() * (mw - curve.mw[step - 1, t]))
            if mw > 1e-6 and np.isfinite(curve.usd[step, t]) and rng.random() < 0.6:
                usd = float(curve.usd[step, t])
                found.append(
                    Award(
                        source="test",
                        known_at=case.so_far.at,
                        obligation=curve.name,
                        product=curve.product,
                        market=DAY_AHEAD,
                        over=over,
                        mw=mw,
                        mcpc_usd_per_mw_h=usd,
                    )
                )
    return tuple(found)


def planned(case: OfferCase, awards: tuple[Award, ...] = ()) -> Plan:
    state = replace(case.so_far, awards=awards)
    return plan(case.site, case.book, case.outlook, state, case.availability)


def never_worse(seed: int) -> None:
    case = drawn(seed)
    curves = reserve_offers(case, Session())
    rng = np.random.default_rng(seed)
    base = planned(replace(case, outlook=_without_day_ahead_sales(case, curves)))
    for _ in range(3):
        awards = accepted(case, curves, rng)
        with_awards = planned(replace(case, outlook=_without_day_ahead_sales(case, curves)), awards)
        if case.book[-1].hold == "firm":
            assert not with_awards.shortfalls or base.shortfalls, (seed, with_awards.shortfalls)
        slack = SMALL_USD + 1e-6 * abs(base.objective_usd)
        assert with_awards.objective_usd >= base.objective_usd - slack, (seed, with_awards.objective_usd - base.objective_usd)


def _without_day_ahead_sales(case: OfferCase, curves: tuple[Curve, ...]):
    """Before real-time settlement of reserve a plan counts it as sold a day ahead, which is what is being offered: without its price."""
    made = planned(case)
    return case.outlook if not made.origin.program.sold_ahead else replace(case.outlook, reserve={})


def rises_and_fits(seed: int) -> None:
    case = drawn(seed)
    curves = reserve_offers(case, Session())
    for curve in curves:
        assert (np.diff(curve.mw, axis=0) >= 0).all() and (np.diff(curve.usd, axis=0) >= 0).all(), seed
        assert (curve.mw[:, ~case.inside] == 0).all() and (curve.usd >= -1e-6).all()
    groups = case.book[-1].scope.names(case.site)
    most = (
        sum(
            (case.availability.rigs[g].values if g in case.availability.rigs else float(case.site.group(g).rigs))
            * max(m.watts for m in case.site.group(g).modes)
            / 1e6
            for g in groups
        )
        * 1.1
    )
    assert (sum(c.mw[-1] for c in curves) <= most + 1e-6).all(), seed
    for bid in energy_bids(case, Session()):
        assert (np.diff(bid.mw, axis=0) >= -1e-9).all() and (np.diff(bid.usd, axis=0) <= 1e-9).all(), seed


@pytest.mark.parametrize("law", [never_worse, rises_and_fits])
def test_offers(law):
    random_cases.each(range(10), law)


@pytest.mark.slow
@pytest.mark.parametrize("law", [never_worse, rises_and_fits])
def test_offers_seventy_five_times(law):
    random_cases.each(range(1000, 1075), law)


def test_scenarios_are_weighed_by_the_dearest_twentieth():
    usd = np.arange(40.0)
    assert risk_price(usd, 0.0) == pytest.approx(19.5)
    assert risk_price(usd, 1.0) == pytest.approx(38.5)
    assert risk_price(usd, 0.5) == pytest.approx((19.5 + 38.5) / 2)
