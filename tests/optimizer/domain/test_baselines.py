"""A baseline that the market says moves what a call leaves to run, as it moves what the bill judges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from markets.facts import Award, Call, CallKind
from markets.grid import Interval
from optimizer.domain.book import complete_memories
from optimizer.domain.contract import Contract
from optimizer.obligations.drr.contract import Drr
from optimizer.obligations.edr import Edr
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.lmr.contract import Lmr
from tests.optimizer.fixtures import group, site
from tests.rule_cases import with_market_rules

CALLED = datetime(2026, 7, 15, 20, tzinfo=UTC)  # Wednesday 15:00 in Texas
HOUR = timedelta(hours=1)
NEXT_DAY = Interval(CALLED + 24 * HOUR, CALLED + 25 * HOUR)
REDUCED_MW = 10.0


def of_each_kind() -> list[Contract]:
    figures = {"mw": REDUCED_MW, "baseline_mw": 24.0}
    periods = ({"name": "all", "months": tuple(range(1, 13)), "hours": tuple(range(24))},)
    return [
        Ers(**figures, product="ERS-10", baseline="default", usd_per_mw_hour=10.0, periods=periods),
        Lmr(**figures, method="baseline", zone=9, notice_min=0.0, lead_min=0.0),
        Edr(**figures, offer_usd_per_mwh=100.0, notice_min=0.0, lead_min=0.0),
        Drr(**figures),
    ]


@pytest.mark.parametrize("contract", of_each_kind(), ids=lambda contract: contract.type)
def test_a_call_leaves_what_the_declared_baseline_leaves(contract: Contract) -> None:
    """The cap was counted from the registered baseline and the bill from the declared one: a declared 18 MW left 6 MW too many running."""
    contract = with_market_rules(contract)
    where = site(group("g", rigs=12_000))
    call = Call(source="iso", known_at=CALLED, id="c", version=1, obligation=contract.name, kind=CallKind.DEPLOY,
                notice_at=CALLED - 6 * HOUR, start_at=CALLED, end_at=CALLED + 3 * HOUR)  # fmt: skip

    def cap_mw(said_mw: float | None, over: Interval) -> float:
        said = Award(source="iso", known_at=CALLED, obligation=contract.name, product="BASELINE", market="RT", over=over, mw=said_mw or 0.0,
                     mcpc_usd_per_mw_h=None)  # fmt: skip
        memory = complete_memories((contract,), {}, {}, {}, (said,) if said_mw is not None else ())[contract.name]
        return contract.bounds(where, memory, (call,), Interval(CALLED + HOUR, CALLED + 2 * HOUR)).cap_mw

    during = Interval(CALLED, CALLED + 3 * HOUR)
    assert cap_mw(None, during) == pytest.approx(24.0 - REDUCED_MW)
    assert cap_mw(18.0, during) == pytest.approx(18.0 - REDUCED_MW)
    assert cap_mw(30.0, during) == pytest.approx(30.0 - REDUCED_MW)
    assert cap_mw(5.0, during) == 0.0
    assert cap_mw(18.0, NEXT_DAY) == pytest.approx(24.0 - REDUCED_MW), "a baseline of another day says nothing"
