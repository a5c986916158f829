"""The risk of prices, where the site's owner gives it a weight: scenarios drawn from what real-time prices did beside day-ahead ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markets.factbook import FactBook
from markets.forecasting.scenarios import held_note, reserve_residual_days, residual_days, scenarios
from markets.outlook import Outlook
from optimizer.domain.obligation import Obligation
from optimizer.planning.result import Risk

DAYS_BACK = 7  # days of prices from which scenarios are drawn; the state keeps little more
SCENARIOS, SEED = 100, 7
SCENARIOS_IN_LOOP = 30  # the loop plans every few minutes


def risk_of_facts(
    facts: FactBook, outlook: Outlook, at: datetime, weight: float, book: Sequence[Obligation], number: int = SCENARIOS
) -> Risk:
    """The weight (0 to 1) of the worst of so many price scenarios around an outlook, drawn from the differences of real-time and day-ahead
    prices of past days, of energy and of the reserve products that the book sells. Raises LookupError when no complete day of both is known
    of energy."""
    energy = {point: residual_days(facts, point, at, DAYS_BACK) for point in outlook.energy}
    if not any(len(days) for days in energy.values()):
        raise LookupError("no complete day of real-time and day-ahead prices is known to draw scenarios from")
    sold = sorted({product for contract in book for product in contract.reserve_products()} & set(outlook.reserve))
    reserve = {product: reserve_residual_days(facts, product, at, DAYS_BACK) for product in sold}
    held = held_note(energy, reserve)
    return Risk(weight, scenarios(outlook, energy, SEED, number, reserve), (held,) if held else ())
