"""A utility's tariff: its energy charge by season, day and hour, or an hourly file, given as day-ahead and real-time prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import product
from typing import Protocol

from markets.facts import Fact, Price, PriceMarket
from markets.grid import Interval, utc

NAME = "tariff"
HOUR = timedelta(hours=1)
# Each midnight a table gives the prices of so many days: longer than the horizon of any plan.
AHEAD_DAYS = 9
PUBLISHED = time(16, 0)
A_LEAP_YEAR = 2024


class Rates(Protocol):
    """What energy costs by the hour."""

    def price(self, start: datetime) -> float | None:
        """usd_per_mwh of the hour that begins at an instant; None when the tariff has none."""
        ...

    def published_on(self, day: date) -> tuple[datetime, Iterable[date]]:
        """The instant at which prices are published on a day, and the days they are for."""
        ...

    def midnight(self, day: date) -> datetime:
        """The start of a day on the tariff's clock, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class TariffPeriod:
    """Hours at one price. A field that is None puts no condition.

    months     calendar months
    season     (first, last) as (month, day), both inside; may cross the end of the year
    weekdays   True: Monday to Friday without holidays; False: weekends and holidays
    hours      clock hours by their beginning
    """

    name: str
    usd_per_mwh: float
    months: frozenset[int] | None = None
    season: tuple[tuple[int, int], tuple[int, int]] | None = None
    weekdays: bool | None = None
    hours: frozenset[int] | None = None

    def holds(self, on: date, hour: int, holiday: bool) -> bool:
        """Whether the period holds in the hour that begins at `hour` on a day; `holiday` says whether that day is one."""
        if self.months is not None and on.month not in self.months:
            return False
        if self.season is not None and not _within(self.season, (on.month, on.day)):
            return False
        if self.weekdays is not None and self.weekdays is not (on.weekday() < 5 and not holiday):
            return False
        return self.hours is None or hour in self.hours


@dataclass(frozen=True, slots=True)
class RateTable:
    """A time-of-use table: the first period that holds gives the price."""

    periods: tuple[TariffPeriod, ...]
    tz: tzinfo
    holidays: frozenset[date] = frozenset()

    def period(self, on: date, hour: int, holiday: bool) -> TariffPeriod | None:
        """The period that gives the price in an hour; None when none holds."""
        return next((p for p in self.periods if p.holds(on, hour, holiday)), None)

    def price(self, start: datetime) -> float | None:
        """usd_per_mwh of the hour that begins at `start`; None when no period holds."""
        local = start.astimezone(self.tz)
        found = self.period(local.date(), local.hour, local.date() in self.holidays)
        return found.usd_per_mwh if found else None

    def published_on(self, day: date) -> tuple[datetime, Iterable[date]]:
        """Midnight of the day, and the nine days from then on."""
        return self.midnight(day), (day + timedelta(days=k) for k in range(AHEAD_DAYS))

    def midnight(self, day: date) -> datetime:
        """The start of a day on the tariff's clock, in UTC."""
        return datetime.combine(day, time(), self.tz).astimezone(UTC)

    def gaps(self) -> Iterator[str]:
        """Days and hours of a year without a price, in words, the first of each month."""
        for month in range(1, 13):
            days = [d for n in range(31) if (d := date(A_LEAP_YEAR, month, 1) + timedelta(days=n)).month == month]
            for on, hour, holiday in product(days, range(24), (False, True)):
                if self.period(on, hour, holiday) is None:
                    what = "a holiday" if holiday else f"a {on:%A}"
                    yield f"no period holds on {what} in {on:%B} from {hour}:00"
                    break

    def unused(self) -> list[str]:
        """Names of the periods that never give the price, because others before them always hold."""
        days = [date(A_LEAP_YEAR, 1, 1) + timedelta(days=n) for n in range(366)]
        used = {p.name for d, h, k in product(days, range(24), (False, True)) if (p := self.period(d, h, k))}
        return [p.name for p in self.periods if p.name not in used]


@dataclass(frozen=True, slots=True)
class Hourly:
    """Prices by the hour, published the day before."""

    prices: Mapping[datetime, float]
    tz: tzinfo
    published: time = PUBLISHED

    def price(self, start: datetime) -> float | None:
        """usd_per_mwh of the hour that begins at `start`; None when the file has none."""
        return self.prices.get(start)

    def published_on(self, day: date) -> tuple[datetime, Iterable[date]]:
        """The hour of publication on a day, and the next day."""
        return datetime.combine(day, self.published, self.tz).astimezone(UTC), (day + timedelta(days=1),)

    def midnight(self, day: date) -> datetime:
        """The start of a day on the tariff's clock, in UTC."""
        return datetime.combine(day, time(), self.tz).astimezone(UTC)


@dataclass(slots=True)
class TariffSource:
    """The tariff as a Source. Every hour is given ahead as a day-ahead price, and again when it begins as the real-time price that
    settles."""

    rates: Rates
    points: Sequence[str]
    tz: tzinfo
    name: str = field(default=NAME, init=False)
    synthetic: bool = field(default=False, init=False)

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The facts that became known in (since, until], in order of `known_at`."""
        since, until = utc(since), utc(until)
        facts: list[Fact] = []
        hour = since.replace(minute=0, second=0, microsecond=0)
        while (hour := hour + HOUR) <= until:
            facts += self._prices(hour, hour, PriceMarket.REAL_TIME_HOURLY)
        day, last = since.astimezone(self.tz).date() - timedelta(days=1), until.astimezone(self.tz).date()
        while day <= last:
            known, days = self.rates.published_on(day)
            for on in days if since < known <= until else ():
                for start in self._hours(on):
                    facts += self._prices(start, known, PriceMarket.DAY_AHEAD_HOURLY)
            day += timedelta(days=1)
        return sorted(facts, key=lambda fact: fact.known_at)

    def _hours(self, on: date) -> Iterator[datetime]:
        start, end = self.rates.midnight(on), self.rates.midnight(on + timedelta(days=1))
        while start < end:
            yield start
            start += HOUR

    def _prices(self, start: datetime, known: datetime, market: PriceMarket) -> Iterator[Price]:
        usd = self.rates.price(start)
        for point in self.points if usd is not None else ():
            over = Interval(start, start + HOUR)
            yield Price(source=NAME, known_at=known, point=point, market=market, over=over, usd_per_mwh=usd or 0.0)


def _within(season: tuple[tuple[int, int], tuple[int, int]], on: tuple[int, int]) -> bool:
    first, last = season
    return first <= on <= last if first <= last else on >= first or on <= last
