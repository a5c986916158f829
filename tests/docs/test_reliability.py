"""Every test that the reliability page names exists."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT


def test_every_promise_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = [line for line in page.partition("## Last figures")[0].splitlines() if line.startswith("| ") and "promise" not in line]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for file, test in named:
            text = (ROOT / file).read_text("utf-8")
            assert not test or re.search(rf"def {test}\(", text), f"{file}::{test}"
