"""The prices a day settles at: the newest vintage of the run the market settles on, exact, with its source."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine

from dispatch.site_file.sections import ArchiveHash, ArchivePrices, FixedHash
from dispatch.site_file.setup import Setup
from dispatch.store.prices import hashprices_known, price_vintages, reserve_prices_known
from markets import usd_text
from markets.factbook import hashprice_of
from markets.facts import HashEconomics, HashPrice, Price, PriceMarket, ReservePrice
from markets.forecasting.ladder import RESERVE_RUNS
from markets.grid import Grid, Interval, Market
from markets.quarantine.confirmation import believed_and_quarantined
from markets.quarantine.plausible import implausible
from optimizer.domain import reserve_awards
from optimizer.domain.money import decimal

NAN = Decimal("NaN")
P = TypeVar("P", Price, ReservePrice)

# Real-time energy settles on these runs, best first: ERCOT Nodal Protocols 6.6.1 (15 minutes, never SCED); MISO BPM-005 (5 minutes;
# an hour's LMP is their mean).
SETTLES_ON = {
    Market.ERCOT: (PriceMarket.REAL_TIME_15_MIN,),
    Market.MISO: (PriceMarket.REAL_TIME_5_MIN, PriceMarket.REAL_TIME_HOURLY),
    Market.TARIFF: (PriceMarket.REAL_TIME_15_MIN, PriceMarket.REAL_TIME_HOURLY),
}


@dataclass(frozen=True, slots=True)
class SettlementPrices:
    """Values on a grid, shape (n,), NaN where nothing is published; `source` names what they came from, for people.

    known_at     the newest vintage among them
    vintages     when each was known, shape (n,); only of energy prices
    superseded   other values that earlier vintages had: position, when it was known, value; the older first at each position
    """

    values: tuple[Decimal, ...]
    source: str
    known_at: datetime | None
    vintages: tuple[datetime | None, ...] = ()
    superseded: tuple[tuple[int, datetime, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class DayPrices:
    """Everything a day is priced with.

    energy            by settlement point, usd_per_mwh
    reserve           by product, usd_per_mw_h in real time
    hashprice         usd_per_ph_day before the pool's fee
    btc_usd           price of bitcoin by the economics that the hashprice was computed from, NaN where it was not computed, shape (n,)
    energy_before     by settlement point: the last price of the hour before the day, usd_per_mwh, NaN where there is none
    """

    energy: dict[str, SettlementPrices]
    reserve: dict[str, SettlementPrices]
    hashprice: SettlementPrices
    btc_usd: tuple[Decimal, ...]
    energy_before: dict[str, float]

    @property
    def known_at(self) -> datetime | None:
        """The newest vintage of any of them."""
        used = (*self.energy.values(), *self.reserve.values(), self.hashprice)
        return max((p.known_at for p in used if p.known_at), default=None)


def day_prices(engine: Engine, setup: Setup, economics: Sequence[HashEconomics], grid: Grid, known_at: datetime | None) -> DayPrices:
    """The prices of every settlement point of the site and of every reserve product its contracts sell. `economics` are the difficulty,
    fees and BTC price of UTC days as the journal saw them. Raises LedgerUnavailable."""
    economics, _ = believed_and_quarantined(economics)
    return DayPrices(
        energy={point: energy_prices(engine, setup, point, grid, known_at) for point in setup.settlement_points},
        reserve=all_reserve_prices(engine, setup, grid, known_at),
        hashprice=hashprices(engine, setup, economics, grid, known_at),
        btc_usd=_btc_prices(engine, setup, economics, grid, known_at),
        energy_before={point: _last_before(engine, setup, point, grid, known_at) for point in setup.settlement_points},
    )


def _last_before(engine: Engine, setup: Setup, point: str, grid: Grid, known_at: datetime | None) -> float:
    hour = Grid.regular(grid.start - timedelta(hours=1), grid.start, setup.site.market.settlement_min)
    known = [usd for usd in energy_prices(engine, setup, point, hour, known_at).values if not usd.is_nan()]
    return float(known[-1]) if known else float("nan")


def energy_prices(engine: Engine, setup: Setup, point: str, grid: Grid, known_at: datetime | None) -> SettlementPrices:
    """usd_per_mwh at a settlement point. A correction in the site's archive counts as one in the ledger."""
    values = [NAN] * len(grid)
    used: dict[int, Price] = {}
    superseded: list[tuple[int, datetime, Decimal]] = []
    waiting: list[Price] = []
    for market in SETTLES_ON[setup.site.market]:
        published = [*_archived(setup, point, market, grid, known_at), *price_vintages(engine, point, market, grid.over, known_at)]
        facts, doubtful = believed_and_quarantined(published)
        waiting += doubtful
        vintages_of: dict[Interval, list[Price]] = {}
        for fact in facts:
            vintages_of.setdefault(fact.over, []).append(fact)
        for n, fact in _by_position(grid, _newest(facts)):
            if values[n].is_nan():
                values[n], used[n] = decimal(fact.usd_per_mwh), fact
                earlier = [f for f in vintages_of[fact.over] if f.known_at < fact.known_at and f.usd_per_mwh != fact.usd_per_mwh]
                superseded += [(n, f.known_at, decimal(f.usd_per_mwh)) for f in sorted(earlier, key=lambda f: f.known_at)]
    vintages = tuple(used[n].known_at if n in used else None for n in range(len(grid)))
    newest = max((f.known_at for f in used.values()), default=None)
    source = "; ".join([_source(list(used.values())), *map(implausible, waiting[:1])])
    return SettlementPrices(tuple(values), source, newest, vintages, tuple(superseded))


