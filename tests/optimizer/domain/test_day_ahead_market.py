"""The day-ahead market's clock on ordinary days and on days the clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from dispatch.site_file import market_rules
from dispatch.site_file.defaults import default_file
from markets.grid import Grid, Market
from optimizer.domain.day_ahead_market import can_be_offered, offers_due

RULES = market_rules.read_market_rules(default_file("programs.toml")).dated()


@pytest.mark.parametrize(
    ("market", "on", "due"),
    [
        (Market.ERCOT, date(2024, 7, 2), datetime(2024, 7, 1, 15, tzinfo=UTC)),
        (Market.ERCOT, date(2024, 3, 11), datetime(2024, 3, 10, 15, tzinfo=UTC)),  # the day before is the one of 23 hours
        (Market.ERCOT, date(2024, 3, 10), datetime(2024, 3, 9, 16, tzinfo=UTC)),
        (Market.ERCOT, date(2024, 11, 4), datetime(2024, 11, 3, 16, tzinfo=UTC)),
        (Market.ERCOT, date(2025, 1, 1), datetime(2024, 12, 31, 16, tzinfo=UTC)),
        (Market.MISO, date(2025, 7, 2), datetime(2025, 7, 1, 15, 30, tzinfo=UTC)),
        (Market.MISO, date(2014, 7, 2), datetime(2014, 7, 1, 16, tzinfo=UTC)),
    ],
)
def test_offers_are_due_on_the_day_before(market, on, due):
    assert offers_due(RULES, market, on) == due


def test_at_the_instant_itself_it_is_too_late_for_the_next_day_and_not_for_the_day_after():
    """Hours from Sunday noon to Tuesday noon, at Sunday 09:59 and 10:00 in Texas."""
    noon = datetime(2024, 6, 16, 17, tzinfo=UTC)
    hours = Grid.regular(noon, datetime(2024, 6, 18, 17, tzinfo=UTC), 60)
    before, after = (can_be_offered(RULES, Market.ERCOT, hours, datetime(2024, 6, 16, *at, tzinfo=UTC)) for at in ((14, 59), (15, 0)))
    assert before.tolist() == [False] * 12 + [True] * 36
    assert after.tolist() == [False] * 36 + [True] * 12
