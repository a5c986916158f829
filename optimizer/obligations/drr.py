"""Demand response resource (MISO): a reduction that MISO dispatches like a generator, against a declared baseline.

    Type I    a block, all or nothing, for a minimum time           u in {0, 1}: dispatched = mw u
    Type II   any part of it, every five minutes                    dispatched <= mw
    energy    LMP x min(dispatched, baseline - load), from the net benefits price on              MISO Tariff 40.3.3 (Order 745)
    missing   LMP x what is missing of a dispatch beyond a tolerance                              MISO Tariff 40.3.4

A resource may not dispatch itself: it answers MISO's calls and awards. Further ahead than its notice, where nobody has said, a plan takes
it for dispatched where that pays and the LMP reaches both the offer and the net benefits price; nearer than that nothing untold is expected
any more. Rigs whose breakeven is below the LMP would be off anyway: what they do not draw is no reduction, and is never expected to pay.
Day-ahead awards are forwards, bought back at the real-time LMP. Spinning and supplemental reserve are sold beside it. Consumption is never
raised for a baseline: what it is comes from the market's award of product BASELINE, else from the site file (docs/rules.md#drr).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from markets.facts import Call, CallKind
from markets.grid import Interval, Market
from optimizer.domain import reserve_awards
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Floats
from optimizer.domain.award_terms import AwardTerms, reduction_terms, reserves_fault
from optimizer.domain.calls import calls_in_force, instructed
from optimizer.domain.contract import Contract
from optimizer.domain.day_ahead_market import due_text
from optimizer.domain.deployments import declared, positive, reduced, share
from optimizer.domain.formula import Bounds, Charge, Quantities, per_interval
from optimizer.domain.market_rules import days, figures, rule
from optimizer.domain.memory import Memory
from optimizer.domain.money import Line
from optimizer.domain.quantities import ActualQuantities, lines
from optimizer.domain.reserve_awards import DAY_AHEAD, ENERGY, REAL_TIME
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import NotNegative, Positive, Site, meters_in
from optimizer.lp.breakeven import load_at_prices_mw
from optimizer.lp.expr import Expr
from optimizer.lp.headroom import up_pool
from optimizer.lp.phrases import hours, missing_rigs
from optimizer.lp.program import Program
from optimizer.lp.starts_and_stops import minimum_run
from optimizer.lp.trajectory import Trajectory, actuals_of

NET_BENEFITS = "miso.drr.net_benefits_usd_per_mwh"
Reserve = Literal["SPIN", "SUPP"]
# Both are contingency reserve: all of it within ten minutes (MISO BPM-002).
RESPONSE_S = 600.0
IDLE_USD_PER_MW_H = 1e-6
KEPT_MW = 1e-6


class Drr(Contract):
    """A demand response resource on a meter of its own.

    kind                       "I" or "II"
    mw                         the block, or the most that can be dispatched
    baseline_mw                registered baseline, where the market has not said another
    offer_usd_per_mwh          price it is offered at
    net_benefits_usd_per_mwh   the month's threshold, where it is known
    notice_min                 how long ahead MISO tells of a dispatch
    min_down_min               Type I: a dispatch lasts at least so long
    reserves, qualified_mw     reserve sold beside energy, and the most of each
    shed_s                     seconds until a rig told to sleep draws nothing
    """

    type: ClassVar[str] = "drr"
    rule_prefixes: ClassVar[tuple[str, ...]] = ("miso.drr.", "miso.day_ahead_offers_due")
    name: str = "drr"
    kind: Literal["I", "II"] = "I"
    mw: Positive
    baseline_mw: Positive
    offer_usd_per_mwh: NotNegative = 0.0
    net_benefits_usd_per_mwh: NotNegative | None = None
    notice_min: NotNegative = 30.0
    min_down_min: NotNegative = 0.0
    reserves: tuple[Reserve, ...] = ()
    qualified_mw: Mapping[Reserve, NotNegative] = Field(default_factory=dict)
    shed_s: NotNegative = 60.0

    @model_validator(mode="after")
    def _whole(self) -> Drr:
        if self.mw > self.baseline_mw:
            raise ValueError("mw is more than baseline_mw: nobody can drop more than the baseline")
        if self.kind == "II" and self.min_down_min:
            raise ValueError("min_down_min does not apply to Type II: only a block has it")
        if fault := reserves_fault(self.reserves, tuple(self.qualified_mw)):
            raise ValueError(fault)
        return self

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        return reduction_terms(site, self.scope, self.mw, self.reserves, self.qualified_mw)

    def market(self) -> Market | None:
        return Market.MISO

    def service(self) -> str:
        return "drr"

    def excludes(self) -> Mapping[str, str]:
        return {"drr": "two contracts sell the reduction of the same rigs (MISO BPM-002: a resource is registered once)"}

    def promised_mw(self) -> float:
        return self.mw

    def needs_own_meter(self) -> bool:
        return True

    # --- money ------------------------------------------------------------------------------------------------------------------------

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """Energy by what was dispatched and how far the load was below the baseline; reserve by what was carried."""
        its = ActualQuantities.of(actuals)
        dispatched = np.maximum(its.carried_mw(self.name, ENERGY), self._called(its))
        load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)])
        done = reduced(declared(its, self.name, self.baseline_mw) * its.hours - load, dispatched * its.hours)
        return lines(self.name, self._money(its, dispatched, done), its)

    def _money(self, its: Quantities[Any], dispatched: Any, done: Any) -> Iterable[Charge[Any]]:
        """The formula, of MW dispatched and MWh reduced: expressions while planning, numbers when settling."""
        nothing, zero = its.sum([]), its.during(None) * its.number(0)
        point = self._point(its.site)
        price, on = its.energy_price(point), days(its.grid, its.site.market)[0]
        cite = rule(self._rules, "miso.drr.energy", on).cited
        awarded, paid = its.awarded(self.name, ENERGY, DAY_AHEAD)
        if awarded.any():
            yield Charge("drr_day_ahead", nothing + awarded * its.hours, "mwh", paid, cite)
            yield Charge("drr_buy_back", nothing + awarded * its.hours, "mwh", -price, cite, point)
        least = per_interval(its, self._threshold(its))
        pays = [p if p != p or p >= low else its.number(0) for p, low in zip(price, least, strict=True)]
        least_of = "" if self.net_benefits_usd_per_mwh is not None else f"; {rule(self._rules, NET_BENEFITS, on).cited}"
        yield Charge("drr_energy", done, "mwh", np.array(pays, dtype=zero.dtype), cite + least_of, point)
        one = its.number(1)
        spared, factor = (per_interval(its, self._figures(its, word)) for word in ("tolerance_share", "deviation_factor"))
        missing = its.highest(dispatched * ((one - spared) * its.hours) - done, np.arange(len(its.grid)), zero)
        cite = rule(self._rules, "miso.drr.deviation_factor", on).cited
        yield Charge("drr_deviation", missing, "mwh", -positive(price, its.number(0)) * factor, cite, point)
        yield from self._reserve(its)

    def _reserve(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        for product in self.reserves:
            awarded, paid = its.awarded(self.name, product, DAY_AHEAD)
            cite = rule(self._rules, "miso.drr.reserve", days(its.grid, its.site.market)[0]).cited
            yield Charge(f"{product.lower()}_day_ahead", its.sum([]) + awarded * its.hours, "mw_h", paid, cite)
            more = (its.carried_mw(self.name, product) - awarded) * its.hours
            yield Charge(f"{product.lower()}_imbalance", more, "mw_h", its.reserve_price(self.name, product), cite)

    def _point(self, site: Site) -> str:
        return next(m.settlement_point for m, _ in meters_in(site, self.scope))

    def _figures(self, its: Quantities[Any], word: str) -> list[float]:
        return figures(self._rules, f"miso.drr.{word}", its.grid, its.site.market)

    def _threshold(self, its: Quantities[Any]) -> list[float]:
        """The net benefits price of each interval."""
        own = self.net_benefits_usd_per_mwh
        return self._figures(its, "net_benefits_usd_per_mwh") if own is None else [own] * len(its.grid)

    def _called(self, its: Quantities[Any]) -> Any:
        """MW that calls dispatch in each interval."""
        mw = its.during(None) * its.number(0)
        for call in its.calls_of(self.name):
            end = its.grid.end if call.end_at is None else min(call.end_at, its.grid.end)
            if call.kind is CallKind.DEPLOY and end > call.start_at:
                over = Interval(call.start_at.replace(microsecond=0), end)
                mw = np.maximum(mw, share(its, [over]) * its.number(self._mw_of(call)))
        return mw

    def _mw_of(self, call: Call) -> float:
        if self.kind == "I":
            return self.mw
        said = call.mw_cap if call.mw_cap is not None else call.mw_target
        return abs(call.mw_delta) if call.mw_delta is not None else max(0.0, self.baseline_mw - (said or 0.0))

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def bounds(self, site: Site, memory: Memory, calls: Sequence[Call], over: Interval) -> Bounds:
        """What a call says; of a block, at most the baseline less the block."""
        said = super().bounds(site, memory, calls, over)
        most = self.baseline_mw - self.mw
        for call in calls_in_force(calls, self.name) if self.kind == "I" else ():
            here = call.start_at < over.end and (call.end_at is None or call.end_at > over.start)
            if call.kind is CallKind.DEPLOY and here and most < said.cap_mw:
                said = instructed(call, self.name, 0.0, most)
        return said

    def shape(self, program: Program) -> None:
        """What is dispatched or expected to be, what is reduced against the baseline, reserve, and their money."""
        names = self.scope.names(program.site)
        load, base = program.load_mw(names), np.asarray(declared(program, self.name, self.baseline_mw), dtype=np.float64)
        told, known, firm = self._told(program)
        base = np.where(known, base, np.minimum(base, load_at_prices_mw(program, names)))
        beyond = np.maximum(0.0, load.range(program.lower, program.upper)[1] - base)
        dispatched, on = self._dispatched(program, told, known, base, beyond)
        done = program.column(f"reduction {self.name}", lower=-beyond, upper=np.maximum(np.where(known, told, self.mw), 0.0))
        program.row(f"reduction of {self.name}", dispatched - done, lower=0.0)
        program.row(f"baseline {self.name}", done + load + on * beyond, upper=base + beyond, where=~known | (told > 0))
        program.offers[(self.name, ENERGY)] = dispatched
        kept = [self._product(program, product) for product in self.reserves]
        if kept:
            up_pool(program, self.name, names, program.sum(kept), np.zeros(program.n))
        for charge in self._money(program, dispatched, done * program.hours):
            program.earn(self.name, charge)
        caps = np.where(firm, np.maximum(0.0, base - told), np.inf)
        calls, memory = program.calls_of(self.name), self.memory_from(program.memories)
        bounds = [self.bounds(program.site, memory, calls, over) for over in program.grid.intervals]
        program.insist(self.name, names, [replace(b, cap_mw=min(b.cap_mw, float(mw))) for b, mw in zip(bounds, caps, strict=True)])

    def _told(self, program: Program) -> tuple[Floats, Any, Any]:
        """MW that MISO has dispatched in each interval, where that is settled (told, or too late), and where it stands in real time."""
        awards = program.so_far.awards
        ahead, _, said = reserve_awards.on(reserve_awards.of(awards, self.name, ENERGY, DAY_AHEAD), program.grid, float)
        now, _, firm = reserve_awards.on(reserve_awards.of(awards, self.name, ENERGY, REAL_TIME), program.grid, float)
        called = np.asarray(self._called(program), dtype=np.float64)
        told = np.maximum(np.where(firm, now, ahead), called)
        late = program.grid.edges[:-1] < program.grid.edges[0] + max(1.0, self.notice_min * 60.0)
        return told, said | firm | (called > 0) | late, firm & (now > 0)

    def _dispatched(self, program: Program, told: Floats, known: Any, base: Floats, beyond: Floats) -> tuple[Expr, Expr]:
        """MW dispatched, and one where anything is: as told, or as it pays where the price is reached. A block is expected whole."""
        load = program.load_mw(self.scope.names(program.site))
        room = base - load.range(program.lower, program.upper)[0]
        reached, open_ = self._reached(program), ~known & (room >= (self.mw if self.kind == "I" else KEPT_MW))
        fixed, running = program.sum([]) + np.where(known, told, 0.0), np.where(known & (told > 0), 1.0, 0.0)
        able = open_ & (reached | (self.min_down_min > 0))
        most = np.where(able & reached, np.minimum(self.mw, room), 0.0)
        if self.kind == "II" and not beyond[able | (running > 0)].any():
            mw = program.column(f"dispatch {self.name}", upper=most)
            return mw + fixed, program.sum([]) + np.where(able, 1.0, running)
        on = program.column(f"dispatch {self.name}", upper=np.where(able, 1.0, 0.0), integer=True)
        if self.kind == "II":
            mw = program.column(f"dispatch of {self.name}", upper=most)
            program.row(f"dispatch of {self.name}", on * self.mw - mw, lower=0.0, where=able)
            return mw + fixed, on + running
        program.row(f"block {self.name}", load + on * (self.mw + beyond), upper=base + beyond, where=able)
        if self.min_down_min:
            minimum_run(program, self.name, on + running, self.min_down_min, able, reached)
        return on * self.mw + fixed, on + running

    def _reached(self, program: Program) -> Any:
        """Where the LMP reaches both the offer and the net benefits price."""
        return program.energy_price(self._point(program.site)) >= np.maximum(self._threshold(program), self.offer_usd_per_mwh)

    def _product(self, program: Program, product: Reserve) -> Expr:
        most = self.qualified_mw.get(product, np.inf) if self.shed_s <= RESPONSE_S else 0.0
        mw = program.column(f"reserve {self.name} {product}", upper=most)
        program.weigh(mw * (IDLE_USD_PER_MW_H * program.hours))
        program.offers[(self.name, product)] = mw
        return mw

    def shortfall_usd(self, program: Program, path: Trajectory, short_mw: Any) -> float:
        """What is not paid of a dispatch that is missed, and its deviation."""
        price = program.energy_price(self._point(program.site))
        owed = sum(line.amount_usd for line in self.settle(actuals_of(program, path)) if line.charge_type == "drr_deviation")
        return float((short_mw * np.maximum(price, 0.0) * program.hours).sum()) - float(owed)

    def shortfalls(self, program: Program, path: Trajectory) -> Iterable[Shortfall]:
        """What was sold the day before and is not kept: megawatts, hours and what that costs."""
        names = self.scope.names(program.site)
        load = np.sum([path.group_load_mw[name] for name in names], axis=0)
        below = np.asarray(declared(program, self.name, self.baseline_mw), dtype=np.float64) - load
        for product in (ENERGY, *self.reserves):
            promised, _ = program.awarded(self.name, product, DAY_AHEAD)
            if product == ENERGY:
                price = program.energy_price(self._point(program.site))
                promised, kept = np.minimum(promised, self._told(program)[0]), np.maximum(below, 0.0)
            else:
                price, kept = program.reserve_price(self.name, product), path.offers.get((self.name, product), np.zeros(program.n))
            short = np.maximum(0.0, promised - kept)
            if (short > KEPT_MW).any():
                usd, when = float((short * price * program.hours).sum()), hours(program.site.market, program.grid, short > KEPT_MW)
                why = missing_rigs(program, names, short > KEPT_MW)[0] or "keeping it costs more than buying it back"
                yield Shortfall(f"{self.name} {product}", float(short.max()), usd, f"{why}; buy {short.max():.3g} MW back", when)

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        """When a dispatch is expected and until when it can be offered day-ahead; where rigs are off for their price and none is."""
        mw = path.offers.get((self.name, ENERGY), np.zeros(program.n))
        told, known, _ = self._told(program)
        expected = (mw > KEPT_MW) & ~known
        if (told > KEPT_MW).any():
            yield f"{self.name}: MISO dispatches {told.max():.3f} MW from {_first(program, told > KEPT_MW)}"
        if expected.any():
            h, first = float(program.hours[expected].sum()), _first(program, expected)
            until = due_text(self._rules, program.site.market, program.grid, program.so_far.at, expected)
            yield f"{self.name}: a dispatch of {mw[expected].max():.3f} MW is expected for {h:.4g} h, first {first}; MISO decides{until}"
        idle = self._reached(program) & ~known & (load_at_prices_mw(program, self.scope.names(program.site)) < self.mw)
        if idle.any():
            h = float(program.hours[idle].sum())
            yield f"{self.name}: for {h:.4g} h rigs would be off for their price; that is no reduction, and no dispatch is counted there"


def _first(program: Program, where: Any) -> str:
    """The start of the first interval `where`, on the market's clock."""
    return f"{program.grid.intervals[int(np.flatnonzero(where)[0])].start.astimezone(program.site.market.tz):%a %H:%M}"
