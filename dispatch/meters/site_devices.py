"""The devices of a site that Loadstone switches besides its rigs: pumps and fans by hall."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from dispatch.meters.cooling import HallCooling


class SiteDevices:
    """Pumps and fans of the halls; none where the site file names none, and in a dry run."""

    def __init__(self, cooling: Mapping[str, HallCooling] | None = None) -> None:
        self._cooling = dict(cooling or {})

    @property
    def halls(self) -> tuple[str, ...]:
        """The halls that have pumps or fans."""
        return tuple(self._cooling)

    async def start_cooling(self, halls: Iterable[str]) -> dict[str, str]:
        """Start pumps and fans of these halls before rigs wake there. Returns the halls where one does not run, and why."""
        mine = [self._cooling[h] for h in halls if h in self._cooling]
        whys = await asyncio.gather(*(cooling.start() for cooling in mine))
        return {cooling.hall: why for cooling, why in zip(mine, whys, strict=True) if why}

    async def tend(self, running: Mapping[str, bool | None]) -> None:
        """See to every device after a reading; `running` by hall as `HallCooling.tend` takes it."""
        await asyncio.gather(*(cooling.tend(running.get(hall)) for hall, cooling in self._cooling.items()))

    def alerts(self) -> dict[str, str]:
        """By device, a sentence on what is wrong with it."""
        return {_cooling_name(hall): cooling.alert for hall, cooling in self._cooling.items() if cooling.alert}

    def asked(self) -> tuple[str, ...]:
        """The names of all devices that `alerts` may list."""
        return tuple(map(_cooling_name, self._cooling))

    async def close(self) -> None:
        """Close every connection. Nothing is switched."""
        await asyncio.gather(*(cooling.close() for cooling in self._cooling.values()))


def _cooling_name(hall: str) -> str:
    return f"cooling of hall {hall}"
