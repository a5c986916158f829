"""Stand-by: availability and performance of an ERS contract as integers and rows of a program.

Availability counts whole intervals, so each obligated one has a binary; what the factor pays is a level with two steps, a binary each.
Budgeting a relaxed count would let half the hours go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import numpy as np

from markets import usd_text
from optimizer.domain.array_types import Floats
from optimizer.domain.deployments import declared
from optimizer.domain.formula import Charge
from optimizer.lp.breakeven import margin_usd
from optimizer.lp.expr import Expr
from optimizer.lp.program import KILO, Program
from optimizer.lp.trajectory import Trajectory
from optimizer.obligations.ers.calendar import event_pay
from optimizer.obligations.ers.memory import ErsMemory, Term, TermTotals
from optimizer.obligations.ers.terms import ErsTerms

# Added to the threshold of availability, so that solver dust never puts a planned load below it; less than one rig draws.
THRESHOLD_MARGIN_MW, THRESHOLD_MARGIN_SHARE = 1e-5, 2e-6
# Breaks ties only: of equal plans, the one with more available intervals and with the term paid in full.
AVAILABLE_TIE_BREAK_USD = 1e-4
INF = float("inf")
# The share of each interval within an event, and the performance there.
Events = tuple[Floats, Expr | None]


def add_standby(contract: ErsTerms, program: Program) -> None:
    """Adds the line `ers_factors`: never more than the bill, and the bill's own where there is no event in the grid."""
    name, market = contract.name, program.site.market
    memory = contract.memory_from(program.memories)
    due = contract.obligated(program.grid, market, memory, program.so_far.calls)
    parts = contract.terms(program.grid, market, memory, program.so_far.calls)
    load = program.load_mw(contract.scope.names(program.site))
    event = contract.deployed_h(program.so_far.calls, program.grid) / program.hours
    here = np.array([p is not None for p in due]) & ~contract.left_out(program.so_far.calls, program.grid, memory)
    there = _available(contract, program, load, due, parts, here)
    done = _performed(contract, program, load, due, event) if event.any() else None
    usd = program.sum([])
    for part in parts:
        memory = contract.recalled(memory, part.begins)
        usd = usd + _term(contract, program, part, memory, due, here, there, (event, done))
    program.earn(name, Charge("ers_factors", usd, "usd", np.ones(program.n)))


def _available(contract: ErsTerms, program: Program, load: Expr, due: Any, parts: Sequence[Term], here: Any) -> Expr:
    """One in each obligated interval in which the load is at the threshold or above."""
    needed = np.concatenate([contract.thresholds_mw(due[part.first : part.last], part.begins) for part in parts])
    threshold = needed * (1.0 + THRESHOLD_MARGIN_SHARE) + THRESHOLD_MARGIN_MW
    _, most = load.range(program.lower, program.upper)
    threshold = np.maximum(threshold, np.minimum(most, _droppable(contract, program, due, threshold)))
    there = program.column(f"available {contract.name}", upper=np.where(here & (most >= threshold), 1.0, 0.0), integer=True)
    program.row(f"available {contract.name}", load - there * threshold, lower=0.0, where=here)
    program.weigh(there * (-AVAILABLE_TIE_BREAK_USD * here))
    return there


def _droppable(contract: ErsTerms, program: Program, due: Any, threshold: Floats) -> Floats:
    """The load from which on what was measured to shed in time is the whole promise; the threshold where nobody measured."""
    groups = program.so_far.groups
    response_s = 60.0 * float(contract.product.removeprefix("ERS-"))
    shares = [groups[g].shed_within(response_s) for g in contract.scope.names(program.site) if g in groups]
    base = np.array([contract.base_mw(p) if p else 0.0 for p in due])
    needed: Floats = base + (threshold - base) / max(min(shares, default=1.0), 0.5)
    return needed


