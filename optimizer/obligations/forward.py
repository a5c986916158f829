"""Forward: hashrate sold ahead at a fixed price, delivered to the buyer or settled in cash against the index.

    all of it       H h (F - X)              H sold PH/s, h days, F its price, X the index (hashprice before the pool's fee)
    what is missing s (D + max(F - X, 0))    s PH/s-days short over each delivery period, D liquidated damages

Hashing that goes to the buyer still stands in the book at the pool's price (`hashing`); the difference to the forward's price is here, so
that a delivery earns F. A seller who delivers less owes the index for what is missing, keeps no gain on it, and pays damages;
a forward settled in cash is a constant that decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from markets.grid import Interval, OperatingDay, utc
from optimizer.domain.actuals import Actuals
from optimizer.domain.contract import Contract
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.memory import PeriodMemory
from optimizer.domain.periods import clock
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import NotNegative, Positive
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory, value_lines

Instant = Annotated[datetime, AfterValidator(utc)]
SHORTFALL = "forward_shortfall"
PRICE = "Hashrate forward at a fixed price against the index: sold PH/s-days x (price - hashprice)"
MISSING = "Hashrate forward, what was not delivered: liquidated damages, and no gain on the price (forward contract)"
PERIOD_MIN = {"daily": 24 * 60, "hourly": 60}
EVER = Interval(datetime.fromisoformat("1970-01-01T00:00:00+00:00"), datetime.fromisoformat("9999-01-01T00:00:00+00:00"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryMemory(PeriodMemory):
    """What was hashed and what was sold of the UTC day so far, PH/s-days."""

    delivered_ph_days: float = 0.0
    needed_ph_days: float = 0.0


class Forward(Contract[DeliveryMemory]):
    """Hashrate sold ahead.

    ph                        PH/s sold
    usd_per_ph_day            its price
    delivery                  daily: the average of each UTC day | hourly: each hour | cash: only the difference to the index
    damages_usd_per_ph_day    on what is not delivered
    from, to                  when it holds; open when left out
    """

    type: ClassVar[str] = "forward"
    charge_types: ClassVar[tuple[str, ...]] = ("forward_price", "forward_shortfall")
    memory_type = DeliveryMemory
    name: str = "forward"
    ph: Positive
    usd_per_ph_day: Positive
    delivery: Literal["daily", "hourly", "cash"] = "daily"
    damages_usd_per_ph_day: NotNegative = 0.0
    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Forward:
        if self.from_ and self.to and self.to <= self.from_:
            raise ValueError(f"to {self.to.isoformat()} is not after from {self.from_.isoformat()}")
        if self.delivery == "cash" and self.damages_usd_per_ph_day:
            raise ValueError("damages_usd_per_ph_day does not apply to a forward settled in cash: nothing is delivered")
        return self

    @cached_property
    def over(self) -> Interval | None:
        if self.from_ is None and self.to is None:
            return None
        return Interval(self.from_ or EVER.start, self.to or EVER.end)

    def memory_days(self) -> int:
        """How far back its memory may reach: the UTC day that an operating day begins in."""
        return 1 if self.delivery == "daily" else 0

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        price, index = its.number(self.usd_per_ph_day), its.hashprice()
        sold = its.during(self.over) * its.hours * its.number(self.ph) / its.number(24)
        yield Charge("forward_price", its.sum([]) + sold, "ph_day", price - index, PRICE)
        if self.delivery == "cash":
            return
        period = clock(its.grid, PERIOD_MIN[self.delivery])
        known = self.memory_from(its.memories).of_period(int(period[0])) if self.delivery == "daily" else DeliveryMemory()
        before = known.delivered_ph_days, known.needed_ph_days
        missing = its.short(self._hashed(its), period, sold, before)
        gain = np.array([max(usd, its.number(0)) if usd == usd else usd for usd in price - index], dtype=np.asarray(index).dtype)
        yield Charge(SHORTFALL, missing, "ph_day", -(gain + its.number(self.damages_usd_per_ph_day)), MISSING, over_period=True)

    def remember(self, memory: DeliveryMemory, then: Actuals) -> DeliveryMemory:
        """Its memory after a stretch of time: what was hashed and needed of the day that the stretch ends in."""
        its = ActualQuantities.of(then)
        day = clock(its.grid, PERIOD_MIN["daily"])
        last = int(day[-1])
        needed = its.during(self.over) * its.hours * its.number(self.ph) / its.number(24)
        pairs = [(float(h), float(n)) for h, n, d in zip(self._hashed(its), needed, day, strict=True) if d == last and h == h]
        before = memory.of_period(last)
        return replace(
            memory,
            period=last,
            delivered_ph_days=before.delivered_ph_days + sum(h for h, _ in pairs),
            needed_ph_days=before.needed_ph_days + sum(n for _, n in pairs),
        )

    def progress(self, memory: DeliveryMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        """Delivered of the UTC day that the operating day ends in."""
        needed = memory.needed_ph_days
        if self.delivery == "daily" and needed:
            since = f"of {needed:.6g} PH/s-days sold of the UTC day so far"
            yield ContractProgress(f"{self.name}: delivered so far", memory.delivered_ph_days, "PH/s-days", since)

    def shortfall_usd(self, program: Program, path: Trajectory, short_mw: Any) -> float:
        """What is owed for hashing that is not delivered on the planned load."""
        owed = value_lines([self], program, path).get((self.name, SHORTFALL), np.zeros(1))
        return max(0.0, -float(owed.sum()))

    def _hashed(self, its: Quantities[Any]) -> Any:
        return its.sum([its.hash_ph_days(name) for name in self.scope.names(its.site)]) * its.during(self.over)
