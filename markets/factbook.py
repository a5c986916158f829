"""FactBook: everything known at an instant, newest vintage first; equal facts make equal books, in whatever order they came."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from markets.facts import (
    Fact,
    GridStatus,
    HashEconomics,
    HashPrice,
    LoadForecast,
    Price,
    PriceMarket,
    ReservePrice,
    SystemLoad,
    Temperature,
)
from markets.grid import Interval
from markets.hashmath import usd_per_ph_day

KEEP = timedelta(days=8)  # a week of same hours, and the day before it
KEEP_PEAKS = timedelta(days=95)  # a season's highest system load so far, from any day of it
PEAKS_OF_S = 6 * 3600  # of older loads the highest of each six hours stays

# Of two real-time prices that end together, the one the market settles on comes first.
REAL_TIME = (PriceMarket.REAL_TIME_15_MIN, PriceMarket.REAL_TIME_5_MIN, PriceMarket.REAL_TIME_SCED, PriceMarket.REAL_TIME_HOURLY)

Spanning = Price | ReservePrice | SystemLoad | LoadForecast | Temperature | HashPrice
S = TypeVar("S", Price, ReservePrice, SystemLoad, LoadForecast, Temperature, HashPrice)
F = TypeVar("F", bound=Fact)


def day_ahead_point(point: str) -> str:
    """Where the day-ahead market prices a point: the energy-weighted zone LZ_X_EW exists in real time only, day-ahead it is LZ_X."""
    return point.removesuffix("_EW") if point.startswith("LZ_") else point


def start_of(fact: Spanning) -> datetime:
    return fact.over.start


def _rank(fact: Fact) -> tuple[datetime, str]:
    # repr only breaks the tie of two sayings of one instant, so that order of arrival does not matter
    return fact.known_at, repr(fact)


def _shelve(shelf: tuple[F, ...], new: list[F], place: Callable[[F], Any]) -> tuple[F, ...]:
    """The shelf in order of `place`, one fact a place: the newest vintage."""
    if len(new) == 1 and (not shelf or place(new[0]) > place(shelf[-1])):
        return (*shelf, new[0])
    by_place = {place(fact): fact for fact in shelf}
    for fact in new:
        old = by_place.get(place(fact))
        if old is None or _rank(fact) > _rank(old):
            by_place[place(fact)] = fact
    return tuple(by_place[at] for at in sorted(by_place))


def _slice(shelf: tuple[S, ...], over: Interval) -> tuple[S, ...]:
    """Those that start inside `over`, and the one in progress at its start."""
    first = bisect_right(shelf, over.start, key=start_of)
    if first and shelf[first - 1].over.end > over.start:
        first -= 1
    return shelf[first : bisect_left(shelf, over.end, key=start_of)]


def _at(shelf: tuple[S, ...], at: datetime) -> S | None:
    place = bisect_right(shelf, at, key=start_of)
    return shelf[place - 1] if place and at in shelf[place - 1].over else None


@dataclass(frozen=True, slots=True)
class FactBook:
    """What is known. Each shelf is in order of time and holds one fact an interval.

    prices       by (settlement point, market)
    reserves     by (product, market)
    economics    by UTC day
    """

    prices: Mapping[tuple[str, PriceMarket], tuple[Price, ...]] = field(default_factory=dict)
    reserves: Mapping[tuple[str, str], tuple[ReservePrice, ...]] = field(default_factory=dict)
    loads: tuple[SystemLoad, ...] = ()
    load_forecasts: tuple[LoadForecast, ...] = ()
    temperatures: tuple[Temperature, ...] = ()
    hashprices: tuple[HashPrice, ...] = ()
    economics: tuple[HashEconomics, ...] = ()
    grid_status: GridStatus | None = None

    def after(self, facts: Iterable[Fact]) -> FactBook:
        """The book with these facts too; kinds it does not keep (calls, awards) pass by."""
        prices: dict[tuple[str, PriceMarket], list[Price]] = {}
        reserves: dict[tuple[str, str], list[ReservePrice]] = {}
        plain: dict[str, list[Any]] = {}
        status = self.grid_status
        for fact in facts:
            if isinstance(fact, Price):
                prices.setdefault((fact.point, fact.market), []).append(fact)
            elif isinstance(fact, ReservePrice):
                reserves.setdefault((fact.product, fact.market), []).append(fact)
            elif isinstance(fact, GridStatus):
                status = fact if status is None or (fact.at, _rank(fact)) > (status.at, _rank(status)) else status
            elif (name := _SHELF.get(type(fact))) is not None:
                plain.setdefault(name, []).append(fact)
        changes: dict[str, Any] = {
            name: _shelve(getattr(self, name), new, _day_of if name == "economics" else start_of) for name, new in plain.items()
        }
        if prices:
            changes["prices"] = {**self.prices, **{k: _shelve(self.prices.get(k, ()), new, start_of) for k, new in prices.items()}}
        if reserves:
            changes["reserves"] = {**self.reserves, **{k: _shelve(self.reserves.get(k, ()), new, start_of) for k, new in reserves.items()}}
        if status is not self.grid_status:
            changes["grid_status"] = status
        return replace(self, **changes) if changes else self

    def prune(self, before: datetime) -> FactBook:
        """The book without what ended by `before`; the newest price of a point, the newest hash figures and for a month the highest system
        loads stay."""

        def kept(shelf: tuple[S, ...]) -> tuple[S, ...]:
            first = bisect_right(shelf, before, key=lambda f: f.over.end)
            return shelf[min(first, len(shelf) - 1) :] if first else shelf

        return FactBook(
            prices={key: kept(shelf) for key, shelf in self.prices.items()},
            reserves={key: kept(shelf) for key, shelf in self.reserves.items()},
            loads=(*_peaks(self.loads, before), *kept(self.loads)),
            load_forecasts=kept(self.load_forecasts),
            temperatures=kept(self.temperatures),
            hashprices=kept(self.hashprices),
            economics=tuple(e for e in self.economics if e.on >= before.date() or e is self.economics[-1]),
            grid_status=self.grid_status,
        )

    def _real_time_shelf(self, point: str) -> tuple[Price, ...]:
        """The real-time run that spoke last of a point."""
        shelves = [shelf for market in REAL_TIME if (shelf := self.prices.get((point, market)))]
        return max(shelves, key=lambda shelf: shelf[-1].over.end, default=())  # max keeps the first of equals

    def last_price(self, point: str) -> Price | None:
        """The newest published real-time price at a settlement point."""
        shelf = self._real_time_shelf(point)
        return shelf[-1] if shelf else None

    def real_time(self, point: str, over: Interval) -> tuple[Price, ...]:
        """Real-time prices of a point that overlap a span, in order."""
        return _slice(self._real_time_shelf(point), over)

    def recent(self, point: str, hours: float) -> tuple[Price, ...]:
        """The real-time prices of the last `hours` up to the newest one."""
        last = self.last_price(point)
        return self.real_time(point, Interval(last.over.end - timedelta(hours=hours), last.over.end)) if last else ()

    def dam(self, point: str, over: Interval) -> tuple[Price, ...]:
        """Published day-ahead prices that hold for a point within a span, in order."""
        return _slice(self.prices.get((day_ahead_point(point), PriceMarket.DAY_AHEAD_HOURLY), ()), over)

    def reserve(self, product: str, over: Interval, market: str = "DAM") -> tuple[ReservePrice, ...]:
        """Clearing prices of a product within a span, in order."""
        return _slice(self.reserves.get((product, market), ()), over)

    def last_reserve(self, product: str, market: str) -> ReservePrice | None:
        """The newest clearing price of a product in a run."""
        shelf = self.reserves.get((product, market))
        return shelf[-1] if shelf else None

    def reserve_products(self, market: str = "DAM") -> tuple[str, ...]:
        return tuple(sorted(product for product, run in self.reserves if run == market))

    def temperature(self, at: datetime) -> Temperature | None:
        """Outside air at an instant; None when nobody said."""
        return _at(self.temperatures, at)

    def system_load(self) -> SystemLoad | None:
        """The newest reading of the market's total load."""
        return self.loads[-1] if self.loads else None

    def hashprice(self, at: datetime) -> HashPrice | None:
        """What hashing earns at an instant, as far as is known: a hashprice that holds then, else one made from the newest day of
        economics before it, else the newest hashprice that there was."""
        holding = [h for h in self.hashprices if at in h.over]
        if holding:
            return max(holding, key=_rank)
        today = at.astimezone(UTC).date()
        if days := [e for e in self.economics if e.on <= today]:
            return hashprice_of(days[-1], from_day=days[-1].on + timedelta(days=1))
        past = [h for h in self.hashprices if h.over.start <= at]
        return max(past, key=_rank, default=None)

    def hashprice_on(self, on: date) -> HashPrice | None:
        """The hashprice a UTC day itself turned out to have, from its own economics; what that day settles at."""
        days = [e for e in self.economics if e.on == on]
        return hashprice_of(days[0], from_day=on) if days else None


