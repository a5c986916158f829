"""The sections of a site file that say where facts come from, how rigs are reached and where the API listens.

Frozen; secrets only by reference. Each table chooses one class by its `source` or `kind`: the entry points of `markets.sources`,
`markets.hashprices` and `dispatch.rigs`, built-in and plugged in alike. A class is the table's keys, and opens what they name; what it
opens is imported only then.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from markets.grid import Market
from optimizer.domain.site import Fraction, Positive, Written

if TYPE_CHECKING:
    from dispatch.clock import Clock
    from dispatch.rigs import Driver
    from dispatch.site_file.setup import Setup
    from markets.sources.source import Source

    Now = Callable[[], datetime]

DEFAULT_LISTEN = "127.0.0.1:8787"


def _http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https address")
    if parts.username or parts.password:
        raise ValueError("holds a user or a password: secrets stay out of the site file (file:PATH or env:NAME)")
    return url.rstrip("/")


def _reference(text: str) -> str:
    kind, _, rest = text.partition(":")
    if kind not in ("file", "env") or not rest:
        raise ValueError("must be file:PATH or env:NAME: secrets stay out of the site file")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.IPv4Network(text, strict=True)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 subnet such as 10.20.0.0/16") from None
    return text


def _listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT such as {DEFAULT_LISTEN}")
    return text


Url = Annotated[str, AfterValidator(_http)]
Reference = Annotated[str, AfterValidator(_reference)]
Subnet = Annotated[str, AfterValidator(_network)]
Text = Annotated[str, Field(min_length=1)]


class FactSettings(Written):
    """A table that names a source of facts.

    live      asked over a network, beside the loop and at the wall's own pace; others answer at each look, for any instant
    period_s  world seconds between questions to a live one
    """

    source: str
    live: ClassVar[bool] = False
    period_s: ClassVar[float] = 60.0

    def opened(self, setup: Setup, now: Now) -> Source:
        """The source; `now` is the world's time. Raises OSError or ValueError when it cannot be had."""
        raise NotImplementedError


class PricesSettings(FactSettings):
    """The table [prices]."""


class GridstatusPrices(PricesSettings):
    """The market's own feed, through gridstatus in a killable child process."""

    source: Literal["gridstatus"] = "gridstatus"
    deadline_s: Positive = 60.0
    live: ClassVar[bool] = True

    def opened(self, setup: Setup, now: Now) -> Source:
        if setup.site.market is Market.MISO:
            from markets.sources.miso import MisoSource

            return MisoSource(setup.points, now, deadline_s=self.deadline_s)
        from markets.sources.ercot import ErcotSource

        return ErcotSource(setup.points, now, deadline_s=self.deadline_s)


class ArchivePrices(PricesSettings):
    """Facts kept by `loadstone archive import`; `path` is a folder, relative to the site file."""

    source: Literal["archive"] = "archive"
    path: Text

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive.archive import MARKET_KINDS, Archive, ArchiveSource

        return ArchiveSource(Archive(setup.resolve(self.path)), setup.points, setup.site.market, MARKET_KINDS)


class SyntheticPrices(PricesSettings):
    """A seeded market that looks like the site's; every screen and statement says that it is one."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = 0

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.synthetic import SyntheticSource

        return SyntheticSource(setup.site.market, self.seed, setup.points)


class HashSettings(FactSettings):
    """The table [hash]."""

    pool_fee: Fraction = 0.0
    period_s: ClassVar[float] = 600.0


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


class DriverSettings(Written):
    """A group's `driver` table."""

    kind: str

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        """The driver of a group. Raises ValueError, OSError or KeyError when its rigs or the way in cannot be had."""
        raise NotImplementedError


class ApiSettings(Written):
    """Where the API and the page listen, and the names beyond loopback by which they may be called (Host header)."""

    listen: Annotated[str, AfterValidator(_listen)] = DEFAULT_LISTEN
    hosts: tuple[str, ...] = ()


class ReportSettings(Written):
    """Who is told when a day's statement has a new version: addresses as apprise writes them, each by reference."""

    notify: tuple[Reference, ...] = ()
