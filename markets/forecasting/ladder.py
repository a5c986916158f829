"""The outlook on a grid: published prices, and stand-ins by a fixed ladder where nothing is published. Every value states its basis.
Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets import counted, usd_text
from markets.factbook import SCED, TEMPERATURE_STALE_AFTER, FactBook, day_ahead_point
from markets.facts import STALE_AFTER, Price
from markets.forecasting.generation import available_generation
from markets.forecasting.last_price_ahead import last_price_ahead
from markets.forecasting.model_ahead import ModelAhead, model_ahead
from markets.forecasting.near_term import NearTerm, interval_under_way, near_term
from markets.forecasting.outlook_values import (
    DAY,
    DAYS_BACK,
    HOUR,
    days_before,
    filled_from_earlier_days,
    filled_with_same_hours,
    means_on,
    system_load,
)
from markets.grid import Grid, Interval, Market, utc
from markets.outlook import Basis, Outlook, PeakWindow, PriceBasis
from markets.quarantine.plausible import implausible
from markets.series import Series

Floats = NDArray[np.float64]
HELD_FOR = HOUR  # how far ahead the last real-time price counts beside the day-ahead market
OLDEST_STAND_IN = DAY  # no plan is made on an older price
# Where reserve clears in real time, best first.
RESERVE_RUNS = ("REAL_TIME_15_MIN", "REAL_TIME_5_MIN", "REAL_TIME_HOURLY")
QUARANTINED_NAMED = 3  # implausible figures that notes and alerts name one by one
MILD_CELSIUS = 25.0  # at and under which facilities draw no extra overhead

_STEPS = tuple(PriceBasis)


def plan_grid(at: datetime, control_interval_min: int, horizon_h: int) -> Grid:
    """The grid of a plan made at `at`: from now to the next control boundary, control intervals through the next three full hours, then
    hours until `horizon_h` after now, rounded up to the hour."""
    now = int(utc(at).timestamp())
    step, this_hour = control_interval_min * 60, now - now % 3600
    last = -(-(now + horizon_h * 3600) // 3600) * 3600
    fine_until = min(this_hour + 4 * 3600, last)
    edges = {now, fine_until, *range(fine_until, last + 1, 3600)}
    for hour in range(this_hour, fine_until, 3600):  # control intervals start at the hour, whatever their length
        edges.update(edge for edge in range(hour, hour + 3600, step) if edge > now)
    return Grid(np.array(sorted(edges), dtype=np.int64))


def stale_after(market: Market, price: Price) -> timedelta:
    """How long after its end a price may be the newest: the market's allowance, and more for intervals longer than its own."""
    longer = (price.over.end - price.over.start) - timedelta(minutes=market.settlement_min)
    return STALE_AFTER[market.value] + max(longer, timedelta(0))


def outlook(
    book: FactBook,
    at: datetime,
    grid: Grid,
    points: Sequence[str],
    market: Market,
    hash_default: float | None = None,
    synthetic: bool = False,
    peak_windows_min: Sequence[PeakWindow] = (),
) -> Outlook:
    """The outlook on a grid that the facts of a book give at an instant, with gaps filled.
    Energy: what dispatch and look-ahead runs say, else the site's price model, else for an hour the last real-time price unless stale, on
    its way back to the day-ahead price moved by its error of late; then the published day-ahead price; then persistence. A stale real-time
    price steps the ladder down: day-ahead for now too, then the last price while younger than a day, then safe state (NaN). Reserve takes
    the same steps, and its last price does not return.
    `hash_default`, usd_per_ph_day, is used while no hashprice is known; `peak_windows_min` are the coincident peaks to predict.
    """
    at = utc(at)
    energies = {point: _energy(book, at, grid, point, market) for point in sorted(set(points))}
    hashprice, hash_notes = _hashprice(book, at, grid, hash_default)
    temperature, air_notes = _temperature(book, at, grid)
    peak_share, peak_notes = _peak_share(book, grid, market, peak_windows_min)
    reserve, reserve_basis = _reserve(book, at, grid, market)
    available_mw, sun_notes = available_generation(book, at, grid)
    price_basis = max((e.price_basis for e in energies.values()), key=_STEPS.index, default=PriceBasis.SAFE_STATE)
    return Outlook(
        at,
        grid,
        **_energy_fields(energies),
        hashprice=hashprice,
        temperature_c=temperature,
        price_basis=PriceBasis.SAFE_STATE if np.isnan(hashprice.values).any() else price_basis,
        reserve=reserve,
        reserve_basis=reserve_basis,
        system_load_mw=system_load(book, grid),
        peak_share=peak_share,
        available_mw=available_mw,
        synthetic=synthetic or any(prices[-1].source == "synthetic" for prices in book.prices.values() if prices),
        notes=(*(n for e in energies.values() for n in e.notes), *hash_notes, *air_notes, *peak_notes, *sun_notes, *quarantine_notes(book)),
    )


