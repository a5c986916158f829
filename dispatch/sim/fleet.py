"""Physics of rigs: watts, terahashes, heat, wake time, variation between units, faults. Pure, seeded, vectorised; time is passed in.

A stop sheds the watts within seconds and the hashing at once (curtailing firmware goes from full power to about 25 W in under 5 s).
A start raises the watts within about a minute; hashing begins after a third of the model's wake time and is full at its end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dispatch.sim.fault_schedule import FaultSchedule
from dispatch.sim.power_limits import settled_draw
from dispatch.sim.ramps import Floats, Ints, Ramps
from dispatch.sim.spec import FleetSpec, RigFault, ScheduledFault
from dispatch.sim.unit_variation import UnitVariation
from optimizer.domain.site import HASHES_FROM

SENT, REFUSED, UNSUPPORTED, UNREACHABLE = range(4)
Bools = NDArray[np.bool_]
SILENT = (RigFault.UNREACHABLE, RigFault.HANGS, RigFault.SLOW_ANSWERS)
# The faults that change what a rig draws in its mode.
FAULTS_OF_DRAW = (RigFault.PARTIAL, RigFault.LOSES_POOLS)

SLEEP_RAMP_S, WAKE_RAMP_S, RETUNE_RAMP_S = 5.0, 60.0, 60.0
SLOW_WAKE = 4.0
REBOOT_EVERY_S = 900.0
SELF_WAKE_S = 600.0
FLAT_WAKE_S = 120.0
BOARD_RISE_C = 50.0


class Answers(NamedTuple):
    """What rigs answer to a command (SENT, REFUSED, UNSUPPORTED, UNREACHABLE; int8) and whether it moved them (bool), shape (n,) each."""

    code: NDArray[np.int8]
    moved: Bools


class Fleet:
    """All rigs of a spec at one instant. A rig is named by its group and its position in it (int64).

    Units of one model differ a little: see `UnitVariation`.
    """

    def __init__(self, spec: FleetSpec, seed: int, start_s: float) -> None:
        rng = np.random.default_rng(seed)
        self.spec = spec
        self.now_s = start_s
        self._groups = {g.name: g for g in spec.groups}
        self._names = {g.name: [m.name for m in g.modes] for g in spec.groups}
        self._starts = np.cumsum([0, *(g.rigs for g in spec.groups)])[:-1]
        self._first = {g.name: int(s) for g, s in zip(spec.groups, self._starts, strict=True)}
        self._group_of = np.repeat(np.arange(len(spec.groups)), [g.rigs for g in spec.groups])
        n = spec.rigs
        self._variation = UnitVariation(n, rng)
        self._wake_s = np.array([g.wake_min * 60.0 for g in spec.groups])[self._group_of] * self._variation.wake
        self._standby_w = np.array([g.modes[0].watts for g in spec.groups])[self._group_of] * self._variation.standby
        self._mode = np.array([g.start for g in spec.groups])[self._group_of]
        self._awake_mode = np.where(self._mode > 0, self._mode, np.array([len(g.modes) - 1 for g in spec.groups])[self._group_of])
        self._limit_w = np.full(n, np.inf)
        self._since_s = np.full(n, start_s)
        self._faults = FaultSchedule((a, self._rigs_with(a, rng)) for a in spec.faults)
        watts, ths = self._targets(np.arange(n))
        self._watts, self._ths = Ramps(watts, start_s), Ramps(ths, start_s)
        self._watt_s = np.zeros(len(spec.groups))
        self._th = np.zeros(len(spec.groups))
        self._update_totals()

    def advance(self, to_s: float) -> None:
        """Let time pass to `to_s`, epoch seconds; earlier instants change nothing."""
        while self.now_s < to_s:
            event_s = min(to_s, self._next_event())
            self._integrate(event_s)
            self._apply_events()

    def command(self, group: str, rigs: Ints, mode: str) -> Answers:
        """Order rigs into a mode, now. A power limit set before is lifted by an awake mode."""
        names = self._names[group]
        if mode not in names:
            return Answers(np.full(len(rigs), UNSUPPORTED, np.int8), np.zeros(len(rigs), bool))
        at = self._at(group, rigs)
        code, obeys = self._answers(at)
        position = names.index(mode)
        moved = obeys & ((self._mode[at] != position) | ((position > 0) & np.isfinite(self._limit_w[at])))
        again = obeys & ~moved & (position > 0) & (self._ths.t1[at] > self.now_s)
        self._reboot(at[again & self._has(RigFault.RESTARTS_BOOT, at)])
        self._move(at[moved], position, lift=position > 0)
        return Answers(code, moved)

    def wake(self, group: str, rigs: Ints) -> Answers:
        """Order rigs back into the awake mode and under the power limit they had before they slept."""
        at = self._at(group, rigs)
        code, obeys = self._answers(at)
        moved = obeys & (self._mode[at] == 0)
        self._move(at[moved], self._awake_mode[at[moved]])
        return Answers(code, moved)

    def limit(self, group: str, rigs: Ints, watts: float) -> Answers:
        """Order rigs to draw at most `watts` when awake; infinite lifts it. Sleeping rigs remember it."""
        at = self._at(group, rigs)
        code, obeys = self._answers(at)
        moved = obeys & (self._limit_w[at] != watts)
        hit = at[moved]
        self._limit_w[hit] = watts
        self._move(hit[self._mode[hit] > 0], self._mode[hit[self._mode[hit] > 0]])
        return Answers(code, moved)

    def reboot(self, group: str, rigs: Ints) -> Answers:
        """Order rigs to start over; those asleep stay asleep."""
        code, obeys = self._answers(at := self._at(group, rigs))
        moved = obeys & (self._mode[at] > 0)
        self._reboot(at[moved])
        return Answers(code, moved)

    def prefer(self, group: str, rigs: Ints, mode: str) -> Answers:
        """Order rigs to use an awake mode from now on; those asleep stay asleep. A power limit set before is lifted."""
        names, at = self._names[group], self._at(group, rigs)
        if mode not in names[1:]:
            return Answers(np.full(len(rigs), UNSUPPORTED, np.int8), np.zeros(len(rigs), bool))
        code, obeys = self._answers(at)
        position = names.index(mode)
        moved = obeys & ((self._awake_mode[at] != position) | np.isfinite(self._limit_w[at]))
        hit = at[moved]
        self._awake_mode[hit], self._limit_w[hit] = position, np.inf
        self._move(hit[self._mode[hit] > 0], position)
        return Answers(code, moved)

    def restore(self, group: str, rigs: Ints, mode: str, awake_mode: str, limit_w: float) -> None:
        """Put rigs back as a log has them, whatever their faults."""
        names, at = self._names[group], self._at(group, rigs)
        self._limit_w[at] = limit_w
        self._move(at, names.index(mode))
        self._awake_mode[at] = names.index(awake_mode)

    def place(self, group: str, rigs: Ints, mode: str) -> None:
        """Put rigs into a mode as if they had been in it for a long time."""
        at = self._at(group, rigs)
        self._move(at, self._names[group].index(mode))
        watts, ths = self._targets(at)
        self._watts.put(at, watts, self.now_s)
        self._ths.put(at, ths, self.now_s)
        self._update_totals()

    def read(self, group: str, rigs: Ints) -> tuple[Floats, Floats]:
        """Wall watts and TH/s of rigs, shape (n,) each; NaN for those that do not answer."""
        at, (watts, ths) = self._at(group, rigs), self.truth(group, rigs)
        silent = np.logical_or.reduce([self._has(fault, at) for fault in SILENT])
        watts = np.where(self._has(RigFault.REPORTS_NO_WATTS, at), 0.0, watts)
        return np.where(silent, np.nan, watts), np.where(silent, np.nan, ths)

    def truth(self, group: str, rigs: Ints) -> tuple[Floats, Floats]:
        """True wall watts and TH/s, shape (n,) each, whether or not the rig answers."""
        at = self._at(group, rigs)
        return self._watts.at(self.now_s, at), self._ths.at(self.now_s, at)

    def modes(self, group: str, rigs: Ints) -> list[str]:
        """The modes rigs are in or on their way to."""
        return [self._names[group][i] for i in self._mode[self._at(group, rigs)]]

    def orders_of(self, group: str, rig: int) -> tuple[str, str, float]:
        """The orders one rig is under: its mode, its mode when awake, and its power limit in W (infinite where there is none)."""
        at, names = self._first[group] + rig, self._names[group]
        return names[self._mode[at]], names[self._awake_mode[at]], float(self._limit_w[at])

    def board_c(self, group: str, rigs: Ints) -> Floats:
        """Board temperatures in C: 50 above the intake air at normal watts, in proportion to watts."""
        watts, _ = self.truth(group, rigs)
        return self._variation.room_c[self._at(group, rigs)] + BOARD_RISE_C * watts / max(self._groups[group].normal.watts, 1.0)

    def has(self, fault: RigFault, group: str, rig: int) -> bool:
        """Whether a rig has a fault now."""
        return bool(self._has(fault, self._at(group, np.array([rig])))[0])

    def add_fault(self, fault: ScheduledFault) -> None:
        """Add a fault; a rate takes the first rigs of its group."""
        chosen = self._rigs_with(fault, None)
        self._faults.add(fault, chosen)
        if fault.fault in FAULTS_OF_DRAW:
            self._move(chosen, self._mode[chosen])

    def clear_fault(self, fault: RigFault) -> None:
        """Remove a kind of fault from every rig."""
        cleared = self._faults.remove(fault)
        if fault in FAULTS_OF_DRAW:
            self._move(cleared, self._mode[cleared])

    def energy_mwh(self, group: str) -> float:
        """Energy at the wall since the start, MWh, exact up to float rounding; true, not metered."""
        return float(self._watt_s[list(self._names).index(group)] / 3.6e9)

    def hash_ph_days(self, group: str) -> float:
        """Work since the start, in PH/s times days."""
        return float(self._th[list(self._names).index(group)] / (1e3 * 86400.0))

    def _at(self, group: str, rigs: Ints) -> Ints:
        return np.asarray(rigs, np.int64) + self._first[group]

    def _rigs_with(self, a: ScheduledFault, rng: np.random.Generator | None) -> Ints:
        groups = [a.group] if a.group is not None else list(self._groups)
        everyone = np.concatenate([self._at(g, np.arange(self._groups[g].rigs)) for g in groups])
        if a.rigs is not None:
            return np.concatenate([self._at(g, np.array([r for r in a.rigs if r < self._groups[g].rigs], np.int64)) for g in groups])
        count = round(a.rate * len(everyone))
        return np.sort(rng.choice(everyone, count, replace=False)) if rng is not None else everyone[:count]

    def _has(self, fault: RigFault, at: Ints) -> Bools:
        return self._faults.has(fault, at, self.now_s)

    def _answers(self, at: Ints) -> tuple[NDArray[np.int8], Bools]:
        """What rigs answer to an order they understand, and which of them obey it."""
        gone = self._has(RigFault.UNREACHABLE, at) | self._has(RigFault.HANGS, at)
        refuses, no_effect, slow = (self._has(f, at) for f in (RigFault.REFUSES, RigFault.NO_EFFECT, RigFault.SLOW_ANSWERS))
        code = np.where(gone | slow, UNREACHABLE, np.where(refuses, REFUSED, SENT)).astype(np.int8)
        return code, ~(gone | refuses | no_effect)

    def _targets(self, at: Ints) -> tuple[Floats, Floats]:
        """Watts and TH/s that rigs settle at in their mode, with their limit, their variation and their faults."""
        watts, ths = np.zeros(len(at)), np.zeros(len(at))
        for number, group in enumerate(self.spec.groups):
            rigs = at[mine := np.flatnonzero(self._group_of[at] == number)]
            shaped_by = (self._has(fault, rigs) for fault in FAULTS_OF_DRAW)
            watts[mine], ths[mine] = settled_draw(group, self._mode[rigs], self._limit_w[rigs], *shaped_by)
        return watts * self._variation.of(at, self._mode[at] == 0), ths * self._variation.ths[at]

    def _move(self, at: Ints, mode: Ints | int, lift: bool = False) -> None:
        """Rigs start to change to a mode; those that wake take their wake time."""
        if not len(at):
            return
        was_asleep = self._mode[at] == 0
        self._mode[at] = mode
        if lift:
            self._limit_w[at] = np.inf
        awake = self._mode[at] > 0
        self._awake_mode[at[awake]] = self._mode[at[awake]]
        self._since_s[at] = self.now_s
        self._aim(at, awake & was_asleep)
        self._update_totals()

    def _aim(self, at: Ints, waking: Bools) -> None:
        now, (watts, ths) = self.now_s, self._targets(at)
        asleep = self._mode[at] == 0
        still_waking = ~waking & ~asleep & (self._ths.t1[at] > now)
        wake_s = self._wake_s[at] * np.where(self._has(RigFault.SLOW_WAKE, at), SLOW_WAKE, 1.0)
        hash_start = np.where(waking, now + HASHES_FROM * wake_s, np.where(still_waking, np.maximum(self._ths.t0[at], now), now))
        hash_end = np.where(waking, now + np.maximum(wake_s, 1.0), np.where(still_waking, self._ths.t1[at], now + RETUNE_RAMP_S))
        watts_s = np.where(asleep, SLEEP_RAMP_S, np.where(waking, WAKE_RAMP_S, RETUNE_RAMP_S))
        self._watts.hold(at, now)
        flat_s = np.where(waking & self._has(RigFault.FLAT_WAKE, at), FLAT_WAKE_S, 0.0)
        self._watts.aim(at, watts, now + flat_s, now + flat_s + watts_s)
        self._ths.hold(at, now)
        self._ths.aim(at, ths, hash_start, hash_end)
        self._ths.put(at[asleep], ths[asleep], now)

    def _update_totals(self) -> None:
        """By group, the totals once every rig has settled; and by rig, when it has."""
        self._final_w = np.add.reduceat(self._watts.v1, self._starts)
        self._final_th = np.add.reduceat(self._ths.v1, self._starts)
        self._arrive_s = np.maximum(self._watts.t1, self._ths.t1)

    def _integrate(self, to_s: float) -> None:
        """Advance the integrals, exactly: every rig at where it settles, plus the difference for those still changing."""
        dt = to_s - self.now_s
        under_way = np.flatnonzero(self._arrive_s > self.now_s)
        number = self._group_of[under_way]
        for total, final, ramps in ((self._watt_s, self._final_w, self._watts), (self._th, self._final_th, self._ths)):
            missing = ramps.integral(self.now_s, to_s, under_way) - ramps.v1[under_way] * dt
            total += final * dt + np.bincount(number, missing, len(total))
        self.now_s = to_s

    def _next_event(self) -> float:
        """When a rig next changes by itself, or a fault begins or ends."""
        times = [self._faults.next_change(self.now_s)]
        if len(self._faults.affected(RigFault.REBOOT_LOOP, self.now_s)):
            times.append((np.floor(self.now_s / REBOOT_EVERY_S) + 1) * REBOOT_EVERY_S)
        self_waking = self._faults.affected(RigFault.WAKES_BY_ITSELF, self.now_s)
        if (asleep := self_waking[self._mode[self_waking] == 0]).size:
            times.extend(t for t in np.unique(self._since_s[asleep]) + SELF_WAKE_S if t > self.now_s)
        return float(min(times))

    def _apply_events(self) -> None:
        for changed in (self._faults.changed(fault, self.now_s) for fault in FAULTS_OF_DRAW):
            self._move(changed, self._mode[changed])
        if self.now_s % REBOOT_EVERY_S == 0.0:
            looping = self._faults.affected(RigFault.REBOOT_LOOP, self.now_s)
            self._reboot(looping[self._mode[looping] > 0])
        self_waking = self._faults.affected(RigFault.WAKES_BY_ITSELF, self.now_s)
        due = self_waking[(self._mode[self_waking] == 0) & (self._since_s[self_waking] + SELF_WAKE_S <= self.now_s)]
        self._move(due, self._awake_mode[due])

    def _reboot(self, at: Ints) -> None:
        if not len(at):
            return
        self._watts.put(at, self._standby_w[at], self.now_s)
        self._ths.put(at, 0.0, self.now_s)
        self._since_s[at] = self.now_s
        self._aim(at, np.ones(len(at), bool))
        self._update_totals()
