"""The laws at any instant of the market day: before and after offers are due and results are out, on days the clock changes, at the ends of
months, with and without gaps in what is known.

    promise <= pay       what the program says each contract earns is at most what the bill pays on the plan's own trajectory
    one sum              the plan publishes what it maximised: its lines add up to the program's objective
    more never hurts     fewer rigs or a smaller interconnect never earn more
    firm first           every cap of an instruction and every limit of the site is kept
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest

from markets.forecasting.ladder import plan_grid
from markets.grid import Grid, Market
from markets.series import Series
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Availability, SoFar
from optimizer.lp.mode_columns import TIE_USD_PER_MWH
from optimizer.lp.trajectory import actuals_of, plan_lines, unpack
from optimizer.planning.plan import plan, program_of, rigs_of
from optimizer.settlement.settle import settle
from optimizer.solve import Session
from optimizer.solve.integer_rounding import GAP
from optimizer.solve.lexicographic import solve_in_stages
from tests.optimizer import random_cases
from tests.optimizer.contracts import DRAWN, NEVER_MORE, OFFERED, Terms
from tests.optimizer.laws.test_order import caps_hold, limits_hold

CASES = 500
# The first ones; those in which a smaller fleet once earned more; and one with a real-time award beside reserve that can still be sold.
SAMPLE = (*range(10), 54, 55, 172)
ALWAYS = ("hashing", "power", "plant")
# Before and after RTC+B (2025-12-05), the nights the clock changes, the ends of months, of a season and of a year.
DAYS = {
    Market.ERCOT: ((2024, 6, 15), (2024, 3, 9), (2024, 3, 10), (2024, 11, 2), (2024, 8, 31), (2025, 12, 3), (2025, 12, 4), (2026, 8, 20)),
    Market.MISO: ((2025, 6, 14), (2025, 3, 9), (2025, 8, 31), (2026, 2, 28), (2025, 11, 2), (2025, 12, 31)),
}
# Around the gates of both markets, results, and midnight; minutes of the market's day.
INSTANTS = (0, 5, 595, 600, 605, 629, 630, 635, 805, 810, 815, 1435)


def instant(rng: np.random.Generator, market: Market) -> datetime:
    """An instant of a market day: near one of its gates, or any five minutes of it."""
    days = DAYS[market]
    on = date(*days[int(rng.integers(len(days)))])
    minutes = int(rng.choice(INSTANTS)) if rng.random() < 0.75 else int(rng.integers(288)) * 5
    return datetime(on.year, on.month, on.day, minutes // 60, minutes % 60, tzinfo=market.tz)


def drawn(seed: int) -> tuple[random_cases.Case, tuple[Terms, ...]]:
    """A book at an instant: a grid as the daemon's, beyond the next day's midnight; awards, and instructions in every third case."""
    rng = np.random.default_rng([seed, 21])
    market = Market.MISO if rng.random() < 0.35 else Market.ERCOT
    at = instant(rng, market)
    over: Grid = plan_grid(at, 60, int(rng.integers(20, 37)))
    where = random_cases.site(rng, tight=bool(rng.random() < 0.5), where=market)
    terms = tuple(
        t
        for t in (DRAWN[k](rng, where, over) for k in OFFERED if k in ALWAYS or rng.random() < 0.4)
        if t.market is market or t.contract.type in ALWAYS
    )
    book: tuple[Obligation, ...] = tuple(_without_wishes(t.contract) for t in terms)
    calls, instructions, before = random_cases.calls(rng, where, book, over, most=2) if seed % 3 == 0 else ([], [], {})
    memory = {t.contract.name: t.remembered(before.get(t.contract.name)) for t in terms}
    awards = tuple(a for t in terms for a in t.awards) if rng.random() < 0.5 else ()
    state = SoFar(over.start, random_cases.doing(rng, where, over.start), tuple(calls), awards, memory)
    ahead = random_cases.market(rng, over, gaps=bool(rng.random() < 0.5))
    return random_cases.Case(where, book, ahead, state, random_cases.maintenance(rng, where, over), tuple(instructions)), terms


def _without_wishes(contract: Obligation) -> Obligation:
    """Without what an operator wants whatever it earns: hours to avoid, and stiller schedules."""
    wishes = {"transmission": {"avoid": ()}, "transition": {"weight": 0.0}}
    return contract.model_copy(update=wishes[contract.type]) if contract.type in wishes else contract


def slack_usd(case: random_cases.Case, usd: float) -> float:
    """What ties, gaps of integers and rounding may move."""
    size = float(sum(case.most_mw([g.name]).max() for g in case.site.groups)) * float(sum(case.outlook.grid.hours))
    return 4 * TIE_USD_PER_MWH * size + 2 * GAP * (1 + abs(usd)) + 0.05


def pays_what_it_promises(seed: int) -> None:
    case, _ = drawn(seed)
    program = program_of(*case.inputs)
    solution = solve_in_stages(program, Session())
    path = unpack(program, rigs_of(program, solution), solution.x)
    bill = settle(case.book, actuals_of(program, path))
    for contract in case.book:
        said = sum(float(np.sum(e.usd.at(solution.x) + np.zeros(program.n))) for e in program.earned if e.obligation == contract.name)
        paid = float(sum(line.amount_usd for line in bill.of(contract.name)))
        assert said <= paid + 0.01 + 1e-7 * abs(paid), f"{contract.type}: the program says {said:.4f}, the bill pays {paid:.4f}"
    published = sum(float(usd.sum()) for usd in plan_lines(case.book, program, path).values()) - path.wear_usd
    assert published >= -solution.objective - slack_usd(case, published), (
        f"published {published:.4f}, maximised {-solution.objective:.4f}: something that nobody pays steers the plan"
    )


def less_never_earns_more(seed: int) -> None:
    """No rig is still in its minimum time on: one that must run at a loss is earned by losing it."""
    case, terms = drawn(seed)
    free = {name: replace(now, woken=()) for name, now in case.so_far.groups.items()}
    case = replace(case, so_far=replace(case.so_far, groups=free))
    base = plan(*case.inputs)
    if base.shortfalls or any(t.exact == NEVER_MORE for t in terms):
        return  # a promise that cannot be kept, or money the program only bounds from below
    rng = np.random.default_rng([seed, 22])
    grid = case.outlook.grid
    half = {g.name: Series(grid, np.floor(_rigs(case, g.name) * rng.choice([0.0, 0.5, 1.0])), "rigs") for g in case.site.groups}
    tight = case.site.model_copy(update={"interconnect_mw": case.site.interconnect_mw * float(rng.uniform(0.3, 0.9))})
    for what, smaller in (("fleet", replace(case, availability=Availability(half))), ("interconnect", replace(case, site=tight))):
        less = plan(*smaller.inputs)
        if not less.shortfalls:
            slack = slack_usd(case, base.objective_usd)
            assert less.objective_usd <= base.objective_usd + slack, (
                f"a smaller {what} earns {less.objective_usd:.2f}, the whole one {base.objective_usd:.2f}"
            )


def _rigs(case: random_cases.Case, name: str) -> np.ndarray:
    held = case.availability.rigs.get(name)
    return np.full(len(case.outlook.grid), float(case.site.group(name).rigs)) if held is None else held.values


def keeps_every_bound(seed: int) -> None:
    case, _ = drawn(seed)
    made = plan(*case.inputs)
    caps_hold(case, made)
    limits_hold(case, made)


LAWS = {
    "promise is at most pay, and published": pays_what_it_promises,
    "less never earns more": less_never_earns_more,
    "every bound is held": keeps_every_bound,
}


@pytest.mark.parametrize("law", LAWS)
def test_at_any_instant(law):
    random_cases.each(SAMPLE, LAWS[law])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("law", LAWS)
def test_at_any_instant_five_hundred_times(law):
    random_cases.each(range(CASES), LAWS[law])
