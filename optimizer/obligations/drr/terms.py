"""The terms of a demand response resource: what it sells, at what offer, and what calls dispatch of it (MISO Tariff 40.3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from pydantic import Field, model_validator

from markets.facts import Call, CallKind
from markets.grid import Interval
from optimizer.domain.award_terms import reserves_fault
from optimizer.domain.contract import Contract
from optimizer.domain.deployments import share
from optimizer.domain.formula import Quantities
from optimizer.domain.market_rules import figures, rule
from optimizer.domain.site import NotNegative, Positive, Site, meters_in
from optimizer.obligations.drr.memory import DrrMemory

Reserve = Literal["SPIN", "SUPP"]
CHARGE_TYPES = (
    *("drr_day_ahead", "drr_buy_back", "drr_energy", "drr_deviation", "drr_make_whole"),
    *(f"{product.lower()}_{kind}" for product in get_args(Reserve) for kind in ("day_ahead", "imbalance")),
)


class DrrTerms(Contract[DrrMemory]):
    """A demand response resource on a meter of its own.

    kind                       "I" or "II"
    mw                         the block, or the most that can be dispatched
    baseline_mw                registered baseline, where the market has not said another
    offer_usd_per_mwh          price it is offered at
    net_benefits_usd_per_mwh   the month's threshold, where it is known
    notice_min                 how long ahead MISO tells of a dispatch
    min_down_min               Type I: a dispatch lasts at least so long
    shutdown_usd               Type I: offered cost of each dispatch
    curtailment_usd_per_h      Type I: offered cost of each hour of a dispatch
    reserves, qualified_mw     reserve sold beside energy, and the most of each
    shed_s                     seconds until a rig told to sleep draws nothing
    """

    rule_prefixes: ClassVar[tuple[str, ...]] = ("miso.drr.", "miso.day_ahead_offers_due")
    memory_type = DrrMemory
    name: str = "drr"
    kind: Literal["I", "II"] = "I"
    mw: Positive
    baseline_mw: Positive
    offer_usd_per_mwh: NotNegative = 0.0
    net_benefits_usd_per_mwh: NotNegative | None = None
    notice_min: NotNegative = 30.0
    min_down_min: NotNegative = 0.0
    shutdown_usd: NotNegative = 0.0
    curtailment_usd_per_h: NotNegative = 0.0
    reserves: tuple[Reserve, ...] = ()
    qualified_mw: Mapping[Reserve, NotNegative] = Field(default_factory=dict)
    shed_s: NotNegative = 60.0

    @model_validator(mode="after")
    def _whole(self) -> DrrTerms:
        if self.mw > self.baseline_mw:
            raise ValueError("mw is more than baseline_mw: nobody can drop more than the baseline")
        for key in ("min_down_min", "shutdown_usd", "curtailment_usd_per_h"):
            if self.kind == "II" and getattr(self, key):
                raise ValueError(f"{key} does not apply to Type II: only a block has it")
        if fault := reserves_fault(self.reserves, tuple(self.qualified_mw)):
            raise ValueError(fault)
        return self

    def has_costs(self) -> bool:
        """Whether it is a block that offers a cost, which MISO makes whole."""
        return self.kind == "I" and bool(self.offer_usd_per_mwh or self.shutdown_usd or self.curtailment_usd_per_h)

    def figure(self, word: str, on: date) -> float:
        """A rule's figure on an operating day."""
        return float(rule(self._rules, f"miso.drr.{word}", on).value)

    def cited(self, word: str, on: date) -> str:
        """How a line names a rule."""
        return rule(self._rules, f"miso.drr.{word}", on).cited

    def point(self, site: Site) -> str:
        """The settlement point of its meter."""
        return next(m.settlement_point for m, _ in meters_in(site, self.scope))

    def figures(self, its: Quantities[Any], word: str) -> list[float]:
        """A rule's figure in each interval."""
        return figures(self._rules, f"miso.drr.{word}", its.grid, its.site.market)

    def threshold(self, its: Quantities[Any]) -> list[float]:
        """The net benefits price of each interval."""
        own = self.net_benefits_usd_per_mwh
        return self.figures(its, "net_benefits_usd_per_mwh") if own is None else [own] * len(its.grid)

    def called(self, its: Quantities[Any]) -> Any:
        """MW that calls dispatch in each interval."""
        mw = its.during(None) * its.number(0)
        for call in its.calls_of(self.name):
            end = its.grid.end if call.end_at is None else min(call.end_at, its.grid.end)
            if call.kind is CallKind.DEPLOY and end > call.start_at:
                over = Interval(call.start_at.replace(microsecond=0), end)
                mw = np.maximum(mw, share(its, [over]) * its.number(self.mw_of(call)))
        return mw

    def mw_of(self, call: Call) -> float:
        """MW of reduction that a call dispatches."""
        if self.kind == "I":
            return self.mw
        said = call.mw_cap if call.mw_cap is not None else call.mw_target
        return abs(call.mw_delta) if call.mw_delta is not None else max(0.0, self.baseline_mw - (said or 0.0))
