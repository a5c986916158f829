"""How far a contract with a month, a season or a year has come at the end of a day."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContractProgress:
    """A figure of a contract so far. `unit` is "MW", "h", "%", "calls"...; `how` says what it counts, and of how much."""

    name: str
    value: float
    unit: str
    how: str = ""
