"""The scenario of a what-if as people write it. Faults of the document itself are found here; faults against the site, in `apply`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from dispatch.signals.documents import CallDocument, Instant, Name, Number, SignalDocument
from optimizer.domain.site import Fraction

LARGEST = 1e6  # largest factor or dollar figure: sums beyond it lose meaning
NotNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=LARGEST)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Moderate = Annotated[Number, Field(ge=-LARGEST, le=LARGEST)]
MAX_CHANGES = 200


def _day(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif type(value) is date:
        return value
    raise ValueError("needs a day such as 2022-07-13")


Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]
Share = Annotated[Fraction, Field(strict=True, allow_inf_nan=False)]


class Spanned(SignalDocument):
    """A change that may hold for part of the horizon only."""

    since: Instant | None = Field(None, alias="from")
    until: Instant | None = Field(None, alias="to")

    @model_validator(mode="after")
    def _not_empty(self) -> Spanned:
        if self.since and self.until and self.until <= self.since:
            raise ValueError("the span is empty: `to` must be after `from`")
        return self


def exactly_one(document: SignalDocument, *keys: str) -> str:
    """The one of these keys that is set. Raises ValueError with a sentence for the user."""
    given = [k for k in keys if getattr(document, k) is not None]
    if len(given) != 1:
        raise ValueError(f"needs exactly one of {', '.join(keys)}; it has {' and '.join(given) or 'none'}")
    return given[0]


class Spikes(SignalDocument):
    """So many settlement intervals of a span at a price, $/MWh; `seed` decides which."""

    usd: Moderate
    count: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    seed: Annotated[int, Field(strict=True, ge=0)] = 0


class PriceChange(Spanned):
    """Energy prices scaled, shifted or set ($/MWh), those of another market day at the same times of the day (`like`), those of a span that
    began at another instant (`like_from`), or spikes; at one settlement point or at all."""

    scale: Moderate | None = None
    shift_usd: Moderate | None = None
    set_usd: Moderate | None = None
    like: Day | None = None
    like_from: Instant | None = None
    spikes: Spikes | None = None
    point: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> PriceChange:
        exactly_one(self, "scale", "shift_usd", "set_usd", "like", "like_from", "spikes")
        return self


class HashChange(SignalDocument):
    """Hashprice set ($ per PH/s and day), or changed by a factor, a BTC price, a difficulty or the fees of a block; and the pool fee."""

    usd_per_ph_day: NotNegative | None = None
    scale: NotNegative | None = None
    btc_usd: Annotated[Positive, Field(le=1e9)] | None = None
    difficulty_scale: Annotated[Positive, Field(ge=1e-6, le=LARGEST)] | None = None
    fees_btc_per_block: Annotated[NotNegative, Field(le=1e4)] | None = None
    pool_fee: Share | None = None

    @model_validator(mode="after")
    def _one_way(self) -> HashChange:
        moved = [k for k in ("scale", "btc_usd", "difficulty_scale", "fees_btc_per_block") if getattr(self, k) is not None]
        if self.usd_per_ph_day is not None and moved:
            raise ValueError(f"usd_per_ph_day sets the hashprice, {' and '.join(moved)} changes it too: give only one of them")
        return self


class FleetChange(Spanned):
    """A share of the rigs of a group or of a hall available, a group added, removed, or given another model."""

    group: Name | None = None
    hall: Name | None = None
    available: Share | None = None
    add: dict[str, Any] | None = None
    remove: Name | None = None
    swap: Name | None = None
    model: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> FleetChange:
        what = exactly_one(self, "group", "hall", "add", "remove", "swap")
        if (what in ("group", "hall")) != (self.available is not None):
            raise ValueError("`available` (a share, 0 to 1) goes with `group` or `hall`, and each of them with it")
        if (what == "swap") != (self.model is not None):
            raise ValueError("`swap` (a group) and `model` (its new rig model) go together")
        if what not in ("group", "hall") and (self.since or self.until):
            raise ValueError(f"`{what}` holds for the whole span: it takes no from and to")
        return self


class SiteChange(SignalDocument):
    """Keys of [site] that the plan uses."""

    interconnect_mw: Positive | None = None
    max_ramp_up_mw_per_min: Positive | None = None
    max_ramp_down_mw_per_min: Positive | None = None
    control_interval_min: Annotated[int, Field(strict=True, ge=1, le=60)] | None = None
    horizon_h: Annotated[int, Field(strict=True, ge=1, le=168)] | None = None


class BookChange(SignalDocument):
    """An obligation added, dropped, or changed: `change` names it, all other keys are its new figures. `rules_on`: under the market's rules
    of that day."""

    model_config = {**SignalDocument.model_config, "extra": "allow"}

    add: dict[str, Any] | None = None
    drop: Name | None = None
    change: Name | None = None
    rules_on: Day | None = None

    @model_validator(mode="after")
    def _one(self) -> BookChange:
        what = exactly_one(self, "add", "drop", "change")
        extra = self.model_extra or {}
        if what == "change" and not extra and self.rules_on is None:
            raise ValueError("`change` needs the keys that change, for example mw, or rules_on")
        if what == "drop" and self.rules_on is not None:
            raise ValueError("`drop` takes no other key; it has rules_on")
        if what != "change" and extra:
            raise ValueError(f"`{what}` takes no other key; it has {', '.join(sorted(extra))}")
        return self


class ForecastError(SignalDocument):
    """Prices that come in place of those the plan foresees: the plan is made without knowing them, and paid at them."""

    prices: Annotated[list[PriceChange], Field(min_length=1, max_length=MAX_CHANGES)]


class Scenario(Spanned):
    """The changes of a what-if; everything left out stays as it is now. `rules_on`: every contract under the market's rules of that day."""

    prices: Annotated[list[PriceChange], Field(max_length=MAX_CHANGES)] = []
    hash: HashChange | None = None
    fleet: Annotated[list[FleetChange], Field(max_length=MAX_CHANGES)] = []
    site: SiteChange | None = None
    book: Annotated[list[BookChange], Field(max_length=MAX_CHANGES)] = []
    rules_on: Day | None = None
    forecast_error: ForecastError | None = None
    calls: Annotated[list[CallDocument], Field(max_length=MAX_CHANGES)] = []
