"""One simulated rig at its address, whatever its dialect: its condition, and the orders that move it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dispatch.rigs.wire import Dialect
from dispatch.sim.fleet import REFUSED, SENT, UNSUPPORTED, Answers, Fleet
from dispatch.sim.power_limits import LUXOS_STEPS
from dispatch.sim.spec import GroupSpec, RigFault
from optimizer.domain.site import SLEEP

Pools = tuple[tuple[str, str], ...]
POOLS: Pools = tuple((f"stratum+tcp://pool{n}.invalid:3333", "site.rig") for n in (1, 2, 3))
# How far behind a wrong clock is.
CLOCK_BEHIND_S = 3600.0
BOARDS, FANS, CHIPS = 3, 4, 111

__all__ = ["BOARDS", "CHIPS", "FANS", "POOLS", "REFUSED", "SENT", "UNSUPPORTED", "Condition", "Pools", "Rig"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One rig at one instant. `when` epoch seconds of its own clock; `limit_w` infinite where there is none; `pools_alive` whether any
    pool takes its work."""

    address: str
    number: int
    model: str
    mode: str
    watts: float
    ths: float
    board_c: float
    normal_w: float
    normal_ths: float
    wake_s: float
    limit_w: float
    pools: Pools
    pools_alive: bool
    when: int

    @property
    def awake(self) -> bool:
        """Whether it is, or is on its way to be, in a mode that hashes."""
        return self.mode != SLEEP

    @property
    def fan_rpm(self) -> int:
        """The speed of its fans, revolutions a minute."""
        return 4200 if self.awake else 0

    @property
    def mac(self) -> str:
        """Its MAC address, made from its number."""
        return "c0:7e:" + ":".join(f"{self.number >> shift & 255:02x}" for shift in (24, 16, 8, 0))

    @property
    def serial(self) -> str:
        """Its serial number, made from its number."""
        return f"LOADSTONE{self.number:07d}"


@dataclass(slots=True)
class Rig:
    """A rig of a fleet, by group and position, and what clients can do to it.

    on_order    called for every order: the rig, the verb as it was on the wire, whether it moved the rig
    schedule    called for an order that takes effect at an instant, epoch seconds
    memory   what a dialect keeps of its clients: sessions, tokens
    """

    address: str
    number: int
    at: int
    group: GroupSpec
    fleet: Fleet
    on_order: Callable[[Rig, str, bool], None]
    schedule: Callable[[Rig, float, Callable[[], object]], None]
    pools: Pools = POOLS
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def dialect(self) -> Dialect:
        """The dialect it speaks."""
        return Dialect(self.group.dialect)

    @property
    def when(self) -> int:
        """Its own clock, epoch seconds."""
        return int(self.fleet.now_s - self.behind_s)

    @property
    def behind_s(self) -> float:
        """How far its clock is behind."""
        return CLOCK_BEHIND_S if self.has(RigFault.WRONG_CLOCK) else 0.0

    def has(self, fault: RigFault) -> bool:
        """Whether it has a fault now."""
        return self.fleet.has(fault, self.group.name, self.at)

    def condition(self) -> Condition:
        """Its condition now."""
        group, rig = self.group, np.array([self.at])
        watts, ths = self.fleet.truth(group.name, rig)
        mode, _, limit_w = self.fleet.orders_of(group.name, self.at)
        return Condition(
            address=self.address,
            number=self.number,
            model=group.wire_model,
            mode=mode,
            watts=0.0 if self.has(RigFault.REPORTS_NO_WATTS) else float(watts[0]),
            ths=float(ths[0]),
            board_c=float(self.fleet.board_c(group.name, rig)[0]),
            normal_w=group.normal.watts,
            normal_ths=group.normal.ths,
            wake_s=group.wake_min * 60.0,
            limit_w=limit_w,
            pools=self.pools,
            pools_alive=not self.has(RigFault.LOSES_POOLS),
            when=self.when,
        )

    def sleep(self, verb: str) -> int:
        """Put it to sleep. Returns its answer (SENT, REFUSED, UNSUPPORTED), like all orders below."""
        return self._order(verb, lambda rig: self.fleet.command(self.group.name, rig, SLEEP))

    def wake(self, verb: str) -> int:
        """Wake it into the awake mode and the limit it had."""
        return self._order(verb, lambda rig: self.fleet.wake(self.group.name, rig))

    def enter(self, verb: str, mode: str) -> int:
        """Put it into a mode at once, awake or not."""
        return self._order(verb, lambda rig: self.fleet.command(self.group.name, rig, mode))

    def prefer(self, verb: str, mode: str) -> int:
        """Use an awake mode from now on."""
        return self._order(verb, lambda rig: self.fleet.prefer(self.group.name, rig, mode))

    def limit(self, verb: str, watts: float) -> int:
        """Draw at most `watts` when awake; infinite lifts it."""
        return self._order(verb, lambda rig: self.fleet.limit(self.group.name, rig, watts))

    def draw(self, verb: str, watts: float) -> int:
        """Draw about `watts` when awake: in the mode of the group that draws as much, or else under a limit."""
        near = [m.name for m in self.group.modes[1:] if abs(m.watts - watts) <= 0.005 * m.watts]
        return self.prefer(verb, near[0]) if near else self.limit(verb, watts)

    def reboot(self, verb: str) -> int:
        """Restart it; asleep it stays asleep."""
        return self._order(verb, lambda rig: self.fleet.reboot(self.group.name, rig))

    def set_pools(self, verb: str, pools: Pools) -> int:
        """Hash for other pools, after a restart."""
        code = self.fleet.reboot(self.group.name, np.array([self.at])).code
        obeys = code[0] == SENT and not self.has(RigFault.NO_EFFECT)
        if obeys:
            self.pools = pools
        self.on_order(self, verb, bool(obeys))
        return int(code[0])

    def when_due(self, epoch_s: float, act: Callable[[], object]) -> None:
        """Do something when its own clock says `epoch_s`."""
        self.schedule(self, epoch_s + self.behind_s, act)

    @property
    def target_w(self) -> float:
        """Watts it draws, or would draw were it awake, by nameplate."""
        _, awake_mode, limit_w = self.fleet.orders_of(self.group.name, self.at)
        return min(limit_w, next(m.watts for m in self.group.modes if m.name == awake_mode))

    def answer_to_order(self) -> int:
        """What it would answer to an order now, without being given one."""
        return SENT if not self.has(RigFault.REFUSES) else REFUSED

    def profiles(self) -> list[tuple[int, float, float]]:
        """The steps a tuning firmware offers for it: (step, watts, TH/s), rising."""
        return [(step, round(w * self.group.normal.watts), round(h * self.group.normal.ths, 1)) for step, w, h in LUXOS_STEPS]

    def _order(self, verb: str, act: Callable[[Any], Answers]) -> int:
        answers = act(np.array([self.at]))
        self.on_order(self, verb, bool(answers.moved[0]))
        return int(answers.code[0])
