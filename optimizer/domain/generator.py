"""Generators behind a meter: what one can make, what its contract remembers of it, and since when it runs in a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from markets.grid import Grid, Interval
from markets.series import Series
from optimizer.domain.array_types import Floats
from optimizer.domain.memory import Memory

# A generator that makes less is stopped: what is left is solver dust.
DUST_MW = 1e-6
NOTHING_KNOWN: Mapping[str, Series] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorMemory(Memory):
    """The generator of a contract when a plan or a bill begins: what it makes, MW, and since when it runs or is stopped."""

    running_mw: float = 0.0
    since: datetime | None = None

    @property
    def runs(self) -> bool:
        """Whether it makes anything."""
        return self.running_mw > DUST_MW


@dataclass(frozen=True, slots=True)
class Generator:
    """A machine behind a meter, by the name of its contract.

    mw, min_mw     most and least while it runs
    usd_per_mwh    what another MWh costs: fuel and maintenance, or what its owner is paid for it
    outages        stretches in which no more than so many MW can be made
    whole          it either runs at `min_mw` or more or is stopped (a binary)
    variable       what it can make depends on wind or sun; it is curtailed to make less
    """

    name: str
    meter: str
    mw: float
    min_mw: float = 0.0
    usd_per_mwh: float = 0.0
    outages: tuple[tuple[Interval, float], ...] = ()
    whole: bool = False
    variable: bool = False

    def most_mw(self, grid: Grid, available_mw: Mapping[str, Series] = NOTHING_KNOWN) -> Floats:
        """The most it can make in each interval, shape (n,); an outage of a part of one counts for all of it. Below its minimum load it
        is stopped. A variable one makes at most what `available_mw` says by name; where that is not known, nothing is counted on. Another
        is limited by it only where it says something: one that failed is out for a while."""
        most = np.full(len(grid), self.mw)
        if self.variable:
            known = available_mw.get(self.name)
            values = np.zeros(len(grid)) if known is None else (known if known.grid == grid else known.onto(grid)).values
            most = np.clip(np.nan_to_num(values, nan=0.0), 0.0, self.mw)
        elif (limit := available_mw.get(self.name)) is not None:
            most = np.minimum(most, np.nan_to_num((limit if limit.grid == grid else limit.onto(grid)).values, nan=self.mw))
        for over, left_mw in self.outages:
            most = np.where(grid.share_within(over) > 0, np.minimum(most, left_mw), most)
        return np.where(most < self.min_mw, 0.0, most)


def generator_memory(memories: Mapping[str, Memory], name: str) -> GeneratorMemory:
    """What the contract of a generator remembers of it; a stopped one where nothing is known."""
    found = memories.get(name)
    return found if isinstance(found, GeneratorMemory) else GeneratorMemory()


def runs_before(memories: Mapping[str, Memory], name: str) -> bool:
    """Whether the generator of a contract runs just before the grid."""
    return generator_memory(memories, name).runs


def running_since(made_mw: Floats, grid: Grid, memory: GeneratorMemory) -> list[datetime]:
    """Since when a generator runs or is stopped in each interval of a schedule, by what was remembered before it."""
    before, since = memory.runs, memory.since or grid.start
    found = []
    for over, mw in zip(grid.intervals, made_mw, strict=True):
        if (mw > DUST_MW) != before:
            before, since = not before, over.start
        found.append(since)
    return found
