"""The terms of ancillary services: what a load may sell, what was registered of it, and by when it must respond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from markets.grid import Market, OperatingDay
from optimizer.domain.award_terms import AwardTerms, reserve_terms
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.contract import Contract
from optimizer.domain.energy_bid_terms import EnergyBidTerms
from optimizer.domain.market_rules import Dated, rule
from optimizer.domain.net_load import generated_behind, meters_fully_in
from optimizer.domain.obligation import Book, Taken
from optimizer.domain.reserve_awards import SUPPLEMENTAL
from optimizer.domain.site import NotNegative, Positive, Site, meters_in
from optimizer.domain.site_fault import SiteFault
from optimizer.obligations.ancillary.blocks import ReserveBlock, ReserveMemory
from optimizer.obligations.ancillary.controllable import BARRED, BID, SETTLES_AT, Provisional, at_node, provisional_rule
from optimizer.obligations.ancillary.products import Product, product_fault


class AncillaryTerms(Contract[ReserveMemory]):
    """Reserve sold to ERCOT, on a meter of its own.

    kind                     "clr": a controllable load; "nclr": one that is interrupted in blocks, on instruction or by a relay
    products, qualified_mw   what it may sell, and the most of each, MW; what is not in `qualified_mw` is sold up to the load
    lpc_mw, mpc_mw           least and most the load may be dispatched to; nothing and everything unless told
    shed_s                   seconds until a rig told to sleep draws nothing (measured, p99)
    ramp_mw_per_min          as telemetered; none: the load drops in `shed_s`
    hold                     "economic": an award is bought back when that pays; "firm": it is carried before every price
    block                    nclr: its blocks, and what was registered of it
    relay                    a frequency relay is armed: RRSFFR and RRSUFR need one; Loadstone trips nothing
    node                     clr: its resource node, where its energy settles from the day on which the rules say so
    provisional              clr: connected before its transmission is there: sells no reserve until its exit date
    """

    rule_prefixes: ClassVar[tuple[str, ...]] = (
        "ercot.as.", "ercot.set_point.", "ercot.nclr.", "ercot.clr.", "ercot.pclr.", "ercot.day_ahead_offers_due",
    )  # fmt: skip
    memory_type = ReserveMemory
    name: str = "ancillary"
    kind: Literal["clr", "nclr"] = "clr"
    products: tuple[Product, ...] = Field(min_length=1)
    qualified_mw: Mapping[Product, NotNegative] = Field(default_factory=dict)
    lpc_mw: NotNegative = 0.0
    mpc_mw: Positive | None = None
    shed_s: NotNegative = 60.0
    ramp_mw_per_min: Positive | None = None
    hold: Literal["economic", "firm"] = "economic"
    block: ReserveBlock | None = None
    relay: bool = False
    node: str | None = Field(default=None, min_length=1)
    provisional: Provisional | None = None

    @model_validator(mode="after")
    def _whole(self) -> AncillaryTerms:
        if fault := product_fault(self.kind, self.products, tuple(self.qualified_mw), self.relay):
            raise ValueError(fault)
        if (self.kind == "nclr") != (self.block is not None):
            raise ValueError("a block is what a load of kind 'nclr' sells: the one needs the other")
        if self.mpc_mw is not None and self.mpc_mw < self.lpc_mw:
            raise ValueError("mpc_mw must be at least lpc_mw")
        if self.kind != "clr" and (self.node is not None or self.provisional is not None):
            raise ValueError("node and provisional are of a load of kind 'clr': one that is interrupted in blocks is not dispatched")
        if self.provisional is not None and self.lpc_mw > self.provisional.study_mw:
            raise ValueError(
                f"lpc_mw {self.lpc_mw:g} is more than provisional.study_mw {self.provisional.study_mw:g}: the low power consumption of a "
                "provisional load is at most the study's level (ERCOT NPRR1325)"
            )
        return self

    def is_bound_by(self, rule_id: str) -> bool:
        """By the rules of nodal settlement and of provisional loads only where it is one."""
        own = {SETTLES_AT: self.node is not None, BARRED: self.provisional is not None, BID: self.provisional is not None}
        return super().is_bound_by(rule_id) and own.get(rule_id, True)

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        found = reserve_terms(site, self.scope, self.products, self.qualified_mw, SUPPLEMENTAL)
        return {p: replace(terms, floor_mw=self.lpc_mw, limited_by=self._limited_by(p, terms.most_mw)) for p, terms in found.items()}

    def settlement_points(self, site: Site) -> tuple[str, ...]:
        return (self.node,) if self.node else ()

    def settles_energy(self, site: Site) -> Taken:
        """Of a load with a node, its energy and what is made behind its meters: where that settles changes by date."""
        if self.node is None or not any(r.id == SETTLES_AT for r in self._rules):
            return {}
        made = [generated_behind(meter.id) for meter in meters_fully_in(site, self.scope)]
        return dict.fromkeys([*self.scope.names(site), *made])

    def energy_bid(self, on: date) -> EnergyBidTerms:
        during = at_node(self._rules, Market.ERCOT) if self.node else None
        here = self.node if during is not None and OperatingDay(Market.ERCOT, on).start in during else None
        capped = self.provisional is not None and provisional_rule(self._rules, self.provisional, BID, on) is not None
        return EnergyBidTerms(here, self.provisional.bid_cap_usd_per_mwh if self.provisional and capped else None)

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        """A node where its meter settles already, and a contract before it that would settle the same energy at another point."""
        if self.node is None:
            return
        for meter, _ in meters_in(site, self.scope):
            if meter.settlement_point == self.node:
                yield SiteFault(f"is where meter {meter.id!r} settles already: name the meter's load zone there", ("node",))
        own = self.settles_energy(site)
        for other in book:
            if other.name == self.name:
                return
            both = [name for name in other.settles_energy(site) if name in own]
            if both:
                text = f"{other.name!r} settles the energy of {', '.join(both)} before it: write {self.name!r} before {other.name!r}"
                yield SiteFault(f"{text} ({SETTLES_AT})", ("node",))

    def market(self) -> Market | None:
        return Market.ERCOT

    def service(self) -> str:
        return "ancillary"

    def excludes(self) -> Mapping[str, str]:
        return {"ancillary": "two contracts sell the reserve of the same rigs (ERCOT Nodal Protocols 3.16: a MW is sold once)"}

    def promised_mw(self) -> float:
        return max(self.qualified_mw.values(), default=0.0)

    def call_terms(self, on: date) -> CallTerms:
        """Within the shortest response time of its products, for as long as the longest lasts; a block within its band."""
        fastest = self._fastest_response(on)
        longest = max(float(rule(self._rules, f"ercot.as.{product}.duration_h", on).value) for product in self.products)
        low, high = self._band(on) if self.block is not None else (1.0, 0.0)
        return CallTerms(
            float(fastest.value),
            sustain_h=longest,
            missing_share=1.0 - low,
            excess_share=high - 1.0 if self.block is not None else None,
            set_points=self.kind == "clr",
            ramp_mw_per_min=self.ramp_mw_per_min,
            rule=fastest.cited,
        )

    def needs_own_meter(self) -> bool:
        return True

    def reserve_products(self) -> tuple[str, ...]:
        return self.products

    def memory_days(self) -> int:
        """A load that is interrupted is judged over a year."""
        return 365 if self.kind == "nclr" else 0

    def _limited_by(self, product: str, most_mw: float) -> str:
        """What may keep it from carrying `most_mw` of a product although its load is there, in words."""
        if self.block is not None:
            return "it is sold in blocks"
        response_min = min((float(r.value) for r in self._rules if r.id == f"ercot.as.{product}.response_min"), default=0.0)
        if self.shed_s > 60.0 * response_min:
            return f"shed_s {self.shed_s:g} is longer than the {response_min:g} minutes within which it must respond"
        if self.ramp_mw_per_min is not None and self.ramp_mw_per_min * response_min < most_mw:
            return f"ramp_mw_per_min {self.ramp_mw_per_min:g} allows less than {most_mw:.4g} MW within {response_min:g} minutes"
        return ""

    def _fastest_response(self, on: date) -> Dated:
        """The shortest response time of its products, minutes."""
        return min((rule(self._rules, f"ercot.as.{p}.response_min", on) for p in self.products), key=lambda found: float(found.value))

    def _band(self, on: date) -> tuple[float, float]:
        """The least and the most of an instruction that may be delivered, as shares of it."""
        return float(rule(self._rules, "ercot.nclr.band_low", on).value), float(rule(self._rules, "ercot.nclr.band_high", on).value)

    def _figure(self, id_: str, site: Site, at: datetime) -> Any:
        return rule(self._rules, id_, OperatingDay.of(site.market, at).on).value
