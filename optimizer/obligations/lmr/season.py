"""The season an LMR is registered for, and what it promises over it."""

from __future__ import annotations

from datetime import date, timedelta

from optimizer.domain.capacity_seasons import season_start
from optimizer.domain.season_promise import SeasonPromise

LONGER_THAN_A_SEASON = timedelta(days=100)


def seasons_from(on: date) -> tuple[tuple[date, date], tuple[date, date]]:
    """The season that holds a day and the next, [first, last) each."""
    begins = season_start(on)
    following = season_start(begins + LONGER_THAN_A_SEASON)
    return (begins, following), (following, season_start(following + LONGER_THAN_A_SEASON))


def days_left(on: date) -> int:
    """The days from a day to the end of its season."""
    return (season_start(season_start(on) + LONGER_THAN_A_SEASON) - on).days


def of_season(over: tuple[date, date], figures: tuple[float, float, float | None], notice_min: float, calls: int | None) -> SeasonPromise:
    """The promise of every hour of a season, [first, last); `figures` are MW, the MW that may stay, and usd_per_mw_day."""
    begins, ends = over
    most = "" if calls is None else f"at most {calls} calls"
    return SeasonPromise("LMR", begins, ends, "", 24.0 * (ends - begins).days, *figures, "usd_per_mw_day", 60.0 * notice_min, most)
