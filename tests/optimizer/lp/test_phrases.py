"""Stretches of a plan as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from markets.grid import Grid, Market
from optimizer.lp.phrases import hours

NOON = datetime(2026, 7, 15, 17, tzinfo=UTC)  # Wednesday 12:00 in Texas


@pytest.mark.parametrize(
    ("stretches", "text"),
    [
        (((4, 6),), "16-18"),
        (((4, 12),), "16-24"),
        (((4, 29),), "16-Thu 17"),
        (((4, 6), (28, 30)), "16-18, Thu 16-18"),
        (((28, 36),), "Thu 16-24"),
    ],
)
def test_a_stretch_names_the_day_it_ends_on(stretches: tuple[tuple[int, int], ...], text: str) -> None:
    """25 hours from 16:00 read as one hour, "16-17"."""
    grid = Grid.regular(NOON, NOON + timedelta(hours=48), 60)
    where = np.zeros(len(grid), dtype=bool)
    for a, b in stretches:
        where[a:b] = True
    assert hours(Market.ERCOT, grid, where) == text
