"""The devices of a site besides its rigs: meters that measure its load, and pumps and fans that must run before rigs do.

A meter measures what stands behind an ESI ID ("meter main"), a feeder ("hall a") or a PDU ("group a-s21"). A site file's `driver`,
`feeder`, `pdu` and `cooling` tables name them; the entry points of `dispatch.meters` and `dispatch.cooling` reach them, built-in or
plugged in.
"""

from __future__ import annotations

from typing import Protocol


class PowerMeter(Protocol):
    """Measures active power. Never raises for a meter: one that does not answer in time, or answers an impossible value, reads None."""

    async def read_mw(self, deadline_s: float) -> float | None:
        """The load now, MW; None when it cannot be read within `deadline_s` wall seconds."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Switch(Protocol):
    """Switches a pump or a fan. Never raises for the device."""

    async def run(self, on: bool, deadline_s: float) -> bool:
        """Switch it on or off. Returns whether a reading afterwards confirms it."""
        ...

    async def is_on(self, deadline_s: float) -> bool | None:
        """Whether it is on; None when it cannot be read within `deadline_s` wall seconds."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class GeneratorControls(Protocol):
    """Starts, stops and meters a generator. Never raises for the device."""

    async def command(self, run: bool, deadline_s: float) -> bool:
        """Order it to start or to stop. Returns whether the order was taken."""
        ...

    async def is_running(self, deadline_s: float) -> bool | None:
        """Whether it runs; None when that cannot be read within `deadline_s` wall seconds."""
        ...

    async def read_mw(self, deadline_s: float) -> float | None:
        """What it makes now, MW; None when it cannot be read."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...
