"""What wind and solar plants behind a meter can make over a grid: their forecast, and measurements where there is none. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from markets.factbook import FactBook
from markets.forecasting.outlook_values import filled_from_earlier_days, means_on
from markets.grid import Grid
from markets.series import Series

# For so long a measurement holds where nothing is forecast; afterwards the same hours of earlier days are the better guess.
MEASUREMENT_HOLDS = timedelta(hours=1)


def available_generation(book: FactBook, at: datetime, grid: Grid) -> tuple[dict[str, Series], list[str]]:
    """By plant that the book has facts of: the most it can make, MW, and notes on what stands in for a forecast.

    In order: the forecast; the newest measurement, for an hour after it; measurements of the same hours of the last seven days. What none
    of them knows is NaN, and never zero.
    """
    found: dict[str, Series] = {}
    notes: list[str] = []
    for plant in sorted({*book.generation, *book.generation_forecasts}):
        measured, forecasts = book.generation.get(plant, ()), book.generation_forecasts.get(plant, ())
        values = means_on([f for f in forecasts if f.over.overlaps(grid.over)], grid)
        missing_hours = float(grid.hours[np.isnan(values)].sum())
        if measured and at - measured[-1].over.end <= MEASUREMENT_HOLDS:
            near = grid.edges[:-1] < (measured[-1].over.end + MEASUREMENT_HOLDS).timestamp()
            values = np.where(np.isnan(values) & near, measured[-1].mw, values)
        values = np.where(np.isnan(values), filled_from_earlier_days(grid, measured), values)
        found[plant] = Series(grid, values, "mw")
        if missing_hours:
            notes.append(
                f"No forecast of {plant} is known for {missing_hours:.4g} h of the horizon; its newest measurement and the same hours of "
                "earlier days are used."
            )
    return found, notes
