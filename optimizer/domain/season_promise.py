"""What a contract promises over a season: megawatts to be dropped within a response time, by time period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class SeasonPromise:
    """A reduction promised over the days [begins, ends).

    product          "ERS-30", "LMR"
    period           the time period it is promised in, "" for every hour
    hours            hours of the season in which it is promised
    mw, stays_mw     what must drop, and the load that may stay, MW
    usd              price of it, in `unit` ("usd_per_mw_h", "usd_per_mw_day"); None where an auction sets it
    response_s       seconds within which all of it must have dropped
    most             how often or how long it may be called, in words
    """

    product: str
    begins: date
    ends: date
    period: str
    hours: float
    mw: float
    stays_mw: float
    usd: float | None
    unit: str
    response_s: float
    most: str
