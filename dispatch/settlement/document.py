"""The settlement documents as typed values: what `loadstone settle --json` prints, the ledger keeps and the reports render.

Every value is one that JSON holds: money and energy are decimal strings (`_usd` to the cent, `exact_usd` unrounded), instants are
ISO 8601 with offset. A document is its own JSON: `to_json` and `from_json` are the only conversion.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NotRequired, cast

from typing_extensions import TypedDict

from dispatch.settlement.document_rows import (
    BilledQuantityRow,
    ChargeRow,
    ForecastScoreRow,
    GenerationRow,
    GroupRow,
    LineRow,
    PeakIntervalRow,
)


class Narrative(TypedDict):
    """The day in sentences: what was earned, why, what went wrong (`issues`), what somebody has to do (`actions`)."""

    earned: list[str]
    why: list[str]
    issues: list[str]
    actions: list[str]


class StrategyValue(TypedDict):
    """What another way of running the day would have earned; `lines` by OBLIGATION/CHARGE_TYPE, energy in MWh at the meters."""

    net_usd: str
    lines: dict[str, str]
    energy_mwh: float
    hash_ph_days: float
    starts: int


class CauseRow(TypedDict):
    """A part of a difference in dollars, with its cause."""

    cause: str
    usd: str
    exact_usd: str
    text: str


class Span(TypedDict):
    """A call or an award of a contract: `kind` is the kind of call, or "award"; `what` its id or product."""

    kind: str
    what: str
    start: str
    end: str
    mw: float | None


class Breach(TypedDict):
    """An interval in which the load was outside a contract's bounds: by `mw`, positive above."""

    start: str
    end: str
    mw: str


class PromiseRow(TypedDict):
    """What a contract had to keep on the day, what it paid, and what it would have paid more had every bound been kept."""

    obligation: str
    kept: bool
    payable_usd: str
    lost_usd: str
    broken: list[Breach]
    spans: list[Span]


class FindingRow(TypedDict):
    """Something a person should look at: `kind` is a stable word."""

    kind: str
    text: str


class Figure(TypedDict):
    """A figure with its unit; `how` says what it counts."""

    name: str
    value: str
    unit: str
    how: str


class Gaps(TypedDict):
    """Intervals that were run and are billed by no contract, because a price or a reading is missing: what is known of them, and the hash
    revenue that is not booked. `first` is where they begin."""

    intervals: int
    first: str | None
    energy_mwh: str
    hash_ph_days: str
    hash_revenue_usd: str


class Coverage(TypedDict):
    """What a day's net covers, in a sentence, and what was run and left out of it."""

    net_covers: str
    gaps: Gaps


class MeterFileUsed(TypedDict):
    """A document of meter data that was used."""

    name: str
    sha256: str
    known_at: str


class MeterRow(TypedDict):
    """A revenue meter's day: how many of its intervals are read, MWh there, and what telemetry adds up to in the same intervals.
    `live_intervals` of them are the site's own readings, where there are any."""

    intervals: int
    of: int
    estimated: int
    mwh: str
    telemetry_mwh: str
    delta_mwh: str
    live_intervals: NotRequired[int]
    files: list[MeterFileUsed]


class IntervalRow(TypedDict):
    """A settlement interval for people: load, prices by settlement point (None where none was published), the net of all lines. Where a
    meter is read and every group has telemetry, `rigs_mwh` is the telemetry of all groups, the halls' overhead included."""

    start: str
    end: str
    label: str
    energy_mwh: str
    load_mw: str
    groups_mw: dict[str, str | None]
    hash_ph_days: str
    price_usd_per_mwh: dict[str, str | None]
    hashprice_usd_per_ph_day: str | None
    net_usd: str
    unread: float
    source: str
    rigs_mwh: NotRequired[str]


class Delta(TypedDict):
    """What changed against the version before, by total; None where one of the two versions does not know it."""

    version: int
    net_usd: str
    totals: dict[str, str | None]


# "from" is a word of Python, so this part of a document is declared by call.
_Bounds = TypedDict("_Bounds", {"from": str, "to": str})


class UnknownTotal(TypedDict):
    """A charge of which a part is unknown: `name` as in totals, where it is None; the net holds `known_usd` of it and no more."""

    name: str
    known_usd: str
    why: str


class DayContent(_Bounds, Coverage):
    """A day's statement without its place among the versions: the same inputs give the same content. `tenant` is on the statement of one
    tenant alone, `generation` by meter on that of a site that generates. A total that is not known is None."""

    tenant: NotRequired[str]
    date: str
    market: str
    site: str
    partial: bool
    synthetic: bool
    worlds: list[str]
    known_at: str
    narrative: Narrative
    energy_mwh: str
    hash_ph_days: str
    totals: dict[str, str | None]
    unknown: list[UnknownTotal]
    charges: list[ChargeRow]
    groups: list[GroupRow]
    settled_usd: str
    accrued_usd: str
    net_usd: str
    net_exact_usd: str
    counterfactuals: dict[str, StrategyValue]
    foresight_gap: list[CauseRow]
    planned_net_usd: str
    planned_net_exact_usd: str
    differences: list[CauseRow]
    promises: list[PromiseRow]
    contract_progress: list[Figure]
    billed_quantities: list[BilledQuantityRow]
    forecast_scores: list[ForecastScoreRow]
    coincident_peaks: NotRequired[list[PeakIntervalRow]]
    findings: list[FindingRow]
    notes: list[str]
    sources: dict[str, str]
    meters: dict[str, MeterRow]
    generation: NotRequired[dict[str, GenerationRow]]
    intervals: list[IntervalRow]
    lines: list[LineRow]


class DayStatement(DayContent):
    """A day's statement. `version` 0 is not kept. `stage` is the newest type of statement the market had posted of the day, "unposted"
    before the first; `statement_type` is the same in one word for every market. `journal_head` is the journal's last row when it was made,
    as "seq:hash"."""

    version: int
    stage: str
    statement_type: str
    delta: Delta | None
    journal_head: str


class DayCited(TypedDict):
    """A day's statement as a month cites it."""

    date: str
    version: int
    net_usd: str
    partial: bool
    journal_head: str


class PromiseSum(TypedDict):
    """A contract's promises over several days."""

    obligation: str
    days: int
    broken_days: int
    payable_usd: str
    lost_usd: str


class MonthStatement(_Bounds):
    """A month, or any span of days, added up from the days' statements; `partial` and `missing` are dates, `foresight_gap` is by cause."""

    tenant: NotRequired[str]
    market: str
    site: str
    synthetic: bool
    worlds: list[str]
    partial: list[str]
    missing: list[str]
    totals: dict[str, str | None]
    unknown: list[UnknownTotal]
    accrued: list[str]
    settled_usd: str
    accrued_usd: str
    net_usd: str
    net_exact_usd: str
    gaps: Gaps
    figures: list[Figure]
    counterfactuals: dict[str, str]
    foresight_gap: dict[str, str]
    promises: list[PromiseSum]
    days: list[DayCited]
    actions: list[str]


def known_totals(statement: DayStatement | MonthStatement) -> dict[str, Decimal]:
    """The totals as far as they are known, which is what the net holds."""
    known = {row["name"]: row["known_usd"] for row in statement["unknown"]}
    return {name: Decimal(known[name] if usd is None else usd) for name, usd in statement["totals"].items()}


def to_json(statement: DayStatement) -> str:
    """The text the ledger keeps."""
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> DayStatement:
    """The statement of a text that `to_json` made."""
    document: dict[str, Any] = json.loads(text)
    return cast(DayStatement, document)
