"""Whole numbers: most programs that hold some are answered by their relaxation, and what is rounded is proved by it.

A contract's blocks are few beside its rigs, and where rigs earn or cost clearly the relaxation is whole already. So it is solved first,
what is left between two numbers is rounded and solved again from the same basis, and the answer stands when it is within `GAP` of the
relaxation, which nothing can beat. Branching is for the rest. Knows what a solver gives, not which solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.lp.arrays import Arrays
from optimizer.lp.certificate import slip
from optimizer.solve.lexicographic import OPTIMAL, Solution, SolveError

# Relative: an answer so close to its bound is the answer.
GAP = 1e-6
# How far a row may slip when numbers are put in place without solving again: later stages hold on to the answer.
HELD = 1e-8
# How far from whole a number may be that counts as whole.
ROUND = 1e-6

Linear = Callable[[Arrays, float], Solution]


def rounded(linear: Linear, a: Arrays, budget_s: float) -> tuple[Solution | None, Solution, float]:
    """The best whole answer that rounding finds (None when it finds none), the relaxation's, and the seconds left. Raises SolveError when
    the relaxation has no answer in time."""
    loose = replace(a, integer=np.zeros_like(a.integer))
    relaxed = linear(loose, budget_s)
    left_s = budget_s - relaxed.run_s
    best: Solution | None = None
    guesses = list(_guesses(a, relaxed.x)) if relaxed.status == OPTIMAL else []
    for at in guesses:
        best = _as_it_is(a, relaxed, at)
        if proved(best, relaxed):
            return best, relaxed, left_s
    best = None
    for at in guesses:
        lower, upper = a.lower.copy(), a.upper.copy()
        lower[a.integer] = upper[a.integer] = at
        if left_s <= 0:
            break
        try:
            found = linear(replace(loose, lower=lower, upper=upper), left_s)
        except SolveError:  # out of time, most likely: what was found before stands
            break
        left_s -= found.run_s
        if found.status == OPTIMAL and (best is None or found.objective < best.objective):
            best = found
            if proved(best, relaxed):
                break
    return best, relaxed, left_s


def proved(found: Solution | None, bound: Solution) -> bool:
    """Whether nothing can be better by more than GAP."""
    return found is not None and found.objective - bound.objective <= GAP * (1.0 + abs(bound.objective))


def fixed(a: Arrays, x: Floats) -> Arrays:
    """The linear program that is left when every whole number is held at its value in x."""
    at = np.clip(np.round(x), a.lower, a.upper)
    lower, upper = np.where(a.integer, at, a.lower), np.where(a.integer, at, a.upper)
    return replace(a, lower=lower, upper=upper, integer=np.zeros_like(a.integer))


def _as_it_is(a: Arrays, relaxed: Solution, at: Floats) -> Solution | None:
    """The relaxation's own answer with its whole numbers put in place, where every row holds all the same; at its prices."""
    x = relaxed.x.copy()
    x[a.integer] = at
    if slip(a, x) > HELD:
        return None
    return replace(relaxed, x=x, objective=float(a.cost @ x + a.offset))


def _guesses(a: Arrays, x: Floats) -> Iterator[Floats]:
    """Whole numbers to try: all fractions down (what is counted only where it is whole), at the nearest, all up."""
    seen: list[Floats] = []
    for way in (_down, _nearest, _up):
        at = np.clip(way(x[a.integer]), a.lower[a.integer], a.upper[a.integer])
        if any(np.array_equal(at, before) for before in seen):
            continue
        seen.append(at)
        yield at


def _nearest(x: Floats) -> Floats:
    return np.round(x)


def _down(x: Floats) -> Floats:
    return np.floor(x + ROUND)


def _up(x: Floats) -> Floats:
    return np.ceil(x - ROUND)
