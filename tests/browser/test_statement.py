"""The statement in a real browser: its pictures are seen, it prints, it can be read in the dark, and it loads nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from dispatch.reports.write import write_day
from markets.facts import Call, CallKind
from tests.browser.chromium import started_browser
from tests.dispatch.settlement.fixtures import HandMadeDay


def a_day(folder: Path) -> HandMadeDay:
    """A synthetic day with a night below zero, an evening spike, a plan, and an instruction that was not kept."""
    site_day = HandMadeDay.of(folder, date(2026, 7, 1), prices="synthetic", more_prices="seed = 1")
    site_day.prices(lambda n: round(30 + 25 * math.sin(n / 15) + (900 if 66 <= n < 70 else 0) - (60 if n < 6 else 0), 2))
    site_day.run_all()
    start = site_day.day.start
    site_day.planned(start - timedelta(hours=1), {"a": 0.03, "b": 0.00005}, {"a": 1.5, "b": 0.0}, 30.0)
    told = {"source": "QSE", "known_at": start + timedelta(hours=11), "id": "c1", "version": 1, "notice_at": start + timedelta(hours=11)}
    when = {"start_at": start + timedelta(hours=16), "end_at": start + timedelta(hours=18)}
    site_day.facts.append(Call(**told, **when, obligation="plant", kind=CallKind.DEPLOY, mw_cap=0.03))
    site_day.seen()
    return site_day


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("statement")
    return {f.suffix[1:]: f for f in write_day(a_day(folder).settle(), folder / "out")}


@pytest.fixture(scope="module")
def browser(files: dict[str, Path]) -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(params=["light", "dark"])
def page(browser: Any, files: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Any]:
    """The open statement; whatever it complained of, or asked of anybody, fails the test."""
    context = browser.new_context(viewport={"width": 1000, "height": 1400}, color_scheme=request.param)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text))
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("request", lambda r: None if r.url.startswith("file:") else wrong.append(f"asked {r.url}"))
    page.goto(files["html"].as_uri())
    yield page
    assert not wrong
    context.close()


def test_the_charts_are_visible_and_nothing_overflows(page: Any) -> None:
    pictures = page.locator("figure svg")
    assert pictures.count() == 3, "load and price, what made the net, promises"
    for n in range(3):
        box = pictures.nth(n).bounding_box()
        assert box["width"] > 600 and box["height"] > 40
        assert pictures.nth(n).locator("text").count() > 3
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_text_has_enough_contrast(page: Any) -> None:
    """WCAG's contrast of 4.5 for everything that is text on the page, light and dark."""
    worst = page.evaluate("""() => {
        const rgb = c => c.match(/[\\d.]+/g).map(Number);
        const light = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                             return .2126 * r + .7152 * g + .0722 * b; };
        const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
                            if (rgb(c).length < 4 || rgb(c)[3] > 0) return c; } return 'rgb(255, 255, 255)'; };
        return Math.min(...[...document.querySelectorAll('h1, h2, p, td, th, li, figcaption, caption')].map(e => {
            const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((x, y) => y - x); return (a + .05) / (b + .05); }));
    }""")
    assert worst >= 4.5


def test_it_prints_with_every_figure(page: Any) -> None:
    pages = PdfReader(BytesIO(page.pdf(format="A4"))).pages
    text = " ".join(p.extract_text() for p in pages)
    assert len(pages) >= 3
    for words in ("Earnings", "Actions", "SYNTHETIC MARKET", "HE24 23:45-00:00", "perfect foresight"):
        assert words in text
