"""`python -m tests.arbitration [MIXES]`: random mixes of plans, holds, instructions and limits on random fleets, decided, and held against
what no decision may do. A million take some minutes; the tests try some thousands."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dispatch.decide.fit_to_limit import Counts, Doubtful, LoadLimit, LoadsNow
from dispatch.decide.precedence import LIMITS, Asker
from dispatch.decide.reflex import Wanted, within_limits
from optimizer.domain.site import Site
from tests.sites import group, small

SLACK_W = 60.0  # less than any rig draws: a limit missed by less is kept
RANK = {asker: n for n, asker in enumerate(LIMITS)}


class Fleet(LoadsNow):
    """What the groups of a site draw, as a test says: watts of one rig by mode, rigs that may not obey, watts of rigs that are silent."""

    def __init__(self, site: Site, dice: random.Random) -> None:
        self.site = site
        watts = {g.name: [m.watts * 1.03 for m in g.modes] for g in site.groups}
        obey = dice.random() < 0.5
        doubtful = {g.name: self._doubts(len(g.modes), g.rigs, obey, dice) for g in site.groups}
        silent = {g.name: dice.choice((0.0, 0.0, 3000.0)) for g in site.groups}
        self.watts, self.doubtful, self.silent = watts.__getitem__, doubtful.__getitem__, silent.__getitem__
        self.ordered = lambda name: float(watts[name][-1])
        offset_w = dice.choice((0.0, 0.0, 2000.0, -500.0))
        self.offset = lambda names: offset_w * len(names) / len(site.groups)

    @staticmethod
    def _doubts(modes: int, rigs: int, obey: bool, dice: random.Random) -> Doubtful:
        made = object.__new__(Doubtful)
        made.doubtful = [0 if obey else dice.choice((0, 0, 0, 1, 2)) for _ in range(modes)]
        made.disobeyed = 0.0 if obey else dice.choice((0.0, 0.0, 0.1, 0.5))
        made.asleep, made.stopping = dice.randint(0, rigs), dice.random() < 0.5
        made.not_wakeable = dice.choice((0, 0, 1, rigs // 2))
        return made


@dataclass(frozen=True, slots=True)
class Mix:
    """Who asks for what at one instant: the rigs wanted in each mode, and limits in order, each with who asks."""

    fleet: Fleet
    wanted: Counts
    limits: tuple[tuple[Asker, LoadLimit], ...]

    def decided(self) -> Wanted:
        """What the site should be doing."""
        return within_limits(Wanted(dict(self.wanted)), self.fleet, [limit for _, limit in self.limits])


def mixed_site() -> Site:
    """Two halls, three groups, two of them with two awake modes."""
    figures = {"sleep": (20.0, 0.0), "low": (2000.0, 110.0), "normal": (3500.0, 180.0)}
    more = [{"name": name, "watts": watts, "ths": ths} for name, (watts, ths) in figures.items()]
    groups = [
        group("old", "a", watts=3000.0, ths=100.0, rigs=10),
        {**group("new", "b", watts=0.0, ths=0.0, rigs=10), "modes": more},
        {**group("mid", "b", watts=0.0, ths=0.0, rigs=6), "modes": more},
    ]
    return small(groups=groups).site


def fleets(site: Site, dice: random.Random, n: int = 50) -> list[Fleet]:
    """Fleets with different rigs that do not obey."""
    return [Fleet(site, dice) for _ in range(n)]


def drawn(fleet: Fleet, dice: random.Random) -> Mix:
    """A random mix: up to five limits of random askers on random groups."""
    site = fleet.site
    wanted = {}
    for g in site.groups:
        cut = sorted(dice.randint(0, g.rigs) for _ in range(len(g.modes) - 1))
        wanted[g.name] = [b - a for a, b in zip([0, *cut], [*cut, g.rigs], strict=True)]
    limits = []
    names = [g.name for g in site.groups]
    for n in range(dice.randint(1, 5)):
        asker = dice.choice(LIMITS)
        scope = tuple(names) if dice.random() < 0.5 else tuple(sorted(dice.sample(names, dice.randint(1, 2)), key=names.index))
        mw = round(dice.uniform(0.0, 0.1), 4)
        floor = asker in (Asker.WISH, Asker.INSTRUCTION) and dice.random() < 0.4
        limits.append((asker, LoadLimit(f"{asker} {n}", scope, mw if floor else 0.0, float("inf") if floor else mw,
                                        asker is not Asker.WISH, f"{asker} {n} asks", of_site=asker is Asker.SITE)))  # fmt: skip
    limits.sort(key=lambda each: RANK[each[0]])
    return Mix(fleet, wanted, tuple(limits))


def faults(mix: Mix) -> list[str]:
    """What the decision does that no decision may do; judged by the loads alone."""
    want, fleet, found = mix.decided(), mix.fleet, list[str]()
    rigs = {g.name: g.rigs for g in fleet.site.groups}
    if any(sum(by_mode) != rigs[name] or min(by_mode) < 0 for name, by_mode in want.counts.items()):
        return [f"rigs are lost or made up: {want.counts}"]
    caps = [limit for _, limit in mix.limits if limit.cap_mw < float("inf")]
    for _, limit in mix.limits:
        load_w = load_of(fleet, want.counts, limit.groups)
        if load_w > limit.cap_mw * 1e6 + SLACK_W:
            if not yields(limit, mix) and any(runs(fleet, want.counts, name) for name in limit.groups):
                found.append(f"{limit.promise}: {load_w / 1e6:.4f} MW above the cap of {limit.cap_mw} MW, and rigs that obey still run")
            if limit.promise not in want.short:
                found.append(f"{limit.promise}: missed and not named")
        if load_w < limit.floor_mw * 1e6 - SLACK_W - smallest_w(fleet, limit.groups):
            if limit.promise not in want.short:
                found.append(f"{limit.promise}: {load_w / 1e6:.4f} MW below the floor of {limit.floor_mw} MW and not named")
            ceilings = [cap for cap in caps if cap.firm or not limit.firm]
            found += [
                f"{limit.promise}: below its floor though {name} could draw more" for name in idle(fleet, want.counts, limit, ceilings)
            ]
    return found


def runs(fleet: Fleet, counts: Counts, name: str) -> bool:
    """Whether a rig of a group runs that obeys."""
    return any(n > fleet.doubtful(name).doubtful[k] for k, n in enumerate(counts[name]) if k)


def yields(cap: LoadLimit, mix: Mix) -> bool:
    """Whether a cap is a wish on groups of which an instruction insists on some load."""
    floors = [limit for _, limit in mix.limits if limit.firm and limit.floor_mw > 0]
    return not cap.firm and any(set(cap.groups) & set(floor.groups) for floor in floors)


def load_of(fleet: Fleet, counts: Counts, names: Iterable[str]) -> float:
    """What groups draw with so many rigs in each mode, watts: their modes, rigs that do not leave theirs, silent ones, and what is measured
    beyond."""
    total = fleet.offset(tuple(names))
    for name in names:
        watts, stuck = fleet.watts(name), fleet.doubtful(name).doubtful
        total += fleet.silent(name)
        for k, n in enumerate(counts[name]):
            total += n * watts[k] + (max(0, stuck[k] - n) * (watts[k] - watts[0]) if k else 0.0)
    return total


def smallest_w(fleet: Fleet, names: Iterable[str]) -> float:
    """The smallest step that a rig of these groups can make, watts."""
    return min(fleet.watts(name)[k] - fleet.watts(name)[0] for name in names for k in range(1, len(fleet.watts(name))))


def idle(fleet: Fleet, counts: Counts, limit: LoadLimit, caps: Sequence[LoadLimit]) -> list[str]:
    """The groups of a floor of which a rig that obeys could draw more: the floor misses as much as that adds, and every cap has room. Where
    rigs do not leave their modes, what waking others would add is not known."""
    out = []
    missing_w = limit.floor_mw * 1e6 - load_of(fleet, counts, limit.groups)
    if any(any(fleet.doubtful(g.name).doubtful[1:]) for g in fleet.site.groups):
        return []
    for name in limit.groups:
        watts, doubts = fleet.watts(name), fleet.doubtful(name)
        room_w = min((c.cap_mw * 1e6 - load_of(fleet, counts, c.groups) for c in caps if name in c.groups), default=float("inf"))
        for k, n in enumerate(counts[name]):
            free = n - (doubts.doubtful[k] if k else doubts.not_wakeable)
            if free >= 1 and any(watts[to] - watts[k] <= min(missing_w, room_w) for to in range(k + 1, len(watts))):
                out.append(f"{name} (mode {k})")
    return out


def tried(mixes: int, seed: int = 0) -> list[str]:
    """Decide so many random mixes; the first faults, each with the mix's number."""
    dice = random.Random(seed)
    every, found = fleets(mixed_site(), dice), list[str]()
    for n in range(mixes):
        mix = drawn(every[n % len(every)], dice)
        if wrong := faults(mix):
            found.append(f"mix {n} of seed {seed}: {'; '.join(wrong)}; wanted {mix.wanted}, limits {[limit for _, limit in mix.limits]}")
            if len(found) >= 5:
                break
    return found


if __name__ == "__main__":
    count, began_s = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, time.monotonic()
    wrong = tried(count)
    print("\n".join(wrong) or f"{count} mixes decided, none wrong, in {time.monotonic() - began_s:.0f} s")
    sys.exit(1 if wrong else 0)
