"""Facts: what the outside world reports, each with its source and its vintage (`known_at`, the instant we learned it)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from markets.grid import Interval

# By market, how long after its interval's end a real-time price may be the newest known. ERCOT publishes a quarter hour about 2 minutes
# after its end, MISO five minutes about as late: docs/rules.md#ercot-prices.
STALE_AFTER = {"ercot": timedelta(minutes=20), "miso": timedelta(minutes=12), "tariff": timedelta(days=2)}


class PriceMarket(StrEnum):
    """The run of the market that set a price, as gridstatus names it (docs/reference/archive.md)."""

    REAL_TIME_15_MIN = "REAL_TIME_15_MIN"
    REAL_TIME_5_MIN = "REAL_TIME_5_MIN"
    REAL_TIME_SCED = "REAL_TIME_SCED"
    REAL_TIME_HOURLY = "REAL_TIME_HOURLY"
    DAY_AHEAD_HOURLY = "DAY_AHEAD_HOURLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What a source reported. A correction is a new fact with a later `known_at`, never an update."""

    source: str
    known_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Fact):
    """An energy price at a settlement point over an interval, $/MWh."""

    point: str
    market: PriceMarket
    over: Interval
    usd_per_mwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservePrice(Fact):
    """A market clearing price for capacity (MCPC), $ per MW and hour; `market` is "DAM", "REAL_TIME_15_MIN" or, where reserve settles on
    a mean of its dispatch runs, "REAL_TIME_SCED" for one of these."""

    product: str
    market: str
    over: Interval
    usd_per_mw_h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicativePrices(Fact):
    """The energy prices that one look-ahead run of the market expects at a settlement point, $/MWh: one for each of the equal steps of
    `over`, in order of time. Nothing settles on them (ERCOT RTD, NP6-970-CD)."""

    point: str
    over: Interval
    usd_per_mwh: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicativeReservePrices(Fact):
    """The same for capacity of a reserve product, $ per MW and hour (ERCOT RTD, NP6-329-CD)."""

    product: str
    over: Interval
    usd_per_mw_h: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceForecast(Fact):
    """What the site's price model expects at a settlement point, $/MWh, for each of the equal steps of `over`, in order of time; `over`
    begins at the end of the newest price it was made from.

    usd_per_mwh  the price to decide on: a rig whose break-even is above it is expected to gain by running
    levels       probabilities, ascending; `quantiles` by level the price that the outcome stays under with this probability, one per step
    spike_usd_per_mwh   what counts as a spike; `spike_probability` is the chance of a price above it, one per step
    model        which model made it
    """

    point: str
    over: Interval
    usd_per_mwh: tuple[float, ...]
    levels: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...]
    spike_usd_per_mwh: float
    spike_probability: tuple[float, ...]
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemLoad(Fact):
    """The market's total load averaged over an interval, MW."""

    over: Interval
    load_mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadForecast(Fact):
    """The market operator's forecast of its total load, MW; `known_at` is its publish time."""

    over: Interval
    load_mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredGeneration(Fact):
    """What a wind or solar plant behind a meter could make over an interval, measured, MW: its output where nothing holds it back, else the
    available power that its controller reports. `plant` is the name of its contract."""

    plant: str
    over: Interval
    mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationForecast(Fact):
    """What such a plant is expected to be able to make over an interval, MW; `known_at` is the forecast's publish time."""

    plant: str
    over: Interval
    mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPrice(Fact):
    """What one PH/s earns in a day before the pool's fee, $/PH/day. `basis` says in words how it was found; it holds `over` a UTC day, or
    from an instant on."""

    over: Interval
    usd_per_ph_day: float
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HashEconomics(Fact):
    """The mining figures of a UTC day from which a hashprice is computed."""

    on: date
    difficulty: float
    btc_usd: float
    fees_btc_per_block: float
    subsidy_btc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature(Fact):
    """Outside air, degrees Celsius; drives the facility's overhead."""

    over: Interval
    celsius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GridStatus(Fact):
    """The grid operator's condition: physical responsive capability (MW) and the level of emergency in its own words."""

    at: datetime
    level: str
    prc_mw: float | None = None
    note: str = ""


class CallKind(StrEnum):
    """What a call asks for. A recall ends a call, a cancel takes it back."""

    DEPLOY = "deploy"
    RECALL = "recall"
    CANCEL = "cancel"
    SET_POINT = "set_point"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Fact):
    """An instruction to the site under one obligation (docs/reference/http.md). Exactly one of the three megawatt figures is set
    for deploy, set_point and test; `end_at` None means until recall. The highest `version` of an `id` is the one that counts."""

    id: str
    version: int
    obligation: str
    kind: CallKind
    notice_at: datetime
    start_at: datetime
    end_at: datetime | None = None
    mw_cap: float | None = None
    mw_delta: float | None = None
    mw_target: float | None = None
    authority: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Award(Fact):
    """Capacity sold: MW of a product over an interval at a clearing price, $ per MW and hour; None until the market publishes it."""

    obligation: str
    product: str
    market: str
    over: Interval
    mw: float
    mcpc_usd_per_mw_h: float | None


FACT_KINDS: dict[str, type[Fact]] = {
    k.__name__: k
    for k in (
        Price, ReservePrice, IndicativePrices, IndicativeReservePrices, PriceForecast, SystemLoad, LoadForecast, MeasuredGeneration,
        GenerationForecast, HashPrice, HashEconomics, Temperature, GridStatus, Call, Award,
    )
}  # fmt: skip
