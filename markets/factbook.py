"""The book of facts: everything known at an instant, the newest vintage of each fact. The order in which facts arrive does not matter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from markets.facts import (
    Fact,
    GenerationForecast,
    GridStatus,
    HashEconomics,
    HashPrice,
    IndicativePrices,
    IndicativeReservePrices,
    LoadForecast,
    MeasuredGeneration,
    Price,
    PriceForecast,
    PriceMarket,
    ReservePrice,
    SystemLoad,
    Temperature,
)
from markets.grid import Interval
from markets.hashmath import usd_per_ph_day
from markets.quarantine.confirmation import believed_and_quarantined

KEEP = timedelta(days=8)  # a week of same hours, and the day before it
TEMPERATURE_STALE_AFTER = timedelta(hours=3)
AIR_HELD_FOR = timedelta(minutes=30)  # the next reading is asked for a quarter hour after the last, and an answer takes time
KEEP_PEAKS = timedelta(days=95)  # a season's highest system load so far, from any day of it
PEAKS_OF_S = 6 * 3600  # of older loads the highest of each six hours stays

# A dispatch run says what the interval under way is worth; once that interval is over its settled price replaces the runs.
KEEP_RUNS = timedelta(hours=6)

# Of two real-time prices that end together, the one the market settles on comes first.
REAL_TIME = (PriceMarket.REAL_TIME_15_MIN, PriceMarket.REAL_TIME_5_MIN, PriceMarket.REAL_TIME_HOURLY)
SCED = PriceMarket.REAL_TIME_SCED

Indicative = IndicativePrices | IndicativeReservePrices | PriceForecast
Spanning = Price | ReservePrice | SystemLoad | LoadForecast | Temperature | HashPrice | MeasuredGeneration | GenerationForecast | Indicative
S = TypeVar(
    "S", Price, ReservePrice, SystemLoad, LoadForecast, Temperature, HashPrice, MeasuredGeneration, GenerationForecast, IndicativePrices,
    IndicativeReservePrices, PriceForecast,
)  # fmt: skip
F = TypeVar("F", bound=Fact)


def day_ahead_point(point: str) -> str:
    """Where the day-ahead market prices a point: the energy-weighted zone LZ_X_EW exists in real time only, day-ahead it is LZ_X."""
    return point.removesuffix("_EW") if point.startswith("LZ_") else point


def start_of(fact: Spanning) -> datetime:
    """The start of the interval that a fact holds over."""
    return fact.over.start


def _rank(fact: Fact) -> tuple[datetime, str]:
    # repr only breaks the tie of two facts known at one instant, so that the order of arrival does not matter
    return fact.known_at, repr(fact)


def _merged(series: tuple[F, ...], new: list[F], key: Callable[[F], Any]) -> tuple[F, ...]:
    """A series with new facts, in order of `key`: the newest vintage for each key."""
    if len(new) == 1 and (not series or key(new[0]) > key(series[-1])):
        return (*series, new[0])
    by_key = {key(fact): fact for fact in series}
    for fact in new:
        old = by_key.get(key(fact))
        if old is None or _rank(fact) > _rank(old):
            by_key[key(fact)] = fact
    return tuple(by_key[at] for at in sorted(by_key))


def _within(series: tuple[S, ...], over: Interval) -> tuple[S, ...]:
    """Those that start inside `over`, and the one in progress at its start."""
    first = bisect_right(series, over.start, key=start_of)
    if first and series[first - 1].over.end > over.start:
        first -= 1
    return series[first : bisect_left(series, over.end, key=start_of)]


def _at(series: tuple[S, ...], at: datetime) -> S | None:
    n = bisect_right(series, at, key=start_of)
    return series[n - 1] if n and at in series[n - 1].over else None


@dataclass(frozen=True, slots=True)
class FactBook:
    """What is known. Each series is in order of time and holds one fact for each interval.

    prices       by (settlement point, market)
    reserves     by (product, market)
    indicative   by settlement point, the newest look-ahead run; `indicative_reserves` by product
    forecasts    by settlement point, the newest forecast of the site's price model
    generation   by plant, measured; `generation_forecasts` by plant
    economics    by UTC day
    quarantined  implausible figures that wait for another source, or a later publication, to give the same; nothing else here has them
    """

    prices: Mapping[tuple[str, PriceMarket], tuple[Price, ...]] = field(default_factory=dict)
    reserves: Mapping[tuple[str, str], tuple[ReservePrice, ...]] = field(default_factory=dict)
    indicative: Mapping[str, tuple[IndicativePrices, ...]] = field(default_factory=dict)
    indicative_reserves: Mapping[str, tuple[IndicativeReservePrices, ...]] = field(default_factory=dict)
    forecasts: Mapping[str, tuple[PriceForecast, ...]] = field(default_factory=dict)
    loads: tuple[SystemLoad, ...] = ()
    load_forecasts: tuple[LoadForecast, ...] = ()
    temperatures: tuple[Temperature, ...] = ()
    hashprices: tuple[HashPrice, ...] = ()
    economics: tuple[HashEconomics, ...] = ()
    generation: Mapping[str, tuple[MeasuredGeneration, ...]] = field(default_factory=dict)
    generation_forecasts: Mapping[str, tuple[GenerationForecast, ...]] = field(default_factory=dict)
    quarantined: tuple[Fact, ...] = ()
    grid_status: GridStatus | None = None

    def after(self, facts: Iterable[Fact]) -> FactBook:
        """The book with these facts too; kinds that it does not keep (calls, awards) are ignored."""
        keyed: dict[str, dict[Any, list[Any]]] = {}
        plain: dict[str, list[Any]] = {}
        status = self.grid_status
        believed, quarantined = believed_and_quarantined([*self.quarantined, *facts])
        for fact in believed:
            if (found := _keyed_series_of(fact)) is not None:
                keyed.setdefault(found[0], {}).setdefault(found[1], []).append(fact)
            elif isinstance(fact, GridStatus):
                status = fact if status is None or (fact.at, _rank(fact)) > (status.at, _rank(status)) else status
            elif (name := _SERIES_OF.get(type(fact))) is not None:
                plain.setdefault(name, []).append(fact)
        changes: dict[str, Any] = {"quarantined": tuple(dict.fromkeys(quarantined))} if quarantined or self.quarantined else {}
        changes |= {name: _merged(getattr(self, name), new, _day_of if name == "economics" else start_of) for name, new in plain.items()}
        for name, by_key in keyed.items():
            had = getattr(self, name)
            merged = {key: _merged(had.get(key, ()), new, start_of) for key, new in by_key.items()}
            changes[name] = {**had, **({key: runs[-1:] for key, runs in merged.items()} if name in _NEWEST_ONLY else merged)}
        if status is not self.grid_status:
            changes["grid_status"] = status
        return replace(self, **changes) if changes else self

    def prune(self, before: datetime) -> FactBook:
        """The book without what ended by `before`, and without dispatch runs that did a week later. The newest price of each point, the
        newest hash figures, and the highest system loads of the last 95 days stay."""

        def kept(series: tuple[S, ...], run: str = "") -> tuple[S, ...]:
            first = bisect_right(series, before + (KEEP - KEEP_RUNS) if run == SCED else before, key=lambda f: f.over.end)
            return series[min(first, len(series) - 1) :] if first else series

        return FactBook(
            prices={key: kept(series, key[1]) for key, series in self.prices.items()},
            reserves={key: kept(series, key[1]) for key, series in self.reserves.items()},
            indicative=self.indicative,
            indicative_reserves=self.indicative_reserves,
            forecasts=self.forecasts,
            loads=(*_peaks(self.loads, before), *kept(self.loads)),
            load_forecasts=kept(self.load_forecasts),
            temperatures=kept(self.temperatures),
            hashprices=kept(self.hashprices),
            economics=tuple(e for e in self.economics if e.on >= before.date() or e is self.economics[-1]),
            generation={plant: kept(series) for plant, series in self.generation.items()},
            generation_forecasts={plant: kept(series) for plant, series in self.generation_forecasts.items()},
            quarantined=tuple(fact for fact in self.quarantined if fact.known_at > before),
            grid_status=self.grid_status,
        )

    def _real_time_series(self, point: str) -> tuple[Price, ...]:
        """Prices of the real-time run with the newest price at a point, of those that the market settles on; dispatch runs where there is
        none."""
        runs = [series for market in REAL_TIME if (series := self.prices.get((point, market)))]
        if not runs:
            return self.prices.get((point, SCED), ())
        return max(runs, key=lambda series: series[-1].over.end, default=())  # max keeps the first of equals

    def last_price(self, point: str) -> Price | None:
        """The newest published real-time price at a settlement point."""
        series = self._real_time_series(point)
        return series[-1] if series else None

    def real_time(self, point: str, over: Interval) -> tuple[Price, ...]:
        """Real-time prices of a point that overlap a span, in order."""
        return _within(self._real_time_series(point), over)

    def dispatch_runs(self, point: str, over: Interval) -> tuple[Price, ...]:
        """Prices of a point that the market's dispatch runs gave for times inside a span, in order."""
        return _within(self.prices.get((point, SCED), ()), over)

    def recent(self, point: str, hours: float) -> tuple[Price, ...]:
        """The real-time prices of the last `hours` up to the newest one."""
        last = self.last_price(point)
        return self.real_time(point, Interval(last.over.end - timedelta(hours=hours), last.over.end)) if last else ()

    def dam(self, point: str, over: Interval) -> tuple[Price, ...]:
        """Published day-ahead prices that hold for a point within a span, in order."""
        return _within(self.prices.get((day_ahead_point(point), PriceMarket.DAY_AHEAD_HOURLY), ()), over)

    def reserve(self, product: str, over: Interval, market: str = "DAM") -> tuple[ReservePrice, ...]:
        """Clearing prices of a product within a span, in order."""
        return _within(self.reserves.get((product, market), ()), over)

    def last_reserve(self, product: str, market: str) -> ReservePrice | None:
        """The newest clearing price of a product in a run."""
        series = self.reserves.get((product, market))
        return series[-1] if series else None

    def reserve_products(self, market: str = "DAM") -> tuple[str, ...]:
        """The reserve products that a run has clearing prices of, in alphabetical order."""
        return tuple(sorted(product for product, run in self.reserves if run == market))

    def temperature(self, at: datetime) -> Temperature | None:
        """Outside air at an instant, the newest reading while the next is on its way; None when it is not known."""
        if (found := _at(self.temperatures, at)) is not None:
            return found
        before = self.temperatures[: bisect_right(self.temperatures, at, key=start_of)]
        return before[-1] if before and at - before[-1].over.end < AIR_HELD_FOR else None

    def available_mw(self, plant: str, at: datetime) -> float | None:
        """What a plant can make at an instant, MW: as measured, else as forecast; None when neither is known."""
        found = _at(self.generation.get(plant, ()), at) or _at(self.generation_forecasts.get(plant, ()), at)
        return found.mw if found else None

    def system_load(self) -> SystemLoad | None:
        """The newest reading of the market's total load."""
        return self.loads[-1] if self.loads else None

    def hashprice(self, at: datetime) -> HashPrice | None:
        """The hashprice at an instant, as far as is known: one that holds then, else one computed from the newest day of economics before
        it, else the newest earlier hashprice."""
        holding = [h for h in self.hashprices if at in h.over]
        if holding:
            return max(holding, key=_rank)
        today = at.astimezone(UTC).date()
        if days := [e for e in self.economics if e.on <= today]:
            return hashprice_of(days[-1], from_day=days[-1].on + timedelta(days=1))
        past = [h for h in self.hashprices if h.over.start <= at]
        return max(past, key=_rank, default=None)

    def hashprice_on(self, on: date) -> HashPrice | None:
        """The hashprice of a UTC day computed from its own economics: what that day settles at."""
        days = [e for e in self.economics if e.on == on]
        return hashprice_of(days[0], from_day=on) if days else None


