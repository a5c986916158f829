"""A demand response resource in a program: what is dispatched or expected to be, what is reduced, reserve; and its reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from optimizer.domain import reserve_awards
from optimizer.domain.array_types import Floats
from optimizer.domain.day_ahead_market import due_text
from optimizer.domain.deployments import declared
from optimizer.domain.formula import Charge
from optimizer.domain.market_rules import days
from optimizer.domain.reserve_awards import DAY_AHEAD, ENERGY, REAL_TIME
from optimizer.domain.shortfall import Shortfall
from optimizer.lp.breakeven import load_at_prices_mw
from optimizer.lp.expr import Expr
from optimizer.lp.headroom import up_pool
from optimizer.lp.phrases import hours, missing_rigs
from optimizer.lp.program import Program
from optimizer.lp.starts_and_stops import minimum_run
from optimizer.lp.trajectory import Trajectory
from optimizer.obligations.drr.terms import DrrTerms, Reserve

# Both are contingency reserve: all of it within ten minutes (MISO BPM-002).
RESPONSE_S = 600.0
IDLE_USD_PER_MW_H = 1e-6
KEPT_MW = 1e-6
# The contract's charges for MW dispatched and MWh reduced.
Money = Callable[[Program, Expr, Expr], Iterable[Charge[Any]]]


def add_dispatch(contract: DrrTerms, program: Program, money: Money) -> None:
    """What is dispatched or expected to be, what is reduced against the baseline, reserve, and their money."""
    names = contract.scope.names(program.site)
    load, base = program.load_mw(names), np.asarray(declared(program, contract.name, contract.baseline_mw), dtype=np.float64)
    told, known, firm = _told(contract, program)
    base = np.where(known, base, np.minimum(base, load_at_prices_mw(program, names)))
    beyond = np.maximum(0.0, load.range(program.lower, program.upper)[1] - base)
    dispatched, on = _dispatched(contract, program, told, known, base, beyond)
    done = program.column(f"reduction {contract.name}", lower=-beyond, upper=np.maximum(np.where(known, told, contract.mw), 0.0))
    program.row(f"reduction of {contract.name}", dispatched - done, lower=0.0)
    program.row(f"baseline {contract.name}", done + load + on * beyond, upper=base + beyond, where=~known | (told > 0))
    program.offers[(contract.name, ENERGY)] = dispatched
    kept = [_product(contract, program, product) for product in contract.reserves]
    if kept:
        up_pool(program, contract.name, names, program.sum(kept), np.zeros(program.n))
    for charge in money(program, dispatched, done * program.hours):
        program.earn(contract.name, charge)
    _earn_back(contract, program, dispatched)
    caps = np.where(firm, np.maximum(0.0, base - told), np.inf)
    calls, memory = program.calls_of(contract.name), contract.memory_from(program.memories)
    bounds = [contract.bounds(program.site, memory, calls, over) for over in program.grid.intervals]
    program.insist(contract.name, names, [replace(b, cap_mw=min(b.cap_mw, float(mw))) for b, mw in zip(bounds, caps, strict=True)])


def _earn_back(contract: DrrTerms, program: Program, dispatched: Expr) -> None:
    """What later dispatches of the operating day may take back of its make-whole payment so far: at most all of it."""
    on = days(program.grid, program.site.market)
    memory = contract.memory_from(program.memories).of_period(on[0].toordinal())
    today = np.array([day == on[0] for day in on])
    if not contract.has_costs() or memory.uncovered_usd <= 0 or not (dispatched.range(program.lower, program.upper)[1][today] > 0).any():
        return
    paid_usd = contract.figure("make_whole", on[0]) * memory.uncovered_usd
    last = np.arange(program.n) == np.flatnonzero(today)[-1]
    program.earn(contract.name, Charge("drr_make_whole", program.sum([]) - np.where(last, paid_usd, 0.0), "usd", np.ones(program.n)))


def _told(contract: DrrTerms, program: Program) -> tuple[Floats, Any, Any]:
    """MW that MISO has dispatched in each interval, where that is settled (told, or too late), and where it stands in real time."""
    awards = program.so_far.awards
    ahead, _, said = reserve_awards.on(reserve_awards.of(awards, contract.name, ENERGY, DAY_AHEAD), program.grid, float)
    now, _, firm = reserve_awards.on(reserve_awards.of(awards, contract.name, ENERGY, REAL_TIME), program.grid, float)
    called = np.asarray(contract.called(program), dtype=np.float64)
    told = np.maximum(np.where(firm, now, ahead), called)
    late = program.grid.edges[:-1] < program.grid.edges[0] + max(1.0, contract.notice_min * 60.0)
    return told, said | firm | (called > 0) | late, firm & (now > 0)


def _dispatched(contract: DrrTerms, program: Program, told: Floats, known: Any, base: Floats, beyond: Floats) -> tuple[Expr, Expr]:
    """MW dispatched, and one where anything is: as told, or as it pays where the price is reached. A block is expected whole."""
    load = program.load_mw(contract.scope.names(program.site))
    room = base - load.range(program.lower, program.upper)[0]
    reached, open_ = _reached(contract, program), ~known & (room >= (contract.mw if contract.kind == "I" else KEPT_MW))
    fixed, running = program.sum([]) + np.where(known, told, 0.0), np.where(known & (told > 0), 1.0, 0.0)
    able = open_ & (reached | (contract.min_down_min > 0))
    most = np.where(able & reached, np.minimum(contract.mw, room), 0.0)
    if contract.kind == "II" and not beyond[able | (running > 0)].any():
        mw = program.column(f"dispatch {contract.name}", upper=most)
        return mw + fixed, program.sum([]) + np.where(able, 1.0, running)
    on = program.column(f"dispatch {contract.name}", upper=np.where(able, 1.0, 0.0), integer=True)
    if contract.kind == "II":
        mw = program.column(f"dispatch of {contract.name}", upper=most)
        program.row(f"dispatch of {contract.name}", on * contract.mw - mw, lower=0.0, where=able)
        return mw + fixed, on + running
    program.row(f"block {contract.name}", load + on * (contract.mw + beyond), upper=base + beyond, where=able)
    if contract.min_down_min:
        minimum_run(program, contract.name, on + running, contract.min_down_min, able, reached)
    return on * contract.mw + fixed, on + running


def _reached(contract: DrrTerms, program: Program) -> Any:
    """Where the LMP reaches both the offer and the net benefits price."""
    return program.energy_price(contract.point(program.site)) >= np.maximum(contract.threshold(program), contract.offer_usd_per_mwh)


def _product(contract: DrrTerms, program: Program, product: Reserve) -> Expr:
    most = contract.qualified_mw.get(product, np.inf) if contract.shed_s <= RESPONSE_S else 0.0
    mw = program.column(f"reserve {contract.name} {product}", upper=most)
    program.weigh(mw * (IDLE_USD_PER_MW_H * program.hours))
    program.offers[(contract.name, product)] = mw
    return mw


def shortfalls(contract: DrrTerms, program: Program, path: Trajectory) -> Iterable[Shortfall]:
    """What was sold the day before and is not kept: megawatts, hours and what that costs."""
    names = contract.scope.names(program.site)
    load = np.sum([path.group_load_mw[name] for name in names], axis=0)
    below = np.asarray(declared(program, contract.name, contract.baseline_mw), dtype=np.float64) - load
    for product in (ENERGY, *contract.reserves):
        promised, _ = program.awarded(contract.name, product, DAY_AHEAD)
        if product == ENERGY:
            price = program.energy_price(contract.point(program.site))
            promised, kept = np.minimum(promised, _told(contract, program)[0]), np.maximum(below, 0.0)
        else:
            price, kept = program.reserve_price(contract.name, product), path.offers.get((contract.name, product), np.zeros(program.n))
        short = np.maximum(0.0, promised - kept)
        if (short > KEPT_MW).any():
            usd, when = float((short * price * program.hours).sum()), hours(program.site.market, program.grid, short > KEPT_MW)
            why = missing_rigs(program, names, short > KEPT_MW)[0] or "keeping it costs more than buying it back"
            yield Shortfall(f"{contract.name} {product}", float(short.max()), usd, f"{why}; buy {short.max():.3g} MW back", when)


def explain_dispatch(contract: DrrTerms, program: Program, path: Trajectory) -> Iterable[str]:
    """When a dispatch is expected and until when it can be offered day-ahead; where rigs are off for their price and none is."""
    mw = path.offers.get((contract.name, ENERGY), np.zeros(program.n))
    told, known, _ = _told(contract, program)
    expected = (mw > KEPT_MW) & ~known
    if (told > KEPT_MW).any():
        yield f"{contract.name}: MISO dispatches {told.max():.3f} MW from {_first(program, told > KEPT_MW)}"
    if expected.any():
        h, first = float(program.hours[expected].sum()), _first(program, expected)
        until = due_text(contract._rules, program.site.market, program.grid, program.so_far.at, expected)
        yield f"{contract.name}: a dispatch of {mw[expected].max():.3f} MW is expected for {h:.4g} h, first {first}; MISO decides{until}"
    idle = _reached(contract, program) & ~known & (load_at_prices_mw(program, contract.scope.names(program.site)) < contract.mw)
    if idle.any():
        h = float(program.hours[idle].sum())
        yield f"{contract.name}: for {h:.4g} h rigs would be off for their price; that is no reduction, and no dispatch is counted there"


def _first(program: Program, where: Any) -> str:
    """The start of the first interval `where`, on the market's clock."""
    return f"{program.grid.intervals[int(np.flatnonzero(where)[0])].start.astimezone(program.site.market.tz):%a %H:%M}"
