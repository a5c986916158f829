"""The risk of prices, where the site's owner gives it a weight: scenarios drawn from what real-time prices did beside day-ahead ones."""

from __future__ import annotations

from datetime import datetime

from markets.factbook import FactBook
from markets.forecasting.scenarios import held_note, residual_days, scenarios
from markets.outlook import Outlook
from optimizer.planning.result import Risk

DAYS_BACK = 7  # days of prices from which scenarios are drawn; the state keeps little more
SCENARIOS, SEED = 100, 7
SCENARIOS_IN_LOOP = 30  # the loop plans every few minutes


def risk_of_facts(facts: FactBook, outlook: Outlook, at: datetime, weight: float, number: int = SCENARIOS) -> Risk:
    """The weight (0 to 1) of the worst of so many price scenarios around an outlook, drawn from the differences of real-time and day-ahead
    prices of past days. Raises LookupError when no complete day of both is known."""
    known = {point: residual_days(facts, point, at, DAYS_BACK) for point in outlook.energy}
    if not any(len(days) for days in known.values()):
        raise LookupError("no complete day of real-time and day-ahead prices is known to draw scenarios from")
    held = held_note(known)
    return Risk(weight, scenarios(outlook, known, SEED, number), (held,) if held else ())
