"""What a price model looks at: past real-time and day-ahead prices of one point, the same for training and for use. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook
from markets.facts import Price
from markets.grid import Interval, Market

Floats = NDArray[np.float64]
DAY_S = 86_400
BACK = timedelta(days=2)  # how far back a feature reaches
AHEAD = timedelta(hours=6)  # how far ahead of the interval the day-ahead prices are looked at, and beyond

LAGS = (1, 2, 3, 4, 5, 8, 12)  # intervals back
HOURS_AHEAD = (-1, 0, 1, 2)  # day-ahead prices of these hours from the interval's
PRICES = (
    *(f"real_time_{lag}_back" for lag in LAGS),
    *(f"day_ahead_{hours:+d}_h" for hours in HOURS_AHEAD),
    *("day_before_earlier", "day_before", "day_before_later", "day_ahead_of_day_before", "day_before_error_added"),
    *("highest_2_h", "lowest_2_h", "mean_1_h", "highest_day"),
    *("error_1_h_added", "error_4_h_added", "extrapolated"),
)
OTHERS = ("interval_of_hour", "hour", "month", "weekday", "change", "over_day_ahead")
COLUMNS = (*PRICES, *OTHERS)


@dataclass(frozen=True, slots=True, eq=False)
class PriceHistory:
    """Real-time and day-ahead prices on the settlement intervals from `start_s` (epoch seconds, UTC) on, usd_per_mwh, shape (n,), NaN where
    none is known. `hour`, `weekday` and `month` are the market's own, shape (n,)."""

    start_s: int
    step_s: int
    real_time: Floats
    day_ahead: Floats
    hour: Floats
    weekday: Floats
    month: Floats

    @classmethod
    def of(cls, start_s: int, step_s: int, real_time: Floats, day_ahead: Floats, market: Market) -> PriceHistory:
        """With the calendar of a market."""
        starts = start_s + step_s * np.arange(len(real_time), dtype=np.int64)
        hours, position = np.unique(starts // 3600, return_inverse=True)
        local = [datetime.fromtimestamp(int(h) * 3600, UTC).astimezone(market.tz) for h in hours]
        calendar = np.array([(at.hour, at.weekday(), at.month) for at in local], dtype=np.float64).reshape(-1, 3)[position]
        hour, weekday, month = calendar.T
        return cls(start_s, step_s, real_time, day_ahead, hour, weekday, month)

    @classmethod
    def before(cls, book: FactBook, point: str, first: datetime, step_s: int, market: Market) -> PriceHistory:
        """What a book knows of a point before the interval that starts at `first`, and its day-ahead prices after that."""
        history = cls.over(book, point, Interval(first - BACK, first + AHEAD), step_s, market)
        history.real_time[int(BACK.total_seconds()) // step_s :] = np.nan
        return history

    @classmethod
    def over(cls, book: FactBook, point: str, over: Interval, step_s: int, market: Market) -> PriceHistory:
        """What a book knows of a point over a span that starts with an interval."""
        start_s, n = int(over.start.timestamp()), int((over.end - over.start).total_seconds()) // step_s
        real_time, day_ahead = (_placed(prices(point, over), start_s, step_s, n) for prices in (book.real_time, book.dam))
        return cls.of(start_s, step_s, real_time, day_ahead, market)


def _placed(prices: tuple[Price, ...], start_s: int, step_s: int, n: int) -> Floats:
    """Prices on equal steps. One that holds for several steps is repeated; one that is shorter than a step is left out."""
    values = np.full(n, np.nan)
    for price in prices:
        first = -(-(int(price.over.start.timestamp()) - start_s) // step_s)
        last = (int(price.over.end.timestamp()) - start_s) // step_s
        values[max(first, 0) : max(last, 0)] = price.usd_per_mwh
    return values


def features(history: PriceHistory, rows: NDArray[np.int64]) -> Floats:
    """The features of intervals (positions in the history, shape (n,)) from what is known at their start: shape (n, len(COLUMNS)). Each
    is seen from before the interval, but for the day-ahead prices, which are published the day before. Positions that reach outside the
    history have no value (NaN)."""
    real, ahead = history.real_time, history.day_ahead
    hour, day = 3600 // history.step_s, DAY_S // history.step_s
    last, hour_of = _at(real, rows - 1), history.start_s + rows * history.step_s
    error = real - ahead
    now = _at(ahead, rows)
    two_hours = _window(real, rows, 2 * hour)
    with np.errstate(all="ignore"):
        columns = [
            *(_at(real, rows - lag) for lag in LAGS),
            *(_at(ahead, rows + hours * hour) for hours in HOURS_AHEAD),
            *(_at(real, rows - day + k) for k in (-1, 0, 1)),
            _at(ahead, rows - day),
            now + _at(error, rows - day),
            *_reduced(two_hours, (np.nanmax, np.nanmin)),
            *_reduced(_window(real, rows, hour), (np.nanmean,)),
            *_reduced(_window(real, rows, day), (np.nanmax,)),
            now + _reduced(_window(error, rows, hour), (np.nanmedian,))[0],
            now + _reduced(_window(error, rows, 4 * hour), (np.nanmedian,))[0],
            2 * last - _at(real, rows - 2),
            (hour_of % 3600 // history.step_s).astype(np.float64),
            *(_at(part, rows) for part in (history.hour, history.month, history.weekday)),
            *(np.sign(gap) * np.log1p(np.abs(gap)) for gap in (last - _at(real, rows - 2), last - now)),
        ]
    return np.stack(columns, axis=1)


def seen_from_break_even(columns: Floats, break_even: Floats) -> Floats:
    """Features of rows as a miner with a break-even (usd_per_mwh, positive, shape (n,)) sees them: prices as multiples of it, so that a
    model learned at one level of prices holds at another."""
    prices = len(PRICES)
    multiples = np.clip(np.arcsinh(2.0 * columns[:, :prices] / break_even[:, None]), -6.0, 6.0)
    return np.concatenate((multiples, columns[:, prices:]), axis=1)


def _at(values: Floats, rows: NDArray[np.int64]) -> Floats:
    inside = (rows >= 0) & (rows < len(values))
    return np.where(inside, values[np.clip(rows, 0, len(values) - 1)], np.nan)


def _window(values: Floats, rows: NDArray[np.int64], length: int) -> Floats:
    """The `length` values before each row, shape (n, length)."""
    return _at(values, rows[:, None] - np.arange(length, 0, -1))


def _reduced(windows: Floats, by: tuple[Callable[..., Floats], ...]) -> list[Floats]:
    """Statistics of windows, shape (n,) each; NaN for a window without a value."""
    known = ~np.isnan(windows).all(axis=1)
    out = []
    for statistic in by:
        values = np.full(len(windows), np.nan)
        values[known] = statistic(windows[known], axis=1)
        out.append(values)
    return out