def hashprice_of(economics: HashEconomics, from_day: date) -> HashPrice:
    """A day's economics as the hashprice that holds over the UTC day `from_day`."""
    start = datetime(from_day.year, from_day.month, from_day.day, tzinfo=UTC)
    return HashPrice(
        source=economics.source,
        known_at=economics.known_at,
        over=Interval(start, start + timedelta(days=1)),
        usd_per_ph_day=usd_per_ph_day(economics.difficulty, economics.btc_usd, economics.fees_btc_per_block, economics.subsidy_btc),
        basis=f"difficulty, fees and BTC price of {economics.on.isoformat()}",
    )


def _peaks(loads: tuple[SystemLoad, ...], before: datetime) -> tuple[SystemLoad, ...]:
    """Of the loads that ended by `before`, and a season back from then, the highest of each six hours."""
    highest: dict[int, SystemLoad] = {}
    for load in loads[:-1]:  # the newest stays anyway
        if before - KEEP_PEAKS < load.over.end <= before:
            block = int(load.over.start.timestamp()) // PEAKS_OF_S
            if block not in highest or load.load_mw > highest[block].load_mw:
                highest[block] = load
    return tuple(highest.values())


def _day_of(economics: HashEconomics) -> date:
    return economics.on


_SHELF: dict[type[Fact], str] = {
    SystemLoad: "loads",
    LoadForecast: "load_forecasts",
    Temperature: "temperatures",
    HashPrice: "hashprices",
    HashEconomics: "economics",
}
