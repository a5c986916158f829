"""How likely each future interval is to have the highest load of its month or season. Pure.

The load of a future interval is its forecast, corrected by how the latest readings differ from theirs; without a forecast it is the load of
the same hours of earlier days, moved with the newest reading. Its error is small an hour ahead, grows to that of a day ahead, and is one
for a whole day, with a small error of each interval. The highest load of the days that neither readings nor the horizon cover lies a little
above the highest of the last two weeks and of the month, the less the fewer they are. An interval is the peak when its load is above the
month's highest reading so far and above everything still to come.

The constants are fitted to ERCOT's hourly loads of the summers of 2022 and 2024, the scale to each of them in turn and checked on the other
(docs/reference/markets.md, "Coincident peaks").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.facts import SystemLoad
from markets.grid import Grid, Interval, Market

Floats = NDArray[np.float64]

# Relative errors (standard deviations).
HOUR_ERROR, LEAD = 0.006, 0.6  # of the load an hour ahead, and the power of the hours it grows with, up to that of a day
DAY_ERROR = 0.02  # of a forecast day as a whole
PERSISTENCE_ERROR = 0.04  # of a day without a forecast, taken to be like the days before
INTERVAL_ERROR = 0.004  # of one interval against its day
# The highest load of the days that are not foreseen, over the highest of the last two weeks and of the month so far.
REST_ABOVE = 0.02  # in the mean of two weeks or more, and less for fewer days:
REST_ABOVE_PER_DAY = 0.006
REST_ERROR = 0.02
TWO_WEEKS = 14
# Days of a heat wave err together, so that each of them looks likelier than it is, the more the further ahead: the share that counts an
# hour ahead while days are not foreseen, and the power of the hours it falls with.
WHILE_DAYS_REMAIN, PER_LEAD = 0.52, -0.4
USUAL = timedelta(days=TWO_WEEKS)  # whose highest load says what the days to come may reach
NODES = 9  # of the quadrature over the error of a day
LEVELS = 257  # of load, at which probabilities are evaluated
REACH = 6.0  # standard deviations that the levels span


@dataclass(frozen=True, slots=True)
class PeakPeriod:
    """What an interval must exceed to be the peak of a month or season.

    highest_mw  the highest reading so far
    days        of the part ahead: the day of each interval
    rest        the number of days of the period that neither readings nor the horizon cover
    recent_mw   the highest load of the last two weeks and of the period so far; of the horizon where nothing was read
    """

    highest_mw: float
    days: NDArray[np.int64]
    rest: int
    recent_mw: float

    @classmethod
    def of(cls, loads: Sequence[SystemLoad], fine: Grid, mw: Floats, here: NDArray[np.intp], span: Interval, market: Market) -> PeakPeriod:
        """The period `span` as its readings `loads` and the expected loads `mw` say; `here` are its intervals on the grid `fine`."""
        start = fine.intervals[int(here[0])].start
        past = [f for f in loads if f.over.start >= span.start and f.over.end <= start]
        highest_mw = max((f.load_mw for f in past), default=0.0)
        recent_mw = max((f.load_mw for f in loads if start - USUAL < f.over.end <= start), default=0.0)
        days = np.array([day_on(fine.intervals[int(t)].start, market).toordinal() for t in here], dtype=np.int64)
        seen = {on.toordinal() for on in {day_on(f.over.start, market) for f in past}} | set(days.tolist())
        rest = round((span.end - span.start).total_seconds() / 86400) - len(seen)
        return cls(highest_mw, days, max(0, rest), max(highest_mw, recent_mw) or float(mw[here].max()))

    def rest_below(self, level_mw: Floats) -> Floats:
        """The probability that the days that are not foreseen stay below a load, shape of `level_mw`."""
        from scipy.special import ndtr

        if not self.rest:
            return np.ones_like(level_mw)
        above = REST_ABOVE - REST_ABOVE_PER_DAY * max(0, TWO_WEEKS - self.rest)
        below: Floats = ndtr((np.log(level_mw / self.recent_mw) - above) / REST_ERROR)
        return below

    def probabilities(self, mw: Floats, error: Floats, hours_ahead: Floats) -> Floats:
        """The probability of each future interval to be the period's highest, shape (n,). `error` is the standard deviation that each
        interval shares with its day; `hours_ahead` are one at least."""
        from scipy.special import ndtr

        reach = REACH * (error + INTERVAL_ERROR)
        low, high = max(self.highest_mw, float((mw * (1 - reach)).max())), float((mw * (1 + reach)).max())
        out = np.zeros(len(mw))
        if high <= low:
            return out
        levels = np.linspace(low, high, LEVELS)
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        weights = weights / weights.sum()
        near = mw * (1 + reach) > low
        below: dict[int, Floats] = {}
        parts: dict[int, Floats] = {}
        for day in np.unique(self.days[near]):
            at = np.flatnonzero(near & (self.days == day))
            mean = mw[at][None, :, None] * (1 + error[at][None, :, None] * nodes[:, None, None])
            under_level = ndtr((levels - mean) / (INTERVAL_ERROR * mw[at][None, :, None]))  # (nodes, intervals, levels)
            under = np.maximum((under_level[:, :, 1:] + under_level[:, :, :-1]) / 2, 1e-300)
            all_under = np.exp(np.log(under).sum(axis=1))
            below[int(day)] = weights @ all_under
            parts[int(day)] = np.einsum("k,kil->il", weights, np.diff(under_level, axis=2) * (all_under[:, None, :] / under))
        rest = self.rest_below((levels[1:] + levels[:-1]) / 2)
        for day, part in parts.items():
            others = rest.copy()
            for other, under_it in below.items():
                if other != day:
                    others = others * under_it
            out[near & (self.days == day)] = part @ others
        sharpened: Floats = out * (WHILE_DAYS_REMAIN * hours_ahead**PER_LEAD) ** (1 - np.exp(-self.rest / 5))
        return sharpened


def day_on(at: datetime, market: Market) -> date:
    """The day on the market's clock that holds an instant."""
    return at.astimezone(market.tz).date()
