"""Counts with their nouns, as messages write them."""

from __future__ import annotations

import pytest

from markets import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "plan", "0 plans"),
        (1, "plan", "1 plan"),
        (3, "plan", "3 plans"),
        (1200, "rig", "1,200 rigs"),
        (2, "entry", "2 entries"),
        (2, "day", "2 days"),
        (2, "switch", "2 switches"),
        (2, "price scenario", "2 price scenarios"),
    ],
)
def test_a_count_agrees_with_its_noun(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_an_irregular_plural_is_given() -> None:
    assert counted(2, "half", "halves") == "2 halves"
    assert counted(1, "half", "halves") == "1 half"
