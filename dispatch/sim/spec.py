"""What a simulated fleet consists of: groups of rigs, and the faults of some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from optimizer.domain.site import SLEEP, Mode, RigGroup


class RigFault(StrEnum):
    """A fault a rig can have.

    refuses         answers "can't access write cmd" to every order and does nothing
    no_effect       answers OK to every order and does nothing
    hangs           accepts connections and never answers; keeps running
    slow_answers    obeys, but its answers arrive too slowly to be of use
    unreachable     drops every connection; keeps running
    slow_wake       needs four times its model's wake time
    reboot_loop     starts over every 15 minutes while awake
    wakes_by_itself wakes 10 minutes after it was put to sleep
    partial         one of its three boards does not obey: it keeps hashing when the rig is put to sleep
    loses_pools     no pool takes its work: awake it draws a quarter of its watts and hashes nothing
    wrong_clock     its own clock is an hour behind: orders for an instant take effect an hour late
    reports_no_watts  hashes and reports 0 W
    flat_wake       draws no more than asleep for two minutes after an order to wake
    restarts_boot   starts over when it is ordered to wake while it wakes
    """

    REFUSES = "refuses"
    NO_EFFECT = "no_effect"
    HANGS = "hangs"
    SLOW_ANSWERS = "slow_answers"
    UNREACHABLE = "unreachable"
    SLOW_WAKE = "slow_wake"
    REBOOT_LOOP = "reboot_loop"
    WAKES_BY_ITSELF = "wakes_by_itself"
    PARTIAL = "partial"
    LOSES_POOLS = "loses_pools"
    WRONG_CLOCK = "wrong_clock"
    REPORTS_NO_WATTS = "reports_no_watts"
    FLAT_WAKE = "flat_wake"
    RESTARTS_BOOT = "restarts_boot"


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """A fault on rigs: of one group or of all, named ones or a `rate` of them drawn by the fleet's seed, for a span of epoch seconds."""

    fault: RigFault
    group: str | None = None
    rigs: tuple[int, ...] | None = None
    rate: float = 1.0
    from_s: float = float("-inf")
    until_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A group of like rigs. `modes` hold sleep first, then rising watts; `initial` is where all of them start. `dialect` and `wire_model`
    are how they answer and what they call themselves to real clients; nothing where nobody asks."""

    name: str
    model: str
    rigs: int
    modes: tuple[Mode, ...]
    wake_min: float
    initial: str = "normal"
    dialect: str = ""
    wire_model: str = ""

    @property
    def start(self) -> int:
        """The position of the initial mode; the one of most hashing when there is no such mode."""
        names = [m.name for m in self.modes]
        return names.index(self.initial) if self.initial in names else len(names) - 1

    @property
    def normal(self) -> Mode:
        """The mode limits and board shares are measured against."""
        return next((m for m in self.modes if m.name == "normal"), self.modes[-1])


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """A simulated fleet: groups of rigs, and the faults of some of them."""

    groups: tuple[GroupSpec, ...]
    faults: tuple[ScheduledFault, ...] = ()

    @property
    def rigs(self) -> int:
        """How many rigs there are in all groups."""
        return sum(g.rigs for g in self.groups)

    def with_faults(self, faults: Iterable[ScheduledFault]) -> FleetSpec:
        """The same fleet with further faults."""
        return replace(self, faults=(*self.faults, *faults))


def spec_of(groups: Iterable[RigGroup]) -> FleetSpec:
    """The fleet of a site's groups, as the site file describes them."""
    return FleetSpec(tuple(GroupSpec(g.name, g.model, g.rigs, with_sleep(g.modes), g.wake_min) for g in groups))


def with_sleep(modes: tuple[Mode, ...]) -> tuple[Mode, ...]:
    """The modes, with a sleep of 0 W in front when the owner allows none: a rig can always be put to sleep by hand."""
    rising = tuple(sorted((m for m in modes if m.name != SLEEP), key=lambda m: m.watts))
    sleep = next((m for m in modes if m.name == SLEEP), Mode(name=SLEEP, watts=0.0, ths=0.0))
    return (sleep, *rising)


def spec_to_json(spec: FleetSpec) -> dict[str, Any]:
    """A spec as plain JSON values; infinite spans are left out."""
    return {
        "groups": [
            {
                "name": g.name,
                "model": g.model,
                "rigs": g.rigs,
                "wake_min": g.wake_min,
                "initial": g.initial,
                "dialect": g.dialect,
                "wire_model": g.wire_model,
                "modes": [m.model_dump() for m in g.modes],
            }
            for g in spec.groups
        ],
        "faults": [_fault_to_json(a) for a in spec.faults],
    }


def spec_from_json(document: Mapping[str, Any]) -> FleetSpec:
    """Raises KeyError, ValueError or pydantic's ValidationError when it is not a spec."""
    groups = tuple(
        GroupSpec(
            g["name"],
            g["model"],
            int(g["rigs"]),
            tuple(Mode(**m) for m in g["modes"]),
            float(g["wake_min"]),
            g["initial"],
            g.get("dialect", ""),
            g.get("wire_model", ""),
        )
        for g in document["groups"]
    )
    return FleetSpec(groups, tuple(fault_from_json(f) for f in document.get("faults", ())))


def _fault_to_json(a: ScheduledFault) -> dict[str, Any]:
    out: dict[str, Any] = {"fault": a.fault.value, "group": a.group, "rate": a.rate}
    if a.rigs is not None:
        out["rigs"] = list(a.rigs)
    out.update({k: v for k, v in (("from_s", a.from_s), ("until_s", a.until_s)) if abs(v) != float("inf")})
    return out


def fault_from_json(document: Mapping[str, Any]) -> ScheduledFault:
    """One fault of a faults file: {"fault": KIND, "group", "rigs": [positions] or "rate", "from_s", "until_s"}. Raises ValueError."""
    unknown = set(document) - {"fault", "group", "rigs", "rate", "from_s", "until_s"}
    if unknown:
        raise ValueError(f"unknown keys in a fault: {', '.join(sorted(unknown))}")
    if document.get("fault") not in set(RigFault):
        raise ValueError(f"fault must be one of {', '.join(RigFault)}, not {document.get('fault')!r}")
    rigs = document.get("rigs")
    return ScheduledFault(
        RigFault(document["fault"]),
        document.get("group"),
        None if rigs is None else tuple(int(r) for r in rigs),
        float(document.get("rate", 1.0)),
        float(document.get("from_s", "-inf")),
        float(document.get("until_s", "inf")),
    )
