"""A seeded market that looks like ERCOT or MISO: the same seed gives the same facts, whatever windows are asked for."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import day_ahead_point
from markets.facts import Fact, HashEconomics, IndicativePrices, LoadForecast, Price, PriceMarket, ReservePrice, SystemLoad, Temperature
from markets.grid import Grid, Interval, Market, OperatingDay, utc

Floats = NDArray[np.float64]

NAME = "synthetic"
BASE_MIN = 5  # everything is made in five minutes and averaged to the market's interval
REAL_TIME_DELAY = timedelta(minutes=2)
DAY_AHEAD_AT = time(13, 30)  # market time, the day before
FORECAST_AT = (time(10, 30), time(16, 30))  # market time, the day before: two vintages
CAP_USD_PER_MWH = 5000.0
RUN_DELAY = timedelta(seconds=15)  # from the beginning of a dispatch run's five minutes to the publication of its prices
LOOK_AHEAD_STEPS = 11  # of five minutes, as ERCOT's look-ahead run has

RESERVES = {  # share of a positive energy price, floor, $/MW per hour
    Market.ERCOT: {"REGUP": (0.11, 1.6), "REGDN": (0.07, 1.1), "RRS": (0.09, 1.0), "ECRS": (0.10, 0.6), "NSPIN": (0.05, 0.4)},
    Market.MISO: {"REG": (0.25, 6.0), "SPIN": (0.06, 1.2), "SUPP": (0.02, 0.3)},
    Market.TARIFF: {},
}
SYSTEM_MW = {Market.ERCOT: 46_000.0, Market.MISO: 66_000.0, Market.TARIFF: 20_000.0}
REAL_TIME_RUN = {
    Market.ERCOT: PriceMarket.REAL_TIME_15_MIN,
    Market.MISO: PriceMarket.REAL_TIME_5_MIN,
    Market.TARIFF: PriceMarket.REAL_TIME_15_MIN,
}


@dataclass(frozen=True, slots=True)
class Weather:
    """A day in five-minute steps, shape (n,): hour of the market's day, air in C, and wind and sun as shares of what is built."""

    hour: Floats
    celsius: Floats
    wind: Floats
    sun: Floats


