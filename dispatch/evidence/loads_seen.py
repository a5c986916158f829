"""The load of each group at each observation, by its meters and by its rigs, from the journal's rows: an event of any age has its
readings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from dispatch.decide.load_at_meters import groups_behind, load_at_meters
from dispatch.entries import Commanded, Entry, Seen
from dispatch.power_meters import MeterKind
from markets.factbook import FactBook
from markets.facts import Temperature
from markets.forecasting.ladder import MILD_CELSIUS
from optimizer.domain.site import Site


@dataclass(frozen=True, slots=True)
class LoadsSeen:
    """What was observed at an instant, by group, MW at the meter.

    mw        by the meters that are believed, by the rigs where there is none
    rigs_mw   by the rigs' own readings
    metered   the groups whose load is measured by a believed meter
    doubts    by meter of any of the groups, why it is not believed
    reasons   of the newest decision by then
    """

    at: datetime
    mw: Mapping[str, float]
    rigs_mw: Mapping[str, float]
    metered: frozenset[str]
    doubts: Mapping[str, str]
    reasons: tuple[str, ...] = ()


def loads_seen(entries: Iterable[Entry], site: Site, net: Collection[str]) -> list[LoadsSeen]:
    """The loads at each observation. `net` are the revenue meters with generation behind them, which say nothing of the load. Overhead is
    that of the temperature that the rows have made known by then; mild weather where none is known."""
    facts, found, reasons = FactBook(), list[LoadsSeen](), tuple[str, ...]()
    for entry in entries:
        if isinstance(entry, Commanded):
            reasons = entry.reasons
        if not isinstance(entry, Seen):
            continue
        if warm := [fact for fact in entry.facts if isinstance(fact, Temperature)]:
            facts = facts.after(warm)
        outside = facts.temperature(entry.at)
        found.append(replace(_loads(entry, site, net, outside.celsius if outside else MILD_CELSIUS), reasons=reasons))
    return found


def _loads(seen: Seen, site: Site, net: Collection[str], celsius: float) -> LoadsSeen:
    overhead = {group: 1.0 + hall.overhead.at(celsius) for group, hall in site.hall_of.items()}
    rigs_mw = {name: seen.fleet[name].load_mw * overhead[name] if name in seen.fleet else 0.0 for name in overhead}
    gross = {m: mw for m, mw in seen.meters.items() if not (m.kind is MeterKind.METER and m.name in net)}
    believed = {m: mw for m, mw in gross.items() if m not in seen.meter_doubts}
    return LoadsSeen(
        at=seen.at,
        mw=load_at_meters(site, rigs_mw, believed, overhead.__getitem__, net),
        rigs_mw=rigs_mw,
        metered=frozenset(group for meter in believed for group in groups_behind(site, meter)),
        doubts={str(meter): why for meter, why in seen.meter_doubts.items() if groups_behind(site, meter)},
    )
