"""What a block of rows in the program stands for. Explanations choose rows and words by it, never by the name of a row."""

from __future__ import annotations

from enum import Enum, auto


class RowKind(Enum):
    """The kind of a block of rows, and of the shortfall that is left where it cannot be kept.

    SITE_LIMIT    MW that wires, halls or makers allow
    CALL          the most a contract's bounds allow: a deployed instruction
    FLOOR         the least a contract's bounds allow
    LOAD          a load a contract promises without a call, such as before a test
    RAMP          MW an interval that the load may change by
    STARTS        thousands of rigs that may start in an interval
    MINIMUM_TIME  thousands of rigs that must stay on or off
    AWARD         MW of an award that must be carried
    OTHER         everything else: definitions, settlement formulas, rows of plug-ins
    """

    SITE_LIMIT = auto()
    CALL = auto()
    FLOOR = auto()
    LOAD = auto()
    RAMP = auto()
    STARTS = auto()
    MINIMUM_TIME = auto()
    AWARD = auto()
    OTHER = auto()
