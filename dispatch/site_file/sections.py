"""The sections [prices], [hash], [generation] and [weather] of a site file: where facts come from.

Frozen; secrets only by reference. Each table chooses one class by its `source`, through the entry points of `markets.sources`,
`markets.hashprices`, `markets.generation` and `markets.weather`, built-in and plugged in alike. A class holds the table's keys and opens
the source they name, whose module is imported only then.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from dispatch.site_file.field_types import Text, Url
from dispatch.site_file.setup import GenerationSettings, HashSettings, Now, PricesSettings, Setup, WeatherSettings
from markets.grid import Market
from markets.sources.source import Source
from optimizer.domain.site import Positive


class GridstatusPrices(PricesSettings):
    """The market's own feed, through gridstatus in a killable child process. With `dispatch_runs` ERCOT's five-minute and indicative prices
    are read too, in a second one."""

    source: Literal["gridstatus"] = "gridstatus"
    deadline_s: Positive = 60.0
    dispatch_runs: bool = True
    live: ClassVar[bool] = True

    def opened(self, setup: Setup, now: Now) -> Source:
        if setup.site.market is Market.MISO:
            from markets.sources.miso import MisoSource

            return MisoSource(setup.settlement_points, now, deadline_s=self.deadline_s)
        from markets.sources.ercot import ErcotSource

        return ErcotSource(setup.settlement_points, now, deadline_s=self.deadline_s)

    def runs_opened(self, setup: Setup, now: Now) -> Source | None:
        if not self.dispatch_runs or setup.site.market is not Market.ERCOT:
            return None
        from markets.sources.ercot_runs import ErcotRunsSource

        return ErcotRunsSource(setup.settlement_points, now, deadline_s=self.deadline_s)


class ArchivePrices(PricesSettings):
    """Facts kept by `loadstone archive import`; `path` is a folder, relative to the site file."""

    source: Literal["archive"] = "archive"
    path: Text

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive.archive import MARKET_KINDS, Archive, ArchiveSource

        return ArchiveSource(Archive(setup.resolve(self.path)), setup.settlement_points, setup.site.market, MARKET_KINDS)


class SyntheticPrices(PricesSettings):
    """A seeded market that looks like the site's; every screen and statement says that it is one. With `dispatch_runs` ERCOT's five-minute
    and indicative prices are published too."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = 0
    dispatch_runs: bool = True

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.synthetic import SyntheticSource

        return SyntheticSource(setup.site.market, self.seed, setup.settlement_points, dispatch_runs=self.dispatch_runs)


class ArchiveGeneration(GenerationSettings):
    """Measurements and forecasts kept by `loadstone archive import`; `path` is a folder, relative to the site file."""

    source: Literal["archive"] = "archive"
    path: Text

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive.archive import Archive, ArchiveSource
        from markets.archive.tables import GENERATION_KINDS

        return ArchiveSource(Archive(setup.resolve(self.path)), (), setup.site.market, GENERATION_KINDS)


class CsvGeneration(GenerationSettings):
    """A CSV or Parquet file of measurements and one of forecasts, each read again when it changes; paths relative to the site file."""

    source: Literal["csv"] = "csv"
    measured: Text | None = None
    forecast: Text | None = None

    @model_validator(mode="after")
    def _one_file(self) -> CsvGeneration:
        if self.measured is None and self.forecast is None:
            raise ValueError("needs measured, forecast or both")
        return self

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive.tables import GENERATION_KINDS
        from markets.sources.fact_tables import FactTables

        return FactTables("generation", [setup.resolve(name) for name in (self.measured, self.forecast) if name], GENERATION_KINDS)


class SyntheticGeneration(GenerationSettings):
    """Solar plants under a seeded sky: a forecast the day before and measurements as time goes; every statement says so."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = 0

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.synthetic_sun import SyntheticSun

        machines = [made for contract in setup.book if (made := contract.generator(setup.site)) is not None and made.variable]
        return SyntheticSun(setup.site.market, self.seed, {made.name: made.mw for made in machines})


class FixedHash(HashSettings):
    """One hashprice for ever: a hedge, or a figure to try."""

    source: Literal["fixed"] = "fixed"
    usd_per_ph_day: Positive

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.hashprice import FixedHashprice

        return FixedHashprice(self.usd_per_ph_day)


class ArchiveHash(HashSettings):
    """The day's own difficulty, fees and BTC price from an archive; `path` defaults to that of the prices."""

    source: Literal["archive"] = "archive"
    path: Text | None = None

    def folder(self, setup: Setup) -> Path:
        """The archive's folder."""
        return setup.resolve(self.path or (setup.prices.path if isinstance(setup.prices, ArchivePrices) else "."))

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive.archive import Archive, ArchiveSource

        return ArchiveSource(Archive(self.folder(setup)), (), setup.site.market, ("hash",))


class MempoolHash(HashSettings):
    """A mempool.space instance, one's own or the public one."""

    source: Literal["mempool"] = "mempool"
    url: Url
    live: ClassVar[bool] = True

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.hashprice import MempoolHashprice

        return MempoolHashprice(self.url, now)


class BitcoindHash(HashSettings):
    """A bitcoind of one's own by its cookie file. It knows no price of BTC: `btc_usd`, or the mempool instance that tells it."""

    source: Literal["bitcoind"] = "bitcoind"
    url: Url
    cookie: Text
    btc_usd: Positive | None = None
    price_url: Url | None = None
    live: ClassVar[bool] = True

    @model_validator(mode="after")
    def _one_price(self) -> BitcoindHash:
        if (self.btc_usd is None) == (self.price_url is None):
            raise ValueError("needs one of btc_usd and price_url: bitcoind does not know the price of BTC")
        return self

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.hashprice import BitcoindHashprice

        return BitcoindHashprice(self.url, setup.resolve(self.cookie), now, btc_usd=self.btc_usd, price_url=self.price_url)


class OpenMeteoWeather(WeatherSettings):
    """Open-Meteo's forecast of one's own or the public server, by the URL that asks it for `hourly=temperature_2m`."""

    source: Literal["open-meteo"] = "open-meteo"
    url: Url
    live: ClassVar[bool] = True

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.weather import OpenMeteo

        return OpenMeteo(self.url, now)


class NwsWeather(WeatherSettings):
    """The National Weather Service's hourly forecast of a grid cell, or the newest observation of a station, by URL."""

    source: Literal["nws"] = "nws"
    url: Url
    live: ClassVar[bool] = True

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.weather import NationalWeather

        return NationalWeather(self.url, now)


class CsvWeather(WeatherSettings):
    """A table that another program writes, read again when it changes."""

    source: Literal["csv"] = "csv"
    file: Text

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.fact_tables import FactTables

        return FactTables("weather", [setup.resolve(self.file)], {"temperature"})


class ArchiveWeather(WeatherSettings):
    """Temperatures kept by `loadstone archive import`; `path` is a folder, relative to the site file."""

    source: Literal["archive"] = "archive"
    path: Text

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive.archive import Archive, ArchiveSource

        return ArchiveSource(Archive(setup.resolve(self.path)), (), setup.site.market, ("temperature",))
