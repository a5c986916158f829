"""Outside temperature: Open-Meteo's or the National Weather Service's JSON by URL, a sensor, or tables that another program writes.

A reading counts for the quarter hour in which it was found, and `FactBook.temperature` holds it for a little longer: a source that falls
silent makes the temperature unknown.
A forecast counts for its own hour; its facts are known before they begin.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from markets import NotPublished, Refused, Stale, Unreachable
from markets.facts import Fact, Temperature
from markets.grid import Interval

if TYPE_CHECKING:
    import httpx

EVERY = timedelta(minutes=15)
QUARTER_S = 900
OBSERVED_WITHIN = timedelta(minutes=90)  # stations report once an hour, some minutes late
AHEAD = timedelta(hours=48)  # of a forecast this much is recorded
CHANGED_CELSIUS = 0.5  # a forecast that moves by less is the same forecast
_TIMEOUT_S = 10.0
# The National Weather Service refuses clients that do not say who they are.
_AGENT = "loadstone (a site controller)"

ReadCelsius = Callable[[], Awaitable[float | None]]


def celsius_of(value: Any, unit: str) -> float:
    """A temperature in degrees Celsius; `unit` as Open-Meteo and the National Weather Service write it: °C, F, wmoUnit:degC. Raises
    ValueError."""
    number, last = float(value), unit.strip().upper()[-1:]
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"temperature {value!r} is not a number")
    if last not in ("C", "F"):
        raise ValueError(f"temperature in {unit!r}, neither degrees Celsius nor Fahrenheit")
    return round((number - 32.0) / 1.8 if last == "F" else number, 1)


def reading(source: str, now: datetime, celsius: float) -> Temperature:
    """A temperature found at an instant, over the quarter hour that it lies in."""
    start = datetime.fromtimestamp(now.timestamp() // QUARTER_S * QUARTER_S, UTC)
    return Temperature(source=source, known_at=now, over=Interval(start, start + timedelta(seconds=QUARTER_S)), celsius=celsius)


class _Weather:
    """What the JSON sources share: asked every quarter hour; hours of a forecast are given again only when they changed."""

    name = ""
    synthetic = False

    def __init__(self, url: str, clock_now: Callable[[], datetime]) -> None:
        self.url, self.clock_now = url, clock_now
        self._client: httpx.AsyncClient | None = None
        self._due_at = datetime.min.replace(tzinfo=UTC)
        self._given: dict[Interval, float] = {}

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The temperatures that are new, when the source is due. Raises Unreachable, NotPublished, Stale or Refused."""
        if self.clock_now() < self._due_at:
            return []
        document, now = await self._read(), self.clock_now()
        try:
            found = list(self._temperatures(document, now))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as fault:
            raise Refused(f"{self.name}: the answer cannot be read ({type(fault).__name__}: {fault})"[:300]) from None
        self._due_at = now + EVERY
        return self._new(found, now)

    async def aclose(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _temperatures(self, document: Mapping[str, Any], now: datetime) -> Iterable[Temperature]:
        raise NotImplementedError

    def _new(self, found: Iterable[Temperature], now: datetime) -> list[Fact]:
        """Those that are under way or lie ahead and differ from what was given before, in order of time."""
        self._given = {over: celsius for over, celsius in self._given.items() if over.end > now}
        new: list[Fact] = []
        for fact in sorted(found, key=lambda fact: fact.over.start):
            if fact.over.end <= now or fact.over.start >= now + AHEAD:
                continue
            if abs(self._given.get(fact.over, math.inf) - fact.celsius) >= CHANGED_CELSIUS:
                self._given[fact.over] = fact.celsius
                new.append(fact)
        return new

    async def _read(self) -> Any:
        import httpx  # a third of a second, which a site without weather does not need

        self._client = self._client or httpx.AsyncClient(
            timeout=httpx.Timeout(_TIMEOUT_S, connect=2.0), headers={"User-Agent": _AGENT, "Accept": "application/json"}
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reply = await self._client.get(self.url)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as fault:
            raise Unreachable(f"{self.name}: {self.url}: {type(fault).__name__} {fault}"[:300]) from None
        if reply.status_code != 200:
            raise Unreachable(f"{self.name}: {self.url}: status {reply.status_code}")
        try:
            return reply.json()
        except ValueError:
            raise Unreachable(f"{self.name}: status 200, not JSON") from None


class OpenMeteo(_Weather):
    """Source "open-meteo": `hourly=temperature_2m` of its forecast, or `current=temperature_2m` where the URL asks for that alone."""

    name = "open-meteo"

    def _temperatures(self, document: Mapping[str, Any], now: datetime) -> Iterable[Temperature]:
        offset = timedelta(seconds=int(document["utc_offset_seconds"]))
        if "hourly" not in document:
            at = _open_meteo_instant(document["current"]["time"], offset)
            celsius = celsius_of(document["current"]["temperature_2m"], document["current_units"]["temperature_2m"])
            if now - at > OBSERVED_WITHIN:
                raise Stale(f"{self.name}: the newest temperature is of {at:%Y-%m-%dT%H:%MZ}")
            return [reading(self.name, now, celsius)]
        hourly, unit = document["hourly"], document["hourly_units"]["temperature_2m"]
        hours = [
            (_open_meteo_instant(time, offset), celsius_of(value, unit))
            for time, value in zip(hourly["time"], hourly["temperature_2m"], strict=True)
            if value is not None
        ]
        spans = [(Interval(start, start + timedelta(hours=1)), celsius) for start, celsius in hours]
        return [Temperature(source=self.name, known_at=now, over=over, celsius=celsius) for over, celsius in spans]


class NationalWeather(_Weather):
    """Source "nws": an hourly forecast (.../gridpoints/OFFICE/X,Y/forecast/hourly) or a station's newest observation
    (.../stations/ID/observations/latest) of api.weather.gov."""

    name = "nws"

    def _temperatures(self, document: Mapping[str, Any], now: datetime) -> Iterable[Temperature]:
        properties = document["properties"]
        if "periods" not in properties:
            return [reading(self.name, now, self._observed(properties, now))]
        found = []
        for period in properties["periods"]:
            given, over = period["temperature"], Interval(_instant(period["startTime"]), _instant(period["endTime"]))
            value, unit = (given["value"], given["unitCode"]) if isinstance(given, Mapping) else (given, period["temperatureUnit"])
            if value is not None and over.end - over.start <= timedelta(hours=1):
                found.append(Temperature(source=self.name, known_at=now, over=over, celsius=celsius_of(value, unit)))
        if not found:
            raise ValueError("no period of an hour: the address of the hourly forecast ends in /forecast/hourly")
        return found

    def _observed(self, properties: Mapping[str, Any], now: datetime) -> float:
        at, measured = _instant(properties["timestamp"]), properties["temperature"]
        if now - at > OBSERVED_WITHIN:
            raise Stale(f"{self.name}: the newest observation is of {at:%Y-%m-%dT%H:%MZ}")
        if measured["value"] is None:  # a station sends its other instruments on
            raise NotPublished(f"{self.name}: the observation of {at:%Y-%m-%dT%H:%MZ} has no temperature")
        return celsius_of(measured["value"], measured["unitCode"])


class TemperatureSensor:
    """A sensor of the site's own as a source: one reading a quarter hour. `read` gives degrees Celsius, None where there is no answer."""

    synthetic = False

    def __init__(self, name: str, read: ReadCelsius, close: Callable[[], Awaitable[None]], clock_now: Callable[[], datetime]) -> None:
        self.name, self._read, self._close, self.clock_now = name, read, close, clock_now
        self._given: Interval | None = None

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The reading of this quarter hour, once. Raises Unreachable."""
        if self._given is not None and self.clock_now() in self._given:
            return []
        celsius = await self._read()
        if celsius is None or not math.isfinite(celsius):
            raise Unreachable(f"{self.name}: the temperature sensor does not answer with a number")
        fact = reading(self.name, self.clock_now(), round(celsius, 1))
        self._given = fact.over
        return [fact]

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._close()


def _open_meteo_instant(time: Any, offset: timedelta) -> datetime:
    """ISO time without an offset in the zone the URL asked for, or seconds where it asked for timeformat=unixtime."""
    if isinstance(time, int):
        return datetime.fromtimestamp(time, UTC)
    return datetime.fromisoformat(time).replace(tzinfo=UTC) - offset


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    return at.astimezone(UTC)
