"""Deployed instructions come before every dollar, in every book: caps are kept as far as can be, what gives way gives way in its order, at
any price, and is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pulp
import pytest

from markets.facts import CallKind
from markets.grid import Market
from optimizer.domain.obligation import Obligation
from optimizer.domain.reserve_awards import ENERGY
from optimizer.domain.site import SoFar
from optimizer.lp.arrays import Yields
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan, program_of
from optimizer.planning.result import Plan
from optimizer.solve import Session
from optimizer.solve.lexicographic import solve_in_stages
from tests.optimizer import fixtures, random_cases
from tests.optimizer.contracts import DRAWN, OFFERED
from tests.optimizer.fixtures import Dead, awake, awake_before

BOOKS = 500
# The first ones, and those that once found no plan: what earlier stages settled left the last one nothing but rounding.
SAMPLE = (*range(15), 448, 897)
# MW, and rigs: what a solver's tolerance and dust swept away may leave.
SLIP_MW, SLIP_RIGS = 1e-4, 0.01
ALWAYS = ("hashing", "power", "plant")


def drawn(seed: int) -> random_cases.Case:
    """A tight site in some state, two thirds of all contracts, some instructions at once, rigs in maintenance."""
    rng = np.random.default_rng([seed, 5])
    over = random_cases.span(rng, int(rng.integers(8, 17)), days=seed % 25 == 0)
    where = random_cases.site(rng, tight=True, where=Market.MISO if rng.random() < 0.4 else Market.ERCOT)
    kinds = [k for k in OFFERED if k in ALWAYS or rng.random() < 0.6]
    terms = [t for k in rng.permutation(kinds) for t in [DRAWN[k](rng, where, over)] if t.market is where.market or k in ALWAYS]
    book: tuple[Obligation, ...] = tuple(t.contract for t in terms)
    calls, instructions, before = random_cases.calls(rng, where, book, over)
    memory = {t.contract.name: t.remembered(before.get(t.contract.name)) for t in terms}
    # A dispatch in real time is an instruction of its own, with its own tests.
    awards = tuple(a for t in terms for a in t.awards if a.market == "DAM" or a.product != ENERGY)
    state = SoFar(over.start, random_cases.doing(rng, where, over.start), tuple(calls), awards, memory)
    ahead = random_cases.market(rng, over, gaps=True)
    return random_cases.Case(where, book, ahead, state, random_cases.maintenance(rng, where, over), tuple(instructions))


def load(made: Plan, names: tuple[str, ...]) -> np.ndarray:
    return sum((made.groups[name].load_mw for name in names), np.zeros(len(made.grid)))


def caps_hold(case: random_cases.Case, made: Plan) -> None:
    """Each called scope stays under its cap, or draws the least it can; what is beyond is named."""
    named = {s.promise for s in made.shortfalls}
    for instruction in case.instructions:
        here = np.array([instruction.over.overlaps(over) for over in made.grid.intervals])
        drawn_mw, least = load(made, instruction.names), case.least_mw(instruction.names)
        over_cap = (drawn_mw - np.maximum(instruction.cap_mw, least))[here]
        assert not (over_cap > SLIP_MW).any(), f"{instruction} is exceeded by {over_cap.max():.4f} MW"
        if here.any() and (least - instruction.cap_mw)[here].max() > SLIP_MW:
            assert f"call {instruction.obligation}" in named, f"{instruction} cannot be kept and is not named: {named}"


def limits_hold(case: random_cases.Case, made: Plan) -> None:
    """What the site cannot do it does not do, whatever is called."""
    site, minutes = case.site, np.asarray(made.grid.hours) * 60
    everything = tuple(g.name for g in site.groups)
    limits = [(everything, site.interconnect_mw, "interconnect")]
    limits += [(tuple(g.name for g in site.groups if g.hall == h.name), h.limit_mw, f"hall {h.name}") for h in site.halls]
    for names, most, what in limits:
        beyond = load(made, names) - np.maximum(most, case.least_mw(names))
        assert beyond.max() <= SLIP_MW, f"{what} by {beyond.max():.4f} MW"
    for hall in site.halls:
        names = [g.name for g in site.groups if g.hall == hall.name]
        if hall.max_starts_per_min is not None:
            before = [min(awake_before(site, case.so_far, n), awake(made, n)[0] + made.groups[n].modes["sleep"][0]) for n in names]
            started = sum(np.maximum(0.0, np.diff(awake(made, n), prepend=b)) for n, b in zip(names, before, strict=True))
            assert (started <= hall.max_starts_per_min * minutes + SLIP_RIGS).all(), f"starts of hall {hall.name}"
    for g in site.groups:
        rigs = case.availability.rigs.get(g.name)
        have = np.full(len(made.grid), float(g.rigs)) if rigs is None else rigs.values
        modes = made.groups[g.name].modes
        assert min(n.min() for n in modes.values()) >= -SLIP_RIGS, f"fewer than no rigs of {g.name}"
        assert np.abs(sum(modes.values()) - have).max() <= SLIP_RIGS, f"rigs of {g.name}"


def floors(case: random_cases.Case) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """What instructions want at least of each scope, by interval."""
    found = []
    for contract in case.book:
        calls = [c for c in case.so_far.calls if c.obligation == contract.name]
        memory = contract.memory_from(case.so_far.memory)
        if not calls:
            continue
        bounds = [contract.bounds(case.site, memory, calls, over) for over in case.outlook.grid.intervals]
        wanted = np.array([b.floor_mw if b.firm else 0.0 for b in bounds])
        found.append((contract.scope.names(case.site), wanted))
    return found


def missed_mwh(case: random_cases.Case, made: Plan) -> float:
    hours = np.asarray(made.grid.hours)
    return sum(float((np.maximum(0.0, wanted - load(made, names)) * hours).sum()) for names, wanted in floors(case))


def least_missed_mwh(case: random_cases.Case) -> float:
    """The least instructions can be missed by, in plain PuLP: only limits and caps stand against them, no price and no other promise."""
    site, n, hours = case.site, len(case.outlook.grid), np.asarray(case.outlook.grid.hours)
    problem, count = pulp.LpProblem("floors", pulp.LpMinimize), iter(range(10**6))

    def var(high: float | None = None) -> pulp.LpVariable:
        return problem.add_variable(f"v{next(count)}", 0, high)

    least, most = {g.name: case.least_mw([g.name]) for g in site.groups}, {g.name: case.most_mw([g.name]) for g in site.groups}
    up = {g.name: [var(1.0) for _ in range(n)] for g in site.groups}  # the share of a group's rigs that are awake, and of its load
    more = {g.name: [var(1.0) for _ in range(n)] for g in site.groups}
    missing = []

    def mw(names: tuple[str, ...], t: int) -> object:
        return pulp.lpSum(more[g][t] * (most[g][t] - least[g][t]) for g in names) + sum(least[g][t] for g in names)

    def at_most(names: tuple[str, ...], t: int, cap: float) -> None:
        if cap < sum(most[g][t] for g in names):
            problem.addConstraint(mw(names, t) <= max(cap, sum(least[g][t] for g in names)))

    for t, over in enumerate(case.outlook.grid.intervals):
        at_most(tuple(up), t, site.interconnect_mw)
        for hall in site.halls:
            here = tuple(g.name for g in site.groups if g.hall == hall.name)
            at_most(here, t, hall.limit_mw)
            if hall.max_starts_per_min is not None:
                problem.addConstraint(pulp.lpSum(_starts(case, up, name, t, var, problem) for name in here)
                                      <= hall.max_starts_per_min * hours[t] * 60)  # fmt: skip
        for contract in case.book:
            calls = [c for c in case.so_far.calls if c.obligation == contract.name]
            if calls:
                memory = contract.memory_from(case.so_far.memory)
                bounds = contract.bounds(site, memory, calls, over)
                at_most(contract.scope.names(site), t, bounds.cap_mw if bounds.firm else np.inf)
        for g in up:
            idle, low, *_, high = (m.watts for m in (site.group(g).modes[0], *site.group(g).modes[1:], site.group(g).full))
            problem.addConstraint(more[g][t] <= up[g][t])
            problem.addConstraint(more[g][t] >= up[g][t] * ((low - idle) / (high - idle)))
    for names, wanted in floors(case):
        for t in np.flatnonzero(wanted > 0):
            missing.append(var() * hours[t])
            problem.addConstraint(mw(names, int(t)) + missing[-1] * (1 / hours[t]) >= wanted[t])
    problem.setObjective(pulp.lpSum(missing))
    problem.solve(pulp.HiGHS(msg=False))
    assert pulp.LpStatus[problem.status] == "Optimal"
    return float(pulp.value(problem.objective) or 0.0)


def _starts(case: random_cases.Case, up: dict, name: str, t: int, var, problem: pulp.LpProblem) -> object:
    """Rigs that must wake at t."""
    group, series = case.site.group(name), case.availability.rigs.get(name)
    have = [float(group.rigs)] * len(case.outlook.grid) if series is None else [float(v) for v in series.values]
    before = up[name][t - 1] * have[t - 1] if t else min(awake_before(case.site, case.so_far, name), have[0])
    started = var()
    problem.addConstraint(started >= up[name][t] * have[t] - before)
    return started


def order_holds(seed: int) -> None:
    case = drawn(seed)
    made = plan(*case.inputs)
    caps_hold(case, made)
    limits_hold(case, made)
    assert made.solve.status in ("optimal", "feasible"), made.findings
    missed, least = missed_mwh(case, made), least_missed_mwh(case)
    assert missed == pytest.approx(least, abs=1e-4), "an instruction is missed by more than it must"
    if missed > 1e-3:
        assert any(s.promise.startswith("floor ") for s in made.shortfalls), "a missed instruction is not named"


def without_a_solver(seed: int) -> None:
    case = drawn(seed)
    made = plan(*case.inputs, session=Dead())
    assert made.solve.status == "merit order"
    caps_hold(case, made)
    limits_hold(case, made)


def no_price_matters(seed: int) -> None:
    """Under prices drawn anew, a thousand times as high, and the other way round, the same is missed of each promise."""
    case = drawn(seed)
    rng = np.random.default_rng(seed)
    n = len(case.outlook.grid)
    wild = {p: s.with_values(np.round(rng.normal(0, 5e4, n), 2)) for p, s in case.outlook.energy.items()}
    dear = replace(case.outlook, energy=wild, hashprice=case.outlook.hashprice.with_values(rng.choice([0.0, 5e4], n)))
    missed = []
    for ahead in (case.outlook, dear):
        found = solve_in_stages(program_of(case.site, case.book, ahead, case.so_far, case.availability), Session())
        missed.append(dict(found.broken))
    for level in Yields:
        assert missed[0].get(level, 0.0) == pytest.approx(missed[1].get(level, 0.0), abs=1e-5, rel=1e-6), level.name


LAWS = {"first": order_holds, "without a solver": without_a_solver, "at any price": no_price_matters}


@pytest.mark.parametrize("law", LAWS)
def test_deployed_instructions_come_first(law):
    random_cases.each(SAMPLE, LAWS[law])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("law", LAWS)
def test_deployed_instructions_come_first_in_five_hundred_books(law):
    random_cases.each(range(BOOKS), LAWS[law])


def test_the_books_are_mixed():
    """Every kind of contract stands in some book, and promises are broken in some and kept in others."""
    cases = [drawn(seed) for seed in range(60)]
    assert {c.type for case in cases for c in case.book} == set(OFFERED)
    assert any(isinstance(c, Plant) for c in cases[0].book)
    missed = [least_missed_mwh(case) for case in cases[:20]]
    assert min(missed) == 0 < max(missed)


def test_what_a_contract_only_wishes_for_stands_behind_an_instruction_to_another():
    """The operator's list of intervals to avoid is a wish, also on a day on which its contract is called."""
    where, over = fixtures.three_models(), fixtures.grid(8)
    avoided = {"from": over.intervals[1].start, "to": over.intervals[3].start, "mw": 0.0}
    listed = Transmission(method="4cp", usd_per_kw_year=40.0, avoid=[avoided])
    book = (Hashing(), Power(), Plant(), listed)
    late = fixtures.call("transmission", over.intervals[6].start, over.end, mw_cap=1.0)
    wanted = replace(
        fixtures.call("plant", over.intervals[1].start, over.intervals[2].start, mw_target=5.0), id="c2", kind=CallKind.SET_POINT
    )
    made = plan(where, book, fixtures.outlook([20.0] * 8), SoFar(over.start, calls=(late, wanted)))
    np.testing.assert_allclose(made.load_mw, [9.578, 5.0, 0.0, 9.578, 9.578, 9.578, 1.0, 1.0], atol=1e-6)
    assert not made.shortfalls
