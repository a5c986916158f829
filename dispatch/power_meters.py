"""How a power meter of the site is named, and what it counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class MeterKind(StrEnum):
    """Where a power meter is: at a revenue meter (ESI ID), on the feeder of a hall, or in the PDU of a group."""

    METER = "meter"
    HALL = "hall"
    GROUP = "group"


@dataclass(frozen=True, slots=True, order=True)
class MeterId:
    """A power meter by what it measures. In JSON it is one text: "meter main", "hall a", "group a-s21"."""

    kind: MeterKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @classmethod
    def parse(cls, text: str) -> MeterId:
        """The meter of a text such as "hall a". Raises ValueError for another kind."""
        kind, _, name = text.partition(" ")
        return cls(MeterKind(kind), name)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.to_string_ser_schema()
        return core_schema.no_info_plain_validator_function(lambda v: v if isinstance(v, cls) else cls.parse(v), serialization=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterCount:
    """What flowed through a meter between two of its readings, MWh: from the first after a gap, `since`, to its newest, `until`."""

    since: datetime
    until: datetime
    mwh: float
