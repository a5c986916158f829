"""What a site file says: the site, its contracts, and the settings around them. The classes of its sections derive from the bases here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from dispatch.site_file.errors import ConfigFault
from dispatch.site_file.field_types import DEFAULT_LISTEN, Listen, PublicKey, Reference
from dispatch.site_file.market_rules import MarketRules
from markets.sources.source import Source
from optimizer.domain.obligation import Book
from optimizer.domain.site import Fraction, NotNegative, Site, Written

Now = Callable[[], datetime]
SiteCheck = Callable[[Mapping[str, Any], Path | None], Iterable[ConfigFault]]


class PluginSection(Written):
    """A table of a site file whose class is chosen by its `kind` or `source` and registered as a plug-in.

    site_checks  what this class checks beyond its own keys. Each function gets the whole document, and the folder of the site file (None
                 when the document comes from a journal), and returns what is wrong. A function that several classes name runs once.
    """

    site_checks: ClassVar[tuple[SiteCheck, ...]] = ()


class FactSettings(PluginSection):
    """A table that names a source of facts.

    live      asked over a network, beside the loop and at the wall's own pace; others answer at each tick, for any instant
    period_s  world seconds between questions to a live one
    """

    source: str
    live: ClassVar[bool] = False
    period_s: ClassVar[float] = 60.0

    def opened(self, setup: Setup, now: Now) -> Source:
        """The source; `now` gives the world's time. Raises OSError or ValueError when it cannot be opened."""
        raise NotImplementedError


class PricesSettings(FactSettings):
    """The table [prices]."""

    def runs_opened(self, setup: Setup, now: Now) -> Source | None:
        """A second source, of the prices of dispatch and look-ahead runs, where the market publishes them; None where it does not."""
        return None


class HashSettings(FactSettings):
    """The table [hash]."""

    pool_fee: Fraction = 0.0
    period_s: ClassVar[float] = 600.0


class GenerationSettings(FactSettings):
    """The table [generation]: where forecasts and measurements of wind and solar plants behind the meters come from."""


class WeatherSettings(FactSettings):
    """The table [weather]: where the outside temperature comes from."""


class TrainingSettings(Written):
    """When price models are trained again: from the archive at `archive`, at an hour of the market's clock, when `every_days` have passed.
    Without an archive they are trained by hand only."""

    archive: str | None = None
    hour: int = Field(default=3, ge=0, le=23)
    every_days: int = Field(default=7, ge=1)


class ApiSettings(Written):
    """Where the API and the page listen, the names beyond loopback by which they may be called (Host header), and the files of the
    certificate and its key with which they are served over TLS."""

    listen: Listen = DEFAULT_LISTEN
    hosts: tuple[str, ...] = ()
    tls_certificate: str = ""
    tls_key: str = ""

    @model_validator(mode="after")
    def _both_or_neither(self) -> ApiSettings:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key go together")
        return self


class ReportSettings(Written):
    """How a day's statement is rounded, and who is notified when it has a new version: addresses as apprise writes them, by reference.

    rounding          once, at the "total" of a charge type, or each "interval" by itself as some suppliers' invoices do
    telemetry_days    how long the rigs' readings are kept; roll-ups and the journal are kept for ever
    head_files        files to which the heads of the ledger's chains are added once a day: on another machine's disk
    head_webhooks     addresses to which they are posted, by reference
    certificate_keys  public keys of the flexibility certificates that offers count
    """

    notify: tuple[Reference, ...] = ()
    rounding: Literal["total", "interval"] = "total"
    telemetry_days: int = Field(default=400, ge=2)
    head_files: tuple[str, ...] = ()
    head_webhooks: tuple[Reference, ...] = ()
    certificate_keys: tuple[PublicKey, ...] = ()


class AlertSettings(Written):
    """Who gets a message that something is wrong with the running site, and when.

    to           addresses as apprise writes them, by reference
    after_s      seconds of the wall clock that a condition must last before it is sent
    clear_s      seconds that it must be gone before its end is sent
    quiet_hours  "22:00-06:00" in the site's time zone: only missed promises, contracts that fail and a site that is not in
                 command are sent then
    """

    to: tuple[Reference, ...] = ()
    after_s: NotNegative = 60.0
    clear_s: NotNegative = 120.0
    quiet_hours: str = ""

    @property
    def quiet(self) -> tuple[time, time] | None:
        """The first and the last moment of the quiet hours; None without any."""
        if not self.quiet_hours:
            return None
        first, _, last = self.quiet_hours.partition("-")
        return time.fromisoformat(first.strip()), time.fromisoformat(last.strip())

    def is_quiet(self, local: datetime) -> bool:
        """Whether an instant of local time is in the quiet hours, which may pass midnight."""
        if self.quiet is None:
            return False
        first, last = self.quiet
        now = local.time().replace(tzinfo=None)
        return first <= now < last if first < last else now >= first or now < last

    @model_validator(mode="after")
    def _span_of_the_day(self) -> AlertSettings:
        try:
            quiet = self.quiet
        except ValueError:
            quiet = (time(), time())
        if quiet is not None and (quiet[0] == quiet[1] or any(end.tzinfo for end in quiet)):
            raise ValueError(f"quiet_hours {self.quiet_hours!r} is not a span of local time such as 22:00-06:00")
        return self


@dataclass(frozen=True, slots=True)
class Setup:
    """A site file that was read without a fault.

    document   everything that was read, as JSON values: groups with their modes in full, all contracts; no secret.
               `setup_from_document` makes the same Setup of it
    hash_id    SHA-256 of the document, hex: names the site and book a journal row was decided under
    unverified sentences about rules and figures the site relies on that nobody has checked against their source
    path       the file, None when the document came from a journal
    """

    site: Site
    book: Book
    prices: PricesSettings
    hash: HashSettings
    document: Mapping[str, Any]
    hash_id: str
    rules: MarketRules
    api: ApiSettings = ApiSettings()
    reports: ReportSettings = ReportSettings()
    alerts: AlertSettings = AlertSettings()
    training: TrainingSettings = TrainingSettings()
    generation: GenerationSettings | None = None
    weather: WeatherSettings | None = None
    unverified: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def settlement_points(self) -> tuple[str, ...]:
        """The settlement points whose prices the site needs: its meters' and its contracts'."""
        ours = [m.settlement_point for m in self.site.meters]
        theirs = [point for o in self.book for point in o.settlement_points(self.site)]
        return tuple(dict.fromkeys([*ours, *theirs]))

    def resolve(self, name: str) -> Path:
        """A path the file names, relative to the file's own folder."""
        return (self.path.parent if self.path else Path()) / name
