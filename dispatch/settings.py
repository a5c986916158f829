"""The sections of a site file that say where facts come from, how rigs are reached and where the API listens.

Frozen; secrets only by reference.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from optimizer.site import Fraction, Positive, Written

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


class GridstatusPrices(Written):
    """The market's own feed, through gridstatus in a killable child process."""

    source: Literal["gridstatus"] = "gridstatus"
    deadline_s: Positive = 60.0


class ArchivePrices(Written):
    """Facts kept by `loadstone archive import`; `path` is a folder, relative to the site file."""

    source: Literal["archive"] = "archive"
    path: Text


class SyntheticPrices(Written):
    """A seeded market that looks like the site's; every screen and statement says that it is one."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = 0


PricesSettings = GridstatusPrices | ArchivePrices | SyntheticPrices
PRICES: dict[str, type[Any]] = {"gridstatus": GridstatusPrices, "archive": ArchivePrices, "synthetic": SyntheticPrices}


class FixedHash(Written):
    """One hashprice for ever: a hedge, or a figure to try."""

    source: Literal["fixed"] = "fixed"
    usd_per_ph_day: Positive
    pool_fee: Fraction = 0.0


class ArchiveHash(Written):
    """The day's own difficulty, fees and BTC price from an archive; `path` defaults to that of the prices."""

    source: Literal["archive"] = "archive"
    path: Text | None = None
    pool_fee: Fraction = 0.0


class MempoolHash(Written):
    """A mempool.space instance, one's own or the public one."""

    source: Literal["mempool"] = "mempool"
    url: Url
    pool_fee: Fraction = 0.0


class BitcoindHash(Written):
    """A bitcoind of one's own by its cookie file. It knows no price of BTC: `btc_usd`, or the mempool instance that tells it."""

    source: Literal["bitcoind"] = "bitcoind"
    url: Url
    cookie: Text
    btc_usd: Positive | None = None
    price_url: Url | None = None
    pool_fee: Fraction = 0.0

    @model_validator(mode="after")
    def _one_price(self) -> BitcoindHash:
        if (self.btc_usd is None) == (self.price_url is None):
            raise ValueError("needs one of btc_usd and price_url: bitcoind does not know the price of BTC")
        return self


HashSettings = FixedHash | ArchiveHash | MempoolHash | BitcoindHash
HASH: dict[str, type[Any]] = {"fixed": FixedHash, "archive": ArchiveHash, "mempool": MempoolHash, "bitcoind": BitcoindHash}


class SimulatedDriver(Written):
    """An in-process fleet, no sockets."""

    kind: Literal["simulated"] = "simulated"
    seed: int = 0


class PyasicDriver(Written):
    """Rigs over TCP through pyasic: the first `rigs` addresses of a subnet, or those of a roster (CSV with a column "ip")."""

    kind: Literal["pyasic"] = "pyasic"
    subnet: Subnet | None = None
    roster: Text | None = None
    credentials: Reference | None = None
    at_once: Annotated[int, Field(ge=1, le=1000)] = 100

    @model_validator(mode="after")
    def _one_list(self) -> PyasicDriver:
        if (self.subnet is None) == (self.roster is None):
            raise ValueError("needs one of subnet and roster")
        return self


class PaperDriver(Written):
    """Writes nothing to any rig. With a subnet or a roster it reads the rigs there; without, it imagines them."""

    kind: Literal["paper"] = "paper"
    subnet: Subnet | None = None
    roster: Text | None = None
    credentials: Reference | None = None
    at_once: Annotated[int, Field(ge=1, le=1000)] = 100
    seed: int = 0

    @model_validator(mode="after")
    def _at_most_one_list(self) -> PaperDriver:
        if self.subnet is not None and self.roster is not None:
            raise ValueError("needs at most one of subnet and roster")
        return self


DriverSettings = SimulatedDriver | PyasicDriver | PaperDriver
DRIVERS: dict[str, type[Any]] = {"simulated": SimulatedDriver, "pyasic": PyasicDriver, "paper": PaperDriver}


class ApiSettings(Written):
    """Where the API and the page listen, and the names beyond loopback by which they may be called (Host header)."""

    listen: Annotated[str, AfterValidator(_listen)] = DEFAULT_LISTEN
    hosts: tuple[str, ...] = ()


# Words of the contract that this version knows and has not built: a clear fault instead of "unknown".
NOT_BUILT = {
    "obligations": ("transmission", "ancillary", "ers", "lmr", "drr", "forward", "hosting"),
    "driver": ("pyasic-rs", "fleet-bridge"),
    "prices": ("tariff",),
}
