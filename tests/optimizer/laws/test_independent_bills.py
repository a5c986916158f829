"""Days drawn by chance settle to what an accountant reckons from the contract as written, in fractions, who uses nothing of ours."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal as D
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from markets.facts import Award, Call, CallKind
from optimizer.domain.actuals import Actuals
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Site
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.settlement.settle import settle
from tests import independent_contract_bill as books
from tests import independent_service_bill as services
from tests.independent_day_bill import cents
from tests.optimizer import fixtures, random_cases
from tests.optimizer.contracts import DRAWN, OFFERED, Terms
from tests.rule_cases import with_market_rules

# What pays nothing: limits and weights.
UNPAID = {"plant", "transition"}
# Whose pay is the sum of what each interval pays by itself.
ADDED_UP = {"hashing", "power"}
DAYS = 500
RECKONED = {**books.RECKONED, **services.RECKONED}


def decimals(values: np.ndarray, places: int) -> list[D]:
    return [D(repr(round(float(v), places))) for v in values]


def happened(kind: str, seed: int) -> tuple[Site, Actuals, Terms]:
    """Loads, hashing, prices, calls and awards by chance, to the places meters have."""
    rng = np.random.default_rng([seed, OFFERED.index(kind), 3])
    over = random_cases.span(rng, int(rng.integers(6, 30)))
    terms = DRAWN[kind](rng, random_cases.site(rng, tight=False), over)
    where = random_cases.site(rng, tight=False, where=terms.market)
    told, _, before = random_cases.calls(rng, where, (terms.contract,), over, most=3) if seed % 2 else ((), (), {})
    market, n = random_cases.market(rng, over), len(over)
    hours = np.asarray(over.hours)
    full = {g.name: g.rigs * g.full.watts / 1e6 for g in where.groups}
    off = rng.random(n) < 0.3
    mwh = {g.name: decimals(full[g.name] * np.where(off, 0.004, rng.random(n)) * hours, 6) for g in where.groups}
    actuals = Actuals(
        site=where,
        grid=over,
        energy_mwh=mwh,
        hash_ph_days={g.name: decimals(rng.random(n) * 40, 6) for g in where.groups},
        energy_price={p: decimals(s.values, 2) for p, s in market.energy.items()},
        hashprice=decimals(market.hashprice.values, 3),
        calls=(*terms.calls, *told),
        awards=terms.awards,
        peak_share={m: decimals(s.values, 6) for m, s in market.peak_share.items()},
        memory={terms.contract.name: terms.remembered(before.get(terms.contract.name))},
        generated_mwh={terms.contract.name: decimals(np.where(rng.random(n) < 0.4, 0.0, rng.random(n)) * hours, 6)},
        reserve_price={p: decimals(s.values, 2) for p, s in market.reserve.items()},
    )
    return where, actuals, terms


def told_plainly(call: Call) -> dict[str, Any]:
    return {"id": call.id, "version": call.version, "kind": str(call.kind), "notice": call.notice_at, "start": call.start_at,
            "end": call.end_at, "cap": call.mw_cap, "target": call.mw_target, "delta": call.mw_delta}  # fmt: skip


def sold_plainly(award: Award) -> dict[str, Any]:
    return {"product": award.product, "market": award.market, "start": award.over.start, "end": award.over.end, "mw": award.mw,
            "usd": award.mcpc_usd_per_mw_h}  # fmt: skip


def for_the_accountant(where: Site, real: Actuals, contract: Obligation) -> books.Days:
    def fractions(by: Any) -> Any:
        return {k: [F(v) for v in values] for k, values in by.items()}

    meters = {g.name: where.meter_of[g.name] for g in where.groups}
    return books.Days(
        edges=[over.start for over in real.grid.intervals] + [real.grid.end],
        tz=str(where.market.tz),
        mwh=fractions(real.energy_mwh),
        ph_days=fractions(real.hash_ph_days),
        price=fractions(real.energy_price),
        hashprice=[F(v) for v in real.hashprice],
        meters={name: (m.id, m.settlement_point, F(repr(m.loss_factor))) for name, m in meters.items()},
        full_mw={g.name: F(repr(g.rigs * g.full.watts / 1e6)) for g in where.groups},
        calls=[told_plainly(c) for c in real.calls if c.obligation == contract.name],
        awards=[sold_plainly(a) for a in real.awards if a.obligation == contract.name],
        peaks=fractions(real.peak_share),
        reserve=fractions(real.reserve_price),
        memory={key: value for key, value in contract.memory_from(real.memory).to_json().items() if value is not None},
        made=[F(v) for v in real.generated_mwh.get(contract.name, ())],
    )


def raised_usd(where: Site, real: Actuals, contract: Obligation) -> list[F]:
    """What each interval adds to a contract's pay, by the independent bill."""
    days, shown, names = for_the_accountant(where, real, contract), contract.model_dump(by_alias=True), contract.scope.names(where)
    if contract.type in ADDED_UP:
        return [RECKONED[contract.type](replace(days, only=range(t, t + 1)), shown, names) for t in days.times]
    until = [RECKONED[contract.type](replace(days, edges=days.edges[: n + 1]), shown, names) for n in range(len(days.edges))]
    return [later - earlier for earlier, later in itertools.pairwise(until)]


