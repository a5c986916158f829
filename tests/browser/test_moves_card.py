"""Stop and hold in a real browser: a preview first, then the order, and nothing twice by double clicks, reloads and tabs left open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dispatch.entries import Seen
from dispatch.store.inbox import Inbox, InboxRow
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from tests.browser.chromium import chromium, started_browser
from tests.dispatch.web.served import key, run_site, served
from tests.fakes import price
from tests.sites import document, small


@dataclass(frozen=True, slots=True)
class HeldSite:
    """A served site, where one person may move 0.1 MW alone, with a hold on it that was there before."""

    address: str
    data: Path
    keys: dict[str, str]

    def holds(self) -> list[InboxRow]:
        """Holds, releases and proposals sent since the site ran."""
        engine = open_ledger(self.data)
        try:
            rows = [row for kind in ("hold", "proposal") for row in Inbox(engine).rows_of(kind)]
            return sorted(rows, key=lambda row: row.id)[1:]
        finally:
            engine.dispose()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldSite]:
    chromium()
    data, setup = tmp_path_factory.mktemp("site"), small(site={**document()["site"], "two_person_mw": 0.1})
    end = run_site(data, setup, 1.0, pushed=[("hold", {"id": "night", "group": "a-old", "mw_cap": 0.09})])
    keys = {name: key(data, name, scope) for name, scope in (("alice", "dispatch"), ("bob", "dispatch"), ("reader", "read"))}
    with served(data, setup, end) as address:
        yield HeldSite(address, data, keys)


@pytest.fixture(scope="module")
def browser(site: HeldSite) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


def opened(browser: Any, site: HeldSite, name: str = "", **more: Any) -> Any:
    """The first page in a new browser, signed in with a key of this name; its `wrong` gathers what the console complains of."""
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **more}).new_page()
    page.set_default_timeout(15_000)
    if name:
        page.goto(f"{site.address}/sign-in")
        page.fill("#key", site.keys[name])
        page.click("button")
        page.wait_for_url(f"{site.address}/")
    else:
        page.goto(site.address)
    page.wait_for_selector("#live.good")
    return page


def fill(page: Any, group: str, mode: str, mw: str = "") -> None:
    page.select_option("#hold [name=group]", group)
    page.select_option("#hold [name=mode]", mode)
    if mw:
        page.fill("#hold [name=mw]", mw)


def preview(page: Any, selector: str = "#hold button:not([type])") -> str:
    page.click(selector)
    page.wait_for_selector("#move .what, #move .fault")
    return str(page.inner_text("#move"))


def test_without_a_key_that_may_order_the_card_says_so(browser: Any, site: HeldSite) -> None:
    page = opened(browser, site)
    assert "sign in with a key of scope dispatch" in page.inner_text("#moves") and page.locator("#moves button").count() == 0
    assert "a-old at most 0.09 MW" in page.inner_text("#holds"), "everybody sees what is in force"
    page.context.close()
    page = opened(browser, site, "reader")
    assert "The key reader may not order" in page.inner_text("#moves") and page.locator("#moves button").count() == 0
    page.context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 380)])
def test_a_hold_is_previewed_and_ordered_once_by_a_double_click(browser: Any, site: HeldSite, scheme: str, width: int) -> None:
    page = opened(browser, site, "alice", color_scheme=scheme, viewport={"width": width, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("request", lambda r: None if r.url.startswith((site.address, "data:", "blob:")) else wrong.append(f"asked {r.url}"))
    before = len(site.holds())
    fill(page, "a-old", "", "0.08")
    said = preview(page)
    assert "Hold a-old at most 0.08 MW" in said and "The move is of" in said and "It ends by itself on Thu 20 Aug 14:00." in said
    assert "No promise is missed more" in said and len(site.holds()) == before
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.dblclick("text=Order this hold")
    page.wait_for_selector("#move .verdict")
    assert "Ordered: Hold a-old at most 0.08 MW" in page.inner_text("#move")
    page.wait_for_selector("#holds :text('sent, not read by the control loop yet')")
    (sent,) = site.holds()[before:]
    assert (sent.key_name, sent.document["until"], len(sent.idempotency_key or "")) == ("alice", "2026-08-20T19:00:00Z", 32)
    page.context.close()
    assert not wrong


def test_a_refresh_keeps_what_is_being_filled_in_and_what_is_shown(browser: Any, site: HeldSite) -> None:
    page = opened(browser, site, "alice")
    fill(page, "b-new", "", "0.05")
    preview(page)
    page.focus("#hold [name=hours]")
    page.evaluate("document.querySelector('#holds table').id = 'old-table'")
    engine = open_ledger(site.data)
    journal = SqlJournal(engine, 1)
    *_, (_, last) = journal.read()
    journal.append(Seen(at=last.at, facts=(price(211.75, last.at),)))
    engine.dispose()
    page.wait_for_selector("text=211.75")
    assert page.locator("#old-table").count() == 0, "the lists are fresh"
    assert page.input_value("#hold [name=group]") == "b-new" and page.input_value("#hold [name=mw]") == "0.05"
    assert page.evaluate("document.activeElement.name") == "hours" and page.locator("text=Order this hold").count() == 1
    page.fill("#hold [name=mw]", "0.06")
    assert page.inner_text("#move") == "", "what was shown is of another hold"
    page.context.close()


def test_a_page_loaded_again_in_the_middle_of_an_order_sends_it_once(browser: Any, site: HeldSite) -> None:
    page, before = opened(browser, site, "alice"), len(site.holds())

    def swallow(route: Any) -> None:
        route.fetch()

    page.route("**/api/v1/holds", swallow)
    fill(page, "a-old", "", "0.07")
    preview(page)
    with page.expect_request("**/api/v1/holds"):
        page.click("text=Order this hold")
    until_true(page, lambda: len(site.holds()) == before + 1)
    page.reload()
    page.unroute("**/api/v1/holds")
    page.wait_for_selector("text=nobody knows whether it arrived")
    page.click("text=Send it again")
    page.wait_for_selector("text=nothing was done twice")
    assert len(site.holds()) == before + 1
    page.reload()
    page.wait_for_selector("#live.good")
    assert page.inner_text("#move") == ""
    page.context.close()


def test_a_tab_that_was_left_open_orders_nothing(browser: Any, site: HeldSite) -> None:
    page = opened(browser, site, "alice")
    page.clock.install()
    before = len(site.holds())
    fill(page, "a-old", "", "0.06")
    preview(page)
    page.clock.fast_forward("03:00")
    page.click("text=Order this hold")
    page.wait_for_selector("text=more than two minutes old")
    assert len(site.holds()) == before
    page.context.close()


def test_a_large_hold_waits_for_another_person(browser: Any, site: HeldSite) -> None:
    alice, before = opened(browser, site, "alice"), len(site.holds())
    fill(alice, "b-new", "sleep")
    assert alice.is_disabled("#hold [name=mw]") and "another person, with another key, must confirm it" in preview(alice)
    alice.click("text=Order this hold")
    alice.wait_for_selector("text=Not done yet")
    alice.wait_for_selector("#holds :text('not done yet')")
    assert alice.locator("[data-confirm]").count() == 0, "not by the one who proposed it"
    bob = opened(browser, site, "bob")
    assert "Confirm proposal-" in preview(bob, "[data-confirm]")
    bob.dblclick("text=Confirm this hold")
    bob.wait_for_selector("#move .verdict")
    proposed, ordered = site.holds()[before:]
    assert (proposed.kind, ordered.kind, ordered.document["by"]) == ("proposal", "hold", "alice, confirmed by bob")
    for page in (alice, bob):
        page.context.close()


def test_a_hold_is_released_and_a_mode_that_the_site_has_not_is_not_offered(browser: Any, site: HeldSite) -> None:
    page, before = opened(browser, site, "alice"), len(site.holds())
    assert page.is_disabled("#hold option[value=sleep]"), "the site is held to megawatts"
    assert "Release night" in preview(page, "[data-release=night]")
    page.click("text=Release this hold")
    page.wait_for_selector("#move .verdict")
    (row,) = site.holds()[before:]
    assert row.document == {"id": "night", "released": True}
    page.context.close()


def test_every_rig_is_stopped_and_started_again(browser: Any, site: HeldSite) -> None:
    page, stop = opened(browser, site, "alice"), site.data / "stop"
    assert "Every rig sleeps until somebody ends the stop." in preview(page, "#stop-order") and not stop.exists()
    page.dblclick("text=Stop every rig now")
    page.wait_for_selector("#holds :text('as alice ordered')")
    assert stop.exists()
    assert "It ends the stop that alice ordered" in preview(page, "#stop-end")
    page.click("#move >> text=End the stop")
    page.wait_for_selector("#stop-order")
    assert not stop.exists()
    page.context.close()


def test_a_session_that_has_ended_orders_nothing_and_says_so(browser: Any, site: HeldSite) -> None:
    page, before = opened(browser, site, "alice"), len(site.holds())
    fill(page, "a-old", "", "0.05")
    preview(page)
    page.context.clear_cookies()
    page.click("text=Order this hold")
    page.wait_for_selector("#move .fault")
    assert "needs a key with scope dispatch" in page.inner_text("#move") and page.locator("#move a[href='/sign-in']").count() == 1
    assert len(site.holds()) == before
    page.context.close()


def until_true(page: Any, true: Any) -> None:
    for _ in range(100):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come true within 5 s")
