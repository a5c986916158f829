"""Rates of a contract that change by date: those of the newest `from` that is not after the operating day hold."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from pydantic import Field

from optimizer.domain.site import Written


class DatedRate(Written):
    """What is due from an operating day on, until the next rate. `from`: its first operating day."""

    from_: date = Field(alias="from")


R = TypeVar("R", bound=DatedRate)


def in_order(rates: tuple[R, ...]) -> tuple[R, ...]:
    """The same rates. Raises ValueError unless each begins after the one before."""
    days = [rate.from_ for rate in rates]
    if sorted(set(days)) != days:
        raise ValueError("must be in order of `from`, each day once")
    return rates


def in_force(rates: Sequence[R], day: date) -> R | None:
    """The rate of an operating day; None before the first."""
    newer = bisect_right([rate.from_ for rate in rates], day)
    return rates[newer - 1] if newer else None
