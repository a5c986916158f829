"""What the site's price model says on the grid of an outlook. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from markets import usd_text
from markets.factbook import FactBook
from markets.facts import Price, PriceForecast
from markets.grid import Grid
from markets.outlook import Basis
from markets.series import Series

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelAhead:
    """A forecast on a grid, NaN where it gives no price; nothing at all where no forecast can be used."""

    forecast: PriceForecast | None = None
    values: Floats = field(default_factory=lambda: np.zeros(0))
    quantiles: Mapping[float, Series] = field(default_factory=dict)
    spike_probability: Series | None = None

    def over(self, values: Floats, basis: Sequence[Basis]) -> tuple[Floats, list[Basis]]:
        """Other values on the same grid and their basis, with the forecast in their place where there is one."""
        if self.forecast is None:
            return values, list(basis)
        none = np.isnan(self.values)
        return np.where(none, values, self.values), [old if gap else Basis.FORECAST for gap, old in zip(none, basis, strict=True)]

    def note(self, basis: Basis) -> tuple[str, ...]:
        """In words, where the price of the first interval is the model's."""
        if self.forecast is None or basis is not Basis.FORECAST:
            return ()
        point, model = self.forecast.point, self.forecast.model
        return (f"The price at {point} of the interval under way, {usd_text(self.values[0])}/MWh, is forecast by the price model {model}.",)


def model_ahead(book: FactBook, point: str, last: Price | None, at: datetime, grid: Grid) -> ModelAhead:
    """The newest forecast of a point. It is used only when it was made from the newest real-time price and that has ended: an older one
    knows less than the last price does."""
    made = book.forecasts.get(point, ())
    if not made or last is None or made[-1].over.start != last.over.end or at in last.over:
        return ModelAhead()
    forecast = made[-1]
    start_s, end_s = (int(edge.timestamp()) for edge in (forecast.over.start, forecast.over.end))
    steps = Grid(np.linspace(start_s, end_s, len(forecast.usd_per_mwh) + 1).astype(np.int64))

    def on_grid(figures: Sequence[float], unit: str) -> Series:
        return Series(steps, np.array(figures), unit).onto(grid)

    return ModelAhead(
        forecast,
        on_grid(forecast.usd_per_mwh, "usd_per_mwh").values,
        {level: on_grid(figures, "usd_per_mwh") for level, figures in zip(forecast.levels, forecast.quantiles, strict=True)},
        on_grid(forecast.spike_probability, "probability"),
    )
