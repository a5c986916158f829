"""What the journal says of a day: the plans in force, what was known, what was commanded and done, and which alerts there were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Engine, func, select

from dispatch.entries import Done, Entry, GeneratorSeen, Hold, Planned, PriceBasisChanged, RunStarted, Seen
from dispatch.power_meters import MeterCount, MeterId
from dispatch.settlement.held_readings import READINGS_APART
from dispatch.settlement.signals import LATE, NOTICE, signals_seen, span_of
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import journal, reading
from markets.facts import Award, Call, Fact, HashEconomics, MeasuredGeneration, Price, PriceForecast, PriceMarket
from markets.forecasting.forecast_score import ExpectedPrice, expected_prices
from markets.grid import Interval, OperatingDay
from optimizer.planning.plan_json import PlanDocument

# A plan of the day before is in force at midnight. The economics of the day's second UTC day are published a day after it has ended.
LOOK_BACK = timedelta(hours=12)
LOOK_AHEAD = timedelta(hours=60)
# The runs whose newest price a forecast is made from.
SETTLED_RUNS = frozenset(PriceMarket) - {PriceMarket.DAY_AHEAD_HOURLY, PriceMarket.REAL_TIME_SCED}


# Each plan with the instant from which it is in force, in order of time; it holds until the next.
Plans = Sequence[tuple[datetime, PlanDocument]]


@dataclass(frozen=True, slots=True)
class MetersRead:
    """What the site's meters read at an instant, MW by meter, which of them were doubted, and what was counted from all their readings."""

    at: datetime
    mw: Mapping[MeterId, float]
    doubted: frozenset[MeterId]
    counts: Mapping[MeterId, MeterCount] = field(default_factory=dict)

    def read_at(self, meter: MeterId) -> datetime:
        """When a meter was read."""
        return self.counts[meter].until if meter in self.counts else self.at