def _energy_fields(energies: Mapping[str, _Energy]) -> dict[str, Any]:
    """The fields of an outlook that say what energy is expected to cost."""
    models = {point: e.model for point, e in energies.items() if e.model.forecast is not None}
    return {
        "energy": {point: e.price for point, e in energies.items()},
        "basis": {point: e.basis for point, e in energies.items()},
        "quantiles": {point: model.quantiles for point, model in models.items()},
        "spike_probability": {point: model.spike_probability for point, model in models.items()},
    }


@dataclass(frozen=True, slots=True)
class _Energy:
    price: Series
    basis: tuple[Basis, ...]
    price_basis: PriceBasis
    model: ModelAhead
    notes: tuple[str, ...]


def _energy(book: FactBook, at: datetime, grid: Grid, point: str, market: Market) -> _Energy:
    last = book.last_price(point)
    age = at - last.over.end if last else None
    fresh = last is not None and age is not None and age <= stale_after(market, last)
    usable = last is not None and age is not None and age <= OLDEST_STAND_IN
    under_way = interval_under_way(at, market.settlement_min)
    ahead = near_term(book.dispatch_runs(point, under_way), book.indicative.get(point, ()), at, grid, market)
    real_time_fresh, fresh = fresh, fresh or not np.isnan(ahead.estimate)
    published = book.dam(point, grid.over)
    values = means_on(published, grid)
    basis = [Basis.FORECAST if gap else Basis.PUBLISHED for gap in np.isnan(values)]
    missing_hours = float(grid.hours[np.isnan(values)].sum())
    price_basis = PriceBasis.REAL_TIME if fresh else PriceBasis.SAFE_STATE if np.isnan(values[0]) else PriceBasis.DAY_AHEAD

    # A tariff's price holds for its own hour: the next one is known.
    held_to = last.over.end if last is not None and market is Market.TARIFF else at + HELD_FOR
    near = grid.edges[:-1] < held_to.timestamp()
    if last is not None and usable:
        holds = near if fresh else near & np.isnan(values)
        known_ahead = market is Market.TARIFF
        values = np.where(holds, last.usd_per_mwh if known_ahead else last_price_ahead(book, point, values, at, grid), values)
        held = Basis.PUBLISHED if at in last.over else Basis.HELD
        basis = [held if holds_here else old for holds_here, old in zip(holds, basis, strict=True)]
    model = model_ahead(book, point, last, at, grid) if real_time_fresh else ModelAhead()
    values, basis = model.over(values, basis)
    if last is None or at not in last.over:
        values, basis = ahead.over(values, basis)
    values = filled_with_same_hours(book, point, grid, values)
    known_lately = usable or (book.dam(point, Interval(at - OLDEST_STAND_IN, at)) and not np.isnan(values[0]))
    if price_basis is PriceBasis.SAFE_STATE and known_lately:
        price_basis = PriceBasis.PERSISTENCE
    if price_basis is PriceBasis.SAFE_STATE:
        values = np.full(len(grid), np.nan)
    else:  # an hour that no earlier day has keeps the price of the interval before
        holes = np.isnan(values)
        values = values[np.maximum.accumulate(np.where(holes, 0, np.arange(len(values))))]
        basis = [Basis.HELD if hole else old for hole, old in zip(holes, basis, strict=True)]
    notes = _energy_notes(point, last, age, price_basis, missing_hours if published else None)
    now = (*_estimate_note(point, basis[0], ahead), *model.note(basis[0]))
    return _Energy(Series(grid, values, "usd_per_mwh"), tuple(basis), price_basis, model, (*now, *notes))


def _estimate_note(point: str, basis: Basis, ahead: NearTerm) -> tuple[str, ...]:
    """How the price of the interval under way is estimated."""
    if basis is not Basis.ESTIMATED:
        return ()
    indicative = "its indicative prices for the rest" if Basis.INDICATIVE in ahead.basis else "the newest run for the rest"
    runs = f"{counted(ahead.runs, 'dispatch run')} so far and {indicative}" if ahead.runs else "the market's indicative prices"
    return (f"The price at {point} of the interval under way, {usd_text(ahead.estimate)}/MWh, is estimated from {runs}.",)


def _energy_notes(
    point: str, last: Price | None, age: timedelta | None, price_basis: PriceBasis, missing_hours: float | None
) -> tuple[str, ...]:
    notes = []
    if price_basis is not PriceBasis.REAL_TIME:
        problem = f"No real-time price at {point} is known"
        if last and age is not None:
            problem = f"The newest real-time price at {point} is {_minutes(age)} old"
        stand_in = {
            PriceBasis.DAY_AHEAD: "the day-ahead price is used.",
            PriceBasis.PERSISTENCE: "no day-ahead price is published for now; the last price or the same hour of the day before is used.",
            PriceBasis.SAFE_STATE: "no other price is known, and the safe state holds.",
        }[price_basis]
        notes.append(f"{problem}; {stand_in}")
    if price_basis is PriceBasis.SAFE_STATE:
        return tuple(notes)
    if missing_hours is None:
        notes.append(f"No day-ahead price at {day_ahead_point(point)} is known; the same hours of earlier days or the last price are used.")
    elif missing_hours:
        notes.append(
            f"The day-ahead price at {day_ahead_point(point)} is not published for {missing_hours:.4g} h of the horizon; "
            "the same hours of earlier days are used."
        )
    return tuple(notes)


