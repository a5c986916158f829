"""What contracts remember of the month, the day or the year, folded hour by hour from what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from markets.factbook import FactBook
from markets.facts import Award, Call
from markets.grid import Grid, Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import remember
from optimizer.domain.book import generators_by_meter
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.memory import Memory
from optimizer.domain.money import ZERO, decimal
from optimizer.domain.net_load import followed
from optimizer.domain.obligation import Book
from optimizer.domain.site import Site
from optimizer.planning.plan_json import PlanDocument, planned_generation

HOUR = timedelta(hours=1)
# A site that was not seen for longer was not run meanwhile.
UNSEEN_AT_MOST = HOUR
NAN = Decimal("NaN")

ByInterval = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class SiteAsSeen:
    """The site as it was last seen: what the time until it is seen again counts with.

    points       settlement points whose prices contracts settle at
    rigs_mw      metered load of each group, MW, without its hall's overhead; `meter_mw` with it
    hashrate_ph  hashrate of each group, PH/s
    overhead     by group and instant, the factor from load at the rigs to load at the meter
    """

    site: Site
    book: Book
    points: tuple[str, ...]
    facts: FactBook
    calls: tuple[Call, ...]
    awards: tuple[Award, ...]
    plan: PlanDocument | None
    rigs_mw: Mapping[str, float]
    meter_mw: Mapping[str, float]
    hashrate_ph: Mapping[str, float]
    overhead: Callable[[str, datetime], float]

    def hour_grid(self, start: datetime) -> Grid:
        """The settlement intervals of the hour that begins at `start`."""
        return Grid.regular(start, start + HOUR, self.site.market.settlement_min)


@dataclass(frozen=True, slots=True, eq=False)
class ContractMemories:
    """What each contract remembers, and the running hour that is not yet part of it.

    by_contract    memory by the obligation's name
    seen_at        when the site was last seen
    seen_s         of the running hour, seconds seen in each settlement interval
    energy_mwh     of the running hour, metered MWh without overhead by group and interval
    hash_ph_days   of the running hour, PH/s-days by group and interval
    generated_mwh  of the running hour, MWh by the generator's contract and interval
    failures       by contract that could not remember the last hour, the error: its memory stays as it was
    """

    by_contract: Mapping[str, Memory] = field(default_factory=dict)
    seen_at: datetime | None = None
    seen_s: tuple[float, ...] = ()
    energy_mwh: ByInterval = field(default_factory=dict)
    hash_ph_days: ByInterval = field(default_factory=dict)
    generated_mwh: ByInterval = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    def after(self, last: SiteAsSeen, until: datetime) -> ContractMemories:
        """With the time up to `until`, in which the site did what it was last seen to do. More than an hour unseen is not counted."""
        if until == self.seen_at:
            return self
        if self.seen_at is None or until - self.seen_at > UNSEEN_AT_MOST or until < self.seen_at:
            return ContractMemories(self.by_contract, until)
        memories, start = self, self.seen_at
        while start < until:
            hour = _hour(start)
            end = min(until, hour + HOUR)
            memories = memories._with_load(last, Interval(start, end))
            if end == hour + HOUR:
                by_contract, failures = memories._after_hour(last, hour)
                memories = ContractMemories(by_contract, end, failures=failures)
            start = end
        return replace(memories, seen_at=until)

    def _with_load(self, last: SiteAsSeen, over: Interval) -> ContractMemories:
        """With the load and hashing of an interval within one hour."""
        grid = last.hour_grid(_hour(over.start))
        hours = grid.share_within(over) * grid.hours
        nothing = np.zeros(len(grid))

        def more(had: ByInterval, name: str, rate: float) -> tuple[float, ...]:
            return tuple(np.asarray(had.get(name, nothing)) + np.where(hours > 0, hours * rate, 0.0))

        return replace(
            self,
            seen_s=tuple((np.asarray(self.seen_s) if self.seen_s else nothing) + hours * 3600.0),
            energy_mwh={g: more(self.energy_mwh, g, mw) for g, mw in last.rigs_mw.items()},
            hash_ph_days={g: more(self.hash_ph_days, g, ph / 24.0) for g, ph in last.hashrate_ph.items()},
            generated_mwh={name: more(self.generated_mwh, name, mw) for name, mw in _generated_mw(last, over.start).items()},
        )

    def _after_hour(self, last: SiteAsSeen, hour: datetime) -> tuple[Mapping[str, Memory], Mapping[str, str]]:
        """Every contract's memory after the hour that began at `hour`, and the errors of contracts; an interval of which not more than half
        was seen is a gap, as it is in the bill."""
        site, grid = last.site, last.hour_grid(hour)
        was_run = [seen_s > h * 1800.0 for seen_s, h in zip(self.seen_s, grid.hours, strict=True)]

        def known(values: tuple[float, ...], factor: float = 1.0) -> list[Decimal]:
            return [decimal(v * factor) if ok else NAN for v, ok in zip(values, was_run, strict=True)]

        actuals = Actuals(
            site=site,
            grid=grid,
            energy_mwh={g: known(mwh, last.overhead(g, hour)) for g, mwh in self.energy_mwh.items()},
            hash_ph_days={g: known(ph) for g, ph in self.hash_ph_days.items()},
            energy_price={point: _prices(last.facts, point, grid) for point in last.points},
            hashprice=[ZERO] * len(grid),  # no contract remembers what hashing paid: an hour counts though that is published later
            calls=last.calls,
            awards=last.awards,
            generated_mwh={name: known(mwh) for name, mwh in self.generated_mwh.items()},
            generators=generators_by_meter(last.book, site),
        )
        found, failures = dict(self.by_contract), PluginFailures()
        for obligation in last.book:
            with failures.of(obligation):
                found = remember(last.book, found, actuals, (obligation,))
        return found, {name: repr(error) for name, error in failures.by.items()}


def remembers(book: Book) -> bool:
    """Whether any contract of a book remembers days."""
    return any(o.memory_days() for o in book)


def _generated_mw(last: SiteAsSeen, at: datetime) -> dict[str, float]:
    """MW of each generator at an instant: the schedule in force, and what a wind or solar plant can make, following the load within the
    line's limits. NaN where it is not known what such a plant can make."""
    planned, behind = planned_generation(last.plan, at), generators_by_meter(last.book, last.site)
    found = {}
    for meter in last.site.meters if behind else ():
        left = decimal(sum(mw for name, mw in last.meter_mw.items() if last.site.meter_of[name].id == meter.id))
        for machine in sorted(behind.get(meter.id, ()), key=lambda machine: not machine.variable):
            could = last.facts.available_mw(machine.name, at) if machine.variable else planned.get(machine.name, 0.0)
            mw = followed(machine, NAN if could is None else decimal(could), left, meter)
            found[machine.name], left = float(mw), left - mw
    return found


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _prices(facts: FactBook, point: str, grid: Grid) -> list[Decimal]:
    """The price of each interval; one that is not published yet counts with the last one that is. Before any is, the load counts all the
    same: it decides only whether a tenant's strike was met, and none was seen to be."""
    last = facts.last_price(point)
    known = {fact.over.start: fact.usd_per_mwh for fact in facts.real_time(point, grid.over)}
    return [decimal(known.get(over.start, last.usd_per_mwh if last else 0.0)) for over in grid.intervals]


def memories_at_start(known: Mapping[str, Mapping[str, Any]], book: Book, folded: ContractMemories) -> ContractMemories:
    """What the ledger says at a start (`RunStarted.memories`) comes before what was folded, whose running hour it holds; where it says
    nothing that goes on."""
    read = {o.name: o.memory_from({}).from_json(known[o.name]) for o in book if o.name in known}
    return ContractMemories({**folded.by_contract, **read}) if read else folded
