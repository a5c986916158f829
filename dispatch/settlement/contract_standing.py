"""How contracts with a month, a season or a year stand at the end of a day: what each says of its own memory after it."""

from __future__ import annotations

from typing import Any

from dispatch.settlement.actuals import Measured
from dispatch.site_file.setup import Setup
from markets.grid import OperatingDay
from optimizer.settlement.settle import with_takeovers


def standing(setup: Setup, measured: Measured, day: OperatingDay) -> list[dict[str, str]]:
    """Name, value, unit and what it counts, as JSON values, in the book's order."""
    then = with_takeovers(setup.book, measured.actuals)
    saying: list[Any] = [o for o in setup.book if hasattr(o, "scores") and hasattr(o, "remember")]
    return [
        {"name": score.name, "value": f"{score.value:.4f}", "unit": score.unit, "how": score.how}
        for o in saying
        for score in o.scores(o.remember(then.memory.get(o.name, {}), then), day)
    ]
