"""What a contract remembers of the time before a grid: a frozen value of its own type, the same for `bounds`, `shape` and `settle`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Self

from pydantic import TypeAdapter

from markets.grid import Interval

# Made once for each type of memory: making one takes as long as settling a day.
_adapter: Callable[[type], TypeAdapter[Any]] = cache(TypeAdapter)


class DeclaredBaseline(NamedTuple):
    """The load that the market says a contract's reductions are counted from, over an interval, MW (an award of product BASELINE)."""

    over: Interval
    mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What every contract remembers; a contract that remembers more derives a dataclass of its own.

    load_before_mw   by call id: the load of the contract's scope when the call came, MW
    baselines        what the market has said of the contract's baseline
    """

    load_before_mw: Mapping[str, float] = field(default_factory=dict)
    baselines: tuple[DeclaredBaseline, ...] = ()

    def baseline_mw(self, over: Interval, registered_mw: float) -> float:
        """The baseline of an interval, MW: the least that the market says of a part of it, else the registered one."""
        return min((said.mw for said in self.baselines if said.mw > 0 and said.over.overlaps(over)), default=registered_mw)

    def emptied(self, **kept: Any) -> Self:
        """A memory of nothing but what is known of calls and baselines, and of what is given."""
        return type(self)(load_before_mw=self.load_before_mw, baselines=self.baselines, **kept)

    def to_json(self) -> dict[str, Any]:
        """As JSON values: instants and days in ISO 8601."""
        document: dict[str, Any] = _adapter(type(self)).dump_python(self, mode="json")
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The memory that `to_json` made. Raises pydantic.ValidationError, a ValueError, for another document."""
        memory: Self = _adapter(cls).validate_python(document)
        return memory


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodMemory(Memory):
    """The memory of one month, day or year. `period` is its number; None, where it is not known, fits every period."""

    period: int | None = None

    def of_period(self, period: int) -> Self:
        """This memory, or an empty one when it is of another period."""
        return self if self.period in (None, period) else self.emptied(period=period)
