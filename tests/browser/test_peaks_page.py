"""The page of coincident peaks, and the price forecast's band on the site's page, in a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.service.replay import replay
from dispatch.store.price_models import KeptPriceModel, keep_price_model
from dispatch.store.tables import open_ledger
from markets.grid import Interval
from optimizer.settlement.peak_record import PeakInterval
from optimizer.settlement.peak_score import PeakTally, calibration
from tests.browser.chromium import chromium, started_browser, watched_page
from tests.dispatch.web.served import served
from tests.markets.forecasting.test_price_model import model
from tests.sites import small

START = datetime(2026, 8, 20, 12, tzinfo=UTC)
END = START + timedelta(hours=2)


def a_kept_backtest() -> dict[str, Any]:
    """June 2024, caught at 22:00 UTC."""
    tally, at = PeakTally("transmission", "15", "2024-06"), datetime(2024, 6, 20, 22, tzinfo=UTC)
    tally.add(
        PeakInterval("transmission", 15, Interval(at, at + timedelta(minutes=15)), 0.4, 0.5, 10.0, 8.0, 160.0, 0.25, 2.4, 9.0, 4.0),
        1.0,
        "a",
    )
    assert json.loads(json.dumps(asdict(tally)))["share"] == 1.0
    span = {"from": "2024-06-01", "to": "2024-07-01"}
    return {"span": span, "peaks": [tally.score()], "peak_calibration": calibration([tally])}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chromium()
    data, setup = tmp_path_factory.mktemp("site"), small()
    text = model(point="LZ_WEST", about={"label": "LZ_WEST version 1"}).to_json()
    keep_price_model(open_ledger(data), KeptPriceModel("LZ_WEST", 1, START, text), "ercot", accepted=True)
    asyncio.run(replay(setup, data, START, END))
    (data / "backtest").mkdir()
    (data / "backtest" / "result.json").write_text(json.dumps(a_kept_backtest()))
    with served(data, setup, END) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=["light, desk", "dark, phone"])
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A blank page; whatever it complains of, or asks of anybody else, fails the test."""
    scheme, width = request.param
    with watched_page(browser, address, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        yield page


def test_live_and_backtest_stand_in_two_tables(page: Any, address: str) -> None:
    page.goto(address)
    page.click("a[href='/peaks']")
    assert "has ended since the first settled day" in page.inner_text("#peaks-live") and page.locator("#peaks-live table").count() == 0
    backtest = page.locator("#peaks-backtest")
    cells = backtest.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells[:5] == ["transmission", "2024-06", "2024-06-20 17:00", "caught", "40.00 %"]  # Central time
    assert "$152.00" in cells and "$9.00" in cells and "$4.00" in cells
    assert backtest.locator("table").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_forecasts_band_is_drawn_against_what_followed(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#chart .scatterlayer")
    drawn = page.evaluate("document.getElementById('chart').data.filter(t => t.legendgroup === 'forecast').map(t => [t.name, t.x.length])")
    assert [name for name, _ in drawn] == ["forecast", "forecast, 10 % to 90 %", "forecast to decide on"]
    assert all(number >= 16 for _, number in drawn)
    page.click("#t-forecast summary")
    assert "decisions by the forecast lost" in page.inner_text("#t-forecast") and page.locator("#t-forecast tbody tr").count() >= 8
