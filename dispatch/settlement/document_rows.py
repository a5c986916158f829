"""Rows of a settlement document: lines, charges, rig groups, billed quantities. Figures are decimal strings, empty where unknown."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class LineRow(TypedDict):
    """A line of the bill: amount = quantity x rate, exact, positive to the site. All three are None where the amount is
    unknown (`source` then says why)."""

    obligation: str
    charge_type: str
    interval_start: str
    interval_end: str
    quantity: str | None
    unit: str
    rate: str | None
    amount_usd: str | None
    settlement_point: str
    label: str
    dst_flag: str
    price_version: str
    price_vintage: str
    source: str
    formula: str
    rule: str
    rule_from: str
    iso_code: str
    meter: str
    esi_id: str
    metered_mwh: str
    loss_factor: str
    day_ahead_mw: str
    accrued: bool


class ChargeRow(TypedDict):
    """A charge of the day: what its total was made from. `amount_usd` is to the cent, as in the totals; quantities of one unit only.
    None where the total is unknown."""

    obligation: str
    charge_type: str
    iso_code: str
    meters: list[str]
    quantity: str
    unit: str
    average_rate: str
    amount_usd: str | None
    accrued: bool


class GroupRow(TypedDict):
    """A rig group's day: energy at its meter before losses, what it hashed, and the bitcoin that is in expectation before the pool's fee,
    at its mean price; empty where difficulty and price of bitcoin are not known."""

    group: str
    tenant: str
    energy_mwh: str
    hash_ph_days: str
    btc_mined: str
    btc_usd: str
    hash_usd: str


class BilledQuantityRow(TypedDict):
    """A quantity behind a contract's bill that its lines do not show; exact, so that days add up."""

    obligation: str
    name: str
    quantity: str
    unit: str
    how: str


class PlantRow(TypedDict):
    """What a generator, wind or solar plant made, and what it could have made more, MWh; None where that is not known, or it follows a
    schedule."""

    made_mwh: str
    curtailed_mwh: str | None


class GenerationRow(TypedDict):
    """Generation behind a meter, MWh before losses: made there, used by the site itself, flowed out, and drawn through the meter beside it.
    Over the intervals in which all of it is known: `intervals` of `of`."""

    intervals: int
    of: int
    made_mwh: str
    own_use_mwh: str
    exported_mwh: str
    drawn_mwh: str
    plants: dict[str, PlantRow]


class CoveredRow(TypedDict):
    """The share of prices at or under the quantile of a level."""

    level: float
    share: float


class ForecastScoreRow(TypedDict):
    """The price forecasts of a settlement point against the prices of the day: in how many `of` the day's intervals there were both, what
    decisions by the forecast, and by the last price, lose against knowing each price, mean pinball loss of both, and coverage of the
    quantiles. None, and `text` says why, where there is no score. Nothing of it is money that was earned or lost."""

    point: str
    intervals: int
    of: int
    lost_usd: str | None
    last_price_lost_usd: str | None
    pinball_usd_per_mwh: str | None
    last_price_pinball_usd_per_mwh: str | None
    covered: list[CoveredRow]
    text: str


class PeakIntervalRow(TypedDict):
    """A metered interval of a contract that charges by coincident peaks: the chance of being the peak that the plan in force at its start
    gave it, the load and that of every rig running, what both cost if it is the peak; and where rigs slept for it, hours, MWh, hash revenue
    given up and the margin of it. None where unknown. `metered`: minutes, and months of which each has a peak. No money that is owed."""

    obligation: str
    metered: list[int]
    start: str
    end: str
    chance: str | None
    load_mw: str | None
    full_load_mw: str | None
    usd_if_peak: str | None
    full_usd_if_peak: str | None
    curtailed_hours: NotRequired[str]
    curtailed_mwh: NotRequired[str]
    hash_usd: NotRequired[str]
    margin_usd: NotRequired[str]
