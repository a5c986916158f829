"""The sources a site file asks for, each with how often it is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dispatch.config import Setup
from dispatch.eyes import Watched


def watched(setup: Setup, now: Callable[[], datetime]) -> list[Watched]:
    """Prices and hashprice. A source that answers out of a file or a formula is asked at each look, one on a network beside the loop."""
    return [Watched(s.opened(setup, now), s.period_s, beside=s.live) for s in (setup.prices, setup.hash)]


def simulated_market(setup: Setup) -> bool:
    """Whether prices come out of an archive or a formula, so that time may run as one likes."""
    return not setup.prices.live
