"""The page in a real browser: it shows what the API returns, refreshes by itself and logs no error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatch.decide.precedence import ASK_MORE, PRECEDENCE, Asker
from dispatch.entries import GroupSeen, Seen
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from tests.browser.chromium import started_browser, watched_page
from tests.dispatch.web.conftest import CALL
from tests.dispatch.web.served import run_site, served
from tests.fakes import price
from tests.sites import small


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    data, setup = tmp_path_factory.mktemp("site"), small()
    end = run_site(data, setup, 2.0, pushed=[("call", {**CALL, "id": "<b>call</b>", "end_at": "2026-08-20T23:00:00Z"})])
    with served(data, setup, end) as address:
        yield address, data


@pytest.fixture(scope="module")
def browser(site: tuple[str, Path]) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, site: tuple[str, Path]) -> Iterator[Any]:
    """The open, live page; any error or warning it logs fails the test."""
    with watched_page(browser, site[0], viewport={"width": 1280, "height": 900}, timezone_id="Asia/Tokyo") as page:
        page.goto(site[0])
        page.wait_for_selector("#live.good")
        yield page


def test_it_shows_price_load_plan_and_reasons(page: Any, site: tuple[str, Path]) -> None:
    state = httpx.get(f"{site[0]}/api/v1/state").json()
    text = page.inner_text("#top")
    assert f"{state['price']['usd_per_mwh']:.2f}" in text and "HE14 13:30-13:45" in text
    assert "Synthetic market: the prices are not real" in text and "Simulated rigs" in text
    assert all(reason in text for reason in state["reasons"])
    assert page.locator("#chart .main-svg").count() > 0
    assert "HE12" in page.inner_text("#chart") or "HE12" in page.text_content("#chart")


def test_times_are_market_time_in_any_browser_zone(page: Any) -> None:
    assert page.inner_text("#clock") == "Thu 20 Aug 14:00:00"
    ticks = page.evaluate("() => document.getElementById('chart').layout.xaxis.ticktext")
    assert "HE15" in ticks and "Fri 21 Aug" in ticks


def test_text_from_calls_is_escaped(page: Any) -> None:
    assert page.locator("#below b:text-is('call')").count() == 0
    assert "<b>call</b>" in page.inner_text("#below")


def test_it_shows_who_wins_when_several_want_different_loads(page: Any) -> None:
    page.click("#t-who-wins summary")
    row = page.locator("#t-who-wins tbody tr", has_text="hold on megawatts").first.inner_text()
    assert row.split("\t") == ["hold on megawatts"] * (len(ASK_MORE) + 1)
    row = page.locator("#t-who-wins tbody tr").nth(PRECEDENCE.index(Asker.WISH)).inner_text()
    assert row.split("\t") == [Asker.WISH, Asker.WISH, Asker.WISH, Asker.WISH, "", Asker.INSTRUCTION]


def test_every_rig_has_a_cell(page: Any) -> None:
    assert page.locator("#fleet canvas").count() == 2
    page.locator("#fleet canvas").first.hover(position={"x": 3, "y": 3})
    assert page.inner_text("#rig").startswith("a-old, rig 0: sleep")


def test_a_what_if_shows_money_and_leaves_the_live_plan_alone(page: Any, site: tuple[str, Path]) -> None:
    before = httpx.get(f"{site[0]}/api/v1/plan").json()["seq"]
    page.select_option("select[name=price]", "scale")
    page.fill("input[name=price_value]", "0.2")
    page.click("text=Compare")
    page.wait_for_selector("#answer .verdict")
    assert "would earn" in page.inner_text("#answer .verdict")
    scenario = json.loads(page.input_value("#document"))
    answer = httpx.post(f"{site[0]}/api/v1/what-if", json=scenario, timeout=30).json()
    assert f"${answer['difference']['net_usd']:,.2f}" in page.inner_text("#answer")
    assert httpx.get(f"{site[0]}/api/v1/plan").json()["seq"] == before


def test_an_invalid_scenario_is_answered_with_the_path_of_each_fault(browser: Any, site: tuple[str, Path]) -> None:
    """A page of its own: a browser logs every 422 as an error."""
    page = browser.new_page()
    page.goto(site[0])
    page.click("text=Scenario as JSON")
    page.fill("#document", '{"pricez": 1}')
    page.click("#send")
    page.wait_for_selector("#answer .fault")
    assert "pricez: is not a key here; did you mean prices?" in page.inner_text("#answer")
    page.close()


def test_it_refreshes_with_the_journal_and_keeps_open_sections_open(page: Any, site: tuple[str, Path]) -> None:
    page.click("#t-fleet summary")
    engine = open_ledger(site[1])
    journal = SqlJournal(engine, 1)
    *_, (_, last) = journal.read()
    seen = Seen(
        at=last.at,
        facts=(price(333.25, last.at),),
        fleet={"a-old": GroupSeen(rigs=40, reachable=38, load_mw=0.001, hashrate_ph=0.0, changed={"unreachable": "3-4"})},
    )
    journal.append(seen)
    engine.dispose()
    page.wait_for_selector("text=333.25")
    page.wait_for_selector("text=78 of 80 rigs responding")
    assert page.locator("#t-fleet[open]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_light_and_dark_and_on_a_phone(browser: Any, site: tuple[str, Path], scheme: str) -> None:
    context = browser.new_context(viewport={"width": 380, "height": 760}, color_scheme=scheme)
    page = context.new_page()
    page.goto(site[0])
    page.wait_for_selector("#live.good")
    assert page.evaluate("document.documentElement.scrollWidth <= 380")
    ink, ground = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert contrast(ink, ground) >= 7
    context.close()


def test_the_page_is_readable_without_javascript(site: tuple[str, Path]) -> None:
    """The server renders every sentence and table; only charts, fleet map and what-if need JavaScript."""
    text = httpx.get(site[0]).text
    assert "MW" in text and "The plan as a table" in text and "HE14 13:30-13:45" in text


def test_the_chart_library_is_compressed_and_cached(site: tuple[str, Path]) -> None:
    answer = httpx.get(f"{site[0]}/static/plotly.min.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) < 2_000_000 < len(answer.content)
    assert httpx.get(f"{site[0]}/static/../app.py").status_code == 404
    assert httpx.get(f"{site[0]}/static/%2e%2e%2froutes.py").status_code == 404


def contrast(one: str, other: str) -> float:
    """The WCAG ratio of two rgb(...) colours."""
    a, b = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(v) / 255 for v in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
