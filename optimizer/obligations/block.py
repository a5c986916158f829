"""Fixed megawatts at a fixed price (a block); what is not used is sold back at the real-time price.

    site cash = - B h F + (B h - L) p - L adders        B block MW, h hours, F its price, L net load in MWh as billed, p real-time price

A block settles the energy of its scope itself: the difference between block and load, bought or sold at p (`block_settlement`), beside
its own price (`block_cost`). `power` then charges only its adders there. The sum is the same as index energy for all of the load plus
B h (p - F), a constant, so at the full real-time price a block never decides when to stop (docs/rules.md, Blocks). Of several
blocks over the same load one settles the load and the others are differences to their price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from markets.grid import Interval, utc
from optimizer.domain.array_types import larger, smaller
from optimizer.domain.billed_quantity import BilledQuantity
from optimizer.domain.contract import Contract
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.money import ZERO
from optimizer.domain.net_load import billed_mwh, generated_behind, meters_fully_in
from optimizer.domain.site import NotNegative, Positive, Site, Written, meters_in

Instant = Annotated[datetime, AfterValidator(utc)]
COST = "Fixed-price block, take or pay (power purchase contract)"
SETTLEMENT = (
    "Block less metered load at the real-time settlement point price (ERCOT Nodal Protocols 6.6.3.2; sell-back as the contract says)"
)
ALWAYS = Interval(datetime.fromisoformat("1970-01-01T00:00:00+00:00"), datetime.fromisoformat("9999-01-01T00:00:00+00:00"))


class SellBack(Written):
    """How unused megawatts are sold: at the real-time price less a haircut, up to a cap; what is beyond the cap earns nothing."""

    haircut_usd_per_mwh: NotNegative = 0.0
    cap_mw: NotNegative = 1e9


class Block(Contract):
    """A fixed block.

    mw             at the settlement point, losses included
    usd_per_mwh    paid for every MWh of the block, used or not
    sell_back      None: what is not used is lost
    min_take_mw    of the block, used or lost: no more than the rest is sold back
    from, to       when it holds; open when left out
    """

    type: ClassVar[str] = "block"
    charge_types: ClassVar[tuple[str, ...]] = ("block_cost", "block_settlement")
    name: str = "block"
    mw: Positive
    usd_per_mwh: float
    sell_back: SellBack | None = SellBack()
    min_take_mw: NotNegative = 0.0
    from_: Instant | None = Field(default=None, alias="from")
    to: Instant | None = None
    settlement_point: str | None = None
    rule: str = SETTLEMENT

    @model_validator(mode="after")
    def _in_order(self) -> Block:
        if self.from_ and self.to and self.to <= self.from_:
            raise ValueError(f"to {self.to.isoformat()} is not after from {self.from_.isoformat()}")
        if self.min_take_mw > self.mw:
            raise ValueError(f"min_take_mw {self.min_take_mw:g} is more than the block's {self.mw:g} MW")
        return self

    @cached_property
    def over(self) -> Interval | None:
        """When it holds; None is always."""
        if self.from_ is None and self.to is None:
            return None
        return Interval(self.from_ or ALWAYS.start, self.to or ALWAYS.end)

    @property
    def at_full_price(self) -> bool:
        """All that is left over sells at the real-time price itself, negative prices included: then the block is linear."""
        return self.sell_back is not None and not self.sell_back.haircut_usd_per_mwh and self._sellable_mw >= self.mw

    @property
    def _sellable_mw(self) -> float:
        """The most that is sold back."""
        return min(self.sell_back.cap_mw, self.mw - self.min_take_mw) if self.sell_back else 0.0

    def settles_energy(self, site: Site) -> Mapping[str, Interval | None]:
        """All of its scope, when that sits at the settlement point the block is sold at; what is generated behind its meters as well."""
        point = self._point(site)
        here = point is not None and self.settlement_point in (None, point)
        made = [generated_behind(meter.id) for meter in meters_fully_in(site, self.scope)]
        return dict.fromkeys([*self.scope.names(site), *made], self.over) if here else {}

    def settlement_points(self, site: Site) -> tuple[str, ...]:
        return (self._sold_at(site),)

    def _sold_at(self, site: Site) -> str:
        """Its own settlement point, or its scope's, or the site's where the scope has several."""
        return self.settlement_point or self._point(site) or site.settlement_point

    def service(self) -> str:
        """Selling back is following the price."""
        return "sell-back" if self.sell_back is not None else ""

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        during = its.during(self.over)
        block = during * its.hours * its.number(self.mw)
        nothing = its.sum([])
        yield Charge("block_cost", nothing + block, "mwh", its.during(None) * its.number(-self.usd_per_mwh), COST)
        point = self._sold_at(its.site)
        price = its.energy_price(point)
        load, taken = self._load(its, during)
        if self.at_full_price:
            yield Charge("block_settlement", nothing + block - taken, "mwh", price, self.rule, point)
            return
        yield Charge(
            "block_settlement", self._sold(its, block, load, price) + (load - taken) * price, "usd", its.during(None), self.rule, point
        )

    def billed_quantities(self, its: Quantities[Any]) -> Iterable[BilledQuantity]:
        during = its.during(self.over)
        price = its.energy_price(self._sold_at(its.site))
        load, _ = self._load(its, during)
        block = during * its.hours * its.number(self.mw)
        left = larger(block - larger(load, its.number(0)), its.number(0))
        most = during * its.hours * its.number(self._sellable_mw)
        terms = self.sell_back or SellBack()
        at = price if self.at_full_price else larger(price - its.number(terms.haircut_usd_per_mwh), its.number(0))
        sold = smaller(left, most)
        known = np.array([not (mwh.is_nan() or usd.is_nan()) for mwh, usd in zip(load, at, strict=True)])
        for name, quantity, unit, how in (
            ("block", block, "mwh", "of the block, while it holds"),
            ("used", block - left, "mwh", "of the block, drawn by its scope with losses"),
            ("sold back", sold, "mwh", "not used, up to what the contract buys back"),
            ("power credits", sold * at, "usd", "what was sold back, at the real-time price less the contract's haircut"),
        ):
            yield BilledQuantity(name, sum(quantity[known], ZERO), unit, how)

    def _sold(self, its: Quantities[Any], block: Any, load: Any, price: Any) -> Any:
        """Dollars of buying above the block and selling below it. Selling is a right: a haircut above the price sells nothing."""
        terms = self.sell_back or SellBack()
        net = larger(price - its.number(terms.haircut_usd_per_mwh), its.number(0))
        sellable = its.during(self.over) * its.hours * its.number(self._sellable_mw)
        knots = np.stack([block - sellable, block], axis=1)
        return its.below(load, knots, (price * its.number(0), -net, -price)) + sellable * net

    def _load(self, its: Quantities[Any], during: Any) -> tuple[Any, Any]:
        """Net load of the scope with losses while the block holds: all of it, and the part this block settles, MWh."""
        loads, taken = [], []
        for meter, groups in meters_in(its.site, self.scope):
            loads.append(billed_mwh(its, meter, groups) * during)
            taken.append(billed_mwh(its, meter, groups, lambda name: its.settled_by(self.name, name)))
        return its.sum(loads), its.sum(taken)

    def _point(self, site: Site) -> str | None:
        """The one settlement point of its scope; None when there are several."""
        points = {meter.settlement_point for meter, _ in meters_in(site, self.scope)}
        return points.pop() if len(points) == 1 else None
