"""The `driver` tables of a site file for real rigs: how the rigs of a group are reached.

Simulated rigs and dry runs have theirs in `dispatch.sim.driver_sections`. A driver is imported only when it is opened: pyasic takes most of
a second, and most processes do not need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from dispatch.rigs.site_checks import dialect_faults, roster_faults, start_faults, subnet_faults
from dispatch.rigs.wire import NOT_DRIVEN, Dialect
from dispatch.site_file import plugins
from dispatch.site_file.field_types import Reference, Subnet, Text, Url
from dispatch.site_file.setup import PluginSection, Setup, SiteCheck

if TYPE_CHECKING:
    from dispatch.clock import Clock
    from dispatch.rigs import Driver
    from optimizer.domain.site import RigGroup


def _driven(dialect: object) -> object:
    if isinstance(dialect, str) and dialect in NOT_DRIVEN:
        raise ValueError(NOT_DRIVEN[dialect])
    return dialect


class DriverSettings(PluginSection):
    """A group's `driver` table."""

    kind: str

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        """The driver of a group. Raises ValueError, OSError or KeyError when its rigs or their credentials cannot be found."""
        raise NotImplementedError


def driver_settings(setup: Setup, group: str) -> DriverSettings:
    """How the rigs of a group are reached: its `driver` table as the class its `kind` names. Raises KeyError for an unknown group."""
    table = setup.site.group(group).driver
    found: DriverSettings = plugins.installed(plugins.DRIVERS)[str(table["kind"])].model_validate(table)
    return found


class TcpSettings(DriverSettings):
    """Rigs on a network: the first `rigs` addresses of a subnet, or those of a roster (a CSV with a column "ip", and
    "group" where it maps a whole site); `dialect` where rigs speak another than the first of their make, `at_once` connections."""

    site_checks: ClassVar[tuple[SiteCheck, ...]] = (subnet_faults, roster_faults, dialect_faults, start_faults)
    subnet: Subnet | None = None
    roster: Text | None = None
    dialect: Annotated[Dialect | None, BeforeValidator(_driven)] = None
    credentials: Reference | None = None
    at_once: Annotated[int, Field(ge=1, le=1000)] = 100

    @model_validator(mode="after")
    def _at_most_one_list(self) -> TcpSettings:
        if self.subnet is not None and self.roster is not None:
            raise ValueError("needs one of subnet and roster")
        return self

    @property
    def listed(self) -> bool:
        """Whether it has a subnet or a roster."""
        return self.subnet is not None or self.roster is not None

    def addresses(self, setup: Setup, group: RigGroup) -> Sequence[str]:
        """Where the rigs of a group are. Raises ValueError or OSError."""
        from dispatch.rigs.roster import addresses, roster

        return addresses(self.subnet, group.rigs) if self.subnet else roster(setup.resolve(self.roster or ""), group.name)[: group.rigs]

    def password(self, setup: Setup) -> str | None:
        """The secret its credentials refer to; None without, which means as delivered. Raises KeyError, OSError or ValueError."""
        from dispatch.rigs.secrets import secret

        return secret(self.credentials, setup.resolve) if self.credentials else None

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        from dispatch.rigs.asics import PyasicDriver
        from dispatch.rigs.dialects import dialect_and_wire_model

        found = setup.site.group(group)
        dialect, model = dialect_and_wire_model(found.model, self.dialect)
        ips, password = self.addresses(setup, found), self.password(setup)
        return PyasicDriver(found, ips, model, clock, dialect=dialect, password=password, at_once=self.at_once)


class ListedSettings(TcpSettings):
    """Rigs on a network, with a subnet or a roster."""

    @model_validator(mode="after")
    def _one_list(self) -> ListedSettings:
        if not self.listed:
            raise ValueError("needs one of subnet and roster")
        return self


class PyasicSettings(ListedSettings):
    """Rigs over TCP through pyasic."""

    kind: Literal["pyasic"] = "pyasic"


class PyasicRsSettings(ListedSettings):
    """Rigs over TCP through pyasic-rs, the extra `rust`."""

    kind: Literal["pyasic-rs"] = "pyasic-rs"

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        try:
            from dispatch.rigs.pyasic_rs import PyasicRsDriver
        except ImportError:
            raise ValueError("pyasic-rs is not installed: it is the extra `rust` of this distribution") from None
        from dispatch.rigs.dialects import dialect_and_wire_model

        found = setup.site.group(group)
        dialect, _ = dialect_and_wire_model(found.model, self.dialect)
        ips, password = self.addresses(setup, found), self.password(setup)
        return PyasicRsDriver(found, ips, clock, dialect=dialect, password=password, at_once=self.at_once)


class CpuMinerSettings(DriverSettings):
    """Rigs that hash on a CPU and stand for rigs of their group's size: at `host`, rig k at `port` + k, mining at `pool` (HOST:PORT); `mhs`
    million hashes a second are the group's fullest mode."""

    kind: Literal["cpu-miner"] = "cpu-miner"
    host: Text
    port: Annotated[int, Field(ge=1, le=65535)]
    pool: Annotated[str, Field(pattern=r"^[^:]+:[0-9]+$")]
    mhs: Annotated[float, Field(gt=0, le=1000)] = 0.25

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        from dispatch.rigs.cpu_miner import CpuMinerDriver

        return CpuMinerDriver(setup.site.group(group), self.host, self.port, self.mhs, clock)


class FleetBridgeSettings(DriverSettings):
    """Rigs behind a Proto Fleet server at `url`. `roster` names them: a CSV with a column "device", their identifiers there; `credentials`
    refers to an API key."""

    kind: Literal["fleet-bridge"] = "fleet-bridge"
    site_checks: ClassVar[tuple[SiteCheck, ...]] = (roster_faults, start_faults)
    roster_column: ClassVar[str] = "device"
    url: Url
    roster: Text
    credentials: Reference

    def reach(self, setup: Setup, group: str, clock: Clock) -> Driver:
        from dispatch.rigs.proto_fleet import ProtoFleetDriver
        from dispatch.rigs.roster import roster
        from dispatch.rigs.secrets import secret

        found = setup.site.group(group)
        devices = roster(setup.resolve(self.roster), group, self.roster_column)[: found.rigs]
        return ProtoFleetDriver(found, self.url, devices, secret(self.credentials, setup.resolve), clock)
