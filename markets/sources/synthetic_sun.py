"""Solar plants under a seeded sky: the same seed gives the same facts, whatever windows are asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.facts import Fact, GenerationForecast, MeasuredGeneration
from markets.grid import Grid, Market, OperatingDay, utc

NAME = "synthetic"
MEASURED_DELAY = timedelta(minutes=1)
FORECAST_AT = time(12, 0)  # market time, the day before
NOON_H, HALF_DAY_H = 13.3, 6.5  # the sun's highest hour on the market's clock, and hours from there to its setting


class SyntheticSun:
    """Forecasts and measurements of solar plants, MW by name at most `most_mw`: a clear sky, with clouds that no forecast knows."""

    name = "synthetic sun"
    synthetic = True

    def __init__(self, market: Market, seed: int, most_mw: Mapping[str, float]) -> None:
        self._market, self._seed, self._most_mw = market, seed, dict(sorted(most_mw.items()))

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The facts that became known in (since, until], in order of `known_at`."""
        since, until = utc(since), utc(until)
        on, last, found = (since - timedelta(days=1)).date(), (until + timedelta(days=2)).date(), list[Fact]()
        while since < until and on <= last:
            found += [fact for fact in self._facts(OperatingDay(self._market, on)) if since < fact.known_at <= until]
            on += timedelta(days=1)
        return sorted(found, key=lambda fact: (fact.known_at, repr(fact)))

    def _facts(self, day: OperatingDay) -> Iterable[Fact]:
        published = datetime.combine(day.on - timedelta(days=1), FORECAST_AT, day.market.tz).astimezone(UTC)
        for plant, most_mw in self._most_mw.items():
            rng = np.random.default_rng([self._seed & (2**63 - 1), zlib.crc32(plant.encode()), day.on.toordinal()])
            haze = float(rng.uniform(0.75, 1.0))
            for over, mw in zip(day.grid(60).intervals, _clear_sky(day, day.grid(60)) * haze * most_mw, strict=True):
                yield GenerationForecast(source=NAME, known_at=published, plant=plant, over=over, mw=round(float(mw), 3))
            fine = day.grid()
            clouds = 1.0 - np.clip(rng.normal(-0.1, 0.25, len(fine)), 0.0, 0.8)
            for over, mw in zip(fine.intervals, _clear_sky(day, fine) * haze * clouds * most_mw, strict=True):
                yield MeasuredGeneration(source=NAME, known_at=over.end + MEASURED_DELAY, plant=plant, over=over, mw=round(float(mw), 3))


def _clear_sky(day: OperatingDay, grid: Grid) -> NDArray[np.float64]:
    """The share of its most that a plant makes under a clear sky, by the middle of each interval, shape (n,)."""
    middles = [(over.start + (over.end - over.start) / 2).astimezone(day.market.tz) for over in grid.intervals]
    hour = np.array([at.hour + at.minute / 60 for at in middles])
    above: NDArray[np.float64] = np.clip(np.cos(np.pi * (hour - NOON_H) / (2 * HALF_DAY_H)), 0.0, None)
    return np.where(np.abs(hour - NOON_H) < HALF_DAY_H, above, 0.0)
