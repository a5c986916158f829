"""The worked examples print the statements that are kept here, to the last character; and the figures of the reference stand in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.examples import EXAMPLES

HERE = Path(__file__).parent
# Figures as the rules' reference prints them, site view.
FIGURES = {
    "ex01": ["-3250.00", "85380.21", "-332.73", "81797.48", "81797.47492", "-9410.79", "-3865.00", "-13.49", "-13.50", "-2431.79"],
    "ex02": ["1338.20", "-8518.84", "422.25", "-4461.56", "-29500.43", "-40720.38", "-73630.20"],
    "ex03": ["-1010.38", "-33.00", "-32.00"],
    "ex04": ["141520.00", "-13979.41", "127540.59"],
    "ex05": ["-1907500.00", "-7000000.00", "-1563808.33", "-8281385.00"],
    "ex06": ["-2961.64", "-4705.80", "-3253.99", "-1330.80", "2198.22", "867.42", "454.07", "-876.73"],
    "ex07": ["-4600.00", "-5000.00", "-4800.00", "-5400.00"],
    "ex08": ["35.21", "34.86", "34.860078"],
    "ex09": ["-790705.60"],
    "ex10": ["1000.00", "12.38", "-2.38", "1010.00"],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_statement_equals_the_golden_file(name: str, tmp_path: Path) -> None:
    text = EXAMPLES[name](tmp_path)
    assert [usd for usd in FIGURES[name] if usd not in text.split()] == []
    assert text == (HERE / f"{name}.txt").read_text("utf-8")
