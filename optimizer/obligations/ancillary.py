"""Ancillary services of a controllable load: Reg-Up, Reg-Down, RRS, ECRS, Non-Spin.

    up reserve    <= what awake rigs draw over sleep, less rigs that may not sleep yet, and <= load - LPC: a megawatt is sold once
    down reserve  <= what the rigs can rise by in the response time, and <= MPC - load, halls and interconnect included
    each product  <= qualified MW, and <= ramp x response time

Day-ahead awards are paid at the day-ahead price. From 2025-12-05 (RTC+B) they are forwards, bought back at the real-time price:

    site cash = DA award x h x MCPC(DAM) + (real-time award - DA award) x h x MCPC(real time)          Nodal Protocols 6.7

Before, what was awarded and not carried cost its day-ahead price again (failure to provide). Under set points the load owes a deviation
charge outside a tolerance. Deployments are calls under the contract's name: bounds before every price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from markets.facts import CallKind
from optimizer.arrays import Yields
from optimizer.capacity import DAY_AHEAD
from optimizer.contract import Contract
from optimizer.dated import days, figures, rule
from optimizer.headroom import down_pool, up_pool
from optimizer.obligations import Charge, Its, active, meters_in
from optimizer.program import Program
from optimizer.site import NotNegative, Positive, Written
from optimizer.trajectory import Trajectory

DOWN = ("REGDN",)
Product = Literal["REGUP", "REGDN", "RRS", "ECRS", "NSPIN"]
DEVIATION = "Set point deviation of a controllable load (ERCOT Nodal Protocols 6.6.5.1)"
# Reserve that nothing pays for is not kept ready.
IDLE_USD_PER_MW_H = 1e-6
KEPT_MW = 1e-6


class Block(Written):
    """A load that is not controllable offers all or nothing: at least `min_mw`, the same over `hours` on the market's clock."""

    min_mw: Positive
    hours: Annotated[int, Field(ge=1, le=24)] = 1


