"""Signing in and out in a real browser, at a desk and on a phone, without JavaScript too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import chromium, started_browser
from tests.dispatch.web.served import key, run_site, served
from tests.sites import small


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Its address, and the secret of a key with a long name."""
    chromium()
    data, setup = tmp_path_factory.mktemp("site"), small()
    end = run_site(data, setup, 0.25)
    secret = key(data, "control-room-of-the-night-shift", "dispatch")
    with served(data, setup, end) as address:
        yield address, secret


@pytest.fixture(scope="module")
def browser(site: tuple[str, str]) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.mark.parametrize(("scheme", "width", "scripts"), [("light", 1280, True), ("dark", 380, True), ("light", 380, False)])
def test_a_person_signs_in_and_out(browser: Any, site: tuple[str, str], scheme: str, width: int, scripts: bool) -> None:
    address, secret = site
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=scripts)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("request", lambda r: None if r.url.startswith((address, "data:")) else wrong.append(f"asked {r.url}"))
    page.goto(f"{address}/promises")
    page.click("text=Sign in")
    assert fits(page)
    page.keyboard.type(secret)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/promises")
    assert page.inner_text("#who b") == secret.partition(".")[0]
    assert fits(page)
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    if scripts:
        page.wait_for_selector("#live.good")
        assert page.evaluate("document.cookie") == ""
    page.click("text=Sign out")
    page.wait_for_url(f"{address}/sign-in")
    assert context.cookies() == []
    context.close()
    assert not wrong


def test_a_wrong_key_is_answered_on_the_page(browser: Any, site: tuple[str, str]) -> None:
    page = browser.new_page()
    page.goto(f"{site[0]}/sign-in?next=/money")
    page.fill("#key", "nobody.secret")
    page.click("button")
    page.wait_for_selector("[role=alert]")
    assert page.inner_text("[role=alert]") == "This key is unknown or was revoked."
    page.fill("#key", site[1])
    page.click("button")
    page.wait_for_url(f"{site[0]}/money")
    page.close()


def fits(page: Any) -> bool:
    """Whether nothing scrolls sideways, as the browser lays it out."""
    box, inside = page.locator("body").bounding_box(), page.locator("header > *, main > *, .card > *, form > *").all()
    ends = [found["x"] + found["width"] for each in inside if (found := each.bounding_box())]
    return bool(box) and max(ends) <= box["width"] + 0.5
