"""A generator on the site's side of the meter: it burns fuel and reduces what is drawn; a surplus may be exported.

    site cash = - F (h G + f u) - m G - s z      G MWh made, u hours running, z starts, F fuel price, h heat rate, f fuel at no load,
                                                 m maintenance, s cost of a start

What it saves is on no line of its own: `power` (or a block) settles the load at the meter net of G (decision 0013). The line's limits are
the meter's, `import_mw` and `export_mw`, kept by the plant. Minimum load, starts and minimum times make it run or stop: a MILP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from markets import usd_text
from markets.grid import Interval, utc
from optimizer.domain.array_types import Floats
from optimizer.domain.behind_meter import BehindMeter
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.generator import DUST_MW, Generator, GeneratorMemory
from optimizer.domain.row_kind import RowKind
from optimizer.domain.site import NotNegative, Positive, Site, Written
from optimizer.lp.arrays import Yields
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory

Instant = Annotated[datetime, AfterValidator(utc)]
FUEL = "Fuel burnt: heat rate x MWh made, and fuel at no load x hours running (fuel contract)"
MAINTENANCE = "Maintenance by MWh made (service contract)"
STARTS = "Starts (service contract)"


class Outage(Written):
    """A stretch in which the generator makes no more than `mw`."""

    from_: Instant = Field(alias="from")
    to: Instant
    mw: NotNegative = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> Outage:
        if self.to <= self.from_:
            raise ValueError(f"to {self.to.isoformat()} is not after from {self.from_.isoformat()}")
        return self


class Generation(BehindMeter[GeneratorMemory]):
    """A generator behind a meter. Its scope is one meter: `scope = { meter = "..." }`, or nothing on a site with one.

    mw, min_mw                  most, and least while it runs
    fuel_usd_per_mmbtu          what fuel costs; below zero where it must be got rid of
    heat_rate_mmbtu_per_mwh     higher heating value, net of the machine's own use
    no_load_mmbtu_per_h         burnt while running whatever is made
    maintenance_usd_per_mwh     by MWh made
    start_usd                   a start
    min_up_min, min_down_min    least time running and standing
    outages                     { from, to, mw }: no more than so many MW there
    controls                    the table of the device that starts, stops and meters it
    """

    type: ClassVar[str] = "generation"
    charge_types: ClassVar[tuple[str, ...]] = ("fuel", "maintenance", "starts")
    memory_type = GeneratorMemory
    name: str = "generation"
    mw: Positive
    min_mw: NotNegative = 0.0
    fuel_usd_per_mmbtu: float
    heat_rate_mmbtu_per_mwh: Positive
    no_load_mmbtu_per_h: NotNegative = 0.0
    maintenance_usd_per_mwh: NotNegative = 0.0
    start_usd: NotNegative = 0.0
    min_up_min: NotNegative = 0.0
    min_down_min: NotNegative = 0.0
    outages: tuple[Outage, ...] = ()
    controls: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Generation:
        if self.min_mw > self.mw:
            raise ValueError(f"min_mw {self.min_mw:g} is more than mw {self.mw:g}")
        if self._whole and not self.min_mw:
            raise ValueError("starts, fuel at no load and minimum times need min_mw: a machine that may run at nothing never stops")
        return self

    @property
    def usd_per_mwh(self) -> float:
        """What another MWh costs."""
        return self.fuel_usd_per_mmbtu * self.heat_rate_mmbtu_per_mwh + self.maintenance_usd_per_mwh

    def generator(self, site: Site) -> Generator:
        """The machine as plan and bill know it."""
        outages = tuple((Interval(o.from_, o.to), o.mw) for o in self.outages)
        return Generator(self.name, self.meter(site).id, self.mw, self.min_mw, self.usd_per_mwh, outages, self._whole)

    @property
    def _whole(self) -> bool:
        """Whether it must either run at its minimum load or be stopped."""
        return bool(self.min_mw or self.no_load_mmbtu_per_h or self.start_usd or self.min_up_min or self.min_down_min)

    def generator_controls(self) -> Mapping[str, Any] | None:
        return self.controls

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        made, always = its.generated_mwh(self.name), its.during(None)
        fuel = made * its.number(self.heat_rate_mmbtu_per_mwh)
        if self.no_load_mmbtu_per_h:
            fuel = fuel + its.runs(self.name) * (its.hours * its.number(self.no_load_mmbtu_per_h))
        yield Charge("fuel", fuel, "mmbtu", always * its.number(-self.fuel_usd_per_mmbtu), FUEL)
        if self.maintenance_usd_per_mwh:
            yield Charge("maintenance", made, "mwh", always * its.number(-self.maintenance_usd_per_mwh), MAINTENANCE)
        if self.start_usd:
            yield Charge("starts", its.starts(self.name), "start", always * its.number(-self.start_usd), STARTS)

    def shape(self, program: Program) -> None:
        super().shape(program)
        machine = program.machines[self.name]
        if not machine.of.whole:
            return
        memory = self.memory_from(program.memories)
        before, since = memory.runs, memory.since
        stops = machine.starts - machine.runs + machine.runs.lag(1, float(before))
        self._keep(program, "up", machine.runs, machine.starts, self.min_up_min, since if before else None)
        self._keep(program, "down", 1.0 - machine.runs, stops, self.min_down_min, since if not before else None)

    def _keep(self, program: Program, which: str, stays: Any, moved: Any, minimum_min: float, since: datetime | None) -> None:
        """What moved within the minimum time stays as it is; elastic, as a rig's minimum times are."""
        start_s = program.grid.edges[:-1]
        recent, binds = moved, np.zeros(program.n, dtype=bool)
        for steps in range(1, program.n):
            inside = np.zeros(program.n)
            inside[steps:] = start_s[: program.n - steps] + minimum_min * 60.0 > start_s[steps:]
            if not inside.any():
                break
            binds |= inside > 0
            recent = recent + moved.lag(steps) * inside
        held = np.zeros(program.n)
        if since is not None:
            held = np.where(start_s < (since + timedelta(minutes=minimum_min)).timestamp(), 1.0, 0.0)
        program.at_least(
            f"minimum {which} {self.name}", stays - recent, held, Yields.MINIMUM_TIMES, binds | (held > 0), kind=RowKind.MINIMUM_TIME
        )

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        """What the generator does now, until when, and what the line carries."""
        meter, made = self.meter(program.site), path.generated_mw[self.name]
        load = sum((mw for name, mw in path.group_load_mw.items() if program.site.meter_of[name].id == meter.id), np.zeros(program.n))
        net = load - sum((path.generated_mw[g.name] for g in program.generators(meter.id)), np.zeros(program.n))
        price = float(program.energy_price(meter.settlement_point)[0])
        does = f"makes {made[0]:.3f} MW" if made[0] > DUST_MW else "is stopped"
        line = f"the line brings {max(net[0], 0.0):.3f} MW" if net[0] > -DUST_MW else f"{-net[0]:.3f} MW flow out"
        limit = f" of {meter.import_mw:g}" if meter.import_mw is not None and net[0] > DUST_MW else ""
        yield (
            f"{self.name} {does}{self._until(program, made)}: another MWh of it costs {usd_text(self.usd_per_mwh)}, "
            f"energy at {meter.settlement_point} {usd_text(price)}; {line}{limit}"
        )

    def _until(self, program: Program, made: Floats) -> str:
        changes = np.flatnonzero((made > DUST_MW) != (made[0] > DUST_MW))
        if not len(changes):
            return " to the end of the plan"
        at = program.grid.intervals[int(changes[0])].start.astimezone(program.site.market.tz)
        return f" until {at:%a %H:%M}"
