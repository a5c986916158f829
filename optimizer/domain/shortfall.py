"""Plan: what the site should do over the horizon, worth what, and why. It always returns one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A promise that cannot be kept: the most it is missed by, what that costs, why and the cheapest way out, and when (market clock)."""

    promise: str
    mw: float
    usd: float
    repair: str
    hours: str = ""
