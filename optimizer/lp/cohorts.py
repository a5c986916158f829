"""Plans equal groups as one cohort and divides the result by their rigs. Exact, because what they earn is linear in rigs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from markets.series import Series
from optimizer.domain.array_types import Floats
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import SLEEP, Availability, GroupNow, Hall, RigGroup, Site, SoFar


@dataclass(frozen=True, slots=True)
class Cohorts:
    """The site as the program sees it.

    site      cohorts as groups, each named after its first group
    members   by cohort: (group, share of the cohort's rigs)
    """

    site: Site
    so_far: SoFar
    availability: Availability
    members: Mapping[str, tuple[tuple[str, float], ...]]


def gather(site: Site, book: Sequence[Obligation], so_far: SoFar, availability: Availability, temperature_c: Floats) -> Cohorts:
    """Groups of one hall, model, tenant, state and share available, on the same side of every scope of the book, become one cohort. Halls
    that can never reach their limit and that nothing else tells apart are one hall first."""
    halls, hall_of = _merged_halls(site, book, temperature_c)
    sides = list(dict.fromkeys(frozenset(o.scope.names(site)) for o in book))
    kinds: dict[tuple[Any, ...], list[RigGroup]] = {}
    stilled = [frozenset(o.scope.names(site)) for o in book if o.weighs_changes()]
    kind_of = _Kinds(site, so_far, availability)
    for group in site.groups:
        doing = _doing(group, so_far) if any(group.name in side for side in stilled) else None
        kind = hall_of[group.hall], *kind_of(group), doing, *(group.name in s for s in sides)
        kinds.setdefault(kind, []).append(group)
    rigs = [sum(g.rigs for g in alike) for alike in kinds.values()]
    groups = tuple(
        alike[0].model_copy(update={"rigs": all_rigs, "hall": hall_of[alike[0].hall]})
        for alike, all_rigs in zip(kinds.values(), rigs, strict=True)
    )
    small = Site.model_construct(**{**dict(site), "groups": groups, "halls": halls})
    members = {
        alike[0].name: tuple((g.name, g.rigs / all_rigs) for g in alike) for alike, all_rigs in zip(kinds.values(), rigs, strict=True)
    }
    state = {names[0][0]: _together([so_far.groups.get(n, GroupNow()) for n, _ in names]) for names in members.values()
             if any(n in so_far.groups for n, _ in names)}  # fmt: skip
    return Cohorts(small, _with_groups(so_far, state), _available(members, availability), members)


class _Kinds:
    """The key by which groups are equal. Mode sets are compared by their numbers, because hashing pydantic models is slow."""

    def __init__(self, site: Site, so_far: SoFar, availability: Availability) -> None:
        self._site, self._so_far, self._availability = site, so_far, availability
        self._modes: dict[int, tuple[Any, ...]] = {}

    def __call__(self, group: RigGroup) -> tuple[Any, ...]:
        modes = self._modes.get(id(group.modes))
        if modes is None:
            modes = self._modes[id(group.modes)] = tuple((m.name, m.watts, m.ths) for m in group.modes)
        times = group.wake_min, group.min_on_min, group.min_off_min, group.wear_usd_per_start
        whose = group.model, group.maker, group.tenant
        return *whose, modes, times, _state(group, self._site, self._so_far), _share(group, self._availability)


def _state(group: RigGroup, site: Site, so_far: SoFar) -> tuple[Any, ...] | None:
    """What the past means a rig, where the past counts."""
    remembers = group.min_on_min or group.min_off_min or group.wear_usd_per_start or site.hall_of[group.name].max_starts_per_min
    now = so_far.groups.get(group.name)
    if not remembers or now is None:
        return None if not remembers else ("unknown",)
    awake = sum(rigs for mode, rigs in now.modes.items() if mode != SLEEP)
    moves = tuple((at, round(n / group.rigs, 12)) for at, n in now.woken), tuple((at, round(n / group.rigs, 12)) for at, n in now.slept)
    return (round(awake / group.rigs, 12), *moves)


def _doing(group: RigGroup, so_far: SoFar) -> tuple[tuple[str, float], ...]:
    """The share of its rigs in each mode: where a contract weighs changes, groups that do not do the same are not the same."""
    now = so_far.groups.get(group.name)
    return tuple(sorted((mode, round(rigs / group.rigs, 12)) for mode, rigs in now.modes.items())) if now else ()


def _share(group: RigGroup, availability: Availability) -> bytes | None:
    series = availability.rigs.get(group.name)
    return None if series is None else np.round(series.values / group.rigs, 12).tobytes() + series.grid.edges.tobytes()


def _together(states: Sequence[GroupNow]) -> GroupNow:
    modes: dict[str, float] = {}
    for state in states:
        for mode, rigs in state.modes.items():
            modes[mode] = modes.get(mode, 0.0) + rigs
    # Alike rigs sold as one: no quicker than the slowest of them.
    times = sorted({seconds for s in states for seconds, _ in s.shed})
    shed = tuple((seconds, min(s.shed_within(seconds) for s in states)) for seconds in times)
    return GroupNow(modes, tuple(m for s in states for m in s.woken), tuple(m for s in states for m in s.slept), shed)


def _with_groups(so_far: SoFar, groups: Mapping[str, GroupNow]) -> SoFar:
    return SoFar(at=so_far.at, groups=groups, calls=so_far.calls, awards=so_far.awards, memory=so_far.memory)


def _available(members: Mapping[str, tuple[tuple[str, float], ...]], availability: Availability) -> Availability:
    rigs: dict[str, Series] = {}
    for name, groups in members.items():
        if name in availability.rigs:
            first = availability.rigs[name]
            rigs[name] = first.with_values(sum(availability.rigs[g].values for g, _ in groups))
    return Availability(rigs)


def _merged_halls(site: Site, book: Sequence[Obligation], temperature_c: Floats) -> tuple[tuple[Hall, ...], dict[str, str]]:
    named = {o.scope.hall for o in book}
    hottest = float(np.nan_to_num(temperature_c, nan=25.0).max())
    most: dict[str, float] = {}
    watts: dict[int, float] = {}
    for g in site.groups:
        highest = watts.get(id(g.modes))
        if highest is None:
            highest = watts[id(g.modes)] = max(m.watts for m in g.modes)
        most[g.hall] = most.get(g.hall, 0.0) + g.rigs * highest / 1e6
    kept: dict[tuple[Any, ...], Hall] = {}
    hall_of: dict[str, str] = {}
    for hall in site.halls:
        free = most.get(hall.name, 0.0) * (1.0 + hall.overhead.at(hottest)) <= hall.limit_mw
        alike = free and hall.name not in named and hall.max_starts_per_min is None
        key = (hall.meter, hall.overhead.share, hall.overhead.share_per_c_above_25) if alike else (hall.name,)
        one = kept.get(key)
        kept[key] = hall if one is None else one.model_copy(update={"limit_mw": one.limit_mw + hall.limit_mw})
        hall_of[hall.name] = kept[key].name
    return tuple(kept.values()), hall_of
