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


class PriceChange(Spanned):
    """Energy prices scaled, shifted or set ($/MWh), or those of another market day (`like`); at one settlement point or at all."""

    scale: Moderate | None = None
    shift_usd: Moderate | None = None
    set_usd: Moderate | None = None
    like: Day | None = None
    point: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> PriceChange:
        exactly_one(self, "scale", "shift_usd", "set_usd", "like")
        return self


class HashChange(SignalDocument):
    """Hashprice set ($ per PH/s and day), or changed by a factor, a BTC price or a difficulty; and the pool fee."""

    usd_per_ph_day: NotNegative | None = None
    scale: NotNegative | None = None
    btc_usd: Annotated[Positive, Field(le=1e9)] | None = None
    difficulty_scale: Annotated[Positive, Field(ge=1e-6, le=LARGEST)] | None = None
    pool_fee: Share | None = None

    @model_validator(mode="after")
    def _one_way(self) -> HashChange:
        moved = [k for k in ("scale", "btc_usd", "difficulty_scale") if getattr(self, k) is not None]
        if self.usd_per_ph_day is not None and moved:
            raise ValueError(f"usd_per_ph_day sets the hashprice, {' and '.join(moved)} changes it too: give only one of them")
        return self


class FleetChange(Spanned):
    """A share of a group's rigs available, a group added, or a group removed."""

    group: Name | None = None
    available: Share | None = None
    add: dict[str, Any] | None = None
    remove: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> FleetChange:
        what = exactly_one(self, "group", "add", "remove")
        if (what == "group") != (self.available is not None):
            raise ValueError("`group` and `available` (a share, 0 to 1) go together")
        if what != "group" and (self.since or self.until):
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
    """An obligation added, dropped, or changed: `change` names it, all other keys are its new figures."""

    model_config = {**SignalDocument.model_config, "extra": "allow"}

    add: dict[str, Any] | None = None
    drop: Name | None = None
    change: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> BookChange:
        what = exactly_one(self, "add", "drop", "change")
        extra = self.model_extra or {}
        if what == "change" and not extra:
            raise ValueError("`change` needs the keys that change, for example mw")
        if what != "change" and extra:
            raise ValueError(f"`{what}` takes no other key; it has {', '.join(sorted(extra))}")
        return self


class Scenario(Spanned):
    """The changes of a what-if; everything left out stays as it is now."""

    prices: Annotated[list[PriceChange], Field(max_length=MAX_CHANGES)] = []
    hash: HashChange | None = None
    fleet: Annotated[list[FleetChange], Field(max_length=MAX_CHANGES)] = []
    site: SiteChange | None = None
    book: Annotated[list[BookChange], Field(max_length=MAX_CHANGES)] = []
    calls: Annotated[list[CallDocument], Field(max_length=MAX_CHANGES)] = []
