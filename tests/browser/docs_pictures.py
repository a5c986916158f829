"""Makes the pictures of docs/reference/settlement.md anew: `python -m tests.browser.docs_pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dispatch.reports.write import write_day
from tests.browser.chromium import started_browser
from tests.browser.test_statement import a_day

INTO = Path(__file__).parents[2] / "docs" / "reference" / "pictures"


def main() -> None:
    INTO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, started_browser() as browser:
        (page_file,) = write_day(a_day(Path(folder)).settle(), Path(folder) / "out", ["html"])
        page = browser.new_page(viewport={"width": 900, "height": 1700})
        page.goto(page_file.as_uri())
        page.screenshot(path=INTO / "statement.png")


if __name__ == "__main__":
    main()
