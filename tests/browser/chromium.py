"""Where Chromium is on this machine, and how a test starts it and opens a page: nothing is fetched, nothing phones home."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str:
    """Its path; without one the test is skipped, and fails where REQUIRE_BROWSER says there must be one."""
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail("REQUIRE_BROWSER=1, and there is no Chromium")
        pytest.skip("no Chromium on this machine")
    return found


@contextmanager
def started_browser() -> Iterator[Any]:
    """A running Chromium. Start it after a site ran in the same thread: the two would share the thread's event loop."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def watched_page(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """A blank page with a context of its own; an error or a warning that it logs, and a request to anybody but `address`, fail the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else wrong.append(f"asked {r.url}"))
    yield page
    context.close()
    assert not wrong
