"""What a day's rigs drew and hashed by telemetry: roll-ups on the settlement grid, brought to the meter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine

from dispatch.settlement.day_journal import DayRecord
from dispatch.settlement.prices import NAN
from dispatch.settlement.run_hours import run_positions, run_stretches
from dispatch.store.rollups import Rollup, read_rollups, write_rollups
from dispatch.store.telemetry import Telemetry
from markets.grid import Grid, Interval
from optimizer.domain.money import decimal
from optimizer.domain.site import Site

# An interval settles on an estimate when more than this share of the rigs' time in it was not read (ERCOT allows real-time telemetry 3 %).
ESTIMATED_ABOVE = 0.03

Rollups = Mapping[tuple[str, datetime], Rollup]


@dataclass(frozen=True, slots=True)
class DayLoad:
    """By group, NaN where nothing was read, shape (n,) each.

    energy_mwh     at the meter: at the rigs plus the hall's overhead
    hash_ph_days   PH/s times days
    unread_share   the share of rig-time of each interval that was not read, 0..1; NaN where nobody ran the site
    """

    energy_mwh: dict[str, list[Decimal]]
    hash_ph_days: dict[str, list[Decimal]]
    unread_share: list[float]

    @property
    def not_run(self) -> frozenset[int]:
        """Positions of the intervals in which nobody ran the site."""
        return frozenset(n for n, share in enumerate(self.unread_share) if share != share)

    @property
    def estimated(self) -> frozenset[int]:
        """Positions of the intervals that are estimates."""
        return frozenset(n for n, share in enumerate(self.unread_share) if share > ESTIMATED_ABOVE)


def read_load(engine: Engine, telemetry: Telemetry, site: Site, record: DayRecord, damaged: Collection[str] = ()) -> Rollups:
    """Roll-ups by group and start of the day's intervals that have ended and were run: from telemetry, which also brings the ledger's up to
    date, else from the ledger. When hours of telemetry are `damaged`, the ledger's count where it has them. Raises LookupError when the
    journal is empty, LedgerUnavailable."""
    run = run_starts(engine, record)
    if not run:
        return {}
    step_min = site.market.settlement_min
    over = Interval(record.day.start, max(run) + timedelta(minutes=step_min))
    if damaged:
        telemetry = telemetry.without(damaged)
    rows = [row for row in telemetry.rollup(over, step_min) if row.over.start in run]
    if damaged:
        kept = {(row.group, row.over): row for row in read_rollups(engine, over, step_min) if _has_readings(row)}
        rows = [kept.get((row.group, row.over), row) for row in rows]
    if any(_has_readings(row) for row in rows):
        write_rollups(engine, rows)
    else:
        rows = [row for row in read_rollups(engine, over, step_min) if row.over.start in run]
    return {(row.group, row.over.start): row for row in rows}


def run_starts(engine: Engine, record: DayRecord) -> frozenset[datetime]:
    """The starts of the day's settlement intervals that have ended and were run. Raises LookupError when the journal is empty."""
    if record.last is None:
        raise LookupError("the journal is empty: nothing was run")
    grid = record.day.grid()
    was_run = run_positions(run_stretches(engine, record.day.over), grid).tolist()
    return frozenset(over.start for over, ran in zip(grid.intervals, was_run, strict=True) if ran and over.end <= record.last)


def run_intervals(site: Site, record: DayRecord, rollups: Rollups, owed: Sequence[Interval]) -> Grid:
    """The day's settlement intervals from the first with a reading to the last that was run, and on to those of `owed`, spans a charge is
    owed for whether they were run or not. Raises LookupError when none was run."""
    grid = record.day.grid()
    run = {start for _, start in rollups}
    read = [n for n, over in enumerate(grid.intervals) if any(_has_readings(rollups.get((g.name, over.start))) for g in site.groups)]
    if not read:
        raise LookupError(f"nothing was run on {record.day.on.isoformat()} ({site.market.value} day)")
    last = max(n for n, over in enumerate(grid.intervals) if over.start in run)
    also = [n for n, over in enumerate(grid.intervals) if any(over.overlaps(span) for span in owed)]
    return Grid(grid.edges[min([read[0], *also]) : max([last, *also]) + 2])


def load_of(site: Site, rollups: Rollups, grid: Grid, temperature_c: Sequence[float]) -> DayLoad:
    """Roll-ups at the meter. Overhead follows the outside temperature, shape (n,)."""
    energy: dict[str, list[Decimal]] = {}
    hashed: dict[str, list[Decimal]] = {}
    for group in site.groups:
        found = [rollups.get((group.name, over.start)) for over in grid.intervals]
        overhead = site.hall_of[group.name].overhead
        at_rigs = [r.energy_mwh if r and _has_readings(r) else NAN for r in found]
        energy[group.name] = [mwh * (1 + decimal(overhead.at(c))) for mwh, c in zip(at_rigs, temperature_c, strict=True)]
        hashed[group.name] = [r.hash_ph_days if r and _has_readings(r) else NAN for r in found]
    return DayLoad(energy, hashed, [_unread_share(site, rollups, over) for over in grid.intervals])


def _unread_share(site: Site, rollups: Rollups, over: Interval) -> float:
    rows = [(group.rigs, rollups.get((group.name, over.start))) for group in site.groups]
    if not any(row for _, row in rows):
        return float("nan")
    return round(sum(rigs * (row.estimated if row else 1.0) for rigs, row in rows) / sum(rigs for rigs, _ in rows), 9)


def _has_readings(row: Rollup | None) -> bool:
    """Whether anything at all is known of a group's rigs in an interval."""
    return row is not None and not (row.estimated >= 1.0 and row.samples == 0 and row.energy_mwh == 0)
