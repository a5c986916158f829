"""The faults of a simulated run: which there are, which row of the fault matrix each belongs to, and how a seed draws them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch.sim.spec import RigFault

# Rows of the fault matrix by number, in the words of docs/reliability.md.
ROWS = {
    1: "a price feed is late or stale",
    2: "NaN, missing rows or columns",
    3: "a feed that hangs or answers nonsense",
    4: "an implausible figure",
    5: "a price is corrected later",
    6: "the machine's clock is set",
    7: "days of 23 and 25 hours",
    8: "the ledger is locked",
    9: "the disk is full",
    10: "a row is edited",
    11: "a process is killed at any point",
    12: "two leaders; a paused one wakes",
    13: "rigs hang or are gone",
    14: "a rig says that it stopped and still draws",
    15: "a rig that keeps waking",
    16: "rigs obey in part",
    17: "a call twice, late, out of order, changed, cancelled",
    18: "a link falls silent",
    19: "the planner is killed or finds nothing",
    21: "hostile requests",
    22: "too many requests",
    23: "a wrong site file",
    24: "restore from a backup",
    25: "an operator's mistake",
}

# By kind: the row it belongs to, how many come in 30 days on average, and the shortest and longest time it lasts, minutes.
KINDS: dict[str, tuple[int, float, float, float]] = {
    "feed_silent": (1, 1.0, 60, 480),
    "feed_late": (1, 1.0, 60, 300),
    "feed_silent_for_long": (1, 0.1, 1500, 2400),
    "feed_nan": (2, 1.0, 30, 180),
    "feed_nonsense": (3, 1.0, 30, 240),
    "feed_implausible": (4, 1.0, 0, 0),
    "feed_corrected": (5, 1.0, 0, 0),
    "feed_repeated": (5, 0.5, 0, 0),
    "clock_set": (6, 1.0, 0, 0),
    "ledger_locked": (8, 1.0, 1, 40),
    "disk_full": (9, 1.0, 5, 90),
    "row_edited": (10, 0.6, 1, 10),
    "killed": (11, 2.5, 0.2, 90),
    "paused_leader": (12, 0.7, 1, 30),
    "rigs_silent": (13, 1.0, 30, 300),
    "rigs_disobey": (14, 1.0, 30, 300),
    "meter_wrong": (14, 0.5, 30, 240),
    "meter_silent": (14, 0.5, 5, 240),
    "rigs_wake": (15, 1.0, 60, 300),
    "rigs_in_part": (16, 1.0, 30, 300),
    "call": (17, 3.0, 15, 60),
    "call_twice": (17, 1.0, 15, 45),
    "call_changed": (17, 0.7, 20, 60),
    "call_cancelled": (17, 0.7, 20, 60),
    "call_out_of_order": (17, 0.7, 20, 60),
    "call_late": (17, 0.7, 20, 60),
    "link_silent": (18, 1.0, 10, 150),
    "planner_killed": (19, 1.0, 60, 240),
    "planner_fails": (19, 0.6, 60, 180),
    "hostile_calls": (21, 1.0, 15, 45),
    "many_calls": (22, 0.5, 15, 45),
    "wrong_site_file": (23, 0.5, 1, 10),
    "restored": (24, 0.4, 5, 30),
    "hold": (25, 0.8, 10, 60),
    "hold_forgotten": (25, 0.2, 0, 0),
    "stop": (25, 0.3, 10, 45),
}
RIG_FAULTS = {
    "rigs_silent": (RigFault.UNREACHABLE, RigFault.HANGS, RigFault.SLOW_ANSWERS),
    "rigs_disobey": (RigFault.NO_EFFECT, RigFault.REFUSES, RigFault.REPORTS_NO_WATTS),
    "rigs_wake": (RigFault.WAKES_BY_ITSELF, RigFault.REBOOT_LOOP, RigFault.RESTARTS_BOOT, RigFault.SLOW_WAKE, RigFault.FLAT_WAKE),
    "rigs_in_part": (RigFault.PARTIAL, RigFault.LOSES_POOLS, RigFault.WRONG_CLOCK),
}
# Days whose 30 days after them hold a change of the clocks in Central time, and one that does not.
STARTS = (datetime(2026, 2, 20, 6, tzinfo=UTC), datetime(2026, 10, 15, 5, tzinfo=UTC), datetime(2026, 6, 1, 5, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """One fault: its kind, when it begins and how long it lasts, in seconds of the run, and numbers that the kind makes use of, each
    between 0 and 1."""

    kind: str
    at_s: float
    lasts_s: float
    dice: tuple[float, float, float]

    @property
    def row(self) -> int:
        """Its row of the fault matrix."""
        return KINDS[self.kind][0]

    def to_json(self) -> list[Any]:
        return [self.kind, self.at_s, self.lasts_s, list(self.dice)]

    @classmethod
    def from_json(cls, document: Sequence[Any]) -> InjectedFault:
        kind, at_s, lasts_s, dice = document
        return cls(str(kind), float(at_s), float(lasts_s), (float(dice[0]), float(dice[1]), float(dice[2])))


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a run follows from."""

    seed: int
    days: float
    faults: tuple[InjectedFault, ...]

    @property
    def start(self) -> datetime:
        """When the run begins. Short runs begin shortly before the clocks change."""
        start = STARTS[self.seed % len(STARTS)]
        changes = {STARTS[0]: timedelta(days=15), STARTS[1]: timedelta(days=16)}.get(start, timedelta(0))
        return start + changes if self.days < 20 else start

    def to_json(self) -> dict[str, Any]:
        return {"seed": self.seed, "days": self.days, "faults": [fault.to_json() for fault in self.faults]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Scenario:
        return cls(int(document["seed"]), float(document["days"]), tuple(map(InjectedFault.from_json, document["faults"])))


def drawn(seed: int, days: float, density: float = 1.0) -> Scenario:
    """The scenario of a seed: faults of every kind at random instants, in order of time, `density` times as many as in a usual month."""
    dice, faults = random.Random(seed), list[InjectedFault]()
    for kind, (_, per_month, shortest, longest) in KINDS.items():
        rate = density * per_month / (30 * 86400.0)
        at_s = dice.expovariate(rate)
        while at_s < days * 86400.0:
            lasts_s = round(60 * dice.uniform(shortest, longest), 1)
            faults.append(InjectedFault(kind, round(at_s, 1), lasts_s, (dice.random(), dice.random(), dice.random())))
            at_s += dice.expovariate(rate)
    return Scenario(seed, days, tuple(sorted(faults, key=lambda fault: fault.at_s)))
