"""A backtest of a site that is charged by its load at the system's peaks: each peak is charged once, and never in silence where unknown."""

from datetime import UTC, datetime, timedelta

import pytest

from dispatch.backtest.document import document_of
from dispatch.backtest.market_facts import market_facts
from dispatch.backtest.part import run_part, setup_of
from dispatch.backtest.run import Backtest
from dispatch.backtest.spans import parts_of
from markets.grid import Market
from tests.dispatch.backtest.archives import archive_of, archive_with_loads, site_file, spiky_prices

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
    planned = [float(part.final.peak_share[window].values[part.counted].sum()) for part in found]
    billed = [float(sum(part.peak_share[window])) for part in found]
    assert sum(planned) == pytest.approx(1.0) and sum(billed) == pytest.approx(1.0)


def test_a_peak_that_no_load_tells_is_a_finding_and_no_line(tmp_path):
    archive = archive_of(tmp_path / "archive", START - DAY, spiky_prices(2))
    site = site_file(tmp_path, obligations=[{"type": "power"}, FOUR_CP])
    found = document_of([run_part(job) for job in Backtest(site, archive, START, START + DAY).jobs()])
    assert found["findings"] == [
        "the amount of transmission/coincident_peak is unknown for 96 intervals: no system load of ERCOT is known there; "
        "the net does not cover it"
    ]
    assert not any("coincident_peak" in line for of in found["strategies"].values() for line in of["lines"])


def test_a_peak_that_loads_tell_is_billed_without_a_finding(tmp_path):
    loads = [50_000.0] * 24 * 2
    loads[24 + 17] = 60_000.0
    archive = archive_with_loads(tmp_path / "archive", Market.ERCOT, "HB_WEST", START - DAY, loads)
    site = site_file(tmp_path, site=site_in("ercot", "HB_WEST"), obligations=[{"type": "power"}, FOUR_CP])
    found = document_of([run_part(job) for job in Backtest(site, archive, START, START + DAY).jobs()])
    assert found["findings"] == []
    assert found["strategies"]["always_on"]["lines"]["transmission/coincident_peak"] < 0
