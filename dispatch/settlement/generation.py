"""A day's generation: the schedules in force of generators, and what wind and solar plants could make by measurement, both following the
metered load within the meter's import and export limits.

Where a plant has no meter of its own the statement says which of the two it uses. The result is kept as roll-ups under the contract's name,
at the meter, for the bills of other days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from dispatch.entries import GeneratorSeen
from dispatch.settlement.day_journal import DayRecord
from dispatch.settlement.held_readings import READINGS_APART, Span, covered_mw_s, seconds
from dispatch.settlement.prices import NAN
from dispatch.site_file.setup import Setup
from dispatch.store.rollups import EXACT, Rollup
from markets.facts import MeasuredGeneration
from markets.grid import Grid
from optimizer.domain.book import generators_by_meter
from optimizer.domain.generator import Generator, GeneratorMemory
from optimizer.domain.money import ZERO, Finding, decimal
from optimizer.domain.net_load import followed
from optimizer.domain.quantities import exact_hours
from optimizer.settlement.variance import planned_energy


@dataclass(frozen=True, slots=True)
class Generated:
    """By contract, in each interval: MWh made at its meter, and MWh that a wind or solar plant could have made; NaN where it is not known.
    And the contract's memory of the time before."""

    mwh: dict[str, list[Decimal]] = field(default_factory=dict)
    available_mwh: dict[str, list[Decimal]] = field(default_factory=dict)
    memory: dict[str, GeneratorMemory] = field(default_factory=dict)

    def rollups(self, grid: Grid) -> Iterable[Rollup]:
        """Rows for the ledger, without the intervals that are not known."""
        for name, values in self.mwh.items():
            for over, mwh in zip(grid.intervals, values, strict=True):
                if not mwh.is_nan():
                    yield Rollup(name, over, mwh.quantize(EXACT), ZERO, 0, 1.0)


def generated(setup: Setup, record: DayRecord, grid: Grid, metered: Mapping[str, Sequence[Decimal]]) -> Generated:
    """Over a settlement grid, with `metered` MWh by group. Without a plan in force a generator counts as stopped; what a wind or solar
    plant made is unknown where nothing was measured of it. Of those behind one meter, wind and sun go first."""
    site, behind = setup.site, generators_by_meter(setup.book, setup.site)
    if not behind:
        return Generated()
    made, hours = Generated(), exact_hours(grid)
    wanted = _scheduled(record, grid, made)
    for meter in site.meters:
        loads = [metered[g.name] for g in site.groups if site.meter_of[g.name].id == meter.id]
        left_mw = [sum(mwh, ZERO) / h for mwh, h in zip(zip(*loads, strict=True), hours, strict=True)] if loads else [ZERO] * len(grid)
        for machine in sorted(behind.get(meter.id, ()), key=lambda machine: not machine.variable):
            if machine.variable:
                made.available_mwh[machine.name] = could = _available_mwh(machine, record.generation, grid)
                ask = [mwh / h for mwh, h in zip(could, hours, strict=True)]
            else:
                ask = wanted(machine)
            read = _metered_mw(record.generators.get(machine.name, ()), grid)
            mw = [
                followed(machine, w, load, meter) if metered_mw.is_nan() else metered_mw
                for w, load, metered_mw in zip(ask, left_mw, read, strict=True)
            ]
            left_mw = [load - m for load, m in zip(left_mw, mw, strict=True)]
            made.mwh[machine.name] = [m * h for m, h in zip(mw, hours, strict=True)]
    return made


def _scheduled(record: DayRecord, grid: Grid, made: Generated) -> Callable[[Generator], list[Decimal]]:
    """What the plans in force have a generator make in each interval, MW; what it made just before goes to the memories of `made`."""
    plans, before = record.plans, timedelta(minutes=record.day.market.settlement_min)
    planned = planned_energy(grid, plans) if plans else (None,) * len(grid)
    last_grid = Grid.regular(grid.start - before, grid.start, record.day.market.settlement_min)
    (last_before,) = planned_energy(last_grid, plans) if plans else (None,)

    def mw(machine: Generator) -> list[Decimal]:
        ran = last_before.generated_mwh.get(machine.name, ZERO) if last_before else ZERO
        made.memory[machine.name] = GeneratorMemory(running_mw=float(ran) / (before / timedelta(hours=1)))
        return [p.generated_mwh.get(machine.name, ZERO) / h if p else ZERO for p, h in zip(planned, exact_hours(grid), strict=True)]

    return mw


def _metered_mw(readings: Sequence[tuple[datetime, GeneratorSeen]], grid: Grid) -> list[Decimal]:
    """The mean of what a generator's meter read in each interval, each reading held until the next, MW; NaN where readings are missing, or
    too far apart, for any of it."""
    spans = list[Span]()
    for (at, seen), (until, _) in zip(readings, readings[1:], strict=False):
        if seen.mw is not None and until - at <= READINGS_APART:
            spans.append((at, until, max(ZERO, decimal(seen.mw))))
    return [mw_s / seconds(over) for mw_s, over in zip(covered_mw_s(spans, grid), grid.intervals, strict=True)]


def generator_findings(record: DayRecord) -> list[Finding]:
    """Each time a generator failed to start or tripped on the day."""
    found: dict[tuple[str, str, datetime], Finding] = {}
    for name, readings in record.generators.items():
        for _, seen in readings:
            if seen.out_until is not None and seen.since is not None and record.day.start <= seen.since < record.day.end:
                what = "did not start" if seen.state == "start failed" else "tripped"
                text = f"generator {name} {what}, seen at {seen.since:%H:%M:%S}Z: out until {seen.out_until:%H:%M}Z"
                found[(name, seen.state, seen.since)] = Finding(f"generator-{seen.state.replace(' ', '-')}", text)
    return list(found.values())


def _available_mwh(plant: Generator, measured: Sequence[MeasuredGeneration], grid: Grid) -> list[Decimal]:
    """What a plant could have made in each interval by its measurements, the newest of each; NaN where they do not cover all of it."""
    newest = {fact.over: fact for fact in sorted(measured, key=lambda fact: fact.known_at) if fact.plant == plant.name}
    facts = sorted(newest.values(), key=lambda fact: fact.over.start)
    spans = [(fact.over.start, fact.over.end, min(decimal(fact.mw), decimal(plant.mw))) for fact in facts]
    return [mw_s if mw_s.is_nan() else max(mw_s / 3600, ZERO) for mw_s in covered_mw_s(spans, grid)]


def generation_in_rollups(setup: Setup, rows: Mapping[tuple[str, datetime], Rollup], grid: Grid) -> dict[str, list[Decimal]]:
    """MWh by contract from the ledger's roll-ups. Where there is none a generator was stopped, and what a wind or solar plant made is
    unknown."""
    machines = [machine for behind in generators_by_meter(setup.book, setup.site).values() for machine in behind]
    return {
        m.name: [r.energy_mwh if (r := rows.get((m.name, over.start))) else NAN if m.variable else ZERO for over in grid.intervals]
        for m in machines
    }
