"""The offers of an operating day as a typed JSON document. MW of a step are from nothing up to its end; dollars are positive."""

from __future__ import annotations

from typing_extensions import TypedDict


class Gate(TypedDict):
    """Until when something can be offered; `open` at the instant the offers were made."""

    what: str
    due_at: str
    market_time: str
    open: bool
    rule: str


class OfferStep(TypedDict):
    """Up to `mw` at `usd`: of reserve per MW and hour, of energy per MWh."""

    mw: float
    usd: float


class OfferedHour(TypedDict):
    """An hour of the operating day; `hour_ending` is 1 to 24 on the market's clock, `repeated_hour` true for the second of the hour that
    the end of daylight saving time repeats."""

    start: str
    end: str
    hour_ending: int
    repeated_hour: bool
    steps: list[OfferStep]


class ReserveOffer(TypedDict):
    """A product of a contract. `basis` is "measured", "qualified" (the market's qualification alone: nothing was measured) or
    "not measured" (nothing is offered); `limit_mw` is the most that was proved within `response_s`, None where nothing was."""

    contract: str
    product: str
    response_s: float
    basis: str
    limit_mw: float | None
    certificate: bool
    hours: list[OfferedHour]


class EnergyBid(TypedDict):
    """The load of a meter: up to how much runs at which price at its settlement point."""

    meter: str
    settlement_point: str
    hours: list[OfferedHour]


class SeasonOffer(TypedDict):
    """A reduction of a contract season, days [begins, ends): what may be offered of `registered_mw`."""

    contract: str
    product: str
    begins: str
    ends: str
    period: str
    hours: float
    mw: float
    registered_mw: float
    stays_mw: float
    price: float | None
    unit: str
    response_s: float
    basis: str
    most: str


class OffersDocument(TypedDict):
    """What `loadstone offers --json` and `POST /api/v1/offers` answer. `findings` say what a person should look at."""

    operating_day: str
    market: str
    site: str
    at: str
    price_basis: str
    risk_weight: float
    scenarios: int
    gates: list[Gate]
    reserve: list[ReserveOffer]
    energy: list[EnergyBid]
    seasons: list[SeasonOffer]
    findings: list[str]
