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
from zlib import crc32

from pydantic import AfterValidator, Field, model_validator

from markets.grid import Market
from optimizer.site import Fraction, Positive, Written

if TYPE_CHECKING:
    from dispatch.clock import Clock
    from dispatch.config import Setup
    from dispatch.rigs import Driver
    from markets.source import Source

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
            from markets.miso import MisoSource

            return MisoSource(setup.points, now, deadline_s=self.deadline_s)
        from markets.ercot import ErcotSource

        return ErcotSource(setup.points, now, deadline_s=self.deadline_s)


class ArchivePrices(PricesSettings):
    """Facts kept by `loadstone archive import`; `path` is a folder, relative to the site file."""

    source: Literal["archive"] = "archive"
    path: Text

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive import MARKET_KINDS, Archive, ArchiveSource

        return ArchiveSource(Archive(setup.resolve(self.path)), setup.points, setup.site.market, MARKET_KINDS)


class SyntheticPrices(PricesSettings):
    """A seeded market that looks like the site's; every screen and statement says that it is one."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = 0

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.synthetic import SyntheticSource

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
        from markets.hashprice import FixedHashprice

        return FixedHashprice(self.usd_per_ph_day)


class ArchiveHash(HashSettings):
    """The day's own difficulty, fees and BTC price from an archive; `path` defaults to that of the prices."""

    source: Literal["archive"] = "archive"
    path: Text | None = None

    def folder(self, setup: Setup) -> Path:
        """The archive's folder."""
        return setup.resolve(self.path or (setup.prices.path if isinstance(setup.prices, ArchivePrices) else "."))

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.archive import Archive, ArchiveSource

        return ArchiveSource(Archive(self.folder(setup)), (), setup.site.market, ("hash",))


class MempoolHash(HashSettings):
    """A mempool.space instance, one's own or the public one."""

    source: Literal["mempool"] = "mempool"
    url: Url
    live: ClassVar[bool] = True

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.hashprice import MempoolHashprice

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
        from markets.hashprice import BitcoindHashprice

        return BitcoindHashprice(self.url, setup.resolve(self.cookie), now, btc_usd=self.btc_usd, price_url=self.price_url)


class DriverSettings(Written):
    """A group's `driver` table."""

    kind: str

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        """The driver of a group. Raises ValueError, OSError or KeyError when its rigs or the way in cannot be had."""
        raise NotImplementedError


class SimulatedDriver(DriverSettings):
    """An in-process fleet, no sockets."""

    kind: Literal["simulated"] = "simulated"
    seed: int = 0

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        from dispatch.rigs.simulated import Simulated
        from dispatch.sim.fleet import Fleet
        from dispatch.sim.spec import spec_of

        # Rigs of two groups drift from their nameplates each in its own way.
        seed = self.seed & 0xFFFFFFFF ^ crc32(group.encode())
        return Simulated(Fleet(spec_of([setup.site.group(group)]), seed, clock.now().timestamp()), group, clock)


class TcpSettings(DriverSettings):
    """Rigs on a network: the first `rigs` addresses of a subnet, or those of a roster (CSV with a column "ip"); `at_once` connections."""

    subnet: Subnet | None = None
    roster: Text | None = None
    credentials: Reference | None = None
    at_once: Annotated[int, Field(ge=1, le=1000)] = 100

    @model_validator(mode="after")
    def _at_most_one_list(self) -> TcpSettings:
        if self.subnet is not None and self.roster is not None:
            raise ValueError("needs one of subnet and roster")
        return self

    @property
    def listed(self) -> bool:
        """Whether it says where rigs are."""
        return self.subnet is not None or self.roster is not None

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        # pyasic takes most of a second to import, and most processes have no use for it
        from dispatch.rigs.asics import DEFAULT_PASSWORD, Asics
        from dispatch.rigs.roster import addresses, roster, secret, wire_model

        found = setup.site.group(group)
        ips = addresses(self.subnet, found.rigs) if self.subnet else roster(setup.resolve(self.roster or ""))[: found.rigs]
        password = secret(self.credentials, setup.resolve) if self.credentials else DEFAULT_PASSWORD
        return Asics(found, ips, wire_model(found.model), clock, password=password, at_once=self.at_once)


class PyasicDriver(TcpSettings):
    """Rigs over TCP through pyasic."""

    kind: Literal["pyasic"] = "pyasic"

    @model_validator(mode="after")
    def _one_list(self) -> PyasicDriver:
        if not self.listed:
            raise ValueError("needs one of subnet and roster")
        return self


class PaperDriver(TcpSettings):
    """Writes nothing to any rig. With a subnet or a roster it reads the rigs there; without, it imagines them."""

    kind: Literal["paper"] = "paper"
    seed: int = 0

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        from dispatch.rigs.paper import Paper

        rigs = super().reach(setup, group, clock) if self.listed else SimulatedDriver(seed=self.seed).reach(setup, group, clock)
        return Paper(setup.site.group(group), rigs, clock)


class ApiSettings(Written):
    """Where the API and the page listen, and the names beyond loopback by which they may be called (Host header)."""

    listen: Annotated[str, AfterValidator(_listen)] = DEFAULT_LISTEN
    hosts: tuple[str, ...] = ()


# Words of the contract that this version knows and has not built: a clear fault instead of "unknown".
NOT_BUILT = {
    "driver": ("pyasic-rs", "fleet-bridge"),
}