def settles_alike(kind: str, seed: int) -> None:
    where, real, terms = happened(kind, seed)
    contract = terms.contract
    others = terms.beside if contract.charged_on() else ()
    ours = sum((line.amount_usd for line in settle((*others, contract), real).of(contract.name)), D(0))
    days = replace(for_the_accountant(where, real, contract), others={o.name: raised_usd(where, real, o) for o in others})
    theirs = RECKONED[kind](days, contract.model_dump(by_alias=True), contract.scope.names(where))
    assert abs(F(ours) - theirs) < F(1, 10**9), f"settled {ours:.6f}, reckoned {float(theirs):.6f}"
    assert cents(F(ours)) == cents(theirs) or abs(F(ours) * 100 % 1 - F(1, 2)) < F(1, 10**6)


def test_every_contract_that_pays_is_reckoned():
    assert set(OFFERED) <= set(RECKONED) | UNPAID


@pytest.mark.parametrize("kind", sorted(set(OFFERED) - UNPAID))
def test_a_day_settles_as_the_accountant_reckons(kind):
    random_cases.each(range(12), lambda seed: settles_alike(kind, seed))


def test_days_on_which_deployments_use_up_the_hours_of_a_term():
    """One call that lasts all day, several that overlap, and one that began before midnight."""
    random_cases.each((43, 89, 147, 427, 461, 477), lambda seed: settles_alike("ers", seed))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", sorted(set(OFFERED) - UNPAID))
def test_five_hundred_days_settle_as_the_accountant_reckons(kind):
    random_cases.each(range(DAYS), lambda seed: settles_alike(kind, seed))


def test_of_several_set_points_the_lowest_counts_not_their_sum():
    """Two that stand at once, 20 and 30 MW, and a load of 20 MW: nothing is owed."""
    where, over = fixtures.site(fixtures.group("g", rigs=9000)), fixtures.grid(4)
    contract = with_market_rules(Ancillary(products=("ECRS",)))
    sent = [fixtures.call("ancillary", over.start, None, id_=f"s{mw}", mw_target=mw) for mw in (30.0, 20.0)]
    points = tuple(replace(c, kind=CallKind.SET_POINT) for c in sent)
    real = fixtures.actuals(where, over, {"g": ["5"] * 4}, {fixtures.POINT: ["40"] * 4}, calls=points)
    assert not [line for line in settle((contract,), real).lines if line.charge_type == "set_point_deviation" and line.amount_usd]
    real = fixtures.actuals(where, over, {"g": ["7.5"] * 4}, {fixtures.POINT: ["40"] * 4}, calls=points)
    # 30 MW where 25 is the most that is let pass: 1.25 MWh an interval at 20 $/MWh.
    assert settle((contract,), real).net_exact_usd == D("-100")
