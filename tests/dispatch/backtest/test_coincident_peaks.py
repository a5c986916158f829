"""A backtest of a site that is charged by its load at the system's peaks: each peak is charged once, and never in silence where unknown."""

from datetime import UTC, datetime, timedelta

import pytest

from dispatch.backtest.market_facts import market_facts
from dispatch.backtest.part import setup_of
from dispatch.backtest.spans import parts_of
from markets.grid import Market
from tests.dispatch.backtest.archives import archive_with_loads, site_file

START = datetime(2024, 6, 1, 5, tzinfo=UTC)  # midnight in both markets
DAY = timedelta(days=1)
FOUR_CP = {"type": "transmission", "method": "4cp", "usd_per_kw_year": 60.0}
PRA = {"type": "pra", "zone": 6, "usd_per_mw_day": {"summer": 100.0}}


def site_in(market, point):
    return {"name": "Small", "market": market, "settlement_point": point, "interconnect_mw": 1.0}


@pytest.mark.parametrize(
    ("market", "point", "contract", "window", "days"),
    [("ercot", "HB_WEST", FOUR_CP, 15, 30), ("miso", "INDIANA.HUB", PRA, (60, 3), 92)],
)
def test_the_parts_of_a_month_or_season_hold_its_peak_once(tmp_path, market, point, contract, window, days):
    """The highest load of the first fortnight is not the highest of all, and the first part begins with the month or season."""
    loads = [50_000.0] * 24 * (days + 10)
    loads[24 * (1 + 4) + 17] = 60_000.0
    loads[24 * (1 + days - 6) + 17] = 70_000.0
    archive = archive_with_loads(tmp_path / "archive", Market(market), point, START - DAY, loads)
    setup = setup_of(site_file(tmp_path, site=site_in(market, point), obligations=[{"type": "power"}, contract]), archive)
    found = [market_facts(setup, over) for over in parts_of(setup, START, START + days * DAY)]
    assert len(found) > 4
    shares = [float(part.final.peak_share[window].values[part.counted].sum()) for part in found]
    assert sum(shares) == pytest.approx(1.0)