def _performed(contract: ErsTerms, program: Program, load: Expr, due: Any, event: Floats) -> Expr:
    """Performance of the intervals of an event, at most 1 and at most what the load says; what is below zero stays below."""
    mw = np.array([contract.mw_of(p) for p in due])
    if contract.baseline == "default":
        mw = mw * np.where(event > 0, event, 1.0)
        top = np.asarray(declared(program, contract.name, contract.baseline_mw or 0.0), dtype=np.float64)
    else:
        top = np.array([contract.base_mw(p) for p in due]) + mw
    done = program.column(f"performance {contract.name}", lower=np.where(event > 0, -INF, 0.0), upper=np.where(event > 0, 1.0, 0.0))
    program.row(f"performance {contract.name}", done * mw + load, upper=top, where=event > 0)
    return done


def _term(contract: ErsTerms, program: Program, part: Term, memory: ErsMemory, due: Any, here: Any, there: Expr, events: Events) -> Expr:
    """The term's pay after the grid less what it was worth before and less the offered price of its hours, in its last interval."""
    event, done = events
    inside = np.zeros(program.n, dtype=bool)
    inside[part.first : part.last] = True
    last = np.zeros(program.n, dtype=bool)
    last[part.last - 1] = True
    hours = np.where(inside, program.hours, 0.0)
    mw = np.array([contract.mw_of(p) * contract.price_of(p) if p else 0.0 for p in due])
    before, ahead = contract.so_far(memory, float), contract.ahead(part, float)
    gross = float((hours * mw).sum())
    whole_h = before.obligated_h + float(hours[here].sum()) + ahead.obligated_h
    gone = contract.pays_nothing(memory.tests.values(), program.grid.intervals[part.first].start)
    after = before.gross_usd + gross
    if gone or not after:
        return program.sum([]) + np.where(last, -memory.worth_usd - gross, 0.0)
    level = program.sum([]) + np.where(last, 1.0, 0.0)
    if whole_h:
        counted = (there * hours).over(inside & here) + (before.available_h + ahead.available_h)
        level = _level(contract, program, part, counted * (1.0 / whole_h), last, (before.available_h + ahead.available_h) / whole_h)
    weight = before.event_weight + float(event[inside].sum())
    if done is not None and event[inside].any():
        least, most = np.where(last, -INF, 0.0), np.where(last, 1.0, 0.0)
        kept = program.column(f"performance of {contract.name} {part.first}", lower=least, upper=most)
        epf = ((done * event).over(inside) + before.event_done) * (1.0 / weight)
        program.row_at(f"performance of {contract.name} {part.first}", part.last - 1, epf - kept.over(last), lower=0.0)
        power = max(1.0, float(contract.figure("event_power", part.begins)))
        # g(AF) g(EPF) is at least g(AF) + g(EPF) - 1, and x**k at least 1 - k (1 - x).
        level = level + (kept - np.where(last, 1.0, 0.0)) * power
    elif weight:
        level = level * float(_event_pay(contract, part, before))
    program.expect(contract.name, "ers_factors_carried", (level - np.where(last, 1.0, 0.0)) * (ahead.gross_usd * last))
    found: Expr = level * after + np.where(last, -memory.worth_usd - gross, 0.0)
    return found


def _event_pay(contract: ErsTerms, part: Term, before: TermTotals) -> float:
    factor = before.event_done / before.event_weight
    return float(event_pay(factor, float(contract.figure("event_full", part.begins)), float(contract.figure("event_power", part.begins))))


