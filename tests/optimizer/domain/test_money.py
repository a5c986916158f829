"""Money as people read it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from optimizer.domain.money import usd_text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (1234.5, "$1,234.50"),
        (-1e28, "-$" + "10" + ",000" * 9 + ".00"),
        (Decimal("-3.2"), "-$3.20"),
        ("-1234567.891", "-$1,234,567.89"),
        (0, "$0.00"),
        (-0.001, "$0.00"),
        (2.675, "$2.68"),
    ],
)
def test_dollars_have_two_decimals_and_the_minus_in_front(amount: float | str | Decimal, text: str) -> None:
    assert usd_text(amount) == text
