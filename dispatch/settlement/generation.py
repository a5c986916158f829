"""A day's generation: the schedules in force, following the metered load within the meter's import and export limits.

Generators have no meters of their own: a statement says that it uses the schedule. The result is kept as roll-ups under the contract's
name, at the meter, for the bills of other days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from dispatch.settlement.day_journal import Plans
from dispatch.site_file.setup import Setup
from dispatch.store.rollups import EXACT, Rollup
from markets.grid import Grid
from optimizer.domain.book import generators_by_meter
from optimizer.domain.generator import GeneratorMemory
from optimizer.domain.money import ZERO, decimal
from optimizer.domain.net_load import followed
from optimizer.settlement.variance import planned_energy


@dataclass(frozen=True, slots=True)
class Generated:
    """By contract: MWh at its meter in each interval, and its memory of the time before."""

    mwh: dict[str, list[Decimal]] = field(default_factory=dict)
    memory: dict[str, GeneratorMemory] = field(default_factory=dict)

    def rollups(self, grid: Grid) -> Iterable[Rollup]:
        """Rows for the ledger, without the intervals that are not known."""
        for name, values in self.mwh.items():
            for over, mwh in zip(grid.intervals, values, strict=True):
                if not mwh.is_nan():
                    yield Rollup(name, over, mwh.quantize(EXACT), ZERO, 0, 1.0)


def generated(setup: Setup, plans: Plans, grid: Grid, metered: Mapping[str, Sequence[Decimal]]) -> Generated:
    """By the plans in force over a settlement grid, with `metered` MWh by group. Without a plan in force a generator counts as stopped."""
    site, behind = setup.site, generators_by_meter(setup.book, setup.site)
    if not behind:
        return Generated()
    planned = planned_energy(grid, plans) if plans else (None,) * len(grid)
    before = timedelta(minutes=site.market.settlement_min)
    (last_before,) = planned_energy(Grid.regular(grid.start - before, grid.start, site.market.settlement_min), plans) if plans else (None,)
    hours = [Decimal(int(b - a)) / 3600 for a, b in zip(grid.edges, grid.edges[1:], strict=False)]
    made = Generated()
    for meter in site.meters:
        loads = [metered[g.name] for g in site.groups if site.meter_of[g.name].id == meter.id]
        left_mw = [sum(mwh, ZERO) / h for mwh, h in zip(zip(*loads, strict=True), hours, strict=True)] if loads else [ZERO] * len(grid)
        for machine in behind.get(meter.id, ()):
            wanted = [p.generated_mwh.get(machine.name, ZERO) / h if p else ZERO for p, h in zip(planned, hours, strict=True)]
            mw = [followed(machine, w, load, meter) for w, load in zip(wanted, left_mw, strict=True)]
            left_mw = [load - m for load, m in zip(left_mw, mw, strict=True)]
            made.mwh[machine.name] = [m * h for m, h in zip(mw, hours, strict=True)]
            ran = last_before.generated_mwh.get(machine.name, ZERO) if last_before else ZERO
            made.memory[machine.name] = GeneratorMemory(running_mw=float(ran) / (before / timedelta(hours=1)))
    return made


def generation_in_rollups(setup: Setup, rows: Mapping[tuple[str, datetime], Rollup], grid: Grid) -> dict[str, list[Decimal]]:
    """MWh by contract from the ledger's roll-ups, 0 where there is none."""
    names = [machine.name for behind in generators_by_meter(setup.book, setup.site).values() for machine in behind]
    return {name: [r.energy_mwh if (r := rows.get((name, over.start))) else decimal(0) for over in grid.intervals] for name in names}
