"""Load is never raised to lift a baseline: what is drawn before an event that is known ahead is what would have been drawn without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from markets.facts import Award, Call, CallKind
from markets.grid import Interval, Market
from optimizer.domain.contract import Contract
from optimizer.domain.deployments import BASELINE
from optimizer.domain.memory import DeclaredBaseline
from optimizer.domain.site import Meter
from optimizer.domain.time_periods import TimePeriod
from optimizer.obligations.drr.contract import Drr
from optimizer.obligations.edr import Edr
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.lmr.contract import Lmr
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.plan import plan
from tests.optimizer.fixtures import AT, POINT, grid, group, outlook, random_prices, site, so_far
from tests.rule_cases import with_market_rules

HOURS = 12
NEVER = TimePeriod(name="winter", months=(1,), hours=(3,))
CONTRACTS: dict[str, tuple[Market, Any]] = {
    "ers": (
        Market.ERCOT,
        lambda: Ers(product="ERS-10", mw=1.0, baseline="default", baseline_mw=2.5, usd_per_mw_hour=7.0, periods=(NEVER,)),
    ),
    "drr I": (Market.MISO, lambda: Drr(kind="I", mw=1.0, baseline_mw=2.5, net_benefits_usd_per_mwh=1e4)),
    "drr II": (Market.MISO, lambda: Drr(kind="II", mw=1.0, baseline_mw=2.5, net_benefits_usd_per_mwh=1e4)),
    "edr": (Market.MISO, lambda: Edr(mw=1.0, baseline_mw=2.5, offer_usd_per_mwh=500.0)),
    "lmr": (Market.MISO, lambda: Lmr(mw=1.0, method="baseline", baseline_mw=2.5, zone=6)),
    "plant": (Market.ERCOT, Plant),
}


def event(contract: Contract, first: int, kind: CallKind) -> Call:
    start = AT + timedelta(hours=first)
    return Call(
        source="test", known_at=AT, id="e", version=1, obligation=contract.name, kind=kind, notice_at=AT, start_at=start,
        end_at=start + timedelta(hours=2), mw_delta=1.0,
    )  # fmt: skip


def load_before(contract: Contract, market: Market, prices: np.ndarray, first: int, calls: tuple[Call, ...], **more: Any) -> np.ndarray:
    """The planned load before the hour `first`, MW."""
    where = site(
        group("old", "s19jpro", rigs=400), group("new", "s21", rigs=400), market=market, meters=(Meter(id="main", settlement_point=POINT),)
    )
    book = (Hashing(), Power(), *([] if contract.type == "plant" else [Plant()]), contract)
    memory = replace(contract.memory_from({}), load_before_mw={"e": 2.0}, baselines=more.pop("baselines", ()))
    made = plan(where, book, outlook(list(prices), grid(HOURS, 60)), so_far(calls=calls, memory={contract.name: memory}, **more))
    return made.load_mw[:first]


@pytest.mark.parametrize("kind", [CallKind.DEPLOY, CallKind.TEST])
@pytest.mark.parametrize("name", CONTRACTS)
def test_no_contract_with_a_baseline_raises_the_load_before_its_event(name: str, kind: CallKind) -> None:
    market, make = CONTRACTS[name]
    contract = with_market_rules(make())
    for seed in range(4):
        rng = np.random.default_rng([seed, len(name)])
        prices, first = random_prices(rng, HOURS), int(rng.integers(3, 9))
        without = load_before(contract, market, prices, first, ())
        with_event = load_before(contract, market, prices, first, (event(contract, first, kind),))
        assert (with_event <= without + 1e-6).all(), (seed, with_event - without)


@pytest.mark.parametrize("name", [name for name in CONTRACTS if name != "plant"])
def test_a_higher_baseline_from_the_market_raises_no_load_before_the_event(name: str) -> None:
    """The baseline is the market's figure, never the load's: there is nothing to gain by drawing more."""
    market, make = CONTRACTS[name]
    contract = with_market_rules(make())
    rng = np.random.default_rng(len(name))
    prices, first = random_prices(rng, HOURS), 6
    told, over = (event(contract, first, CallKind.DEPLOY),), Interval(AT, AT + timedelta(hours=HOURS))
    award = Award(
        source="t", known_at=AT, obligation=contract.name, product=BASELINE, market="RT", over=over, mw=2.6, mcpc_usd_per_mw_h=None
    )
    registered = load_before(contract, market, prices, first, told)
    higher = load_before(contract, market, prices, first, told, awards=(award,), baselines=(DeclaredBaseline(over, 2.6),))
    assert (higher <= registered + 1e-6).all()
