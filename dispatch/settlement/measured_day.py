"""What a day settles on: the journal, telemetry roll-ups, prices and meters, brought together as actuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Engine

from dispatch.settlement.contract_memory import PriorPeriod, peaks_within, period_loads, prior_period
from dispatch.settlement.day_awards import day_awards
from dispatch.settlement.day_journal import DayRecord, read_day
from dispatch.settlement.day_load import DayLoad, load_of, read_load, run_intervals
from dispatch.settlement.generation import Generated, generated
from dispatch.settlement.live_meters import live_rollups
from dispatch.settlement.load_at_notice import loads_at_notice
from dispatch.settlement.metering import MeteredLoad, metered_load
from dispatch.settlement.outside_air import temperatures_c, temperatures_seen
from dispatch.settlement.prices import DayPrices, day_prices
from dispatch.settlement.run_hours import first_run_at
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store.rollups import Rollup, read_rollups, write_rollups
from dispatch.store.telemetry import Telemetry
from dispatch.store.telemetry_hours import hour_faults
from markets.facts import Award, SystemLoad
from markets.grid import Grid, Interval, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import complete_memories, generators_by_meter
from optimizer.domain.money import Finding


@dataclass(frozen=True, slots=True)
class MeasuredDay:
    """The actuals of the part of a day that was run, and what they were made from.

    setup           the site file the day was run under
    record          what the journal says of the day
    load            by telemetry
    meters          what revenue meters read, and how far telemetry is from them
    temperature_c   outside air, shape (n,)
    known_at        the newest vintage of any price or meter document used, and of any call or award received after the day
    award_findings  awards that are not sold, not priced, or came with another price than was published
    telemetry_findings  hours of telemetry that are missing or were changed
    """

    setup: Setup
    record: DayRecord
    load: DayLoad
    prices: DayPrices
    meters: MeteredLoad
    actuals: Actuals
    temperature_c: list[float]
    known_at: datetime | None
    award_findings: tuple[Finding, ...] = ()
    telemetry_findings: tuple[Finding, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether the site was not run for all of the operating day."""
        return self.actuals.grid.over != self.record.day.over or bool(self.load.not_run)

    @property
    def synthetic(self) -> bool:
        """Whether the prices, or the weather of wind and solar plants, were made up by a program."""
        return "synthetic" in (self.setup.prices.source, self.setup.generation.source if self.setup.generation else "")


def measure_day(engine: Engine, telemetry: Telemetry, day: OperatingDay, setup: Setup, known_at: datetime | None) -> MeasuredDay:
    """A day on the market's settlement grid, cut to what was run, with what was known at `known_at` (None: now).

    Roll-ups are made anew where telemetry is still kept, and kept in the ledger. Raises LookupError when nothing of the day was run,
    LedgerUnavailable, JournalBroken.
    """
    record = read_day(engine, day, known_at)
    setup, telemetry = _as_run(setup, telemetry, record)
    site, behind_meters = setup.site, generators_by_meter(setup.book, setup.site)
    faults = hour_faults(engine, telemetry.folder, day.over)
    rollups = read_load(engine, telemetry, site, record, faults)
    loads = period_loads(engine, setup, day.grid(), known_at)
    grid = run_intervals(site, record, rollups, _peaks_owed(engine, setup, record, loads))
    temperature_c = temperatures_c(temperatures_seen(engine, day.over, known_at), grid)
    load = load_of(site, rollups, grid, temperature_c)
    prices = day_prices(engine, setup, record.economics, grid, known_at)
    prior = prior_period(engine, telemetry, setup, grid, known_at, loads)
    made = generated(setup, record, grid, load.energy_mwh)
    write_rollups(engine, [*_generation_to_keep(engine, setup, made, grid, known_at), *live_rollups(site, record, grid, behind_meters)])
    meters = metered_load(engine, site, grid, known_at, load.energy_mwh, (behind_meters, made.mwh), load.estimated)
    meters = meters.without(load.not_run)
    prior = replace(prior, at_notice_mw=loads_at_notice(engine, setup, record.calls, grid, meters.energy_mwh, known_at))
    awards = day_awards(engine, setup, record.awards, grid, known_at)
    actuals = _actuals(setup, record, grid, load, prices, meters, prior, made, awards.awards)
    damage = tuple(Finding("telemetry", text) for text in faults.values())
    newest = max((at for at in (prices.known_at, meters.known_at, record.received_late_at) if at), default=None)
    return MeasuredDay(setup, record, load, prices, meters, actuals, temperature_c, newest, awards.findings, damage)


def _generation_to_keep(engine: Engine, setup: Setup, made: Generated, grid: Grid, known_at: datetime | None) -> list[Rollup]:
    """The roll-ups of a day's generation; of what was known at an earlier instant only those that the ledger lacks: they must not take the
    place of what is known now."""
    rows = list(made.rollups(grid))
    if known_at is None or not rows:
        return rows
    kept = {(r.group, r.over) for r in read_rollups(engine, grid.over, setup.site.market.settlement_min, list(made.mwh))}
    return [row for row in rows if (row.group, row.over) not in kept]


def _peaks_owed(engine: Engine, setup: Setup, record: DayRecord, loads: Sequence[SystemLoad]) -> list[Interval]:
    """The coincident peaks on the day since the site was first run: what it drew in them is charged, whether a process ran it or not."""
    first, last = first_run_at(engine), record.last
    peaks = peaks_within(loads, setup, record.day.over) if first and last else []
    return [peak for peak in peaks if first and last and first <= peak.start and peak.end <= last]


def _as_run(setup: Setup, telemetry: Telemetry, record: DayRecord) -> tuple[Setup, Telemetry]:
    """A day is settled by the site file it was run under, not by a later one."""
    if record.run is None or record.run.config_hash == setup.hash_id:
        return setup, telemetry
    setup = replace(setup_from_document(record.run.config), path=setup.path)
    return setup, telemetry.read_as(setup.site)


def _actuals(
    setup: Setup,
    record: DayRecord,
    grid: Grid,
    load: DayLoad,
    prices: DayPrices,
    meters: MeteredLoad,
    prior: PriorPeriod,
    made: Generated,
    awards: tuple[Award, ...],
) -> Actuals:
    return Actuals(
        site=setup.site,
        grid=grid,
        energy_mwh=meters.energy_mwh,
        hash_ph_days=load.hash_ph_days,
        energy_price={point: p.values for point, p in prices.energy.items()},
        hashprice=prices.hashprice.values,
        calls=tuple(c for c in record.calls if c.start_at < grid.end and (c.end_at is None or c.end_at > grid.start)),
        awards=awards,
        price_source={point: p.source for point, p in prices.energy.items()},
        estimated=meters.estimated,
        peak_share=prior.peak_share,
        gaps=load.not_run,
        memory=complete_memories(setup.book, prior.memory, prior.at_notice_mw, made.memory, awards),
        generated_mwh=made.mwh,
        available_mwh=made.available_mwh,
        reserve_price={product: p.values for product, p in prices.reserve.items()},
    )
