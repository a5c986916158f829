"""The file of a utility's tariff: a table of seasons, days and hours (TOML), or prices by the hour (CSV); every fault at once."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError, model_validator

from dispatch import ConfigError
from dispatch.site_file import errors
from dispatch.site_file.errors import ConfigFault
from dispatch.site_file.field_types import Text
from dispatch.site_file.setup import Now, PricesSettings, Setup
from markets.grid import Market, parse_instant
from markets.sources.source import Source
from markets.sources.tariff import PUBLISHED, Hourly, Rates, RateTable, TariffPeriod
from optimizer.domain.site import Written

Month = Annotated[int, Field(ge=1, le=12)]
Hour = Annotated[int, Field(ge=0, le=23)]
START, PRICE = "start", "usd_per_mwh"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone") from None
    return name


def _day_of_year(text: str) -> str:
    try:
        datetime.strptime(f"2024-{text}", "%Y-%m-%d")
    except ValueError:
        raise ValueError(f"{text!r} is not a day of the year such as 06-15") from None
    return text


DayOfYear = Annotated[str, AfterValidator(_day_of_year)]


class TariffPrices(PricesSettings):
    """A utility's energy charge in place of a market's price.

    file        a table (.toml) or prices by the hour (.csv), relative to the site file
    published   of prices by the hour: the time of the day before at which those of a day are published
    timezone    of a .csv: the utility's time zone; a .toml names its own
    """

    source: Literal["tariff"] = "tariff"
    file: Text
    published: time = PUBLISHED
    timezone: Annotated[str, AfterValidator(_zone)] | None = None

    def opened(self, setup: Setup, now: Now) -> Source:
        from markets.sources.tariff import TariffSource

        rates, zone = read_tariff(setup.resolve(self.file), self)
        return TariffSource(rates, setup.settlement_points, zone)


class PeriodSection(Written):
    """Hours at one price; a condition that is left out is always met."""

    name: Text
    usd_per_mwh: float
    months: tuple[Month, ...] | None = None
    from_: DayOfYear | None = Field(default=None, alias="from")
    to: DayOfYear | None = None
    weekdays: bool | None = None
    hours: tuple[Hour, ...] | None = None

    @model_validator(mode="after")
    def _a_season_has_two_ends(self) -> PeriodSection:
        if (self.from_ is None) != (self.to is None):
            raise ValueError("from and to need each other: the first and the last day of a season")
        return self

    def period(self) -> TariffPeriod:
        season = (_month_day(self.from_), _month_day(self.to)) if self.from_ and self.to else None
        months, hours = (None if v is None else frozenset(v) for v in (self.months, self.hours))
        return TariffPeriod(self.name, self.usd_per_mwh, months, season, self.weekdays, hours)


class TariffSection(Written):
    """A tariff's energy charge; in an hour the first matching period sets the price."""

    name: Text
    timezone: Annotated[str, AfterValidator(_zone)] = "America/Chicago"
    holidays: tuple[date, ...] = ()
    periods: Annotated[tuple[PeriodSection, ...], Field(min_length=1)]


def read_tariff(path: Path, settings: TariffPrices) -> tuple[Rates, Any]:
    """The rates of a file, and its time zone. Raises ConfigError with every fault."""
    if path.suffix.lower() == ".csv":
        zone: Any = ZoneInfo(settings.timezone) if settings.timezone else Market.TARIFF.tz
        return Hourly(_hourly(path), zone, settings.published), zone
    table = _table(path)
    return table, table.tz


def tariff_file_faults(path: Path, settings: TariffPrices) -> list[str]:
    """Every fault of a file."""
    try:
        read_tariff(path, settings)
    except ConfigError as error:
        return list(error.faults)
    return []


def tariff_faults(raw: Mapping[str, Any], folder: Path) -> list[ConfigFault]:
    """The faults of the file that the [prices] of a site file name."""
    prices = raw.get("prices")
    if not isinstance(prices, Mapping) or prices.get("source") != "tariff":
        return []
    settings, _ = errors.validated(TariffPrices, prices, ("prices",))
    return (
        [ConfigFault(("prices", "file"), text) for text in tariff_file_faults(folder / settings.file, settings)]
        if settings is not None
        else []
    )


def _table(path: Path) -> RateTable:
    try:
        document, found = errors.to_json_values(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path.name}: {getattr(error, 'strerror', None) or error}"]) from None
    try:
        written = TariffSection.model_validate(document)
    except ValidationError as error:
        found += errors.validation_faults(error, TariffSection)
    if found:
        raise ConfigError([f"{path.name}: {errors.key_path(document, fault.where)}: {fault.what}" for fault in found])
    table = RateTable(tuple(p.period() for p in written.periods), ZoneInfo(written.timezone), frozenset(written.holidays))
    said = [*table.gaps(), *(f"period {name!r} never applies: periods before it cover all its hours" for name in table.unused())]
    if said:
        raise ConfigError([f"{path.name}: periods: {text}" for text in said])
    return table


def _hourly(path: Path) -> dict[datetime, float]:
    prices: dict[datetime, float] = {}
    found: list[str] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if missing := [c for c in (START, PRICE) if c not in (rows.fieldnames or ())]:
                raise ConfigError([f"{path.name}: has no column {c!r}" for c in missing])
            for n, row in enumerate(rows, start=2):
                if text := _row(row, prices):
                    found.append(f"{path.name}: line {n}: {text}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError([f"{path.name}: {getattr(error, 'strerror', None) or error}"]) from None
    if not prices and not found:
        found.append(f"{path.name}: has no price")
    if found:
        raise ConfigError(found)
    return prices


def _row(row: dict[str, Any], prices: dict[datetime, float]) -> str:
    """Adds a row to `prices`; what is wrong with it, empty when nothing is."""
    try:
        start, usd = parse_instant(row[START] or ""), float(row[PRICE] or "")
    except ValueError as error:
        return str(error)
    if not math.isfinite(usd):
        return f"{row[PRICE]!r} is not a price"
    if start.minute or start.second:
        return f"{row[START]} is not the start of an hour"
    if start in prices:
        return f"the hour {row[START]} is listed twice"
    prices[start] = usd
    return ""


def _month_day(text: str) -> tuple[int, int]:
    month, _, day = text.partition("-")
    return int(month), int(day)
