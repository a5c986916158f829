"""The load of each group by the meters: what a meter reads, shared out among the groups behind it as their rigs' own readings are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from dispatch.power_meters import MeterId, MeterKind
from optimizer.domain.site import Scope, Site


def groups_behind(site: Site, meter: MeterId) -> tuple[str, ...]:
    """The names of the groups whose load a meter measures."""
    scopes = {
        MeterKind.METER: Scope(meter=meter.name),
        MeterKind.HALL: Scope(hall=meter.name),
        MeterKind.GROUP: Scope(groups=(meter.name,)),
    }
    return scopes[meter.kind].names(site)


def load_at_meters(
    site: Site, rigs_mw: Mapping[str, float], meters: Mapping[MeterId, float], overhead: Callable[[str], float], net: Collection[str]
) -> dict[str, float]:
    """By group, MW at the meter. `rigs_mw` is the same by the rigs' own readings, `overhead` the factor from a group's load at its rigs,
    `net` the revenue meters that have generation behind them and are passed over. The sum behind a meter is what it reads: feeders overrule
    PDUs, and revenue meters both."""
    loads = dict(rigs_mw)
    for kind in reversed(MeterKind):
        for meter, read_mw in meters.items():
            behind = groups_behind(site, meter) if meter.kind is kind else ()
            if not behind or (kind is MeterKind.METER and meter.name in net):
                continue
            mw = max(0.0, read_mw) * (overhead(behind[0]) if kind is MeterKind.GROUP else 1.0)
            total = sum(loads[g] for g in behind)
            nameplate = {g: site.group(g).rigs * site.group(g).full.watts for g in behind}
            for g in behind:
                share = loads[g] / total if total > 0 else nameplate[g] / sum(nameplate.values())
                loads[g] = mw * share
    return loads


def metered_at_rigs(own_mw: Mapping[str, float], rigs_mw: Mapping[str, float], metered_mw: Mapping[str, float]) -> dict[str, float]:
    """By group, the metered load without the hall's overhead, MW: what the rigs say (`own_mw`, and `rigs_mw` with overhead) times the share
    of it that the meter reads."""
    return {
        name: mw if metered_mw[name] == rigs_mw[name] else mw * metered_mw[name] / rigs_mw[name] if rigs_mw[name] else metered_mw[name]
        for name, mw in own_mw.items()
    }
