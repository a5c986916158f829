"""What a manual move changes: only what it moves, and no dollars by a price of another day."""

from __future__ import annotations

import pytest

from dispatch.decide.manual_move import preview_hold
from dispatch.entries import Hold, PriceBasisChanged, Seen
from markets.outlook import PriceBasis
from tests.dispatch.decide.test_decide import MINUTE, folded, look, planned, waking_all
from tests.fakes import NOON, hashprice, price

OLD = Hold(id="h", group="a-old", mode="sleep", mw_cap=None, until=None, by="alice")


def test_a_group_that_wakes_anyway_is_not_moved_by_a_hold_on_another() -> None:
    """b-new sleeps and the plan wakes it at the same moment."""
    setup = waking_all()
    state = folded(setup, Seen(at=NOON, fleet=look(setup, b_new={"sleep": "0-39"})), planned(setup, NOON, 1))
    preview = preview_hold(state, NOON, OLD)
    assert preview.now_mw["b-new"] < 0.01 < preview.without_mw["b-new"] == preview.with_mw["b-new"]
    assert preview.moved_mw == pytest.approx(preview.now_mw["a-old"] - preview.with_mw["a-old"])
    site = preview_hold(state, NOON, Hold(id="s", group=None, mode="normal", mw_cap=None, until=None, by="alice"))
    assert site.moved_mw == pytest.approx(site.with_mw["b-new"] - site.now_mw["b-new"]), "a hold on the whole site is for every group"


def test_dollars_are_unknown_while_no_real_time_price_is_known() -> None:
    setup = waking_all()
    state = folded(setup, Seen(at=NOON, fleet=look(setup), facts=(price(40.0, NOON), hashprice(45.0, NOON))), planned(setup, NOON, 1))
    assert preview_hold(state, NOON, OLD).usd_per_hour is not None
    later = state.after(PriceBasisChanged(at=NOON + 60 * MINUTE, price_basis=PriceBasis.DAY_AHEAD, why="the feed is silent"), 3)
    assert preview_hold(later, NOON + 60 * MINUTE, OLD).usd_per_hour is None