class SyntheticSource:
    """The synthetic market as a Source: real-time and day-ahead prices of `points`, reserve prices, load and its forecast, temperature;
    hash economics too when asked. Published with the delays of the real market. With `dispatch_runs` ERCOT's real-time prices are also
    published as they come about: the price of each five minutes at their beginning, of which the settled price is the mean, and the
    market's own expectation of the next 55 minutes, which errs the more the further it looks."""

    name = NAME
    synthetic = True

    def __init__(
        self, market: Market, seed: int, points: Iterable[str], hash_economics: bool = False, *, dispatch_runs: bool = False
    ) -> None:
        self._market = market
        self._seed = seed
        self._points = sorted(set(points))
        self._hash = hash_economics
        self._dispatch_runs = dispatch_runs and market is Market.ERCOT
        self._days: OrderedDict[date, tuple[list[datetime], list[Fact]]] = OrderedDict()

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The facts that became known in (since, until], in order of `known_at`."""
        since, until = utc(since), utc(until)
        found: list[Fact] = []
        on, last = (since - timedelta(days=2)).date(), (until + timedelta(days=3)).date()
        while since < until and on <= last:
            known, facts = self._day(on)
            found += facts[bisect_right(known, since) : bisect_right(known, until)]
            on += timedelta(days=1)
        return sorted(found, key=lambda fact: fact.known_at)

    def _day(self, on: date) -> tuple[list[datetime], list[Fact]]:
        """A day's facts in order of `known_at`; the last few days are kept."""
        if on not in self._days:
            facts = sorted(self._facts(OperatingDay(self._market, on)), key=lambda fact: fact.known_at)
            self._days[on] = [fact.known_at for fact in facts], facts
            if len(self._days) > 16:
                self._days.popitem(last=False)
        return self._days[on]

    def _facts(self, day: OperatingDay) -> Iterable[Fact]:
        base, fine, hours = day.grid(BASE_MIN), day.grid(), day.grid(60)
        weather = self._weather(day, base)
        load = self._load(day, weather)
        calm, lively = self._system_price(day, weather, load)
        yield from self._prices(day, weather, calm, lively)
        yield from self._reserve_prices(day, _mean(calm, hours), _mean(lively, fine))
        for over, mw in zip(fine.intervals, _mean(load, fine), strict=True):
            yield SystemLoad(source=NAME, known_at=over.end + REAL_TIME_DELAY, over=over, load_mw=round(float(mw), 1))
        for clock in FORECAST_AT:
            missed = 1 + 0.012 * self._rng(f"forecast{clock}", day.on).standard_normal(len(hours))
            for over, mw in zip(hours.intervals, _mean(load, hours) * missed, strict=True):
                yield LoadForecast(source=NAME, known_at=_day_before(day, clock), over=over, load_mw=round(float(mw), 1))
        for over, celsius in zip(hours.intervals, _mean(weather.celsius, hours), strict=True):
            yield Temperature(source=NAME, known_at=over.start, over=over, celsius=round(float(celsius), 1))
        if self._hash:
            yield self._economics(day.on)

    def _rng(self, label: str, on: date) -> np.random.Generator:
        return np.random.default_rng([self._seed & (2**63 - 1), zlib.crc32(f"{self._market} {label}".encode()), on.toordinal()])

    def _drift(self, label: str, on: date, steps: int) -> Floats:
        """A slow standard-normal course from this midnight's value to the next one's, so that days join."""
        first, last = (float(self._rng(label, d).standard_normal()) for d in (on, on + timedelta(days=1)))
        share = (1 - np.cos(np.pi * np.arange(steps) / steps)) / 2
        return first + (last - first) * share

    def _weather(self, day: OperatingDay, base: Grid) -> Weather:
        n = len(base)
        local = [over.start.astimezone(self._market.tz) for over in base.intervals]
        hour = np.array([at.hour + at.minute / 60 for at in local])
        summer = np.cos(2 * np.pi * (day.on.timetuple().tm_yday - 205) / 365.25)
        celsius = 19 + 11 * summer + 6 * np.cos(2 * np.pi * (hour - 16) / 24) + 3.5 * self._drift("air", day.on, n)
        wind = 1 / (1 + np.exp(-(1.1 * self._drift("wind", day.on, n) + 0.6 * np.cos(2 * np.pi * (hour - 1) / 24) - 0.1)))
        half_day = 5.8 + 1.2 * summer
        above = np.clip(np.cos(np.pi * (hour - 13.3) / (2 * half_day)), 0, None) * (np.abs(hour - 13.3) < half_day)
        return Weather(hour, celsius, wind, above * (0.8 + 0.2 * np.tanh(self._drift("cloud", day.on, n))))

    def _load(self, day: OperatingDay, weather: Weather) -> Floats:
        """The market's total load: people's day, cooling and heating; the month's coincident peak falls on its hottest afternoon."""
        people = 0.07 * np.cos(2 * np.pi * (weather.hour - 18) / 24) + 0.02 * np.cos(4 * np.pi * (weather.hour - 8) / 24)
        cooling, heating = np.clip(weather.celsius - 19, 0, None), np.clip(11 - weather.celsius, 0, None)
        habit = self._drift("load", day.on, len(weather.hour))
        week = 0.95 if day.on.weekday() >= 5 else 1.0
        return SYSTEM_MW[self._market] * week * (1 + people + 0.030 * cooling + 0.022 * heating + 0.01 * habit)

    def _system_price(self, day: OperatingDay, weather: Weather, load: Floats) -> tuple[Floats, Floats]:
        """(what the day-ahead market can foresee, what real time brings), $/MWh: below zero in wind and sun, scarce evenings, spikes."""
        rng = self._rng("price", day.on)
        tight = load / SYSTEM_MW[self._market] - 0.60 * weather.wind - 0.42 * weather.sun
        calm = 21 + 88 * (tight - 0.72) + 90 * np.clip(tight - 0.95, 0, None) ** 2
        calm = np.where(calm < 0, np.maximum(calm, -28 + 4 * np.tanh(calm / 20)), calm)
        peak = rng.uniform(90, 190) if rng.random() > 0.02 else rng.uniform(900, 4200)
        middle = 19.6 if weather.celsius.mean() > 15 else 18.4
        evening = peak * np.exp(-0.5 * ((weather.hour - middle - rng.normal(0, 0.3)) / rng.uniform(0.4, 0.8)) ** 2)
        lively = calm + evening + rng.normal(0, 1.8, len(calm))
        spikes = int(rng.integers(4, 8))
        quarters = rng.choice(len(calm) // 3 - 2, spikes, replace=False) * 3
        for k, first in enumerate(sorted(quarters)):
            over = slice(first, first + 3 * int(rng.integers(1, 3)))
            height = rng.uniform(135, 190) if k % 2 == 0 else rng.uniform(65, 130)  # above every rig's breakeven, or between them
            lively[over] = np.maximum(lively[over], height + rng.normal(0, 2, len(lively[over])))
        return calm + 0.8 * evening, np.minimum(lively, CAP_USD_PER_MWH)

    def _prices(self, day: OperatingDay, weather: Weather, calm: Floats, lively: Floats) -> Iterable[Fact]:
        fine, hours = day.grid(), day.grid(60)
        run, published = REAL_TIME_RUN[self._market], _day_before(day, DAY_AHEAD_AT)
        for point in self._points:
            five_minutes = lively + self._congestion(point, day, weather)
            if self._dispatch_runs:
                yield from self._runs(point, day, five_minutes)
            usd = _mean(five_minutes, fine)
            for over, price in zip(fine.intervals, usd, strict=True):
                known = over.end + REAL_TIME_DELAY
                yield Price(source=NAME, known_at=known, point=point, market=run, over=over, usd_per_mwh=round(float(price), 2))
        for point in sorted({day_ahead_point(p) for p in self._points}):
            missed = 1 + 0.06 * self._rng(f"dam {point}", day.on).standard_normal(len(hours))
            usd = _mean(calm + self._congestion(point, day, weather), hours) * missed + 2.0
            for over, price in zip(hours.intervals, usd, strict=True):
                dam = PriceMarket.DAY_AHEAD_HOURLY
                yield Price(source=NAME, known_at=published, point=point, market=dam, over=over, usd_per_mwh=round(float(price), 2))

    def _runs(self, point: str, day: OperatingDay, usd: Floats) -> Iterable[Fact]:
        """The prices of a day's dispatch runs, and what each look-ahead run expects until the day's end at most: the further ahead, the
        nearer to the price of now and the noisier."""
        steps, run = day.grid(BASE_MIN).intervals, PriceMarket.REAL_TIME_SCED
        noise = self._rng(f"look-ahead {point}", day.on).standard_normal((len(steps), LOOK_AHEAD_STEPS))
        for n, over in enumerate(steps):
            known = over.start + RUN_DELAY
            yield Price(source=NAME, known_at=known, point=point, market=run, over=over, usd_per_mwh=round(float(usd[n]), 2))
            ahead = usd[n + 1 : n + 1 + LOOK_AHEAD_STEPS]
            if not len(ahead):
                continue
            foreseen = 1 - 0.06 * np.arange(1, len(ahead) + 1)
            expected = foreseen * ahead + (1 - foreseen) * usd[n]
            expected += noise[n, : len(ahead)] * (0.5 + 0.03 * np.abs(expected)) * np.sqrt(np.arange(1, len(ahead) + 1))
            span = Interval(over.end, steps[n + len(ahead)].end)
            prices = tuple(round(float(price), 2) for price in np.minimum(expected, CAP_USD_PER_MWH))
            yield IndicativePrices(source=NAME, known_at=known, point=point, over=span, usd_per_mwh=prices)

    def _congestion(self, point: str, day: OperatingDay, weather: Weather) -> Floats:
        """A point's own part of the price: load zones a little dearer, the windy west cheaper when it blows, all with their own drift."""
        own = 1.5 * self._drift(f"point {point}", day.on, len(weather.hour))
        zone = 2.0 if point.startswith("LZ_") else 0.0
        return own + zone - (9.0 * np.clip(weather.wind - 0.7, 0, None) if "WEST" in point else 0.0)

    def _reserve_prices(self, day: OperatingDay, day_ahead: Floats, real_time: Floats) -> Iterable[ReservePrice]:
        """Capacity follows the energy it displaces; real-time prices by quarter hour only in ERCOT (since 2025-12-05, RTC+B)."""
        fine, hours, published = day.grid(), day.grid(60), _day_before(day, DAY_AHEAD_AT)
        for product, (share, floor) in RESERVES[self._market].items():
            noise = self._rng(f"reserve {product}", day.on)
            usd = floor * noise.lognormal(0, 0.3, len(hours)) + share * np.clip(day_ahead - 15, 0, None)
            for over, price in zip(hours.intervals, usd, strict=True):
                yield ReservePrice(
                    source=NAME, known_at=published, product=product, market="DAM", over=over, usd_per_mw_h=round(float(price), 2)
                )
            if self._market is not Market.ERCOT:
                continue
            usd = 0.5 * floor * noise.lognormal(0, 0.5, len(fine)) + share * np.clip(real_time - 45, 0, None)
            for over, price in zip(fine.intervals, usd, strict=True):
                known = over.end + REAL_TIME_DELAY
                yield ReservePrice(
                    source=NAME, known_at=known, product=product, market="REAL_TIME_15_MIN", over=over, usd_per_mw_h=round(float(price), 2)
                )

    def _economics(self, on: date) -> HashEconomics:
        """A UTC day's mining figures: a hashprice that wanders about 45 $/PH/day; the difficulty changes every 14 days."""
        period = date.fromordinal(on.toordinal() // 14 * 14)
        difficulty = 1.27e14 * (1 + 0.02 * float(np.tanh(self._rng("difficulty", period).standard_normal())))
        week = date.fromordinal(on.toordinal() // 7 * 7)
        slow = [float(self._rng("btc", week + timedelta(days=7 * k)).standard_normal()) for k in (0, 1)]
        share = (on - week).days / 7
        btc_usd = 90_000.0 * (1 + 0.05 * float(np.tanh(slow[0] * (1 - share) + slow[1] * share)))
        fees = 0.03 * float(self._rng("fees", on).lognormal(0, 0.4))
        known = datetime.combine(on, time(), UTC) + timedelta(days=1)
        return HashEconomics(
            source=NAME, known_at=known, on=on, difficulty=difficulty, btc_usd=round(btc_usd, 2), fees_btc_per_block=fees, subsidy_btc=3.125
        )


def _mean(values: Floats, grid: Grid) -> Floats:
    """Five-minute values averaged onto a grid of the same day whose intervals are all of one length."""
    means: Floats = values.reshape(len(grid), -1).mean(axis=1)
    return means


def _day_before(day: OperatingDay, clock: time) -> datetime:
    return datetime.combine(day.on - timedelta(days=1), clock, day.market.tz).astimezone(UTC)
