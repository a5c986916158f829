"""Net load of a meter with generators behind it: gross load is what the rigs draw, net load what flows through the meter.

Plan and bill read one formula, `net_mwh`: the load a contract settles less what is made behind the same meter and settled by it too. Who
settles what is made goes as with the rigs' energy (`settles_energy`), under the name `generated_behind(meter)`. `billed_mwh` is the same
with losses: loss factors apply to consumption, so they raise what is drawn and never what flows out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.domain.formula import Quantities
from optimizer.domain.generator import DUST_MW, Generator
from optimizer.domain.money import ZERO, decimal
from optimizer.domain.site import Meter, Scope, Site


def generated_behind(meter: str) -> str:
    """The name under which energy made behind a meter is settled; no rig group can have it."""
    return f"{meter}: made"


def meters_fully_in(site: Site, scope: Scope) -> tuple[Meter, ...]:
    """The meters that a scope holds every rig group of."""
    names = scope.names(site)
    behind = {m.id: [g.name for g in site.groups if site.meter_of[g.name].id == m.id] for m in site.meters}
    return tuple(m for m in site.meters if behind[m.id] and all(name in names for name in behind[m.id]))


def net_mwh(its: Quantities[Any], meter: Meter, groups: Iterable[str], share: Callable[[str], Any] | None = None) -> Any:
    """Energy of some groups behind a meter, less what is made there where they are all of the meter's, MWh before losses. `share` of a name
    is the part of each interval that counts; all of it when None."""
    names = tuple(groups)
    load = its.sum([its.energy_mwh(name) if share is None else its.energy_mwh(name) * share(name) for name in names])
    machines = its.generators(meter.id)
    if not machines or not meters_fully_in(its.site, Scope(meter=meter.id, groups=names)):
        return load
    made = its.sum([its.generated_mwh(machine.name) for machine in machines])
    return load - (made if share is None else made * share(generated_behind(meter.id)))


def most_exported_mwh(its: Quantities[Any], meter: Meter) -> Any | None:
    """The most that can flow out at a meter in each interval, MWh; None where nothing can."""
    machines = its.generators(meter.id)
    return its.hours * its.number(sum(machine.mw for machine in machines)) if machines and meter.export_mw else None


def billed_mwh(its: Quantities[Any], meter: Meter, groups: Iterable[str], share: Callable[[str], Any] | None = None) -> Any:
    """`net_mwh` as it is billed, MWh: what is drawn is multiplied by the meter's loss factor, what flows out is not."""
    net, losses = net_mwh(its, meter, groups, share), its.number(meter.loss_factor)
    room = most_exported_mwh(its, meter)
    if room is None or meter.loss_factor == 1.0:
        return net * losses
    # Counted from the most that can flow out: in the first stretch energy flows out, in the second it is drawn.
    one = its.during(None)
    return its.below(net + room, np.stack([room], axis=1), (one, one * losses)) - room


def followed(made: Generator, planned_mw: Decimal, load_mw: Decimal, meter: Meter) -> Decimal:
    """What a generator makes that follows the load within what the line brings and takes: never more than load and export, never so little
    that more than the import limit must flow, as far as it can; nothing while it is stopped. For a variable one `planned_mw` is what it can
    make."""
    if planned_mw.is_nan() or load_mw.is_nan():
        return planned_mw + load_mw
    if planned_mw <= DUST_MW:
        return ZERO
    lowest = load_mw - decimal(meter.import_mw) if meter.import_mw is not None else ZERO
    wanted = planned_mw if made.variable else max(planned_mw, lowest)
    return max(ZERO, min(wanted, load_mw + decimal(meter.export_mw), decimal(made.mw)))


def greedy(
    site: Site, behind: Mapping[str, Sequence[Generator]], load_mw: Mapping[str, Floats], prices: Mapping[str, Floats], outlook: Outlook
) -> dict[str, Floats]:
    """A schedule without a solver, MW by generator: each runs where energy at the meter costs more than its own or the line brings too
    little, the cheapest first. Starts and minimum times are not weighed."""
    made: dict[str, Floats] = {}
    grid = outlook.grid
    for meter in site.meters:
        left, price = load_mw.get(meter.id, np.zeros(len(grid))), prices.get(meter.settlement_point, np.zeros(len(grid)))
        for machine in sorted(behind.get(meter.id, ()), key=lambda g: g.usd_per_mwh):
            most = machine.most_mw(grid, outlook.available_mw)
            room = left + meter.export_mw
            needed = np.maximum(0.0, left - (np.inf if meter.import_mw is None else meter.import_mw))
            wanted = np.minimum(np.where(price > machine.usd_per_mwh, most, np.minimum(needed, most)), room)
            wanted = np.where((wanted > DUST_MW) & (wanted < machine.min_mw), machine.min_mw, wanted)
            made[machine.name] = np.where((wanted > room) | (wanted < DUST_MW), 0.0, wanted)
            left = left - made[machine.name]
    return made
