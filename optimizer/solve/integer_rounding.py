"""Integers: most programs with integers are solved by rounding the solution of their linear relaxation.

A program has few blocks compared with rigs, and the relaxation is often integral already. So the relaxation is solved first, its fractions
are rounded, and the program is solved again from the same basis. The answer is accepted when it is within `GAP` of the relaxation, which no
integer solution can beat. Branch and bound is for the rest. This module does not depend on a particular solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.lp.arrays import Arrays
from optimizer.lp.certificate import slip
from optimizer.solve.lexicographic import OPTIMAL, Solution, SolveError

# Relative: an answer this close to its bound counts as optimal.
GAP = 1e-6
# How far a row may be violated when integers are set without solving again: later stages rely on the answer.
ROW_TOLERANCE = 1e-8
# A number this close to an integer counts as one.
INTEGER_TOLERANCE = 1e-6

Linear = Callable[[Arrays, float], Solution]


def best_rounding(linear: Linear, a: Arrays, budget_s: float) -> tuple[Solution | None, Solution, float]:
    """The best integer solution that rounding finds (None when it finds none), the solution of the relaxation, and the seconds left. Raises
    SolveError when the relaxation has no solution in time."""
    relaxation = replace(a, integer=np.zeros_like(a.integer))
    relaxed = linear(relaxation, budget_s)
    left_s = budget_s - relaxed.run_s
    best: Solution | None = None
    guesses = list(_guesses(a, relaxed.x)) if relaxed.status == OPTIMAL else []
    for at in guesses:
        best = _with_integers_set(a, relaxed, at)
        if proved_optimal(best, relaxed):
            return best, relaxed, left_s
    best = None
    for at in guesses:
        lower, upper = a.lower.copy(), a.upper.copy()
        lower[a.integer] = upper[a.integer] = at
        if left_s <= 0:
            break
        try:
            found = linear(replace(relaxation, lower=lower, upper=upper), left_s)
        except SolveError:  # out of time, most likely: keep what was found before
            break
        left_s -= found.run_s
        if found.status == OPTIMAL and (best is None or found.objective < best.objective):
            best = found
            if proved_optimal(best, relaxed):
                break
    return best, relaxed, left_s


def proved_optimal(found: Solution | None, bound: Solution) -> bool:
    """Whether no solution can be better than `found` by more than GAP."""
    return found is not None and found.objective - bound.objective <= GAP * (1.0 + abs(bound.objective))


def with_fixed_integers(a: Arrays, x: Floats) -> Arrays:
    """The linear program that is left when every integer is fixed at its value in x."""
    at = np.clip(np.round(x), a.lower, a.upper)
    lower, upper = np.where(a.integer, at, a.lower), np.where(a.integer, at, a.upper)
    return replace(a, lower=lower, upper=upper, integer=np.zeros_like(a.integer))


def _with_integers_set(a: Arrays, relaxed: Solution, at: Floats) -> Solution | None:
    """The solution of the relaxation with its integers set, if every row still holds; with the relaxation's duals."""
    x = relaxed.x.copy()
    x[a.integer] = at
    if slip(a, x) > ROW_TOLERANCE:
        return None
    return replace(relaxed, x=x, objective=float(a.cost @ x + a.offset))


def _guesses(a: Arrays, x: Floats) -> Iterator[Floats]:
    """Integers to try: all fractions rounded down, all to the nearest, all up."""
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
    return np.floor(x + INTEGER_TOLERANCE)


def _up(x: Floats) -> Floats:
    return np.ceil(x - INTEGER_TOLERANCE)
