"""The sources a site file asks for, each with how often it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from dispatch.config import Setup
from dispatch.eyes import Watched
from dispatch.settings import ArchiveHash, ArchivePrices, BitcoindHash, FixedHash, GridstatusPrices, MempoolHash, SyntheticPrices
from markets.archive import MARKET_KINDS, Archive, ArchiveSource
from markets.grid import Market
from markets.source import Source

PRICE_PERIOD_S = 60.0
HASH_PERIOD_S = 600.0


def watched(setup: Setup, now: Callable[[], datetime]) -> list[Watched]:
    """Prices and hashprice. A source that answers out of a file or a formula is asked at each look, one on a network beside the loop."""
    return [_prices(setup, list(setup.points), now), *_hash(setup, now)]


def simulated_market(setup: Setup) -> bool:
    """Whether prices come out of an archive or a formula, so that time may run as one likes."""
    return not isinstance(setup.prices, GridstatusPrices)


def _prices(setup: Setup, points: list[str], now: Callable[[], datetime]) -> Watched:
    match setup.prices:
        case SyntheticPrices(seed=seed):
            from markets.synthetic import SyntheticSource

            return Watched(SyntheticSource(setup.site.market, seed, points))
        case ArchivePrices(path=path):
            return Watched(_archive(setup.resolve(path), points, setup.site.market, MARKET_KINDS))
        case GridstatusPrices(deadline_s=deadline_s):
            name = "ErcotSource" if setup.site.market is Market.ERCOT else "MisoSource"
            source: Any = getattr(import_module(f"markets.{setup.site.market.value}"), name)
            return Watched(source(points, now, deadline_s=deadline_s), PRICE_PERIOD_S, beside=True)
    raise TypeError(f"no source for {setup.prices!r}")


def _hash(setup: Setup, now: Callable[[], datetime]) -> list[Watched]:
    match setup.hash:
        case FixedHash(usd_per_ph_day=usd):
            from markets.hashprice import FixedHashprice

            return [Watched(FixedHashprice(usd))]
        case ArchiveHash(path=path):
            folder = path or (setup.prices.path if isinstance(setup.prices, ArchivePrices) else ".")
            return [Watched(_archive(setup.resolve(folder), [], setup.site.market, ["hash"]))]
        case MempoolHash(url=url):
            from markets.hashprice import MempoolHashprice

            return [Watched(MempoolHashprice(url, now), HASH_PERIOD_S, beside=True)]
        case BitcoindHash():
            from markets.hashprice import BitcoindHashprice

            cookie = setup.resolve(setup.hash.cookie)
            made = BitcoindHashprice(setup.hash.url, cookie, now, btc_usd=setup.hash.btc_usd, price_url=setup.hash.price_url)
            return [Watched(made, HASH_PERIOD_S, beside=True)]
    raise TypeError(f"no source for {setup.hash!r}")


def _archive(folder: Path, points: list[str], market: Market, kinds: Iterable[str]) -> Source:
    return ArchiveSource(Archive(folder), points, market, kinds)
