"""A real meter in a shadow: what it reads, less what rigs draw that would have been told otherwise."""

from __future__ import annotations

from collections.abc import Iterable

from dispatch.meters import PowerMeter
from dispatch.rigs.dry_run import DryRunDriver


class DryRunMeter:
    """Reads through another meter. `behind` are the paper drivers of what it measures, each with its hall's overhead share."""

    def __init__(self, meter: PowerMeter, behind: Iterable[tuple[DryRunDriver, float]]) -> None:
        self._meter, self._behind = meter, tuple(behind)

    async def read_mw(self, deadline_s: float) -> float | None:
        mw = await self._meter.read_mw(deadline_s)
        return None if mw is None else mw - sum(paper.beyond_w * (1.0 + share) for paper, share in self._behind) / 1e6

    async def close(self) -> None:
        await self._meter.close()
