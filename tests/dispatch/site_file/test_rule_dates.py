"""Figures that two files hold by date say the same on every day: the rules of the market and the sources' highest plausible price."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from dispatch.site_file.market_rules import read_market_rules
from markets.grid import Market
from markets.quarantine import plausible as plausible_figures
from tests.docs.tree import ROOT

# A price is refused above so many times the cap.
MARGIN = 1.5
# ERCOT's offers have a lower cap since RTC+B, but prices reach the value of lost load as before.
RTC_B = date(2025, 12, 5)


@pytest.mark.parametrize("market", [Market.ERCOT, Market.MISO])
def test_a_cap_has_the_same_dates_in_the_rules_and_in_the_sources(market: Market) -> None:
    rules = read_market_rules(ROOT / "config" / "programs.toml")
    price_cap = plausible_figures.price_cap
    for n in range(12 * 365):
        on = date(2016, 1, 1) + timedelta(days=n)
        noon = int(datetime(on.year, on.month, on.day, 18, tzinfo=UTC).timestamp())
        plausible = price_cap(market, noon) / MARGIN
        if market is Market.ERCOT and (on >= RTC_B or on == date(2022, 1, 1)):  # the old cap's last evening is 1 January in UTC
            assert plausible >= rules.number("ercot.offer_cap", on)
        else:
            assert plausible == rules.number(f"{market.value}.offer_cap", on), on
