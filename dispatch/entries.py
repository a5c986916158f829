"""Entries: everything the journal can say. Frozen, and the same bytes for the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from markets.facts import (
    Award,
    Call,
    Fact,
    GridStatus,
    HashEconomics,
    HashPrice,
    LoadForecast,
    Price,
    ReservePrice,
    SystemLoad,
    Temperature,
)


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
        def validate(value: Any) -> MeterId:
            return value if isinstance(value, MeterId) else cls.parse(value)

        return core_schema.no_info_plain_validator_function(validate, serialization=core_schema.to_string_ser_schema())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`at` is the world's time, UTC."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Entry):
    """A process took the lead with a fencing token; `config_hash` names the site and book it runs."""

    world: str
    version: str
    config_hash: str
    token: int
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSeen:
    """A group as it was read: its load, and the rigs whose condition changed since the last entry, packed, by condition.

    A condition is a mode name (the rig draws what that mode draws), "waking" or "unreachable".
    """

    rigs: int
    reachable: int
    load_mw: float
    hashrate_ph: float
    changed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A person's standing order: keep `group` (all of the site when None) at most, or in a mode, until released."""

    id: str
    group: str | None
    mode: str | None
    mw_cap: float | None
    until: datetime | None
    by: str
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Entry):
    """What was known at a tick: new facts, calls, awards and holds, how the sources fared, and what the rigs did.

    inbox     the last inbox row taken in; the cursor that makes nothing pushed get lost or taken twice
    alerts    by source, a sentence; a source that is not named here answered, or was not asked
    meters    measured MW by meter, of the meters whose reading is not stale
    """

    facts: tuple[Fact, ...] = ()
    holds: tuple[Hold, ...] = ()
    fleet: Mapping[str, GroupSeen] = field(default_factory=dict)
    inbox: int = 0
    alerts: Mapping[str, str] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    meters: Mapping[MeterId, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Entry):
    """A plan came back. `as_of` is the journal's seq its inputs were folded from; `plan` is the JSON of a
    optimizer.planning.plan_json.PlanDocument, kept as a blob by its hash."""

    as_of: int
    plan: Mapping[str, Any] | None
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command: rigs of a group into a mode. `id` has at most one effect on a rig. The rigs are told one after the other over `over_s`
    seconds (inrush, ramps), all at once where that is zero."""

    id: str
    group: str
    mode: str
    rigs: str
    deadline_s: float
    why: str
    over_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded(Entry):
    """The decision of a tick's round. `target_mw` by group is what is wanted now; `skipped` counts rigs by reason, by group.

    short  by promise, the MW it will be missed by with all that can be moved; an entry without orders says no more than this and `skipped`
    fans   halls whose fans must run before rigs are woken there
    """

    round: int
    orders: tuple[Order, ...]
    target_mw: Mapping[str, float]
    skipped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    short: Mapping[str, float] = field(default_factory=dict)
    fans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of an order: packed rigs by outcome, reasons by outcome, how many sends were repeated after a read.

    took_s  of an order to sleep: rigs by the seconds within which they were seen to have shed their load
    """

    order: str
    by: Mapping[str, str]
    reasons: Mapping[str, str] = field(default_factory=dict)
    resent: int = 0
    took_s: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Entry):
    """What became of the orders of the `Commanded` before it, each judged by readings; `meters` as in `Seen`, read afterwards."""

    results: tuple[Result, ...]
    meters: Mapping[MeterId, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBasisChanged(Entry):
    """Decisions are made on another kind of price from here on, or no price is known and the safe state holds. `price_basis` is a
    markets.outlook.PriceBasis; `why` says it in words."""

    price_basis: str
    why: str


def pack(rigs: Sequence[int]) -> str:
    """Positions as ascending ranges: [0, 1, 2, 7] is "0-2,7". An empty set is ""."""
    out: list[str] = []
    run: list[int] = []
    for rig in [*sorted(set(rigs)), None]:
        if run and rig == run[-1] + 1:
            run.append(rig)
            continue
        if run:
            out.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
        run = [rig] if rig is not None else []
    return ",".join(out)


def unpack(text: str) -> tuple[int, ...]:
    """The positions of a packed set. Raises ValueError when it is not one."""
    out: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        out.extend(range(int(first), int(last or first) + 1))
    return tuple(out)


ENTRY_KINDS: dict[str, type[Entry]] = {k.__name__: k for k in (RunStarted, Seen, Planned, Commanded, Done, PriceBasisChanged)}
FACT_KINDS: dict[str, type[Fact]] = {
    k.__name__: k
    for k in (
        Price, ReservePrice, SystemLoad, LoadForecast, HashPrice, HashEconomics, Temperature, GridStatus, Call, Award,
    )
}  # fmt: skip


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def fact_to_json(fact: Fact) -> dict[str, Any]:
    """A fact as plain JSON values, its kind under "fact"."""
    return {"fact": type(fact).__name__, **_adapter(type(fact)).dump_python(fact, mode="json")}


def fact_from_json(document: Mapping[str, Any]) -> Fact:
    """Raises KeyError or pydantic's ValidationError when it is not a fact."""
    rest = dict(document)
    fact: Fact = _adapter(FACT_KINDS[rest.pop("fact")]).validate_python(rest)
    return fact


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """An entry as plain JSON values, its kind under "entry"."""
    document = _adapter(type(entry)).dump_python(entry, mode="json")
    if isinstance(entry, Seen):
        document["facts"] = [fact_to_json(f) for f in entry.facts]
    return {"entry": type(entry).__name__, **document}


def entry_from_json(document: Mapping[str, Any]) -> Entry:
    """Raises KeyError or pydantic's ValidationError when it is not an entry."""
    rest = dict(document)
    kind = ENTRY_KINDS[rest.pop("entry")]
    if kind is Seen:
        facts = tuple(fact_from_json(f) for f in rest.pop("facts", ()))
        seen: Seen = replace(_adapter(Seen).validate_python(rest), facts=facts)
        return seen
    entry: Entry = _adapter(kind).validate_python(rest)
    return entry


def canonical_json(document: Any) -> bytes:
    """The one way these JSON values are written down: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
