"""What the links of a site report of it: the load at the meter, what it could be lowered and raised to, and how old that is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from dispatch.clock import Clock
from dispatch.decide.load_at_meters import groups_behind
from dispatch.power_meters import MeterId, MeterKind
from dispatch.rigs.controller import RigController
from dispatch.rigs.group_readings import MAX_MISSES
from dispatch.signals.links.link import SiteTelemetry
from dispatch.site_file.setup import Setup
from markets.forecasting.ladder import MILD_CELSIUS
from markets.grid import OperatingDay
from optimizer.domain.book import generators_by_meter

METERS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class _GroupLoad:
    """One group at its meter, MW: as last read at `at_s`, and with every rig that answers asleep or in its fullest mode."""

    at_s: float
    load_mw: float
    lowest_mw: float
    highest_mw: float
    ramp_mw_per_min: float
    answering: int


class LinkTelemetry:
    """Reads the meters every second, as desks want telemetry of two seconds; the rigs are read on their own."""

    def __init__(self, setup: Setup, controller: RigController, clock: Clock) -> None:
        self._setup, self._controller, self._clock = setup, controller, clock
        self._net = generators_by_meter(setup.book, setup.site)

    async def keep_meters_fresh(self) -> None:
        """Read every meter once a second, without end."""
        while True:
            await self._controller.meters.refresh()
            await asyncio.sleep(METERS_EVERY_S)

    def of(self, contract: str) -> SiteTelemetry | None:
        """The newest telemetry of what a contract speaks of; None before its rigs were read."""
        site, obligation = self._setup.site, next(o for o in self._setup.book if o.name == contract)
        names = obligation.scope.names(site)
        groups = [self._group(name) for name in names]
        metered = self._metered(names)
        at_s, load_mw = metered or (min(g.at_s for g in groups), sum(g.load_mw for g in groups))
        if not np.isfinite(at_s):
            return None
        lowest_mw, ramp = sum(g.lowest_mw for g in groups), sum(g.ramp_mw_per_min for g in groups)
        terms = obligation.call_terms(OperatingDay.of(site.market, self._clock.now()).on)
        return SiteTelemetry(
            at=datetime.fromtimestamp(at_s, UTC),
            load_mw=load_mw,
            lowest_mw=lowest_mw,
            highest_mw=sum(g.highest_mw for g in groups),
            ramp_mw_per_min=min(ramp, terms.ramp_mw_per_min) if terms and terms.ramp_mw_per_min else ramp,
            capability_mw={
                product: max(0.0, min(terms.most_mw, load_mw - lowest_mw)) for product, terms in obligation.award_terms(site).items()
            },
            responding=any(g.answering for g in groups),
        )

    def _group(self, name: str) -> _GroupLoad:
        site, readings = self._setup.site, self._controller.readings[name]
        group, hall = site.group(name), site.hall_of[name]
        factor = (1.0 + hall.overhead.at(MILD_CELSIUS)) / 1e6
        answering = np.isfinite(readings.at_s) & (readings.misses < MAX_MISSES)
        silent_mw = float(np.nansum(readings.watts[~answering])) * factor  # silence is no shed load
        rigs, full_mw = int(answering.sum()), float(readings.mode_watts.max()) * factor
        a_minute = min(rigs, hall.max_starts_per_min if hall.max_starts_per_min else rigs / max(1.0, group.wake_min))
        return _GroupLoad(
            at_s=float(readings.at_s[answering].min()) if rigs else -np.inf if not np.isfinite(readings.at_s).any() else np.inf,
            load_mw=float(np.nansum(readings.watts)) * factor,
            lowest_mw=silent_mw + rigs * float(readings.mode_watts.min()) * factor,
            highest_mw=silent_mw + rigs * full_mw,
            ramp_mw_per_min=a_minute * full_mw,
            answering=rigs,
        )

    def _metered(self, names: Sequence[str]) -> tuple[float, float] | None:
        """The instant and the load of the meters that read these groups and nothing else; None where there are none, or one is silent,
        not believed or has generation behind it."""
        now, site = self._clock.now(), self._setup.site
        for kind in MeterKind:
            places = {
                MeterKind.METER: {site.meter_of[n].id for n in names},
                MeterKind.HALL: {site.group(n).hall for n in names},
                MeterKind.GROUP: set(),
            }[kind]
            meters = [MeterId(kind, place) for place in places if kind is not MeterKind.METER or place not in self._net]
            behind = {name for meter in meters for name in groups_behind(site, meter)}
            found = [self._controller.meters.newest(meter, now) for meter in meters]
            if behind == set(names) and len(meters) == len(places) and None not in found:
                known = [each for each in found if each is not None]
                return min(at.timestamp() for at, _ in known), sum(mw for _, mw in known)
        return None
