"""How the price forecasts of a running site turned out: the regret of decisions in dollars, pinball loss and coverage. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from markets.facts import PriceForecast
from markets.grid import Interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExpectedPrice:
    """What was expected of an interval from the price of the one before it: the price to decide on and the quantiles at `levels`, $/MWh,
    and `last_usd_per_mwh`, that price itself."""

    over: Interval
    usd_per_mwh: float
    levels: tuple[float, ...]
    quantiles: tuple[float, ...]
    last_usd_per_mwh: float


def expected_prices(forecast: PriceForecast, last_usd_per_mwh: float) -> list[ExpectedPrice]:
    """What a forecast that was made from a last price expects of each of its intervals, in order of time."""
    length = (forecast.over.end - forecast.over.start) / len(forecast.usd_per_mwh)
    return [
        ExpectedPrice(
            Interval(forecast.over.start + n * length, forecast.over.start + (n + 1) * length),
            usd,
            forecast.levels,
            tuple(steps[n] for steps in forecast.quantiles),
            last_usd_per_mwh,
        )
        for n, usd in enumerate(forecast.usd_per_mwh)
    ]


class Load(NamedTuple):
    """A load that runs while energy is cheaper than its break-even; by the start of each interval where that changes."""

    break_even_usd_per_mwh: float | Mapping[datetime, float]
    mw: float

    def break_evens(self, starts: Sequence[datetime]) -> Floats:
        """usd_per_mwh in the intervals that begin at `starts`, shape (n,)."""
        usd = self.break_even_usd_per_mwh
        return np.array([usd[at] for at in starts]) if isinstance(usd, Mapping) else np.full(len(starts), usd)


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """How forecasts of intervals turned out.

    intervals             how many of them have a price
    lost_usd              what decisions by the forecast lose against knowing the price, without wake times; `last_price_lost_usd` the same
                          for the last price
    pinball_usd_per_mwh   mean pinball loss over intervals and levels; `last_price_pinball_usd_per_mwh` with the last price as each quantile
    covered               by level the share of prices at or under its quantile
    """

    intervals: int
    lost_usd: float
    last_price_lost_usd: float
    pinball_usd_per_mwh: float
    last_price_pinball_usd_per_mwh: float
    covered: dict[float, float]


def forecast_score(expected: Iterable[ExpectedPrice], outcome: Mapping[Interval, float], loads: Sequence[Load]) -> ForecastScore | None:
    """The score of forecasts against the prices that followed, `outcome`, $/MWh by interval; None where none has a price yet."""
    known = [(made, outcome[made.over]) for made in expected if made.over in outcome]
    if not known:
        return None
    levels = known[-1][0].levels
    known = [(made, usd) for made, usd in known if made.levels == levels]
    usd, last = np.array([usd for _, usd in known]), np.array([made.last_usd_per_mwh for made, _ in known])
    quantiles, decided = np.array([made.quantiles for made, _ in known]), np.array([made.usd_per_mwh for made, _ in known])
    hours, starts = np.array([made.over.hours for made, _ in known]), [made.over.start for made, _ in known]
    return ForecastScore(
        intervals=len(known),
        lost_usd=sum(_lost_usd(decided, usd, hours, load.break_evens(starts)) * load.mw for load in loads),
        last_price_lost_usd=sum(_lost_usd(last, usd, hours, load.break_evens(starts)) * load.mw for load in loads),
        pinball_usd_per_mwh=_pinball(quantiles, usd, levels),
        last_price_pinball_usd_per_mwh=_pinball(np.repeat(last[:, None], len(levels), 1), usd, levels),
        covered={level: float((usd <= quantiles[:, n]).mean()) for n, level in enumerate(levels)},
    )


def _lost_usd(decided_on: Floats, usd: Floats, hours: Floats, break_even: Floats) -> float:
    """What running or sleeping by one price loses against the other, usd for each MW: the distance from the break-even where they
    disagree."""
    wrong = (decided_on < break_even) != (usd < break_even)
    return float((np.abs(usd - break_even)[wrong] * hours[wrong]).sum())


def _pinball(quantiles: Floats, usd: Floats, levels: tuple[float, ...]) -> float:
    above = usd[:, None] - quantiles
    return float(np.maximum(above * np.array(levels), above * (np.array(levels) - 1.0)).mean()) if levels else 0.0
