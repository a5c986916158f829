"""The page of promises in a real browser: a call in force, its margin, and what its rigs were proved to drop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dispatch.web.pages.promises import how_it_stands
from tests.browser.chromium import chromium, started_browser, watched_page
from tests.dispatch.web.conftest import CALL
from tests.dispatch.web.served import run_site, served
from tests.sites import small


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chromium()
    data, setup = tmp_path_factory.mktemp("site"), small()
    with served(data, setup, run_site(data, setup, 1.0, pushed=[("call", {**CALL, "end_at": "2026-08-20T23:00:00Z"})])) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 380)])
def test_a_call_in_force_shows_its_cap_its_margin_and_its_contract(browser: Any, address: str, scheme: str, width: int) -> None:
    with watched_page(browser, address, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.goto(address)
        page.click("nav a[href='/promises']")
        page.wait_for_selector("#live.good")
        document = httpx.get(f"{address}/api/v1/promises").json()
        called = next(limit for limit in document["limits"] if limit["promise"] == CALL["obligation"])
        row = page.locator("#limits tbody tr", has_text=called["why"]).first
        cells = row.locator("td").all_inner_texts()
        assert cells[0] == "kept" and cells[2] == f"{CALL['mw_cap']:.3f}" and cells[4] == f"{called['margin_mw']:.3f}"
        assert page.locator("#limits tbody tr").count() == len(document["limits"])
        contract = page.locator("#contracts tbody tr", has_text=CALL["obligation"]).first.inner_text()
        assert CALL["id"] in contract
        assert "No day has been settled yet" in page.inner_text("#promises")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_each_contract_says_what_was_proved_and_limits_add_up(address: str) -> None:
    document = httpx.get(f"{address}/api/v1/promises").json()
    state = httpx.get(f"{address}/api/v1/state").json()
    assert {c["name"] for c in document["contracts"]} == {
        o["name"] for o in httpx.get(f"{address}/api/v1/obligations").json()["obligations"]
    }
    for limit in document["limits"]:
        assert limit["load_mw"] == pytest.approx(sum(state["groups"][name]["load_mw"] for name in limit["groups"]))
        assert limit["cap_mw"] is None or limit["margin_mw"] <= limit["cap_mw"] - limit["load_mw"] + 1e-6
    assert document["settled_on"] is None and document["settled"] == []


def test_it_is_readable_without_javascript(address: str) -> None:
    text = httpx.get(f"{address}/promises").text
    assert "What insists on the load now" in text and "Proved to drop in 10 min" in text


def test_how_a_limit_stands() -> None:
    limit: Any = {"short_mw": 0.0, "margin_mw": 0.1}
    assert how_it_stands(limit) == "kept" and how_it_stands({**limit, "margin_mw": -0.1}) == "load on its way"
    assert how_it_stands({**limit, "margin_mw": None}) == "not known yet" and how_it_stands({**limit, "short_mw": 0.2}) == "short"
