"""The newest reading of every meter of a site, whether it is fresh enough to be used, and the energy counted from all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from dispatch.clock import Clock, at_least
from dispatch.meters import PowerMeter
from dispatch.meters.meter_checks import MeterChecks
from dispatch.power_meters import MeterCount, MeterId, MeterKind

log = structlog.get_logger()

# A reading older than this is not used: seconds of the world's clock, and at least the wall seconds that a fast clock needs. What flowed
# between two that are further apart than these seconds of the world's clock is not counted.
STALE_S, STALE_WALL_S = 90.0, 5.0
ANSWER_WALL_S = 2.0


class MeterReadings:
    """The power meters of a site and what each read last. `checks` says which of them are not believed; without it all are."""

    def __init__(self, meters: Mapping[MeterId, PowerMeter], clock: Clock, checks: MeterChecks | None = None) -> None:
        self._meters, self._clock, self._checks = dict(meters), clock, checks
        self._last: dict[MeterId, tuple[datetime, float]] = {}
        self._counts: dict[MeterId, MeterCount] = {}
        self._silent: set[MeterId] = set()

    async def refresh(self) -> None:
        """Read every meter, all at once; one that is silent holds up no other."""
        await asyncio.gather(*(self._read(name, meter) for name, meter in self._meters.items()))

    async def _read(self, name: MeterId, meter: PowerMeter) -> None:
        mw = await meter.read_mw(ANSWER_WALL_S)
        if mw is not None:
            now = self._clock.now()
            self._counts[name] = self._counted(name, now, mw)
            self._last[name] = now, mw
        if (mw is None) != (name in self._silent):
            (self._silent.add if mw is None else self._silent.discard)(name)
            log.log(30 if mw is None else 20, "meter silent" if mw is None else "meter answers again", meter=str(name))

    def _counted(self, name: MeterId, at: datetime, mw: float) -> MeterCount:
        """A meter's count with what flowed since its last reading, at the mean of the two."""
        when, before_mw = self._last.get(name, (at, mw))
        count = self._counts.get(name)
        if count is None or not timedelta(0) <= at - when <= timedelta(seconds=STALE_S):
            return MeterCount(since=at, until=at, mwh=0.0)
        return replace(count, until=at, mwh=count.mwh + (before_mw + mw) / 2 * ((at - when) / timedelta(hours=1)))

    def counts(self, at: datetime) -> dict[MeterId, MeterCount]:
        """By revenue meter, the energy counted from its readings, of those whose reading is not stale at an instant."""
        revenue = (name for name in self.fresh(at) if name.kind is MeterKind.METER)
        return {name: replace(self._counts[name], mwh=round(self._counts[name].mwh, 9)) for name in revenue}

    def fresh(self, at: datetime) -> dict[MeterId, float]:
        """MW by meter, of the meters whose reading is not stale at an instant."""
        return {name: round(mw, 9) for name, (when, mw) in sorted(self._last.items()) if not self._stale(when, at)}

    def compare(self, drawn_mw: Mapping[str, float], silent_mw: Mapping[str, float]) -> None:
        """Check the meters by what the rigs of each group draw at the wall as last read, MW, and how much of that by silent ones."""
        now = self._clock.now()
        if self._checks is not None:
            before = self._checks.doubts
            self._checks.compare(now.timestamp(), self.fresh(now), drawn_mw, silent_mw)
            for name, why in self._checks.doubts.items():
                if name not in before:
                    log.warning("meter doubted", meter=str(name), why=why)

    @property
    def doubts(self) -> dict[MeterId, str]:
        """Why each meter that is not believed is not."""
        return self._checks.doubts if self._checks is not None else {}

    def read_at(self, at: datetime) -> datetime | None:
        """When the first of the readings of `fresh` was taken; None where there is none."""
        return min((when for when, _ in self._last.values() if not self._stale(when, at)), default=None)

    def newest(self, name: MeterId, at: datetime) -> tuple[datetime, float] | None:
        """When a meter was read last, and its MW; None where it is not known, stale at an instant or not believed."""
        last = self._last.get(name)
        return None if last is None or self._stale(last[0], at) or name in self.doubts else last

    def alerts(self, at: datetime) -> dict[str, str]:
        """By meter, a sentence on why its reading is not used."""
        out = {str(name): f"{why}: the sum of its rigs' readings is used instead" for name, why in self.doubts.items()}
        for name in self._meters:
            when = self._last[name][0] if name in self._last else None
            if when is None:
                out[str(name)] = "the meter has not answered yet: the sum of its rigs' readings is used instead"
            elif self._stale(when, at):
                out[str(name)] = f"the meter has not answered since {when:%H:%M:%S}Z: the sum of its rigs' readings is used instead"
        return out

    def asked(self) -> tuple[str, ...]:
        """The names of all meters: those that `alerts` may list."""
        return tuple(map(str, self._meters))

    async def close(self) -> None:
        """Close every meter."""
        await asyncio.gather(*(m.close() for m in self._meters.values()))

    def _stale(self, when: datetime, at: datetime) -> bool:
        return at - when > at_least(self._clock, STALE_S, STALE_WALL_S)
