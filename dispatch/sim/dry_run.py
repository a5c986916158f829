"""A dry run of a group: its orders move simulated rigs in place of the real ones."""

from __future__ import annotations

from pathlib import Path

from dispatch.clock import Clock
from dispatch.rigs import Driver
from dispatch.rigs.dry_run import DryRunDriver
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import spec_of
from optimizer.domain.site import RigGroup


def dry_run_driver(group: RigGroup, driver: Driver, clock: Clock, path: Path | None = None) -> DryRunDriver:
    """A driver that reads through `driver` and never writes through it; `path` collects the orders as JSON lines."""
    return DryRunDriver(group, driver, clock, lambda at_s: Fleet(spec_of([group]), 0, at_s), path)