def _level(contract: ErsTerms, program: Program, part: Term, factor: Expr, last: Any, least: float) -> Expr:
    """The share of pay that an availability factor leaves: 1 from `full`, itself from `low`, below that a tangent of its square."""
    full, low = float(contract.figure("availability_full", part.begins)), float(contract.figure("availability_low", part.begins))
    one = np.where(last, 1.0, 0.0)
    tag = f"{contract.name} {part.first}"
    whole = program.column(f"paid in full {tag}", upper=one, integer=True)
    partly = program.column(f"paid in part {tag}", upper=one, integer=True)
    share = program.column(f"share in part {tag}", upper=one)
    rest = program.column(f"share below {tag}", upper=one)
    at, w, p, sh, r = part.last - 1, whole.over(last), partly.over(last), share.over(last), rest.over(last)
    program.row_at(f"in full {tag}", at, factor - w * full - p * low, lower=0.0)
    program.row_at(f"one of them {tag}", at, w + p + r, upper=1.0)
    program.row_at(f"share {tag}", at, factor - sh, lower=0.0)
    program.row_at(f"in part {tag}", at, p - sh, lower=0.0)
    program.weigh(whole * (-AVAILABLE_TIE_BREAK_USD * last))
    tangent = min(low, 2.0 * least)
    program.row_at(f"square {tag}", at, factor * (2.0 * tangent) - r, lower=tangent * tangent)
    return whole + share + rest


def explain_standby(contract: ErsTerms, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
    """The conflict with price response in words: hours stood by at a loss and what that costs, hours given up, hours left to give up."""
    names = contract.scope.names(program.site)
    load = np.sum([path.group_load_mw[g] for g in names], axis=0)
    known, market = contract.memory_from(program.memories), program.site.market
    due = contract.obligated(program.grid, market, known, program.so_far.calls)
    on = program.grid.start.date()
    yield from _used_up(contract, known, on)
    needed = np.array([contract.threshold_mw(p, on) if p else INF for p in due])
    obligated, there = np.isfinite(needed), load >= needed
    if not obligated.any():
        return
    loss = _loss_usd(book, program, path, names)
    held = obligated & there & (loss > 0)
    hours = program.hours
    if held.any():
        yield (
            f"{contract.name}: stands by with {load[held].max():.3f} MW for {hours[held].sum():.4g} h above its breakeven; "
            f"that costs {usd_text(loss[held].sum())} of price response and keeps the term's availability"
        )
    away = obligated & ~there
    if away.any():
        given_up, all_h = hours[away].sum(), hours[obligated].sum()
        yield f"{contract.name}: {given_up:.4g} of {all_h:.4g} obligated hours are given up: the load is below {needed[away].max():.3f} MW"
    part = contract.terms(program.grid, market, known, program.so_far.calls)[0]
    memory = contract.recalled(known, part.begins)
    before, ahead = contract.so_far(memory, float), contract.ahead(part, float)
    inside = slice(part.first, part.last)
    whole = before.obligated_h + float(hours[inside][obligated[inside]].sum()) + ahead.obligated_h
    have = before.available_h + float(hours[inside][(obligated & there)[inside]].sum()) + ahead.available_h
    if not whole:
        return
    full = float(contract.figure("availability_full", part.begins))
    left = have - full * whole
    room = f"{left:.4g} h may still be given up" if left >= 0 else f"{-left:.4g} h short of full pay"
    if used := memory.deployed_h:
        yield f"{contract.name}: deployed {used:.4g} of at most {contract.ceiling_h(part.begins):.4g} h of the term"
    yield f"{contract.name}: availability {have / whole:.4f} of {full:.2f} expected at the end of the term; {room}"


def _loss_usd(book: Sequence[Any], program: Program, path: Trajectory, groups: Sequence[str]) -> Floats:
    """What rigs that run above their breakeven lose in each interval."""
    loss = np.zeros(program.n)
    for group in (program.site.group(g) for g in groups):
        for mode in group.awake_modes:
            up = path.rigs[group.name].get(mode.name, np.zeros(program.n))
            loss += np.maximum(0.0, -margin_usd(book, program, group, mode)) * up / KILO
    return loss


def _used_up(contract: ErsTerms, memory: ErsMemory, on: date) -> Iterable[str]:
    """That the hours of a term are used up, and what follows."""
    day = memory.used_up
    first, last = contract.contract_period(on, ErsMemory())
    if day is not None and first <= day < last:
        then = "obligated anew from the day after" if contract.renewal else f"not obligated again before {last:%-d %B}"
        yield f"{contract.name}: the hours of the term were used up on {day:%-d %B}; {then}"
