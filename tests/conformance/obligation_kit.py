"""The law every obligation is held to, built-in or plugged in (docs/architecture.md#an-obligation-is-one-object-read-twice).

On the same load and the same facts its lines in the program are at most what `settle` pays; equal to the cent when it is linear. And: its
lines are its own, inside the grid, quantity times rate; a call addressed to its name binds the load of its scope before every price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np

from markets.facts import Call, CallKind
from markets.grid import Interval
from markets.outlook import Outlook
from optimizer.domain.formula import Bounds
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Site, SoFar
from optimizer.lp.arrays import Arrays
from optimizer.lp.program import KILO, Program
from optimizer.lp.trajectory import actuals_of, unpack
from optimizer.planning.plan import plan, program_of, rigs_of
from optimizer.settlement.settle import settle
from optimizer.solve import Session
from optimizer.solve.lexicographic import Solution

CENT = 0.005


def holds(
    obligation: Obligation, where: Site, ahead: Outlook, rng: np.random.Generator, *, linear: bool, beside: Sequence[Obligation] = ()
):
    """Run the kit once over an outlook, with a random load. `beside` are other contracts of the same site."""
    keeps_the_law(obligation, where, ahead, rng, linear=linear, beside=beside)
    speaks_for_itself(obligation, where, ahead, rng)
    honours_calls(obligation, where, ahead)


def keeps_the_law(obligation, where, ahead, rng, *, linear, beside=(), state=None, exact=False):
    """The program may say at most what the bill pays for a load that is given; as much in every interval when `linear`, as much over all
    of them when `exact`."""
    book = (*beside, obligation)
    program = program_of(where, book, ahead, state or SoFar(at=ahead.at))
    solution = solve_with_random_load(program, rng)
    said = sum(e.usd.at(solution.x) for e in program.earned if e.obligation == obligation.name)
    said = np.asarray(said) + np.zeros(program.n)
    path = unpack(program, rigs_of(program, solution), solution.x)
    paid = np.zeros(program.n)
    for line in settle(book, actuals_of(program, path)).of(obligation.name):
        assert not obligation.charge_types or line.charge_type in obligation.charge_types
        paid += program.grid.share_within(line.over) * program.grid.hours / line.over.hours * float(line.amount_usd)
    assert said.sum() <= paid.sum() + CENT, f"{obligation.name}: the program says {said.sum():.4f}, the bill pays {paid.sum():.4f}"
    if exact:
        assert said.sum() >= paid.sum() - CENT, f"{obligation.name}: the program says {said.sum():.4f}, the bill pays {paid.sum():.4f}"
    if linear:
        np.testing.assert_allclose(said, paid, atol=CENT, rtol=1e-9)
    return said, paid


def solve_with_random_load(program: Program, rng: np.random.Generator) -> Solution:
    """The most the program can say of a load drawn by chance: every rig's mode fixed, all else free. Where instructions or the plant do
    not let every load be, it is a mixture of loads that can be."""
    a = program.arrays()
    fixed = Session().run(_with_fixed_rigs(a, program, _random_rigs(program, rng)))
    if fixed.status != "optimal":
        fixed = _solve_with_feasible_mixture(program, a if Session().run(a).status == "optimal" else program.with_slack(a), rng)
    assert fixed.status == "optimal", "the kit found no load that is possible"
    return fixed


def _random_rigs(program: Program, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """By position of a block of rig columns: thousands of rigs in a mode or above it."""
    found = {}
    for name, modes in program.rigs.items():
        share = rng.dirichlet(np.ones(len(modes) + 1), size=program.n)
        corner = rng.random(program.n) < 0.3
        share[corner] = np.eye(len(modes) + 1)[rng.integers(0, len(modes) + 1, corner.sum())]
        above = np.cumsum(np.round(share[:, :-1] * program.kilorigs[name][:, None], 6)[:, ::-1], axis=1)[:, ::-1]
        for k, expr in enumerate(modes.values()):  # a column counts the rigs of its mode and of those above it
            found[int(expr.terms[0][0][0])] = np.minimum(above[:, k], program.kilorigs[name])
    return found


def _with_fixed_rigs(a: Arrays, program: Program, rigs: Mapping[int, np.ndarray]) -> Arrays:
    lower, upper = a.lower.copy(), a.upper.copy()
    for first, values in rigs.items():
        lower[first : first + program.n] = upper[first : first + program.n] = values
    return replace(a, lower=lower, upper=upper)


def _solve_with_feasible_mixture(program: Program, a: Arrays, rng: np.random.Generator) -> Solution:
    blocks = [int(expr.terms[0][0][0]) for modes in program.rigs.values() for expr in modes.values()]
    corners = []
    for _ in range(3):
        cost = np.zeros(len(a.cost))
        for first in blocks:
            cost[first : first + program.n] = rng.normal(size=program.n)
        found = Session().run(replace(a, cost=cost, offset=0.0))
        assert found.status == "optimal", "the kit's load must be possible: give it a site without limits"
        corners.append({first: found.x[first : first + program.n] for first in blocks})
    shares = rng.dirichlet(np.ones(3))
    mixed = {first: sum(s * c[first] for s, c in zip(shares, corners, strict=True)) for first in blocks}
    fixed = Session().run(_with_fixed_rigs(a, program, mixed))
    return fixed if fixed.status == "optimal" else Session().run(_with_fixed_rigs(a, program, corners[0]))


def speaks_for_itself(obligation, where, ahead, rng):
    program = program_of(where, (obligation,), ahead, SoFar(at=ahead.at))
    path = unpack(program, {g: {m: np.floor(rng.random(program.n) * program.kilorigs[g] * KILO / len(modes)) for m in modes}
                            for g, modes in program.rigs.items()})  # fmt: skip
    real = actuals_of(program, path)
    first, second = settle((obligation,), real), settle((obligation,), real)
    assert first == second, "the same actuals must give the same lines"
    for line in first.lines:
        assert line.obligation == obligation.name
        assert line.charge_type and line.unit
        assert not obligation.charge_types or line.charge_type in obligation.charge_types
        assert line.over.start >= real.grid.start and line.over.end <= real.grid.end
        assert isinstance(line.amount_usd, Decimal) and line.amount_usd == line.quantity * line.rate


def honours_calls(obligation, where, ahead):
    quiet = Interval(ahead.grid.start, ahead.grid.end)
    alone: Bounds = obligation.bounds(where, obligation.memory_from({}), (), quiet)
    cap = 0.25 * sum(g.rigs * g.full.watts for g in where.groups) / 1e6
    now: Mapping = {"source": "kit", "known_at": ahead.at, "version": 1, "notice_at": ahead.at, "start_at": ahead.at, "end_at": None}
    own = Call(id="own", obligation=obligation.name, kind=CallKind.DEPLOY, mw_cap=cap, **now)
    other = Call(id="other", obligation=f"not {obligation.name}", kind=CallKind.DEPLOY, mw_cap=0.0, **now)
    assert obligation.bounds(where, obligation.memory_from({}), (other,), quiet) == alone, "a call under another name is not its own"
    called = obligation.bounds(where, obligation.memory_from({}), (own, other), quiet)
    assert called.firm and called.cap_mw <= cap
    assert not obligation.bounds(
        where, obligation.memory_from({}), (own,), Interval(ahead.at - timedelta(hours=2), ahead.at - timedelta(hours=1))
    ).why.startswith("call")
    made = plan(where, (obligation,), ahead, SoFar(at=ahead.at, calls=(own,)))
    load = sum(made.groups[name].load_mw for name in obligation.scope.names(where))
    assert np.max(load) <= cap + 1e-6