def all_reserve_prices(engine: Engine, setup: Setup, grid: Grid, known_at: datetime | None) -> dict[str, SettlementPrices]:
    """Those of every reserve product that the site's contracts sell."""
    sold = sorted({reserve_awards.priced_as(product) for o in setup.book for product in o.reserve_products()})
    return {product: reserve_prices(engine, product, grid, known_at) for product in sold}


def reserve_prices(engine: Engine, product: str, grid: Grid, known_at: datetime | None) -> SettlementPrices:
    """usd_per_mw_h of a reserve product in real time."""
    values = [NAN] * len(grid)
    used: list[ReservePrice] = []
    waiting: list[ReservePrice] = []
    for run in RESERVE_RUNS:
        facts, doubtful = believed_and_quarantined(reserve_prices_known(engine, product, run, grid.over, known_at))
        waiting += doubtful
        for n, fact in _by_position(grid, _newest(facts)):
            if values[n].is_nan():
                values[n] = decimal(fact.usd_per_mw_h)
                used.append(fact)
    source = "; ".join([_source(used), *map(implausible, waiting[:1])])
    return SettlementPrices(tuple(values), source, max((f.known_at for f in used), default=None))


def _archived(setup: Setup, point: str, market: PriceMarket, grid: Grid, known_at: datetime | None) -> Sequence[Price]:
    folder = _archive(setup)
    if folder is None:
        return ()
    from markets.archive.archive import Archive
    from markets.archive.vintages import price_of

    rows = Archive(folder).read("price", [point], grid.over).iter_rows(named=True)
    facts = (price_of(row) for row in rows if row["market"] == market.value)
    return [f for f in facts if known_at is None or f.known_at <= known_at]


def archive_folders(setup: Setup) -> list[Path]:
    """The archives that prices and hash economics of settled days may come from."""
    return list(dict.fromkeys(folder for folder in (_archive(setup), _hash_archive(setup)) if folder is not None))


def _archive(setup: Setup) -> Path | None:
    folder = setup.resolve(setup.prices.path) if isinstance(setup.prices, ArchivePrices) else None
    return folder if folder is not None and folder.is_dir() else None


def _newest(facts: Iterable[P]) -> list[P]:
    """The last vintage of each interval; of two known at the same instant the later in the list, so the ledger's before the archive's."""
    newest: dict[tuple[datetime, datetime], P] = {}
    for fact in sorted(facts, key=lambda f: f.known_at):
        newest[(fact.over.start, fact.over.end)] = fact
    return sorted(newest.values(), key=lambda f: (f.over.start, f.over.end))


def _by_position(grid: Grid, facts: Sequence[P]) -> Iterable[tuple[int, P]]:
    """Each position of the grid whose interval one of the facts covers, with that fact; `facts` are in order of their start."""
    starts = [fact.over.start for fact in facts]
    for n, over in enumerate(grid.intervals):
        last = bisect_right(starts, over.start) - 1
        if last >= 0 and over.end <= facts[last].over.end:
            yield n, facts[last]