def quarantine_notes(book: FactBook) -> tuple[str, ...]:
    """A sentence for each of the newest figures that wait in quarantine, and how many more there are."""
    newest = sorted(book.quarantined, key=lambda fact: fact.known_at)[-QUARANTINED_NAMED:]
    more = len(book.quarantined) - len(newest)
    return (*(f"{implausible(fact)}." for fact in newest), *([f"{counted(more, 'more figure')} of this kind wait too."] if more else []))


def _minutes(age: timedelta) -> str:
    minutes = age.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 180 else f"{minutes / 60:.0f} h"


def _temperature(book: FactBook, at: datetime, grid: Grid) -> tuple[Series, list[str]]:
    """Outside air: as known or forecast, else that of the same hours of earlier days, else the last one known. Where none is known, or
    the newest is stale, it is unknown: 25 C is assumed, and a note says so."""
    if not book.temperatures:
        return Series.flat(grid, MILD_CELSIUS, "celsius"), [f"No outside temperature is known; {MILD_CELSIUS:g} C is assumed."]
    newest_end = book.temperatures[-1].over.end
    if at - newest_end > TEMPERATURE_STALE_AFTER:
        age = _minutes(at - newest_end)
        note = f"The newest outside temperature ended {age} ago; {MILD_CELSIUS:g} C is assumed."
        return Series.flat(grid, MILD_CELSIUS, "celsius"), [note]
    values = filled_from_earlier_days(grid, book.temperatures)
    past = [t for t in book.temperatures if t.over.start <= at]
    return Series(grid, np.where(np.isnan(values), past[-1].celsius if past else MILD_CELSIUS, values), "celsius"), []


def _hashprice(book: FactBook, at: datetime, grid: Grid, default: float | None) -> tuple[Series, list[str]]:
    known = book.hashprice(at)
    unit = "usd_per_ph_day"
    if known is None:
        if default is None:
            return Series.flat(grid, np.nan, unit), ["No hashprice is known; the safe state holds."]
        return Series.flat(grid, default, unit), [f"No hashprice is known yet; {usd_text(default)}/PH/day from the site file is used."]
    notes = []
    if at >= known.over.end:
        notes.append(f"The newest hashprice held until {known.over.end.astimezone(UTC):%Y-%m-%d %H:%M} UTC; it is still used.")
    return Series.flat(grid, known.usd_per_ph_day, unit), notes


def _reserve(book: FactBook, at: datetime, grid: Grid, market: Market) -> tuple[dict[str, Series], dict[str, tuple[Basis, ...]]]:
    """Clearing prices by product, as energy has them: now and within the hour what the market's runs say, else the last real-time price
    unless it is stale, then the day-ahead price, then the same hours of the latest earlier day that has them. Where no real-time market
    clears reserve, only day-ahead prices are used."""
    reserve, basis = {}, {}
    runs = [run for run in RESERVE_RUNS if book.reserve_products(run)]
    near = grid.edges[:-1] < (at + HELD_FOR).timestamp()
    for product in sorted({p for run in ("DAM", *runs) for p in book.reserve_products(run)}):
        values = means_on(book.reserve(product, grid.over), grid)
        bases = [Basis.FORECAST if gap or runs else Basis.PUBLISHED for gap in np.isnan(values)]
        last = next((found for run in runs if (found := book.last_reserve(product, run)) is not None), None)
        if last is not None and at - last.over.end <= STALE_AFTER[market.value]:
            values = np.where(near, last.usd_per_mw_h, values)
            held = Basis.PUBLISHED if at in last.over else Basis.HELD
            bases = [held if is_near else old for is_near, old in zip(near, bases, strict=True)]
        if last is None or at not in last.over:
            under_way = interval_under_way(at, market.settlement_min)
            ahead = near_term(book.reserve(product, under_way, SCED), book.indicative_reserves.get(product, ()), at, grid, market)
            values, bases = ahead.over(values, bases)
        for run in ("DAM", *runs):
            for days in range(1, DAYS_BACK + 1):
                if not np.isnan(values).any():
                    break
                before = means_on(book.reserve(product, days_before(grid.over, days), run), grid, days * DAY)
                values = np.where(np.isnan(values), before, values)
        if not np.isnan(values).all():
            reserve[product], basis[product] = Series(grid, values, "usd_per_mw_h"), tuple(bases)
    return reserve, basis


def _peak_share(
    book: FactBook, grid: Grid, market: Market, windows_min: Sequence[PeakWindow]
) -> tuple[dict[PeakWindow, Series], list[str]]:
    from markets.forecasting.peaks import coincident_peak_probability

    found = {window: coincident_peak_probability(book, grid, market, window) for window in dict.fromkeys(windows_min)}
    missing = any(series is None for series in found.values())
    notes = ["No system load is known or forecast: coincident peaks cannot be predicted."] if missing else []
    return {window: series for window, series in found.items() if series is not None}, notes
