"""In how many intervals a contract had something to keep, and in how many of them it was kept."""

from __future__ import annotations

from datetime import timedelta

from optimizer.obligations.plant import Plant
from optimizer.settlement.performance import promises
from tests.optimizer import fixtures


def test_only_intervals_with_something_to_keep_are_counted() -> None:
    """A call of two hours in six: kept in the first of them, broken in the second, and the load of one more hour is not known."""
    where, over = fixtures.site(fixtures.group("g", rigs=3000)), fixtures.grid(6, 60)
    called = fixtures.call("plant", over.start + timedelta(hours=1), over.start + timedelta(hours=4), mw_cap=4.0)
    real = fixtures.actuals(where, over, {"g": ["9", "9", "4", "7", "NaN", "9"]}, {fixtures.POINT: ["40"] * 6}, calls=(called,))
    (found,) = promises((Plant(),), real)
    # The first hour of the call began less than a tick after it, and is not judged.
    assert (found.intervals, len(found.broken)) == (2, 1) and not found.kept
    assert promises((Plant(),), fixtures.actuals(where, over, {"g": ["9"] * 6}, {fixtures.POINT: ["40"] * 6})) == ()
