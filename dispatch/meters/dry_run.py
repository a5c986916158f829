"""A real meter in a dry run: its reading, less the load that the recorded orders would have shed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from dispatch.meters import PowerMeter


class WithheldLoad(Protocol):
    """Rigs in a dry run (`dispatch.rigs.dry_run.DryRunDriver` drives such)."""

    @property
    def withheld_w(self) -> float:
        """Watts they draw beyond what they would draw had their orders been sent."""
        ...


class DryRunMeter:
    """Reads through another meter. `behind` are the rigs it measures, each group with its hall's overhead share."""

    def __init__(self, meter: PowerMeter, behind: Iterable[tuple[WithheldLoad, float]]) -> None:
        self._meter, self._behind = meter, tuple(behind)

    async def read_mw(self, deadline_s: float) -> float | None:
        """The load had the orders been sent, MW; None when the real meter cannot be read."""
        mw = await self._meter.read_mw(deadline_s)
        return None if mw is None else mw - sum(rigs.withheld_w * (1.0 + share) for rigs, share in self._behind) / 1e6

    async def close(self) -> None:
        """Close the real meter."""
        await self._meter.close()