def _source(used: Sequence[Price] | Sequence[ReservePrice]) -> str:
    if not used:
        return "not published"
    names = list(dict.fromkeys(f"{f.source} {f.market}" for f in used))
    return f"{' and '.join(names)}, vintages to {max(f.known_at for f in used):%Y-%m-%dT%H:%M:%SZ}"


def hashprices(engine: Engine, setup: Setup, economics: Sequence[HashEconomics], grid: Grid, known_at: datetime | None) -> SettlementPrices:
    """usd_per_ph_day before the pool's fee: the owner's figure where it is fixed; else by the economics of the interval's own UTC day; else
    the newest published hashprice that covers its start; else by the economics of the newest day before."""
    if isinstance(setup.hash, FixedHash):
        usd = decimal(setup.hash.usd_per_ph_day)
        return SettlementPrices((usd,) * len(grid), f"fixed by the site's owner at {usd_text(usd)}/PH/day", None)
    published = believed_and_quarantined(hashprices_known(engine, grid.over, known_at))[0]
    own = _own_days(setup, economics, grid, known_at)
    values, used = [], []
    for over in grid.intervals:
        fact = own.get(over.start.date().isoformat()) or _covering(published, over.start) or _day_before(economics, over.start)
        values.append(decimal(fact.usd_per_ph_day) if fact else NAN)
        used += [fact] if fact else []
    bases = list(dict.fromkeys(f.basis for f in used))
    return SettlementPrices(tuple(values), "; ".join(bases) or "not known", max((f.known_at for f in used), default=None))


def _own_days(setup: Setup, seen: Sequence[HashEconomics], grid: Grid, known_at: datetime | None) -> dict[str, HashPrice]:
    """Hashprices of UTC days by their own economics: as the journal saw them, else as the archive has them."""
    economics = _economics(setup, seen, known_at)
    days = {over.start.date() for over in grid.intervals}
    return {on.isoformat(): hashprice_of(economics[on], from_day=on) for on in sorted(days) if on in economics}


def _btc_prices(engine: Engine, setup: Setup, seen: Sequence[HashEconomics], grid: Grid, known_at: datetime | None) -> tuple[Decimal, ...]:
    """The price of bitcoin behind `hashprices`, interval by interval."""
    if isinstance(setup.hash, FixedHash):
        return (NAN,) * len(grid)
    economics, published = _economics(setup, seen, known_at), believed_and_quarantined(hashprices_known(engine, grid.over, known_at))[0]
    found = []
    for over in grid.intervals:
        own = economics.get(over.start.date())
        before = None if _covering(published, over.start) else _newest_before(seen, over.start)
        used = own or before
        found.append(decimal(used.btc_usd) if used else NAN)
    return tuple(found)


def _economics(setup: Setup, seen: Sequence[HashEconomics], known_at: datetime | None) -> dict[date, HashEconomics]:
    """The economics of UTC days, as the journal saw them, else as the archive has them."""
    economics = {e.on: e for e in sorted(seen, key=lambda e: e.known_at)}
    folder = _hash_archive(setup)
    if folder is not None:
        from markets.archive.archive import Archive

        kept, _ = believed_and_quarantined(Archive(folder).economics())
        economics = {e.on: e for e in kept if known_at is None or e.known_at <= known_at} | economics
    return economics


def _hash_archive(setup: Setup) -> Path | None:
    if not isinstance(setup.hash, ArchiveHash):
        return None
    folder = setup.resolve(setup.hash.path) if setup.hash.path else _archive(setup)
    return folder if folder is not None and folder.is_dir() else None


def _covering(published: Sequence[HashPrice], at: datetime) -> HashPrice | None:
    return max((h for h in published if at in h.over), key=lambda h: (h.over.start, h.known_at), default=None)


def _day_before(economics: Sequence[HashEconomics], at: datetime) -> HashPrice | None:
    past = _newest_before(economics, at)
    return hashprice_of(past, from_day=at.date()) if past else None


def _newest_before(economics: Sequence[HashEconomics], at: datetime) -> HashEconomics | None:
    return max((e for e in economics if e.on < at.date()), key=lambda e: e.on, default=None)
