"""Generators behind a meter, and what the meter then sees: gross load is what the rigs draw, net load what flows over the line.

Plan and bill read one formula, `net_mwh`: the load a contract settles less what is made behind the same meter and settled by it too. Who
settles what is made goes as with the rigs' energy (`takes_energy`), under the name `made_behind(meter)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from markets.grid import Grid, Interval, parse_instant
from optimizer.expr import Expr, Floats
from optimizer.money import ZERO, decimal
from optimizer.site import Meter, Scope, Site

if TYPE_CHECKING:
    from optimizer.obligations import Its
    from optimizer.program import Program

# What a contract remembers of its generator when a plan or a bill begins: MW, and since when it runs or stands.
RUNNING_MW, SINCE = "running_mw", "since"
# A generator under this stands still: solver dust.
DUST_MW = 1e-6


@dataclass(frozen=True, slots=True)
class Generator:
    """A machine behind a meter, by the name of its contract.

    mw, min_mw     most and least while it runs
    usd_per_mwh    what another MWh costs: fuel and maintenance
    outages        stretches in which no more than so many MW can be made
    whole          it runs at `min_mw` or more, or stands (a binary)
    """

    name: str
    meter: str
    mw: float
    min_mw: float = 0.0
    usd_per_mwh: float = 0.0
    outages: tuple[tuple[Interval, float], ...] = ()
    whole: bool = False

    def most_mw(self, grid: Grid) -> Floats:
        """The most it can make in each interval, shape (n,); an outage of a part of one counts for all of it. Under its minimum load it
        stands."""
        most = np.full(len(grid), self.mw)
        for over, left_mw in self.outages:
            most = np.where(grid.share_within(over) > 0, np.minimum(most, left_mw), most)
        return np.where(most < self.min_mw, 0.0, most)


@dataclass(frozen=True, slots=True)
class Machine:
    """A generator in a program: MW, whether it runs (1 or 0) and starts, an interval each."""

    of: Generator
    mw: Expr
    runs: Expr
    starts: Expr


def made_behind(meter: str) -> str:
    """The name under which energy made behind a meter is settled; no rig group can have it."""
    return f"{meter}: made"


def of_book(book: Sequence[Any], site: Site) -> dict[str, tuple[Generator, ...]]:
    """The generators of a book's contracts, by meter."""
    found: dict[str, tuple[Generator, ...]] = {}
    for obligation in book:
        makes = getattr(obligation, "generator", None)
        if makes is not None:
            made = makes(site)
            found[made.meter] = (*found.get(made.meter, ()), made)
    return found


def meters_whole(site: Site, scope: Scope) -> tuple[Meter, ...]:
    """The meters that a scope holds every rig group of."""
    names = scope.names(site)
    behind = {m.id: [g.name for g in site.groups if site.meter_of[g.name].id == m.id] for m in site.meters}
    return tuple(m for m in site.meters if behind[m.id] and all(name in names for name in behind[m.id]))


def net_mwh(its: Its[Any], meter: Meter, groups: Iterable[str], share: Callable[[str], Any] | None = None) -> Any:
    """Energy of some groups behind a meter, less what is made there where they are all of the meter's, MWh before losses. `share` of a name
    is the part of each interval that counts; all of it when None."""
    names = tuple(groups)
    load = its.sum([its.energy_mwh(name) if share is None else its.energy_mwh(name) * share(name) for name in names])
    machines = its.generators(meter.id)
    if not machines or not meters_whole(its.site, Scope(meter=meter.id, groups=names)):
        return load
    made = its.sum([its.generated_mwh(machine.name) for machine in machines])
    return load - (made if share is None else made * share(made_behind(meter.id)))


def machines(program: Program, behind: Mapping[str, Sequence[Generator]]) -> dict[str, Machine]:
    """The columns of a program's generators. One that need not run or stand as a whole always runs."""
    found = {}
    for made in (g for of in behind.values() for g in of):
        most = made.most_mw(program.grid)
        mw = program.column(f"generation {made.name}", upper=most)
        runs = mw * 0.0 + 1.0
        starts = mw * 0.0
        if made.whole:
            runs = program.column(f"running {made.name}", upper=np.where(most > 0, 1.0, 0.0), integer=True)
            starts = program.column(f"starting {made.name}", upper=1.0)
            program.row(f"generation most {made.name}", mw - runs * made.mw, upper=0.0)
            program.row(f"generation least {made.name}", mw - runs * made.min_mw, lower=0.0)
            before = 1.0 if program.memory(made.name).get(RUNNING_MW, 0.0) > DUST_MW else 0.0
            program.row(f"generation starts {made.name}", starts - runs + runs.lag(1, before), lower=0.0)
        found[made.name] = Machine(made, mw, runs, starts)
    return found


def followed(made: Generator, planned_mw: Decimal, load_mw: Decimal, meter: Meter) -> Decimal:
    """What a generator makes that follows the load within what the line brings and takes: never more than load and export, never so little
    that more than the import limit must flow, as far as it can; nothing while it stands."""
    if planned_mw.is_nan() or load_mw.is_nan():
        return planned_mw + load_mw
    if planned_mw <= DUST_MW:
        return ZERO
    lowest = load_mw - decimal(meter.import_mw) if meter.import_mw is not None else ZERO
    return max(ZERO, min(max(planned_mw, lowest), load_mw + decimal(meter.export_mw), decimal(made.mw)))


def planned_generation(plan: Mapping[str, Any] | None, at: datetime) -> dict[str, float]:
    """MW by contract that a PLAN document has its generators make at an instant; nothing where it holds none."""
    for interval in plan["intervals"] if plan is not None else ():
        if parse_instant(interval["start"]) <= at < parse_instant(interval["end"]):
            return {name: float(machine["mw"]) for name, machine in interval.get("generation", {}).items()}
    return {}


def running_since(made_mw: Floats, grid: Grid, memory: Mapping[str, Any]) -> list[datetime]:
    """Since when a generator runs or stands in each interval of a schedule, by what was remembered before it."""
    before, since = float(memory.get(RUNNING_MW, 0.0)) > DUST_MW, memory.get(SINCE)
    here = parse_instant(since) if since else grid.start
    found = []
    for over, mw in zip(grid.intervals, made_mw, strict=True):
        if (mw > DUST_MW) != before:
            before, here = not before, over.start
        found.append(here)
    return found


def greedy(
    site: Site, behind: Mapping[str, Sequence[Generator]], grid: Grid, load_mw: Mapping[str, Floats], prices: Mapping[str, Floats]
) -> dict[str, Floats]:
    """A schedule without a solver, MW by generator: each runs where energy at the meter costs more than its own or the line brings too
    little, the cheapest first. Starts and minimum times are not weighed."""
    made: dict[str, Floats] = {}
    for meter in site.meters:
        left, price = load_mw.get(meter.id, np.zeros(len(grid))), prices.get(meter.settlement_point, np.zeros(len(grid)))
        for machine in sorted(behind.get(meter.id, ()), key=lambda g: g.usd_per_mwh):
            most = machine.most_mw(grid)
            room = left + meter.export_mw
            needed = np.maximum(0.0, left - (np.inf if meter.import_mw is None else meter.import_mw))
            wanted = np.minimum(np.where(price > machine.usd_per_mwh, most, np.minimum(needed, most)), room)
            wanted = np.where((wanted > DUST_MW) & (wanted < machine.min_mw), machine.min_mw, wanted)
            made[machine.name] = np.where((wanted > room) | (wanted < DUST_MW), 0.0, wanted)
            left = left - made[machine.name]
    return made
