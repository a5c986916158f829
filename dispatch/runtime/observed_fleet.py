"""What the observer needs of the rigs and meters of a site."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from dispatch.entries import GroupSeen
from dispatch.meters.readings import MeterReadings
from dispatch.meters.site_devices import SiteDevices
from dispatch.rigs.controller import LoadCheck


class ObservedFleet(Protocol):
    """What the observer needs of the rig controller."""

    async def refresh(self) -> None:
        """Read every meter and every rig."""
        ...

    def snapshot(self, at: datetime) -> dict[str, GroupSeen]:
        """The groups as last read, with the rigs whose condition changed since the snapshot before."""
        ...

    def has_news(self, at: datetime, exceeded: LoadCheck) -> bool:
        """Whether readings show something since the snapshot before that calls for a decision."""
        ...

    def watch(self, closely: bool) -> None:
        """Whether every rig is to be read often."""
        ...

    @property
    def meters(self) -> MeterReadings:
        """The newest reading of every meter."""
        ...

    @property
    def devices(self) -> SiteDevices:
        """Pumps, fans and generators."""
        ...
