"""Entries: everything the journal can say. Frozen, and the same bytes for the same content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any

from pydantic import TypeAdapter

from dispatch.power_meters import MeterCount, MeterId
from markets.facts import FACT_KINDS, Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the journal. `at` is the world's time, UTC."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Entry):
    """A process became the leader of the site; later rows carry its fencing token.

    config    the site file as JSON values (`Setup.document`); `config_hash` is its SHA-256, hex
    memories  by contract name, what it remembers of the time before, as JSON values (`Memory.to_json`); empty where the ledger says nothing
    """

    world: str
    version: str
    config_hash: str
    token: int
    config: Mapping[str, Any]
    memories: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Entry):
    """The run ended as asked: from `at` on nobody runs the site until the next `RunStarted`. A process that dies writes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSeen:
    """A group as it was read.

    rigs, reachable  how many rigs it has, and how many of them answered
    load_mw          at the wall, overhead not included
    changed          by condition, the rigs that came into it since the last entry, packed (`pack`). A condition is a mode name (the rig
                     draws what that mode draws), "waking" or "unreachable"
    awaited          packed rigs that were not read yet since their last order could show; `awaited_mw` what they were read to draw
    """

    rigs: int
    reachable: int
    load_mw: float
    hashrate_ph: float
    changed: Mapping[str, str] = field(default_factory=dict)
    awaited: str = ""
    awaited_mw: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSeen:
    """A generator as it was read: its state (dispatch.meters.generator.GeneratorState) and since when, what it makes (None where not read),
    what it was last ordered, and until when one that failed is not started."""

    state: str
    since: datetime | None = None
    mw: float | None = None
    wanted: bool | None = None
    out_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A person's order that stays in force until it is released or `until`: a group, or the whole site when `group` is None, draws at most
    `mw_cap` MW or is in `mode`. `by` names the person."""

    id: str
    group: str | None
    mode: str | None
    mw_cap: float | None
    until: datetime | None
    by: str
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Entry):
    """What was observed at a tick.

    facts, holds   new facts, calls and awards; new or released holds
    fleet          by group, what its rigs did
    inbox_cursor   id of the last inbox row that was read; every pushed document is read exactly once
    pushed_by      the API key that pushed a call ("ID version N") or a hold (its id), whatever its sender says of himself
    alerts         what is wrong, in words, by source; one of the `sources_asked` without an alert answered
    meters         measured MW by meter, of the meters whose reading is not stale; `meters_at` when the first of them was read
    meter_counts   by revenue meter, the energy counted from its readings, which are more than are recorded here
    meter_doubts   by meter, why it is not believed
    generators     by contract, the generators that are switched and metered
    """

    facts: tuple[Fact, ...] = ()
    holds: tuple[Hold, ...] = ()
    fleet: Mapping[str, GroupSeen] = field(default_factory=dict)
    inbox_cursor: int = 0
    pushed_by: Mapping[str, str] = field(default_factory=dict)
    alerts: Mapping[str, str] = field(default_factory=dict)
    sources_asked: tuple[str, ...] = ()
    meters: Mapping[MeterId, float] = field(default_factory=dict)
    meters_at: datetime | None = None
    meter_counts: Mapping[MeterId, MeterCount] = field(default_factory=dict)
    meter_doubts: Mapping[MeterId, str] = field(default_factory=dict)
    generators: Mapping[str, GeneratorSeen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Entry):
    """The planner returned.

    as_of   seq of the journal row up to which its inputs were known
    plan    the plan as JSON values, kept in the ledger under its hash; None when planning failed
    failed  why it failed; empty otherwise
    """

    as_of: int
    plan: Mapping[str, Any] | None
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command: rigs of a group into a mode.

    id          has at most one effect on a rig
    rigs        positions in the group, packed (`pack`)
    deadline_s  seconds within which the rigs must be seen in the mode
    why         the reason, in words
    spread_s    seconds over which the rigs are commanded one after the other (inrush, ramps); 0 for all at once
    """

    id: str
    group: str
    mode: str
    rigs: str
    deadline_s: float
    why: str
    spread_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded(Entry):
    """The decision of a tick. Without orders it only tells that `skipped`, `shortfall_mw` or `contract_failures` changed.

    round         number of the decision within its tick
    target_mw     by group, the load that is wanted now
    skipped       by group, how many rigs were not commanded, by reason
    shortfall_mw  by promise, the MW it will be missed by after everything that can be moved
    fans          halls whose pumps and fans must run before rigs are woken there
    contract_failures  by contract that raised, the error; those of others hold
    generators    by contract, whether its generator is to run by the plan in force; of those that are switched
    """

    round: int
    orders: tuple[Order, ...]
    target_mw: Mapping[str, float]
    skipped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    shortfall_mw: Mapping[str, float] = field(default_factory=dict)
    fans: tuple[str, ...] = ()
    contract_failures: Mapping[str, str] = field(default_factory=dict)
    generators: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of an order, judged by readings taken afterwards.

    rigs_by_outcome  packed rigs by outcome (`Outcome`)
    reasons          in words, by outcome
    resent           how many commands to single rigs were sent again after a reading; `resent_rigs` which rigs, packed
    shed_within_s    of an order to sleep: how many rigs shed their load, by the seconds it took; `rose_within_s` of one to wake: drew more
    """

    order: str
    rigs_by_outcome: Mapping[str, str]
    reasons: Mapping[str, str] = field(default_factory=dict)
    resent: int = 0
    resent_rigs: str = ""
    shed_within_s: Mapping[str, int] = field(default_factory=dict)
    rose_within_s: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Entry):
    """What became of orders, each once; `meters`, `meters_at` and `meter_counts` as in `Seen`, read afterwards."""

    results: tuple[Result, ...]
    meters: Mapping[MeterId, float] = field(default_factory=dict)
    meters_at: datetime | None = None
    meter_counts: Mapping[MeterId, MeterCount] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBasisChanged(Entry):
    """Decisions are made on another kind of price from here on (a markets.outlook.PriceBasis), or no price is known: safe state."""

    price_basis: str
    why: str


def pack(rigs: Sequence[int]) -> str:
    """Positions as ascending ranges: [0, 1, 2, 7] is "0-2,7". An empty set is ""."""
    out, run = list[str](), list[int]()
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
    ranges = [part.partition("-") for part in text.split(",") if part]
    return tuple(chain.from_iterable(range(int(first), int(last or first) + 1) for first, _, last in ranges))


ENTRY_KINDS: dict[str, type[Entry]] = {k.__name__: k for k in (RunStarted, RunEnded, Seen, Planned, Commanded, Done, PriceBasisChanged)}

_adapter: Callable[[type], TypeAdapter[Any]] = cache(TypeAdapter)


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
    facts = {"facts": tuple(map(fact_from_json, rest.pop("facts", ())))} if kind is Seen else {}
    entry: Entry = replace(_adapter(kind).validate_python(rest), **facts)
    return entry


def canonical_json(document: Any) -> bytes:
    """The one way these JSON values are written down: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
