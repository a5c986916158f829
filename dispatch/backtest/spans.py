"""A backtest's span cut into parts that are run by themselves, in parallel."""

from __future__ import annotations

from datetime import datetime, timedelta

from dispatch import ConfigError
from dispatch.decide.contract_memory import remembers
from dispatch.site_file.setup import Setup
from markets.grid import Interval, OperatingDay

PART = timedelta(days=7)
SHORTEST = timedelta(days=1)


def parts_of(setup: Setup, start: datetime, end: datetime) -> tuple[Interval, ...]:
    """Parts of at most a week that begin and end with operating days, never across the end of a month; whole months where a contract of
    the site remembers days. Raises ConfigError for a span of less than a day, or one that does not begin and end at the edges of
    settlement intervals."""
    step_s = setup.site.market.settlement_min * 60
    if end - start < SHORTEST:
        raise ConfigError([f"--from {start:%Y-%m-%dT%H:%MZ} --to {end:%Y-%m-%dT%H:%MZ}: a backtest needs a span of at least one day"])
    for name, at in (("--from", start), ("--to", end)):
        if at.timestamp() % step_s:
            raise ConfigError([f"{name} {at.isoformat()}: not the edge of a settlement interval of {step_s // 60} minutes"])
    whole_months, parts, since = remembers(setup.book), [], start
    while since < end:
        until = min(_end_of_part(setup, since, whole_months), end)
        parts.append(Interval(since, until))
        since = until
    return tuple(parts)


def _end_of_part(setup: Setup, since: datetime, whole_months: bool) -> datetime:
    """The end of the part that begins at `since`: the first end of an operating day that ends a month, or a week of the month."""
    day = OperatingDay.of(setup.site.market, since)
    while True:
        tomorrow = OperatingDay(setup.site.market, day.on + timedelta(days=1))
        if tomorrow.on.day == 1 or (not whole_months and (tomorrow.on.day - 1) % PART.days == 0):
            return tomorrow.start
        day = tomorrow