def hashprice_of(economics: HashEconomics, from_day: date) -> HashPrice:
    """The hashprice computed from a day's economics, as it holds over the UTC day `from_day`."""
    start = datetime(from_day.year, from_day.month, from_day.day, tzinfo=UTC)
    return HashPrice(
        source=economics.source,
        known_at=economics.known_at,
        over=Interval(start, start + timedelta(days=1)),
        usd_per_ph_day=usd_per_ph_day(economics.difficulty, economics.btc_usd, economics.fees_btc_per_block, economics.subsidy_btc),
        basis=f"difficulty, fees and BTC price of {economics.on.isoformat()}",
    )


def _peaks(loads: tuple[SystemLoad, ...], before: datetime) -> tuple[SystemLoad, ...]:
    """The highest load of each six hours, of the loads that ended in the 95 days up to `before`."""
    highest: dict[int, SystemLoad] = {}
    for load in loads[:-1]:  # the newest stays anyway
        if before - KEEP_PEAKS < load.over.end <= before:
            block = int(load.over.start.timestamp()) // PEAKS_OF_S
            if block not in highest or load.load_mw > highest[block].load_mw:
                highest[block] = load
    return tuple(highest.values())


def _day_of(economics: HashEconomics) -> date:
    return economics.on


def _keyed_series_of(fact: Fact) -> tuple[str, Any] | None:
    """The field of the book that holds a fact under a key, and that key; None for a fact of another kind."""
    if (found := _KEYED.get(type(fact))) is None:
        return None
    name, *parts = found
    key = tuple(getattr(fact, part) for part in parts)
    return name, key if len(key) > 1 else key[0]


_KEYED: dict[type[Fact], tuple[str, ...]] = {
    Price: ("prices", "point", "market"),
    ReservePrice: ("reserves", "product", "market"),
    IndicativePrices: ("indicative", "point"),
    IndicativeReservePrices: ("indicative_reserves", "product"),
    PriceForecast: ("forecasts", "point"),
    MeasuredGeneration: ("generation", "plant"),
    GenerationForecast: ("generation_forecasts", "plant"),
}
_NEWEST_ONLY = frozenset({"indicative", "indicative_reserves", "forecasts"})
_SERIES_OF: dict[type[Fact], str] = {
    SystemLoad: "loads",
    LoadForecast: "load_forecasts",
    Temperature: "temperatures",
    HashPrice: "hashprices",
    HashEconomics: "economics",
}
