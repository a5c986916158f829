"""The page of the plan in a real browser: the figures of the API, in both themes and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dispatch.web.pages.plan_rows import LEVELS, runs_of
from markets.grid import Market, parse_instant
from tests.browser.chromium import chromium, started_browser, watched_page
from tests.dispatch.web.served import run_site, served
from tests.sites import small


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chromium()
    data, setup = tmp_path_factory.mktemp("site"), small()
    with served(data, setup, run_site(data, setup, 2.0)) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(params=[("light", 1280), ("dark", 380)], ids=["light, desk", "dark, phone"])
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The open, live page; any error it logs, and any request to somebody else, fails the test."""
    scheme, width = request.param
    with watched_page(browser, address, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.goto(address)
        page.click("nav a[href='/plan']")
        page.wait_for_selector("#live.good")
        yield page


def test_it_shows_each_interval_the_money_and_what_binds_as_the_api_has_them(page: Any, address: str) -> None:
    plan = httpx.get(f"{address}/api/v1/plan").json()
    rows = page.locator("#intervals tbody tr")
    assert rows.count() == len(plan["intervals"])
    first = rows.first.locator("td").all_inner_texts()
    price = next(iter(plan["intervals"][0]["price_usd_per_mwh"].values()))
    assert first[1] == f"{price:,.2f}" and first[2] in LEVELS.values() and first[3] == f"{plan['intervals'][0]['load_mw']:.3f}"
    money = page.locator("#lines tr.net td").nth(1).inner_text().replace(",", "").replace("$", "")
    assert float(money) == pytest.approx(plan["objective_usd"], abs=0.01)
    assert all(reason in page.inner_text("#plan") for reason in plan["reasons"])
    assert page.locator("#plan-chart .main-svg").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_alike_intervals_are_one_row_of_the_summary(page: Any, address: str) -> None:
    plan = httpx.get(f"{address}/api/v1/plan").json()
    hours = [float(text) for text in page.locator("#runs tbody td:nth-child(2)").all_inner_texts()]
    span_s = (parse_instant(plan["intervals"][-1]["end"]) - parse_instant(plan["intervals"][0]["start"])).total_seconds()
    assert sum(hours) == pytest.approx(span_s / 3600, abs=0.01 * len(hours)) and 1 <= len(hours) < len(plan["intervals"])


def test_it_is_readable_without_javascript(address: str) -> None:
    text = httpx.get(f"{address}/plan").text
    assert "Interval by interval" in text and "Money by line" in text and "HE15" in text


def test_a_run_names_its_hours_its_prices_and_its_mean_load() -> None:
    at = [parse_instant(f"2026-08-20T{hour:02}:00:00Z") for hour in (17, 18, 20, 21)]
    loads, rigs = (0.2, 0.5, 0.1), ({"normal": 40.0}, {"normal": 40.2}, {"sleep": 40.0})
    rows = [
        {"start": at[n], "end": at[n + 1], "hours": hours, "price": price, "load_mw": loads[n], "modes": {"a": rigs[n]}}
        for n, (hours, price) in enumerate(((1.0, None), (2.0, 30.0), (1.0, 150.0)))
    ]
    one, other = runs_of(rows, Market.ERCOT)
    assert one["label"] == "Thu 20 Aug 12:00 to 15:00" and one["hours"] == 3.0 and one["load_mw"] == pytest.approx(0.4)
    assert (one["lowest"], one["highest"]) == (30.0, 30.0) and other["modes"] == {"a": {"sleep": 40.0}}
