"""The panel: every meter of a site, what it last said, and whether that still counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

import structlog

from dispatch.clock import Clock
from dispatch.entries import MeterId
from dispatch.meters import PowerMeter

log = structlog.get_logger()

# A reading older than this steers nothing: world seconds, and the wall seconds that a fast clock needs at least.
STALE_S, STALE_WALL_S = 90.0, 5.0
ANSWER_WALL_S = 2.0


class MeterReadings:
    """The power meters of a site and what each read last."""

    def __init__(self, meters: Mapping[MeterId, PowerMeter], clock: Clock) -> None:
        self._meters, self._clock = dict(meters), clock
        self._said: dict[MeterId, tuple[datetime, float]] = {}
        self._silent: set[MeterId] = set()

    async def refresh(self) -> None:
        """Read every meter, all at once; one that is silent holds up nobody."""
        await asyncio.gather(*(self._read(name, meter) for name, meter in self._meters.items()))

    async def _read(self, name: MeterId, meter: PowerMeter) -> None:
        mw = await meter.read_mw(ANSWER_WALL_S)
        if mw is not None:
            self._said[name] = self._clock.now(), mw
        if (mw is None) != (name in self._silent):
            (self._silent.add if mw is None else self._silent.discard)(name)
            log.log(30 if mw is None else 20, "meter silent" if mw is None else "meter answers again", meter=str(name))

    def fresh(self, at: datetime) -> dict[MeterId, float]:
        """MW by meter, of the meters whose reading is not stale at an instant."""
        return {name: round(mw, 9) for name, (when, mw) in sorted(self._said.items()) if not self._stale(when, at)}

    def alerts(self, at: datetime) -> dict[str, str]:
        """In words, the meters that cannot be gone by."""
        out: dict[str, str] = {}
        for name in self._meters:
            when = self._said[name][0] if name in self._said else None
            if when is None:
                out[str(name)] = "the meter has not answered yet: what the rigs say stands in for it"
            elif self._stale(when, at):
                out[str(name)] = f"the meter has not answered since {when:%H:%M:%S}Z: what the rigs say stands in for it"
        return out

    def asked(self) -> tuple[str, ...]:
        return tuple(map(str, self._meters))

    async def close(self) -> None:
        """Let go of every meter."""
        await asyncio.gather(*(m.close() for m in self._meters.values()))

    def _stale(self, when: datetime, at: datetime) -> bool:
        speed = self._clock.speed
        limit_s = STALE_S if speed == float("inf") else max(STALE_S, STALE_WALL_S * speed)
        return (at - when).total_seconds() > limit_s
