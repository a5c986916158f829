"""Merit order: a plan made without a solver. In each interval the rigs that earn most for each megawatt run first, within every limit.

It is used when no solver answers. It earns less than the program where decisions of different hours depend on each other, and the same
where they do not. It never earns less than sleeping: what a megawatt costs beyond the price of its own interval (a month's demand, a
block that is used up, hours that ramps or minimum times force) is weighed by trying lower loads (load_search.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Mode, RigGroup
from optimizer.lp.breakeven import margin_usd
from optimizer.lp.program import KILO, Program
from optimizer.planning.load_search import LoadSearch
from optimizer.planning.merit_walk import Step, load_limits


def order(
    program: Program, book: Sequence[Obligation], insisting: Sequence[Obligation] | None = None, faults: PluginFailures | None = None
) -> dict[str, dict[str, Floats]]:
    """Rigs by group and awake mode, shape (n,) each, those that earn most first. Keeps the site's limits, calls, minimum times, start
    limits and ramps; minimum times and ramps yield to limits. The bounds of the contracts in `insisting` hold (of the book by default);
    exceptions that they raise go to `faults`."""
    failures = faults or PluginFailures()
    steps = [s for g in program.site.groups for s in group_steps(program, book, g)]
    limits = load_limits(program, book if insisting is None else insisting, failures)
    return LoadSearch(program, book, limits, steps, failures).run().rigs


def group_steps(program: Program, book: Sequence[Obligation], group: RigGroup) -> list[Step]:
    """The group's modes as steps of falling value. A mode is left out when in every interval a mix of other modes earns more."""
    asleep = group.asleep
    points: list[tuple[Mode, Floats, Floats]] = []
    for mode in sorted((m for m in group.awake_modes if m.watts > asleep.watts), key=lambda m: m.watts):
        mw = program.mw_per_kilorig(group, mode) - program.mw_per_kilorig(group, asleep)
        points.append((mode, mw, margin_usd(book, program, group, mode)))
    steps: list[Step] = []
    below: str | None = None
    base_mw, base_usd = np.zeros(program.n), np.zeros(program.n)
    for i, (mode, mw, usd) in enumerate(points):
        later = [(usd2 - base_usd) / (mw2 - base_mw) for _, mw2, usd2 in points[i + 1 :]]
        slope = (usd - base_usd) / (mw - base_mw)
        if any((better > slope + 1e-9).all() for better in later):
            continue
        steps.append(Step(group.name, mode.name, below, mw - base_mw, usd - base_usd))
        below, base_mw, base_usd = mode.name, mw, usd
    best = np.max([usd for _, _, usd in points], axis=0) if points else np.zeros(program.n)
    return [replace(s, start_pays=_start_pays(program, group, best)) if s.below is None else s for s in steps]


def _start_pays(program: Program, group: RigGroup, usd: Floats) -> NDArray[np.bool_]:
    """Whether a start earns its wear: awake for the minimum time at `usd` (of a thousand rigs) and on as long as that earns, shape (n,)."""
    edges, held_s = program.grid.edges, group.min_on_min * 60.0
    free = np.searchsorted(edges[:-1], edges[:-1] + held_s, side="left")
    after = np.zeros(program.n + 1)  # what rigs earn that are awake and may stop, from each interval on
    for t in reversed(range(program.n)):
        after[t] = max(0.0, usd[t] + after[t + 1])
    summed = np.append(0.0, np.cumsum(usd))
    free = np.maximum(free, np.arange(1, program.n + 1))
    earned = summed[free] - summed[:-1] + after[free]
    return np.asarray(earned > group.wear_usd_per_start * KILO)
