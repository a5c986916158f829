"""The site as its owner writes it down: meters, halls, rig groups, modes. Frozen; units in the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from markets.facts import Award, Call
from markets.grid import Market
from markets.series import Series
from optimizer.domain.memory import Memory

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

SLEEP = "sleep"


class Written(BaseModel):
    """Something a person wrote in a file: unknown keys and wrong types are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class SafeState(StrEnum):
    """What the owner wants when nothing is known any more."""

    HOLD = "hold"
    SLEEP = "sleep"
    RUN = "run"


class Mode(Written):
    """One way a rig can run: wall watts and terahashes a second, at 25 C."""

    name: str
    watts: NotNegative
    ths: NotNegative

    @property
    def j_per_th(self) -> float:
        """Joules per terahash at the wall; infinite when it does not hash."""
        return self.watts / self.ths if self.ths else float("inf")


class Overhead(Written):
    """Fans, pumps and transformers as a share of the rigs' load: `share` up to 25 C and more above."""

    share: Fraction = 0.0
    share_per_c_above_25: NotNegative = 0.0

    def at(self, celsius: float) -> float:
        """The share at an outside temperature."""
        return self.share + self.share_per_c_above_25 * max(0.0, celsius - 25.0)


class Meter(Written):
    """One ESI ID or CPNode. Metered energy times `loss_factor` is what settles. The line brings at most `import_mw` and takes `export_mw`:
    load less what is made behind the meter stays between them."""

    id: str
    settlement_point: str
    loss_factor: Positive = 1.0
    esi_id: str | None = None
    driver: Mapping[str, Any] | None = None
    import_mw: Positive | None = None
    export_mw: NotNegative = 0.0


class Hall(Written):
    """A building or a container: a feeder with a limit, its own overhead and an inrush limit. `feeder` reads what it draws, `cooling`
    switches its own pumps and fans, in the order in which they start."""

    name: str
    meter: str
    limit_mw: Positive
    overhead: Overhead = Overhead()
    max_starts_per_min: Positive | None = None
    feeder: Mapping[str, Any] | None = None
    cooling: tuple[Mapping[str, Any], ...] = ()


UNKNOWN_MAKER = "an unknown maker"
# A rig that wakes draws its watts within about a minute, hashes from this share of its wake time on, and evenly more until its end.
HASHES_FROM = 1.0 / 3.0


class RigGroup(Written):
    """Rigs of one model in one hall under one tenant. `modes` holds sleep first, then rising watts. Where they come from: whose firmware
    moves them (`maker`), where they were assembled, and the lists that name them."""

    name: str
    hall: str
    model: str
    rigs: Annotated[int, Field(ge=1)]
    tenant: str = "own"
    modes: tuple[Mode, ...]
    wake_min: NotNegative = 0.0
    min_on_min: NotNegative = 0.0
    min_off_min: NotNegative = 0.0
    wear_usd_per_start: NotNegative = 0.0
    maker: str = ""
    assembly: str = ""
    lists: tuple[str, ...] = ()
    driver: Mapping[str, Any] = Field(default_factory=lambda: {"kind": "simulated"})
    pdu: Mapping[str, Any] | None = None

    @property
    def lost_on_start_min(self) -> float:
        """Minutes of full hashing that a start loses (see HASHES_FROM)."""
        return self.wake_min * (1.0 + HASHES_FROM) / 2.0

    @property
    def awake_modes(self) -> tuple[Mode, ...]:
        return tuple(m for m in self.modes if m.name != SLEEP)

    @property
    def full(self) -> Mode:
        """The mode of most hashing among those the owner allows."""
        return max(self.modes, key=lambda m: m.ths)

    @property
    def asleep(self) -> Mode:
        """Its sleep mode; one of 0 W where the owner allows none."""
        return next((m for m in self.modes if m.name == SLEEP), Mode(name=SLEEP, watts=0.0, ths=0.0))

    def mode(self, name: str) -> Mode:
        for mode in self.modes:
            if mode.name == name:
                return mode
        raise KeyError(f"group {self.name!r} has no mode {name!r}")