@dataclass(slots=True)
class DayRecord:
    """The entries that bear on a day, in the journal's order; each tuple is (when it was written, entry).

    runs         that began on the day or shortly before; `run` is the newest that began before the day ended
    expected_prices  by settlement point and start, what was forecast of an interval of the day when the price before it became known
    last         when the site was last observed, up to now
    """

    day: OperatingDay
    plans: list[tuple[datetime, PlanDocument]] = field(default_factory=list)
    failed_plans: list[tuple[datetime, str]] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    price_basis_changes: list[PriceBasisChanged] = field(default_factory=list)
    runs: list[RunStarted] = field(default_factory=list)
    run: RunStarted | None = None
    holds: list[tuple[datetime, Hold]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    awards: list[Award] = field(default_factory=list)
    economics: list[HashEconomics] = field(default_factory=list)
    generation: list[MeasuredGeneration] = field(default_factory=list)
    alerts: dict[str, list[tuple[datetime, str]]] = field(default_factory=dict)
    generators: dict[str, list[tuple[datetime, GeneratorSeen]]] = field(default_factory=dict)
    meters_read: list[MetersRead] = field(default_factory=list)
    expected_prices: dict[tuple[str, datetime], ExpectedPrice] = field(default_factory=dict)
    last: datetime | None = None
    _last_prices: dict[tuple[str, datetime], float] = field(default_factory=dict)

    @property
    def received_late_at(self) -> datetime | None:
        """When the newest call or award of the day was received, if that was after the day; None when there is none."""
        received: list[Call | Award] = [*self.calls, *self.awards]
        return max((f.known_at for f in received if f.known_at > self.day.end and self.bears_on(f)), default=None)

    def bears_on(self, fact: Call | Award) -> bool:
        """Whether a call or an award is of this day."""
        start, end = span_of(fact)
        return start < self.day.end and (end is None or end > self.day.start)

    def add(self, entry: Entry, known_at: datetime | None) -> None:
        """Add an entry; facts learned after `known_at` are left out."""
        within = self.day.start <= entry.at < self.day.end
        if isinstance(entry, Seen):
            self._add_seen(entry, known_at, within)
        elif isinstance(entry, RunStarted) and entry.at < self.day.end:
            self.runs.append(entry)
        elif isinstance(entry, Planned) and entry.at < self.day.end:
            if entry.plan is not None:
                self.plans.append((entry.at, cast(PlanDocument, entry.plan)))
            elif within:
                self.failed_plans.append((entry.at, entry.failed))
        elif isinstance(entry, Done):
            self._add_meters(entry, self.meters_read[-1].doubted if self.meters_read else frozenset())
            self.done += [entry] if within else []
        elif isinstance(entry, PriceBasisChanged) and within:
            self.price_basis_changes.append(entry)

    def _add_seen(self, seen: Seen, known_at: datetime | None, within: bool) -> None:
        self.holds += [(seen.at, hold) for hold in seen.holds if within]
        for fact in seen.facts:
            if known_at is None or fact.known_at <= known_at:
                self._add_fact(fact)
        self._add_meters(seen, frozenset(seen.meter_doubts))
        for name, machine in seen.generators.items():
            self.generators.setdefault(name, []).append((seen.at, machine))
        for source, text in seen.alerts.items() if within else ():
            self.alerts.setdefault(source, []).append((seen.at, text))

    def _add_meters(self, read: Seen | Done, doubted: frozenset[MeterId]) -> None:
        """Add readings of meters, where there are any or were before: a meter that falls silent is known no more."""
        at = read.meters_at or read.at
        near = self.day.start - READINGS_APART <= at < self.day.end + READINGS_APART
        if near and (read.meters or self.meters_read):
            self.meters_read.append(MetersRead(at, read.meters, doubted, read.meter_counts))

    def _add_fact(self, fact: Fact) -> None:
        if isinstance(fact, Call):
            self.calls.append(fact)
        elif isinstance(fact, Award):
            self.awards.append(fact)
        elif isinstance(fact, HashEconomics):
            self.economics.append(fact)
        elif isinstance(fact, MeasuredGeneration):
            self.generation.append(fact)
        elif isinstance(fact, Price) and fact.market in SETTLED_RUNS:
            self._last_prices[fact.point, fact.over.end] = fact.usd_per_mwh
        elif isinstance(fact, PriceForecast):
            self._add_forecast(fact)

    def _add_forecast(self, forecast: PriceForecast) -> None:
        start = forecast.over.start
        last = self._last_prices.get((forecast.point, start))
        if last is not None and self.day.start <= start < self.day.end:
            self.expected_prices[forecast.point, start] = expected_prices(forecast, last)[0]


def read_day(engine: Engine, day: OperatingDay, known_at: datetime | None = None) -> DayRecord:
    """The journal's entries around a day, without facts learned after `known_at`. Raises LedgerUnavailable, JournalBroken."""
    record = DayRecord(day)
    with reading(engine) as connection:
        record.last = connection.execute(select(func.max(journal.c.at)).where(journal.c.kind == "Seen")).scalar()
        newest = select(func.max(journal.c.seq)).where(journal.c.kind == "RunStarted", journal.c.at < day.end)
        run_seq = connection.execute(newest).scalar()
        near = journal.c.at >= day.start - LOOK_BACK, journal.c.at <= day.end + LOOK_AHEAD
        first_seq, last_seq = connection.execute(select(func.min(journal.c.seq), func.max(journal.c.seq)).where(*near)).one()
    if run_seq is not None:
        _, started = next(SqlJournal(engine, page=1).read(after=run_seq - 1))
        record.run = started if isinstance(started, RunStarted) else None
    if first_seq is None:
        return record
    before = Interval(day.start - NOTICE, day.start - LOOK_BACK)
    record.calls += signals_seen(engine, Call, before, known_at)
    record.awards += signals_seen(engine, Award, before, known_at)
    for seq, entry in SqlJournal(engine).read(after=first_seq - 1):
        if seq > last_seq:
            break
        if day.start - LOOK_BACK <= entry.at <= day.end + LOOK_AHEAD:  # a clock that stood wrong leaves rows of other days between
            record.add(entry, known_at)
    late = Interval(day.end + LOOK_AHEAD, day.end + LATE)
    record.calls += [c for c in signals_seen(engine, Call, late, known_at) if record.bears_on(c)]
    record.awards += [a for a in signals_seen(engine, Award, late, known_at) if record.bears_on(a)]
    return record
