"""Fakes that implement the protocols: a source that gives what it was given, a telemetry that keeps nothing, an executor that obeys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from markets import SourceError
from markets.facts import Fact, HashPrice, Price, PriceMarket
from markets.grid import Interval

NOON = datetime(2026, 8, 20, 17, 0, tzinfo=UTC)  # 12:00 in Texas


def price(
    usd: float, start: datetime, *, point: str = "LZ_WEST", minutes: int = 15, market: str = "REAL_TIME_15_MIN", **more: Any
) -> Price:
    over = Interval(start, start + timedelta(minutes=minutes))
    known = more.pop("known_at", over.end + timedelta(minutes=2))
    return Price(source="test", known_at=known, point=point, market=PriceMarket(market), over=over, usd_per_mwh=usd)


def prices(usd: Iterable[float], start: datetime, **more: Any) -> list[Price]:
    """Consecutive quarter hours."""
    return [price(u, start + timedelta(minutes=15 * k), **more) for k, u in enumerate(usd)]


def hashprice(usd: float, start: datetime, days: int = 30) -> HashPrice:
    over = Interval(start - timedelta(days=1), start + timedelta(days=days))
    return HashPrice(source="test", known_at=over.start, over=over, usd_per_ph_day=usd, basis="test")


class FixedSource:
    """A source of given facts; between `broken` instants it fails instead."""

    synthetic = False

    def __init__(self, facts: Iterable[Fact], name: str = "telling", broken: tuple[datetime, datetime] | None = None) -> None:
        self.name = name
        self._facts = sorted(facts, key=lambda f: f.known_at)
        self._broken = broken

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        if self._broken and self._broken[0] <= until < self._broken[1]:
            raise SourceError("the line is dead")
        return [f for f in self._facts if since < f.known_at <= until]


class DiscardedTelemetry:
    """Telemetry that keeps nothing."""

    def record(self, *_: Any) -> None:
        return None

    def flush(self) -> int:
        return 0
