"""What the interconnection agreement lets a site draw, firm and non-firm, by date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from dispatch.site_file.contract_checks import contract_faults
from markets.grid import Grid
from optimizer.domain.site_limits import site_limits
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from tests.optimizer.fixtures import Dead, call, group, outlook, site, so_far
from tests.optimizer.obligations.test_ancillary import reserves
from tests.rule_cases import with_market_rules

WHERE = site(group("g", rigs=1000), interconnect_mw=4.0)
AGREED = [
    {"from": "2026-06-01", "firm_mw": 1.0},
    {"from": "2027-01-01", "firm_mw": 1.0, "non_firm_mw": 1.5},
    {"from": "2028-06-01", "firm_mw": 4.0},
]
HOUR = timedelta(hours=1)
BOOK = (Hashing(), Power(), Plant(agreed_load=AGREED))


def around(*on: int) -> Grid:
    """Two hours before and after midnight in Texas."""
    midnight = datetime(*on, 6, tzinfo=UTC) if on[1] in (1, 12) else datetime(*on, 5, tzinfo=UTC)
    return Grid.regular(midnight - 2 * HOUR, midnight + 2 * HOUR, 60)


@pytest.mark.parametrize("session", [None, Dead()], ids=["solver", "merit order"])
def test_the_plan_draws_what_the_agreement_of_each_day_allows(session):
    for over, most in ((around(2026, 6, 1), [3.5, 3.5, 1.0, 1.0]), (around(2027, 1, 1), [1.0, 1.0, 2.5, 2.5]),
                       (around(2028, 6, 1), [2.5, 2.5, 3.5, 3.5])):  # fmt: skip
        made = plan(WHERE, BOOK, outlook([10.0] * 4, over), so_far(over.start), session=session)
        np.testing.assert_allclose(made.load_mw, most, atol=0.0036)  # by whole rigs


def test_the_loop_has_the_same_limit():
    over = around(2027, 1, 1)
    most = np.min([limit.most_mw for limit in site_limits(WHERE, BOOK, over)], axis=0)
    np.testing.assert_allclose(most, [1.0, 1.0, 2.5, 2.5])


def test_a_recall_of_the_non_firm_part_is_a_call():
    over = around(2027, 1, 1)
    told = call("plant", over.intervals[2].start, over.intervals[3].start, mw_cap=1.0)
    made = plan(WHERE, BOOK, outlook([10.0] * 4, over), so_far(over.start, calls=(told,)))
    np.testing.assert_allclose(made.load_mw, [1.0, 1.0, 1.0, 2.5], atol=0.0036)


def test_the_reasons_say_what_is_firm_and_since_when():
    over = around(2027, 1, 1)
    told = reasons(plan(WHERE, BOOK, outlook([10.0] * 4, over), so_far(over.start)))
    assert "interconnection agreement, from 2027-01-01: at most 2.5 MW, 1 of them firm and 1.5 non-firm" in told


def test_more_than_the_interconnect_and_days_out_of_order_are_refused():
    (fault,) = contract_faults(WHERE, [(0, Plant(agreed_load=[{"from": "2027-01-01", "firm_mw": 3, "non_firm_mw": 2}]))])
    assert "are more than the interconnect's 4 MW" in fault.what and fault.where == ("obligations", 0, "agreed_load", 0)
    with pytest.raises(ValidationError, match="in order of `from`"):
        Plant(agreed_load=list(reversed(AGREED)))


def test_reserve_against_raising_load_is_sold_only_as_far_as_the_agreement_lets_the_load_rise():
    over = around(2026, 6, 2)
    selling = with_market_rules(Ancillary(products=("REGDN",), qualified_mw={"REGDN": 2.0}))
    made = plan(WHERE, (*BOOK, selling), reserves(outlook([60.0] * 4, over), REGDN=100.0), so_far(over.start))
    sold = made.offers["REGDN"]
    assert sold.max() > 0.5 and (made.load_mw + sold).max() <= 1.0 + 1e-6


def test_a_limit_of_the_only_maker_is_no_agreement():
    where = site(group("g", rigs=1000, maker="bitmain"), interconnect_mw=4.0)
    over = around(2028, 6, 2)
    made = plan(where, (Hashing(), Power(), Plant(agreed_load=AGREED, max_mw_per_maker=2.0)), outlook([10.0] * 4, over), so_far(over.start))
    assert made.load_mw.max() <= 2.0 + 1e-6
    assert any("exposure" in r or "maker" in r for r in reasons(made)) and not any("agreed load binds" in r for r in reasons(made))
