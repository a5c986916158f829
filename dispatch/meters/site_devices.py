"""The devices of a site that Loadstone switches besides its rigs: pumps and fans by hall, and generators."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from dispatch.entries import GeneratorSeen
from dispatch.meters.cooling import HallCooling
from dispatch.meters.generator import GeneratorUnit


class SiteDevices:
    """Pumps and fans of the halls, none in a dry run; and generators by contract, which a dry run only reads."""

    def __init__(self, cooling: Mapping[str, HallCooling] | None = None, generators: Mapping[str, GeneratorUnit] | None = None) -> None:
        self._cooling, self._generators = dict(cooling or {}), dict(generators or {})

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
        cooled = (cooling.tend(running.get(hall)) for hall, cooling in self._cooling.items())
        await asyncio.gather(*cooled, *(unit.tend() for unit in self._generators.values()))

    async def order_generators(self, run: Mapping[str, bool]) -> None:
        """Have these generators run or stop, by contract; the others go on as they were last ordered."""
        mine = [unit for name, unit in self._generators.items() if name in run and run[name] is not unit.wanted]
        for unit in mine:
            unit.wanted = run[unit.name]
        await asyncio.gather(*(unit.tend() for unit in mine))

    def generators(self) -> dict[str, GeneratorSeen]:
        """The generators as last read, by contract."""
        return {name: unit.seen() for name, unit in self._generators.items()}

    def alerts(self) -> dict[str, str]:
        """By device, a sentence on what is wrong with it."""
        cooling = {_cooling_name(hall): cooling.alert for hall, cooling in self._cooling.items()}
        generators = {_generator_name(name): unit.alert() for name, unit in self._generators.items()}
        return {name: text for name, text in (cooling | generators).items() if text}

    def asked(self) -> tuple[str, ...]:
        """The names of all devices that `alerts` may list."""
        return (*map(_cooling_name, self._cooling), *map(_generator_name, self._generators))

    async def close(self) -> None:
        """Close every connection. Nothing is switched."""
        closes = (unit.controls.close() for unit in self._generators.values())
        await asyncio.gather(*(cooling.close() for cooling in self._cooling.values()), *closes)


def _cooling_name(hall: str) -> str:
    return f"cooling of hall {hall}"


def _generator_name(contract: str) -> str:
    return f"generator {contract}"
