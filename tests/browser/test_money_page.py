"""The money page in a real browser: two settled days, one of them settled twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from dispatch.reports.write import write_day
from dispatch.settlement.document import to_json
from dispatch.store.statements import keep_statement
from dispatch.store.tables import open_ledger
from dispatch.web.read_statements import ReadStatements
from tests.browser.chromium import started_browser, watched_page
from tests.browser.test_statement import a_day
from tests.dispatch.web.served import run_site, served
from tests.sites import small


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """Days of July 2026: the first settled once, the third twice, the second not at all; the third has an unknown amount and an accrual."""
    data, setup = tmp_path_factory.mktemp("site"), small()
    end = run_site(data, setup, 0.25)
    day: Any = {**a_day(tmp_path_factory.mktemp("day")).settle(), "version": 1}
    write_day(day, data / "settlements")
    name, *_ = day["totals"]
    unknown = [{"name": name, "known_usd": day["totals"][name], "why": "no price was published"}]
    third: Any = {**day, "date": "2026-07-03", "settled_usd": "10.00", "accrued_usd": "-2.50", "net_usd": "7.50"}
    third |= {"totals": {**day["totals"], name: None}, "unknown": unknown}
    third |= {"narrative": {**day["narrative"], "actions": ["Read meter <main> again."]}}
    delta = {"version": 1, "net_usd": "-1.25", "totals": {"plant/energy": "-1.25"}}
    second: Any = {**third, "version": 2, "delta": delta}
    engine = open_ledger(data)
    for on, version, document in ((1, 1, day), (3, 1, third), (3, 2, second)):
        keep_statement(engine, date(2026, 7, on), "ercot", version, to_json(document), end, day["journal_head"])
    engine.dispose()
    with served(data, setup, end) as address:
        yield address, data


@pytest.fixture(scope="module")
def browser(site: tuple[str, Any]) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(params=[("light", 1280), ("dark", 380)], ids=["light, desk", "dark, phone"])
def page(browser: Any, site: tuple[str, Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    """A blank page; whatever it complains of, or asks of anybody else, fails the test."""
    scheme, width = request.param
    with watched_page(browser, site[0], viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        yield page


def test_the_newest_day_its_month_and_an_earlier_day(page: Any, site: tuple[str, Any]) -> None:
    page.goto(f"{site[0]}/money")
    page.wait_for_selector("#waterfall .main-svg")
    page.wait_for_selector("#live.good")
    money = httpx.get(f"{site[0]}/api/v1/money").json()
    assert (money["date"], money["earlier"], money["later"]) == ("2026-07-03", "2026-07-01", None)
    assert page.inner_text("#net") == "$7.50" and "Read meter <main> again." in page.inner_text("#actions")
    bars = page.evaluate("document.getElementById('waterfall').data[0].text")
    assert len(bars) == len(money["waterfall"]) and bars[-1] == "$7.50"
    assert "no price was published" in page.inner_text("#charges") and "-$2.50" in page.inner_text("#day")
    month = page.inner_text("#month")
    assert "1 DAY MISSING: 2026-07-02" in month and f"{float(money['month']['net_usd']):,.2f}" in month
    assert page.locator("#month tbody tr").count() == 4 and "not settled" in month
    assert "Against version 1 the net changed by -$1.25: plant: energy -$1.25" in page.inner_text("#versions")
    assert page.locator("#versions li").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.click("text=Earlier: 2026-07-01")
    page.wait_for_selector("text=Later: 2026-07-03")
    first = httpx.get(f"{site[0]}/api/v1/money", params={"day": "2026-07-01"}).json()
    assert len(first["compared"]) == page.locator("#compared tbody tr").count() - 1
    links = page.locator("#versions a").all_inner_texts()
    assert links[0] == "json" and {"html", "pdf", "xlsx", "csv"} <= set(links)


def test_the_chart_follows_a_change_of_theme(page: Any, site: tuple[str, Any]) -> None:
    page.goto(f"{site[0]}/money")
    page.wait_for_selector("#waterfall .main-svg")
    ink = "document.getElementById('waterfall').layout.font.color"
    before, dark = page.evaluate(ink), page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    page.emulate_media(color_scheme="light" if dark else "dark")
    for _ in range(100):  # the page's policy lets no condition of a test be evaluated in it again and again
        if page.evaluate(ink) != before:
            break
        page.wait_for_timeout(100)
    assert page.evaluate(ink) != before


def test_without_scripts_and_a_day_that_is_not_settled(browser: Any, site: tuple[str, Any]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site[0]}/money?day=2026-07-02")
    assert "2026-07-02 is not settled; the newest settled day is 2026-07-03" in page.inner_text("main")
    assert page.locator("#charges tbody tr").count() > 2 and page.inner_text("#net") == "$7.50"
    page.goto(f"{site[0]}/money?day=yesterday")
    assert "'yesterday' is not a day" in page.inner_text("main")
    context.close()
    assert httpx.get(f"{site[0]}/api/v1/money", params={"day": "2026-07-02"}).status_code == 404


def test_a_version_is_read_once(site: tuple[str, Any]) -> None:
    engine, kept, asked = open_ledger(site[1]), ReadStatements(), list[str]()
    event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    once = kept.statement(engine, date(2026, 7, 3), "ercot", 2)
    assert sum("statements" in text for text in asked) == 1
    assert kept.statement(engine, date(2026, 7, 3), "ercot", 2) is once and sum("statements" in text for text in asked) == 1
    assert kept.versions(engine, "ercot") == {date(2026, 7, 1): [1], date(2026, 7, 3): [1, 2]}
    assert sum("document" in text for text in asked) == 1, "no text of a statement is read for the list of versions"
    engine.dispose()
