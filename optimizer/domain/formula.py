"""What a contract's formula reads (`Quantities`) and yields (`Charge`), and the load it insists on (`Bounds`).

A linear contract writes its money once, as `charges(quantities)`: each charge is a quantity that follows load or hashrate, times a rate
that does not. While planning, `quantities` is a Program: quantities are linear expressions over its columns, rates are float arrays. While
settling it is an `ActualQuantities`: both are arrays of Decimal. Objective and bill therefore come from one formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from markets.facts import Call
from markets.grid import Grid, Interval
from markets.outlook import PeakWindow
from optimizer.domain.generator import Generator
from optimizer.domain.memory import Memory
from optimizer.domain.site import Site

V = TypeVar("V")
Rate = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The load an obligation insists on for its scope over an interval, MW; `firm` orders it before every economic term.

    call_id  the call that sets the cap; empty where none does
    """

    floor_mw: float = 0.0
    cap_mw: float = float("inf")
    firm: bool = False
    why: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Charge(Generic[V]):
    """A charge type over the grid: amount = quantity x rate, per interval. Positive rates are receipts. `price_at` names the settlement
    point whose price the rate is, so that a line can cite its source. `over_period`: it belongs to a month, a day or an hour as a
    whole, not to its interval alone, so that what a rig earns in an interval leaves it out. `carried`: the share of it that belongs to
    hours after the grid (`periods.carried`), shape (n,); a bill owes it whole, a plan weighs what belongs to its own hours. `accrued`: it
    is owed in a later period (next year's transmission charge, a season's capacity), not with the day. `meter` is the id of the meter
    whose energy the quantity is."""

    charge_type: str
    quantity: V
    unit: str
    rate: Rate
    rule: str = ""
    price_at: str = ""
    over_period: bool = False
    carried: NDArray[np.float64] | None = None
    accrued: bool = False
    meter: str = ""


class Quantities(Protocol[V]):
    """What a formula may read, planned or actual. Numbers are of one kind inside: floats in a Program, Decimals when settling."""

    @property
    def site(self) -> Site: ...

    @property
    def grid(self) -> Grid: ...

    @property
    def hours(self) -> Rate: ...

    def energy_mwh(self, group: str) -> V:
        """At the meter, the hall's overhead included, before the meter's loss factor."""
        ...

    def hash_ph_days(self, group: str) -> V: ...

    def energy_price(self, settlement_point: str) -> Rate:
        """usd_per_mwh, shape (n,)."""
        ...

    def hashprice(self) -> Rate:
        """usd_per_ph_day before the pool's fee, shape (n,)."""
        ...

    def generators(self, meter: str) -> tuple[Generator, ...]:
        """What the book's contracts generate behind a meter (generator.py)."""
        ...

    def generated_mwh(self, obligation: str) -> V:
        """Made by the generator of a contract, at its meter, before the meter's loss factor."""
        ...

    def curtailed_mwh(self, obligation: str) -> V:
        """What a wind or solar plant could have made beyond that; unknown where it is not known what it could make."""
        ...

    def runs(self, obligation: str) -> V:
        """One where that generator runs, zero where it is stopped."""
        ...

    def starts(self, obligation: str) -> V:
        """One where it runs and did not in the interval before."""
        ...

    def number(self, value: float) -> Any:
        """A contract's figure in this reader's own kind of number."""
        ...

    def sum(self, parts: Sequence[V]) -> V: ...

    def during(self, over: Interval | None) -> Rate:
        """The share of each interval inside `over` (all of it when None), in this reader's own kind of number."""
        ...

    def settled_by(self, obligation: str, group: str) -> Rate:
        """The share of each interval in which this contract settles the group's energy in place of `power` (`settles_energy`)."""
        ...

    def settled_apart(self, group: str) -> Rate:
        """The same, by any contract of the book."""
        ...

    def hashed_apart(self, group: str) -> Rate:
        """The share of each interval in which a contract of the book settles what the group hashes (`settles_hash`)."""
        ...

    def peak_share(self, window: PeakWindow) -> Rate:
        """The share of the coincident system peak of the month, metered over so many minutes, in each interval; of the season where
        `window` is (minutes, 3). An expectation while planning, what is known by now when settling, shape (n,)."""
        ...

    @property
    def memories(self) -> Mapping[str, Memory]:
        """By contract name: what contracts remember of the time before the grid (`Contract.memory_from`)."""
        ...

    def mean(self, quantity: V, periods: NDArray[np.int64]) -> V:
        """The time-weighted mean of a quantity over the period of each interval, as far as the grid holds it and it is known (periods.py).
        A gap stays a gap."""
        ...

    def highest(self, quantity: V, periods: NDArray[np.int64], floor: Rate, least: Rate | None = None) -> V:
        """By how much the highest of a quantity in its period, counted with at least `least`, passes `floor`: each interval's raise over
        all before it when settling, the same sum in the period's first interval in a program. What it costs must not be positive, or a
        program would not be exact."""
        ...

    def short(self, quantity: V, periods: NDArray[np.int64], need: Rate, before: tuple[float, float] = (0.0, 0.0)) -> V:
        """In each period's last interval how far the sum of a quantity stays behind the sum of `need`; zero elsewhere. `before` is
        quantity and need of the first period before the grid; what was missing then is taken off, so that bills of parts of a period
        add up to that of the whole. To be charged, never paid for."""
        ...

    def calls_of(self, obligation: str) -> tuple[Call, ...]:
        """The calls under an obligation that count (`calls_in_force`)."""
        ...

    def awarded(self, obligation: str, product: str, market: str) -> tuple[Rate, Rate]:
        """Awards of a market ("DAM" or "RT"): MW, and their clearing price, usd_per_mw_h, shape (n,) each."""
        ...

    def carried_mw(self, obligation: str, product: str) -> V:
        """Reserve carried in real time: what the plan keeps ready, what the market awarded; where nobody said, the day-ahead award."""
        ...

    def reserve_price(self, obligation: str, product: str) -> Rate:
        """Real-time price of reserve, usd_per_mw_h, shape (n,); zero where none is known."""
        ...

    def in_gap(self) -> NDArray[np.bool_]:
        """Where no contract is billed, because nobody ran the site or something is unknown, shape (n,)."""
        ...

    def billed(self, obligation: str) -> tuple[Charge[V], ...]:
        """What another contract charges and pays, in dollars: a charge of unit "usd" and rate one for each of its own. Only for a contract
        that names the other in `charged_on`."""
        ...

    def below(self, quantity: V, knots: Rate, slopes: tuple[Rate, ...]) -> V:
        """A piecewise linear amount of `quantity`: `slopes[k]` holds left of `knots[k]` (ascending, one row an interval, one column a
        knot), the last slope right of the last knot, and the amount at quantity zero is zero. Exact when settling; never higher than that
        in a program (a binary where the shape is not concave)."""
        ...


def per_interval(its: Quantities[Any], values: Sequence[float]) -> Rate:
    """A contract's figures, one for each interval, in the reader's own kind of number, shape (n,)."""
    zero = its.during(None) * its.number(0)
    return np.asarray(zero + np.array([its.number(v) for v in values], dtype=zero.dtype))