class Ancillary(Contract):
    """Reserve sold to ERCOT.

    products, qualified_mw   what it may sell, and the most of each, MW; what is not in `qualified_mw` is sold up to the load
    lpc_mw, mpc_mw           least and most the load may be dispatched to; nothing and everything unless told
    shed_s                   seconds until a rig told to sleep draws nothing (measured, p99)
    ramp_mw_per_min          as telemetered; none: the load drops in `shed_s`
    hold                     "economic": an award is bought back when that pays; "firm": it is carried before every price
    block                    for a load that is not controllable
    """

    type: ClassVar[str] = "ancillary"
    stands_on: ClassVar[tuple[str, ...]] = ("ercot.as.", "ercot.set_point.")
    name: str = "ancillary"
    products: tuple[Product, ...] = Field(min_length=1)
    qualified_mw: Mapping[Product, NotNegative] = Field(default_factory=dict)
    lpc_mw: NotNegative = 0.0
    mpc_mw: Positive | None = None
    shed_s: NotNegative = 60.0
    ramp_mw_per_min: Positive | None = None
    hold: Literal["economic", "firm"] = "economic"
    block: Block | None = None

    @model_validator(mode="after")
    def _whole(self) -> Ancillary:
        if len(set(self.products)) < len(self.products):
            raise ValueError("products: one stands there twice")
        for product in self.qualified_mw:
            if product not in self.products:
                raise ValueError(f"qualified_mw: {product} is not among its products")
        if self.block and "REGDN" in self.products:
            raise ValueError("block: a load that is not controllable does not regulate")
        if self.mpc_mw is not None and self.mpc_mw < self.lpc_mw:
            raise ValueError("mpc_mw must be at least lpc_mw")
        return self

    # --- money ------------------------------------------------------------------------------------------------------------------------

    def charges(self, its: Its[Any]) -> Iterable[Charge[Any]]:
        forward = self._forward(its)
        nothing = its.sum([])
        for product in self.products:
            word = product.lower()
            awarded, paid = its.awarded(self.name, product, DAY_AHEAD)
            sold = awarded * its.hours
            yield Charge(f"{word}_day_ahead", nothing + sold, "mw_h", paid, self._cite(its, "ercot.as.day_ahead"))
            short = (its.carried_mw(self.name, product) - awarded) * its.hours
            if forward.any():
                yield Charge(
                    f"{word}_imbalance",
                    short * forward,
                    "mw_h",
                    its.reserve_price(self.name, product),
                    self._cite(its, "ercot.as.imbalance"),
                )
            if not forward.all() and any(awarded * (1 - forward)):
                yield self._failure(its, product, word, sold * (1 - forward), paid)
        yield from self._deviation(its)

    def _failure(self, its: Its[Any], product: str, word: str, sold: Any, paid: Any) -> Charge[Any]:
        """Before RTC+B: what was awarded and not carried costs the day-ahead price; carrying more earns nothing."""
        carried = its.carried_mw(self.name, product) * its.hours
        lost = its.below(carried, np.stack([sold], axis=1), (paid, paid * its.number(0))) - sold * paid
        return Charge(f"{word}_failure", lost, "usd", its.during(None), self._cite(its, "ercot.as.imbalance", last=False))

    def _forward(self, its: Its[Any]) -> Any:
        """One where a day-ahead award is a forward, zero where failing to provide is charged, shape (n,)."""
        ways = {on: rule(self._rules, "ercot.as.imbalance", on).value for on in dict.fromkeys(days(its.grid, its.site.market))}
        one, zero = its.number(1), its.number(0)
        return its.during(None) * np.array(
            [one if ways[on] == "two settlements" else zero for on in days(its.grid, its.site.market)],
            dtype=np.asarray(its.during(None)).dtype,
        )

    def _deviation(self, its: Its[Any]) -> Iterable[Charge[Any]]:
        """Outside the tolerance about the set point: below it at one price, above it at another, per MWh."""
        at, under = self._set_points(its)
        if not under.any():
            return
        point = next(m.settlement_point for m, _ in meters_in(its.site, self.scope))
        share, amount, size, low_price, high_price = self._tolerance(its)
        one, zero = its.number(1), its.number(0)
        less = np.minimum((one - share) * at, at - amount)
        low = np.maximum(less, zero) * its.hours * under
        high = np.maximum((one + share) * at, at + amount) * its.hours * under
        price = its.energy_price(point)
        dear, cheap = np.maximum(price, size), -np.minimum(low_price, price) * high_price
        ways = [rule(self._rules, "ercot.set_point.side", on).value for on in days(its.grid, its.site.market)]
        mirrored = np.array([way == "mirrored" for way in ways])
        below, above = np.where(mirrored, dear, cheap) * under, np.where(mirrored, cheap, dear) * under
        load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)])
        usd = its.below(load, np.stack([low, high], axis=1), (below, below * zero, -above)) - below * low
        yield Charge("set_point_deviation", usd, "usd", its.during(None), self._cite(its, "ercot.set_point.side"), point)

    def _set_points(self, its: Its[Any]) -> tuple[Any, Any]:
        """The average set point, MW, and one where a set point stands over the whole interval."""
        at, covered = its.during(None) * its.number(0), its.during(None) * its.number(0)
        for call in its.calls_of(self.name):
            if call.kind is not CallKind.SET_POINT or call.mw_target is None:
                continue
            for t, over in enumerate(its.grid.intervals):
                if active(call, over):
                    end = over.end if call.end_at is None else min(over.end, call.end_at)
                    seconds = its.number((end - max(over.start, call.start_at)).total_seconds())
                    part = seconds / its.number((over.end - over.start).total_seconds())
                    at[t], covered[t] = at[t] + part * its.number(call.mw_target), covered[t] + part
        whole = covered >= its.number(0.999999)
        return at, np.where(whole, its.number(1), its.number(0))

    def _tolerance(self, its: Its[Any]) -> tuple[Any, ...]:
        words = ("share", "mw", "pr1_usd_per_mwh", "pr2_usd_per_mwh", "kp")
        found = [figures(self._rules, f"ercot.set_point.{word}", its.grid, its.site.market) for word in words]
        zero = its.during(None) * its.number(0)
        return tuple(zero + np.array([its.number(v) for v in values], dtype=zero.dtype) for values in found)

    def _cite(self, its: Its[Any], id_: str, last: bool = True) -> str:
        on = days(its.grid, its.site.market)[-1 if last else 0]
        return rule(self._rules, id_, on).cited if any(r.id == id_ and r.holds(on) for r in self._rules) else AWARDED

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def shape(self, program: Program) -> None:
        """Reserve kept ready, then its money and its deployments."""
        kept: dict[str, Any] = {product: self._product(program, product) for product in self.products}
        ups = [mw for product, mw in kept.items() if product not in DOWN]
        downs = [mw for product, mw in kept.items() if product in DOWN]
        names = self.scope.names(program.site)
        if ups:
            up_pool(program, self.name, names, program.sum(ups), np.maximum(self.lpc_mw, self._floor_mw(program)))
        if downs:
            down_pool(program, self.name, names, program.sum(downs), self.mpc_mw, self._response_min(program, DOWN[0]))
        for product, mw in kept.items():
            program.offers[(self.name, product)] = mw
            if self.hold == "firm":
                promised, _ = program.awarded(self.name, product, DAY_AHEAD)
                program.at_least(f"award {self.name} {product}", mw, promised, Yields.CAPACITY)
        self._before_awards(program, kept)
        super().shape(program)

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
        mw = program.column(f"reserve {self.name} {product}", upper=most)
        program.weigh(mw * (IDLE_USD_PER_MW_H * program.hours))
        if self.block is not None:
            self._all_or_nothing(program, product, mw, self.block)
        return mw

    def _all_or_nothing(self, program: Program, product: str, mw: Any, block: Block) -> None:
        """At least the block's minimum or nothing, and the same over each of its spans."""
        most = sum(program.group_load_mw(g).range(program.lower, program.upper)[1] for g in self.scope.names(program.site))
        sold = program.column(f"sold {self.name} {product}", upper=1.0, integer=True)
        program.row(f"least {self.name} {product}", mw - sold * block.min_mw, lower=0.0)
        program.row(f"most {self.name} {product}", mw - sold * most, upper=0.0)
        zone = program.site.market.tz
        starts = [over.start.astimezone(zone) for over in program.grid.intervals]
        spans = [(at.date(), at.hour // block.hours) for at in starts]
        same = np.array([False, *(a == b for a, b in zip(spans, spans[1:], strict=False))])
        program.row(f"span {self.name} {product}", mw - mw.lag(1), lower=0.0, upper=0.0, where=same)

    def _before_awards(self, program: Program, kept: Mapping[str, Any]) -> None:
        """Where failing to provide is charged there is no real-time price: what is still to be sold is weighed at the day-ahead price."""
        open_ = 1.0 - self._forward(program)
        if not open_.any():
            return
        for product, mw in kept.items():
            awarded, _ = program.awarded(self.name, product, DAY_AHEAD)
            worth = program.reserve_price(self.name, product) * program.hours * open_ * (awarded <= 0)
            program.weigh(mw * -worth)

    def _response_min(self, program: Program, product: str) -> Any:
        return np.array(figures(self._rules, f"ercot.as.{product}.response_min", program.grid, program.site.market))

    def _floor_mw(self, program: Program) -> Any:
        """A called floor that stands within the longest duration sold cannot be dropped below, MW."""
        calls = program.calls_of(self.name)
        floors = np.zeros(program.n)
        if not any(c.mw_target is not None for c in calls):
            return floors
        memory = program.so_far.memory.get(self.name, {})
        now = np.array([self.bounds(program.site, memory, calls, over).floor_mw for over in program.grid.intervals])
        market, start_s = program.site.market, program.grid.edges[:-1]
        longest = np.max([figures(self._rules, f"ercot.as.{p}.duration_h", program.grid, market) for p in self.products], axis=0)
        for t in range(program.n):
            ahead = (start_s >= start_s[t]) & (start_s < start_s[t] + longest[t] * 3600.0)
            floors[t] = now[ahead].max()
        return floors

    def shortfalls(self, program: Program, path: Trajectory) -> Iterable[Any]:
        """Awards a plan does not carry: megawatts, what buying them back costs, and the way out."""
        from optimizer.plan import Shortfall

        for product in self.products:
            promised, paid = program.awarded(self.name, product, DAY_AHEAD)
            kept = path.offers.get((self.name, product), np.zeros(program.n))
            short = np.maximum(0.0, promised - kept)
            if short.max(initial=0.0) <= KEPT_MW:
                continue
            price = np.where(self._forward(program) > 0, program.reserve_price(self.name, product), paid)
            hours = [
                over.start.astimezone(program.site.market.tz)
                for over, mw in zip(program.grid.intervals, short, strict=True)
                if mw > KEPT_MW
            ]
            usd = float((short * price * program.hours).sum())
            repair = f"buy {short.max():.3f} MW back, or have that much more awake from {hours[0]:%a %H:%M}"
            yield Shortfall(f"{self.name} {product}", float(short.max()), usd, repair)


AWARDED = "Capacity award at its market clearing price (ERCOT Nodal Protocols 4.6.4)"