class Site(Written):
    """The whole site. Cross references (hall to meter, group to hall) are checked by the config reader, all at once."""

    name: str
    market: Market
    timezone: str = "America/Chicago"
    settlement_point: str
    interconnect_mw: Positive
    max_ramp_up_mw_per_min: Positive | None = None
    max_ramp_down_mw_per_min: Positive | None = None
    control_interval_min: Annotated[int, Field(ge=1, le=60)] = 15
    horizon_h: Annotated[int, Field(ge=1, le=168)] = 48
    tick_s: Annotated[int, Field(ge=1, le=3600)] = 300
    safe_state: SafeState = SafeState.HOLD
    link_loss: SafeState = SafeState.HOLD
    wakes: Literal["ours", "all"] = "ours"
    two_person_mw: Positive | None = None
    post_event_hold_min: NotNegative = 0.0
    risk_weight: Fraction = 0.0
    meters: tuple[Meter, ...]
    halls: tuple[Hall, ...]
    groups: tuple[RigGroup, ...]

    @cached_property
    def meter_of(self) -> Mapping[str, Meter]:
        """By group name."""
        meters = {m.id: m for m in self.meters}
        return {g.name: meters[self.hall_of[g.name].meter] for g in self.groups}

    @cached_property
    def hall_of(self) -> Mapping[str, Hall]:
        """By group name."""
        halls = {h.name: h for h in self.halls}
        return {g.name: halls[g.hall] for g in self.groups}

    @cached_property
    def groups_of_maker(self) -> Mapping[str, tuple[str, ...]]:
        """Group names by maker; those of no known maker may all be one's, and count as one."""
        found: dict[str, tuple[str, ...]] = {}
        for group in self.groups:
            maker = group.maker or UNKNOWN_MAKER
            found[maker] = (*found.get(maker, ()), group.name)
        return found

    def group(self, name: str) -> RigGroup:
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(f"no group {name!r} on site {self.name!r}")


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the site an obligation speaks of; all None is the whole site."""

    meter: str | None = None
    hall: str | None = None
    tenant: str | None = None
    groups: tuple[str, ...] | None = None

    def names(self, site: Site) -> tuple[str, ...]:
        """The groups inside, in the site's order."""
        return tuple(
            g.name
            for g in site.groups
            if (self.meter is None or site.meter_of[g.name].id == self.meter)
            and (self.hall is None or g.hall == self.hall)
            and (self.tenant is None or g.tenant == self.tenant)
            and (self.groups is None or g.name in self.groups)
        )


# Outside air at which a hall's fans and pumps draw the most, degrees Celsius.
HOTTEST_C = 45.0


def most_load_mw(site: Site, groups: Sequence[str]) -> float:
    """The most that groups can draw together at their meters, MW: every rig in its mode of most watts on a hot day, within the limits of
    their halls and of the interconnect."""
    total = 0.0
    for hall in site.halls:
        watts = sum(g.rigs * max(m.watts for m in g.modes) for g in site.groups if g.hall == hall.name and g.name in groups)
        total += min(watts / 1e6 * (1 + hall.overhead.at(HOTTEST_C)), hall.limit_mw)
    return min(total, site.interconnect_mw)


def meters_in(site: Site, scope: Scope) -> tuple[tuple[Meter, tuple[str, ...]], ...]:
    """The meters a scope touches, each with the scope's groups behind it."""
    return meters_of(site, scope.names(site))


def meters_of(site: Site, groups: Sequence[str]) -> tuple[tuple[Meter, tuple[str, ...]], ...]:
    """The meters that groups sit behind, each with those groups."""
    return tuple((m, behind) for m in site.meters if (behind := tuple(n for n in groups if site.meter_of[n].id == m.id)))


@dataclass(frozen=True, slots=True)
class GroupNow:
    """What a group was doing when the plan was made: rigs by mode, and the recent starts and stops that minimum times still bind.

    modes    rigs in each mode, by mode name
    woken    (instant, rigs) of starts not older than min_on_min
    slept    (instant, rigs) of stops not older than min_off_min
    shed     (response time in seconds, share of its rigs told to sleep that had shed within it in 99 of 100), ascending, as measured;
             empty where it was not
    """

    modes: Mapping[str, float] = field(default_factory=dict)
    woken: tuple[tuple[datetime, int], ...] = ()
    slept: tuple[tuple[datetime, int], ...] = ()
    shed: tuple[tuple[float, float], ...] = ()

    def shed_within(self, response_s: float) -> float:
        """The share of its rigs that sheds within a response time; all of them where nobody measured."""
        return max((share for seconds, share in self.shed if seconds <= response_s), default=0.0 if self.shed else 1.0)


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a plan starts from. `memory` is by contract name."""

    at: datetime
    groups: Mapping[str, GroupNow] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    awards: tuple[Award, ...] = ()
    memory: Mapping[str, Memory] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Availability:
    """How many rigs of each group can be used in each interval, unit "rigs". A group that is not named has all of its rigs."""

    rigs: Mapping[str, Series] = field(default_factory=dict)
