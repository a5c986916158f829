"""Ancillary services of a load: Reg-Up, Reg-Down, RRS, ECRS, Non-Spin, of one that is dispatched (CLR) or interrupted in blocks (NCLR).

    up reserve    <= what awake rigs draw over sleep, less rigs that may not sleep yet, and <= load - LPC: a megawatt is sold once
    down reserve  <= what the rigs can rise by in the response time, and <= MPC - load, halls and interconnect included
    each product  <= qualified MW, and <= ramp x response time

Day-ahead awards are paid at the day-ahead price. From 2025-12-05 (RTC+B) they are forwards, bought back at the real-time price:

    site cash = DA award x h x MCPC(DAM) + (real-time award - DA award) x h x MCPC(real time)          Nodal Protocols 6.7

Before, what was awarded and not carried cost the higher of its day-ahead and its supplemental price (failure to provide), and reserve
earned in the day-ahead market alone: a plan counts as sold what can still be offered there, and nothing but the awards once offers were
due. Under set points the load owes a deviation charge outside a tolerance. Deployments are calls under the contract's name: bounds before
every price (see docs/rules.md#ancillary-services).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

import numpy as np

from markets.facts import Call
from markets.grid import Interval, OperatingDay
from optimizer.domain import day_ahead_market
from optimizer.domain.actuals import Actuals
from optimizer.domain.call_performance import CallPerformance
from optimizer.domain.calls import active
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.formula import Bounds, Charge, Quantities
from optimizer.domain.market_rules import days, figures, rule
from optimizer.domain.money import Finding
from optimizer.domain.reserve_awards import DAY_AHEAD, REAL_TIME, SUPPLEMENTAL
from optimizer.domain.row_kind import RowKind
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import Site, meters_in
from optimizer.lp.arrays import Yields
from optimizer.lp.headroom import down_pool, highest_within, up_pool
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory
from optimizer.obligations.ancillary import day_ahead_sale
from optimizer.obligations.ancillary.awards_not_carried import awards_not_carried
from optimizer.obligations.ancillary.blocks import (
    ReserveMemory,
    banded,
    delivered,
    idle,
    prolonged,
    remembered,
    sold_all_or_nothing,
    strikes,
    struck,
)
from optimizer.obligations.ancillary.controllable import (
    BARRED,
    at_node,
    barred,
    bid_caps,
    energy_by_rule,
    provisional_rule,
    settled_price,
)
from optimizer.obligations.ancillary.products import CHARGE_TYPES, DOWN, Product, two_settlements
from optimizer.obligations.ancillary.set_point_deviation import deviation
from optimizer.obligations.ancillary.terms import AncillaryTerms

# Reserve that nothing pays for is not kept ready.
IDLE_USD_PER_MW_H = 1e-6
KEPT_MW = 1e-6
AWARDED = "Capacity award at its market clearing price (ERCOT Nodal Protocols 4.6.4)"


class Ancillary(AncillaryTerms):
    """Reserve sold to ERCOT; the keys of the site file are those of `AncillaryTerms`."""

    type: ClassVar[str] = "ancillary"
    charge_types: ClassVar[tuple[str, ...]] = CHARGE_TYPES

    # --- instructions of a load that is interrupted -------------------------------------------------------------------------------------

    def bounds(self, site: Site, memory: ReserveMemory, calls: Sequence[Call], over: Interval) -> Bounds:
        """What instructions insist on; of a block also for its least time, and no further down than its band."""
        if self.block is None:
            return super().bounds(site, memory, calls, over)
        stand = prolonged(calls, self.name, self.block)
        said = super().bounds(site, memory, stand, over)
        high = float(self._figure("ercot.nclr.band_high", site, over.start)) if stand else 0.0
        return banded(said, stand, over, memory.load_before_mw, high)

    def call_performance(self, call: Call, actuals: Actuals) -> CallPerformance | None:
        """Of a block, what was delivered of the reduction an instruction asked for, from its response time on, by the band."""
        on, site = OperatingDay.of(actuals.site.market, call.start_at).on, actuals.site
        if self.block is None or call.mw_delta is None:
            return None
        response = float(self._fastest_response(on).value)
        base_mw = self.memory_from(actuals.memory).load_before_mw.get(call.id)
        cited = rule(self._rules, "ercot.nclr.band_low", on).cited
        return delivered(call, actuals, self.scope.names(site), (response, base_mw), self._band(on), cited)

    def remember(self, memory: ReserveMemory, then: Actuals) -> ReserveMemory:
        """Its memory after a stretch of time: how instructions were followed (blocks.py)."""
        if self.block is None:
            return memory
        on = OperatingDay.of(then.site.market, then.grid.start).on
        response = float(self._fastest_response(on).value)
        return remembered(memory, then, self.name, self.scope.names(then.site), response, self._band(on))

    def disqualified(self, memory: ReserveMemory, at: datetime) -> bool:
        """Whether so many instructions failed that it may not sell."""
        on = at.date()
        failed = strikes(memory, at, float(rule(self._rules, "ercot.nclr.strikes_days", on).value))
        return len(failed) >= int(rule(self._rules, "ercot.nclr.strikes", on).value)

    # --- money ------------------------------------------------------------------------------------------------------------------------

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        forward = two_settlements(its, self._rules)
        nothing = its.sum([])
        for product in self.products:
            word = product.lower()
            awarded, paid = its.awarded(self.name, product, DAY_AHEAD)
            sold = awarded * its.hours
            yield Charge(f"{word}_day_ahead", nothing + sold, "mw_h", paid, self._cite(its, "ercot.as.day_ahead"))
            short = (self._carried_mw(its, product) - awarded) * its.hours
            if forward.any():
                yield Charge(
                    f"{word}_imbalance",
                    short * forward,
                    "mw_h",
                    its.reserve_price(self.name, product),
                    self._cite(its, "ercot.as.imbalance") + self._cite_bar(its),
                )
            if not forward.all() and any(awarded * (1 - forward)):
                yield self._failure(its, product, word, sold * (1 - forward), paid)
        during = at_node(self._rules, its.site.market) if self.node else None
        if self.node and self.settles_energy(its.site):
            yield from energy_by_rule(its, self.name, self.scope, self.node, self._rules)
        yield from deviation(its, self.name, self.scope, self._rules, lambda point: settled_price(its, point, self.node, during))

    def _failure(self, its: Quantities[Any], product: str, word: str, sold: Any, paid: Any) -> Charge[Any]:
        """Before RTC+B: what was awarded and not carried costs the higher of the day-ahead and the supplemental price; carrying more earns
        nothing."""
        carried = its.carried_mw(self.name, product) * its.hours
        dear = np.maximum(paid, its.awarded(self.name, product, SUPPLEMENTAL)[1])
        lost = its.below(carried, np.stack([sold], axis=1), (dear, dear * its.number(0))) - sold * dear
        return Charge(f"{word}_failure", lost, "usd", its.during(None), self._cite(its, "ercot.as.imbalance", last=False))

    def _cite(self, its: Quantities[Any], id_: str, last: bool = True) -> str:
        on = days(its.grid, its.site.market)[-1 if last else 0]
        return rule(self._rules, id_, on).cited if any(r.id == id_ and r.holds(on) for r in self._rules) else AWARDED

    def _carried_mw(self, its: Quantities[Any], product: str) -> Any:
        """Reserve carried. Of a load that may not provide it, what real time awarded alone: its day-ahead award is not carried."""
        carried = its.carried_mw(self.name, product)
        if self.provisional is None:
            return carried
        shut = barred(its, self._rules, self.provisional)
        return carried * (its.number(1) - shut) + its.awarded(self.name, product, REAL_TIME)[0] * shut

    def _cite_bar(self, its: Quantities[Any]) -> str:
        """The rule that bars a provisional load, behind another, where it does."""
        found = (provisional_rule(self._rules, self.provisional, BARRED, on) for on in dict.fromkeys(days(its.grid, its.site.market)))
        return next((f"; {bars.cited}" for bars in found if bars is not None), "")

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def shape(self, program: Program) -> None:
        """Reserve kept ready, then its money and its deployments."""
        kept: dict[str, Any] = {product: self._product(program, product) for product in self.products}
        ups = [(mw, self._response_min(program, product)) for product, mw in kept.items() if product not in DOWN]
        downs = [mw for product, mw in kept.items() if product in DOWN]
        names = self.scope.names(program.site)
        if ups:
            floor_mw = np.maximum(self.lpc_mw, self._floor_mw(program))
            up_pool(program, self.name, names, program.sum([mw for mw, _ in ups]), floor_mw, ups)
        if downs:
            down_pool(program, self.name, names, program.sum(downs), self.mpc_mw, self._response_min(program, DOWN[0]))
        for product, mw in kept.items():
            program.offers[(self.name, product)] = mw
            if self.hold == "firm":
                promised, _ = program.awarded(self.name, product, DAY_AHEAD)
                program.at_least(f"award {self.name} {product}", mw, promised, Yields.CAPACITY, kind=RowKind.AWARD)
        day_ahead_sale.count_as_sold(program, self.name, kept, self._can_still_be_sold(program), self._cite(program, "ercot.as.day_ahead"))
        if not program.is_for_bids:
            self._follow_capped_bid(program)
        super().shape(program)

    def _follow_capped_bid(self, program: Program) -> None:
        """Above the most it may be bid at, a provisional load is dispatched down to its low power consumption."""
        names = self.scope.names(program.site)
        during = at_node(self._rules, program.site.market) if self.node else None
        point = next(m.settlement_point for m, _ in meters_in(program.site, self.scope))
        price, _ = settled_price(program, point, self.node, during)
        above = price > bid_caps(days(program.grid, program.site.market), self._rules, self.provisional)
        if above.any():
            load = program.load_mw(names)
            least = np.maximum(self.lpc_mw, load.range(program.lower, program.upper)[0])
            program.at_least(f"capped bid {self.name}", -load, -least, Yields.CAPACITY, above, obligation=self.name)

    def _product(self, program: Program, product: Product) -> Any:
        """A column of reserve: at most what is qualified, what the ramp reaches, and nothing where the rigs are too slow."""
        response = self._response_min(program, product)
        most = np.full(program.n, self.qualified_mw.get(product, np.inf))
        if self.ramp_mw_per_min is not None:
            most = np.minimum(most, self.ramp_mw_per_min * response)
        most = np.where(self.shed_s <= response * 60.0, most, 0.0)
        if product in DOWN:
            calls = program.calls_of(self.name)
            most = np.where([any(active(c, over) for c in calls) for over in program.grid.intervals], 0.0, most)
        most = np.where(barred(program, self._rules, self.provisional) > 0, 0.0, most)
        nowhere = np.zeros(program.n, dtype=bool)
        if self.block is not None:
            memory = self.memory_from(program.memories)
            nowhere = idle(program, self.name, self.block, memory) | self.disqualified(memory, program.grid.start)
            most = np.where(nowhere, 0.0, most)
        mw = program.column(f"reserve {self.name} {product}", upper=most)
        program.weigh(mw * (IDLE_USD_PER_MW_H * program.hours))
        if self.block is not None:
            sold_all_or_nothing(program, f"{self.name} {product}", mw, self.scope.names(program.site), self.block, nowhere)
        return mw

    def _can_still_be_sold(self, program: Program) -> Any:
        """Where reserve earns in the day-ahead market alone and can still be offered there, shape (n,)."""
        market, grid, at = program.site.market, program.grid, program.so_far.at
        return (two_settlements(program, self._rules) <= 0) & day_ahead_market.can_be_offered(self._rules, market, grid, at)

    def _response_min(self, program: Program, product: str) -> Any:
        return np.array(figures(self._rules, f"ercot.as.{product}.response_min", program.grid, program.site.market))

    def _floor_mw(self, program: Program) -> Any:
        """The highest called floor within the longest duration sold, MW: reserve cannot drop below it."""
        calls = program.calls_of(self.name)
        if not any(c.mw_target is not None for c in calls):
            return np.zeros(program.n)
        memory = self.memory_from(program.memories)
        now = np.array([self.bounds(program.site, memory, calls, over).floor_mw for over in program.grid.intervals])
        market = program.site.market
        longest = np.max([figures(self._rules, f"ercot.as.{p}.duration_h", program.grid, market) for p in self.products], axis=0)
        return highest_within(program, now, longest)

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        """Until when reserve that the plan counts as sold must be offered; why a load that is interrupted in blocks may not sell."""
        yield from day_ahead_sale.reasons(program, path, self.name, self._rules)
        for on in dict.fromkeys(days(program.grid, program.site.market)):
            if self.provisional and (bars := provisional_rule(self._rules, self.provisional, BARRED, on)):
                yield f"{self.name}: sells no reserve before {self.provisional.until}: {bars.cited}, from {bars.from_}"
                break
        if self.block is None:
            return
        memory, at = self.memory_from(program.memories), program.grid.start
        failed = strikes(memory, at, float(rule(self._rules, "ercot.nclr.strikes_days", at.date()).value))
        if failed:
            what = "sells nothing: disqualified" if self.disqualified(memory, at) else "one more disqualifies"
            starts = ", ".join(f"{start.astimezone(program.site.market.tz):%d %b %Y %H:%M}" for start in failed)
            yield f"{self.name}: instructions of {starts} were not followed within the band; {what}"

    def progress(self, memory: ReserveMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        """Failed instructions of a load that is interrupted in blocks."""
        if self.block is not None:
            over_days = float(rule(self._rules, "ercot.nclr.strikes_days", day.on).value)
            yield ContractProgress(
                f"{self.name}: strikes", len(strikes(memory, day.end, over_days)), "strikes", f"of {over_days:g} days; two disqualify"
            )

    def findings(self, before: ReserveMemory, after: ReserveMemory, day: OperatingDay) -> Iterable[Finding]:
        """Failed instructions of a load that is interrupted in blocks (blocks.py)."""
        if self.block is None:
            return ()
        most, over_days = (rule(self._rules, f"ercot.nclr.{word}", day.on).value for word in ("strikes", "strikes_days"))
        return struck(self.name, before, after, day, int(most), float(over_days), self._band(day.on))

    def shortfall_usd(self, program: Program, path: Trajectory, short_mw: Any) -> float:
        """What an instruction that is missed so far costs at the dearest of its reserve prices."""
        dearest = np.max([program.reserve_price(self.name, product) for product in self.products], axis=0)
        return float((short_mw * dearest * program.hours).sum())

    def shortfalls(self, program: Program, path: Trajectory) -> Iterable[Shortfall]:
        """Awards a plan does not carry (awards_not_carried.py)."""
        economic = self.hold == "economic"
        return awards_not_carried(program, path, self.name, self.scope.names(program.site), self.products, self._rules, economic)
