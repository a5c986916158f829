"""What a contract limits whatever is asked of its rigs: the load of groups, and the price at which they stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """The most that some groups may draw together at their meters, MW, and why."""

    groups: tuple[str, ...]
    mw: float
    why: str


@dataclass(frozen=True, slots=True)
class StopPrice:
    """The energy price at which rigs stop, usd_per_mwh. `alone`: it decides by itself, whatever the rigs earn."""

    usd_per_mwh: float
    alone: bool
