"""Every test that the reliability page names exists, and every promise can be broken on purpose to see its test fail."""

from __future__ import annotations

import re

from tests.broken_promises import BREAKS
from tests.docs.pages import ROOT


def rows() -> list[str]:
    """The rows of the page's table of faults."""
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    return [
        line for line in page.partition("## Last figures")[0].splitlines() if line.startswith("| ") and not line.startswith("| fault |")
    ]


def test_every_promise_names_tests_that_exist() -> None:
    assert len(rows()) > 20
    for row in rows():
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for file, test in named:
            text = (ROOT / file).read_text("utf-8")
            assert not test or re.search(rf"def {test}\(", text), f"{file}::{test}"


def test_each_promise_is_broken_by_a_line_that_is_there_and_a_test_that_its_row_names() -> None:
    for promise in BREAKS:
        assert (ROOT / promise.file).read_text("utf-8").count(promise.text) == 1, promise
        (row,) = (row for row in rows() if row.startswith(f"| {promise.fault}"))
        assert promise.test in row, promise
    unbroken = [row for row in rows() if not any(row.startswith(f"| {promise.fault}") for promise in BREAKS)]
    assert not unbroken
