"""The `driver` tables of a site file that need the simulator: simulated rigs, and dry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from zlib import crc32

from dispatch.rigs.driver_sections import DriverSettings, TcpSettings

if TYPE_CHECKING:
    from dispatch.clock import Clock
    from dispatch.rigs import Driver
    from dispatch.site_file.setup import Setup


class SimulatedSettings(DriverSettings):
    """Simulated rigs in this process, without sockets. `seed` chooses how single rigs differ from the nameplate."""

    kind: Literal["simulated"] = "simulated"
    seed: int = 0

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        from dispatch.sim.driver import SimulatedDriver
        from dispatch.sim.fleet import Fleet
        from dispatch.sim.spec import spec_of

        # Rigs of two groups differ from their nameplates each in its own way.
        seed = self.seed & 0xFFFFFFFF ^ crc32(group.encode())
        return SimulatedDriver(Fleet(spec_of([setup.site.group(group)]), seed, clock.now().timestamp()), group, clock)


class DryRunSettings(TcpSettings):
    """Writes to no rig. With a subnet or a roster it reads the rigs there; without, it simulates them."""

    kind: Literal["dry-run"] = "dry-run"
    seed: int = 0

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        from dispatch.sim.dry_run import dry_run_driver

        rigs = super().reach(setup, group, clock) if self.listed else SimulatedSettings(seed=self.seed).reach(setup, group, clock)
        return dry_run_driver(setup.site.group(group), rigs, clock)
