"""Index power: energy at each meter's settlement point, losses included, what was bought of it a day ahead, and the adders on every MWh.

    site cash = - N p - a max(0, N) - x max(0, -N) + Q (p' - d)

    N   net load: what the rigs draw less what is generated behind the meter. What is drawn is multiplied by the loss factor; below zero
        it flows out, as it is
    p   price at the meter's settlement point: real time, or the tariff's
    a   adders on what is drawn; x haircut on what is exported
    Q   MWh bought a day ahead at d, sold back at p', the real-time price where the purchase settles

A purchase settles at the load zone (LZ_WEST), metered load in ERCOT at the energy-weighted one (LZ_WEST_EW): two points, two lines. Where
both are one point, the deviation is one line, as MISO prints it.

Market rules: docs/rules.md#energy-in-ercot, docs/rules.md#miso-prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from markets.grid import Market
from optimizer.domain.award_terms import AwardTerms
from optimizer.domain.contract import Contract
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.net_load import billed_mwh, meters_fully_in, most_exported_mwh, net_mwh
from optimizer.domain.reserve_awards import DAY_AHEAD, ENERGY
from optimizer.domain.site import Meter, NotNegative, Site, meters_in

RULES = {
    Market.ERCOT: (
        "Metered load x loss factor at the settlement point's real-time price (ERCOT Nodal Protocols 6.6.3.2, load at the load zone price)"
    ),
    Market.MISO: "Metered load x loss factor at the ex-post final real-time LMP, less what was bought day-ahead (MISO BPM-005)",
    Market.TARIFF: "Metered load x loss factor at the tariff's energy charge of the hour",
}
ADDERS = "Supplier's volumetric charges per MWh, losses included (retail contract)"
BOUGHT = "Energy bought day-ahead at the day-ahead price (ERCOT Nodal Protocols 4.6.2.1; MISO BPM-005)"
RETURNED = "Energy bought day-ahead, at the real-time price where the purchase settles (ERCOT Nodal Protocols 6.6.3.2)"
EXPORTED = "Haircut on energy that flows out at the meter (export agreement)"


class Power(Contract):
    """What the supplier charges for metered energy, net of what is generated behind the meter. Energy that another contract of the book
    settles is left to that one.

    adders_usd_per_mwh           volumetric charges on what is drawn: supplier's fee, administration, delivery
    export_haircut_usd_per_mwh   taken off the price of what flows out
    settlement_point             where day-ahead purchases (awards of product ENERGY) settle; the first meter's unless told
    """

    type: ClassVar[str] = "power"
    charge_types: ClassVar[tuple[str, ...]] = ("energy", "day_ahead", "day_ahead_return", "adders", "export_haircut")
    name: str = "power"
    adders_usd_per_mwh: float = 0.0
    export_haircut_usd_per_mwh: NotNegative = 0.0
    settlement_point: str | None = None
    rule: str | None = None

    def settlement_points(self, site: Site) -> tuple[str, ...]:
        return (self.settlement_point,) if self.settlement_point else ()

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        """Energy bought a day ahead, at most what the site can draw with its losses."""
        meters = meters_in(site, self.scope)
        if not meters:
            return {}
        most_mw = site.interconnect_mw * max(meter.loss_factor for meter, _ in meters)
        point = self.settlement_point or meters[0][0].settlement_point
        return {ENERGY: AwardTerms((DAY_AHEAD,), most_mw, "the site's interconnect with its losses", point)}

    def settles_generation(self, site: Site) -> tuple[str, ...]:
        """Behind the meters that its scope holds every group of."""
        return tuple(meter.id for meter in meters_fully_in(site, self.scope))

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        meters = meters_in(its.site, self.scope)
        bought_mw, price = its.awarded(self.name, ENERGY, DAY_AHEAD)
        purchased = bool(np.any(bought_mw != its.number(0)))
        at_meter = bool(meters) and self.settlement_point in (None, meters[0][0].settlement_point)
        for meter, groups in meters:
            here = billed_mwh(its, meter, groups, lambda name: self._left(its, name))
            if purchased and at_meter and meter == meters[0][0]:
                here = here - bought_mw * its.hours
            rule = self.rule or RULES[its.site.market]
            yield Charge("energy", here, "mwh", -its.energy_price(meter.settlement_point), rule, meter.settlement_point, meter=meter.id)
            yield from self._on_what_flows(its, meter, groups)
        if purchased:
            bought = its.sum([]) + bought_mw * its.hours
            yield Charge("day_ahead", bought, "mwh", -price, BOUGHT)
            if not at_meter:
                point = self.settlement_point or ""
                yield Charge("day_ahead_return", bought, "mwh", its.energy_price(point), RETURNED, point)

    def _left(self, its: Quantities[Any], name: str) -> Any:
        """The share that no other contract settles."""
        return its.number(1) - its.settled_apart(name)

    def _on_what_flows(self, its: Quantities[Any], meter: Meter, groups: tuple[str, ...]) -> Iterable[Charge[Any]]:
        """Adders on what is drawn, the haircut on what flows out: of all energy, whoever settles it."""
        losses, adders = its.number(meter.loss_factor), its.number(self.adders_usd_per_mwh)
        flows, one, room = net_mwh(its, meter, groups), its.during(None), most_exported_mwh(its, meter)
        if room is None:
            if self.adders_usd_per_mwh:
                yield Charge("adders", flows * losses, "mwh", one * -adders, ADDERS, meter=meter.id)
            return
        # Counted from the most that can flow out: in the first stretch energy flows out, in the second it is drawn.
        knots, nothing = np.stack([room], axis=1), one * its.number(0)
        if self.adders_usd_per_mwh:
            yield Charge("adders", its.below(flows + room, knots, (nothing, one * losses * -adders)), "usd", one, ADDERS, meter=meter.id)
        if self.export_haircut_usd_per_mwh:
            haircut = its.number(self.export_haircut_usd_per_mwh)
            kept = its.below(flows + room, knots, (one * haircut, nothing))
            yield Charge("export_haircut", kept - room * haircut, "usd", one, EXPORTED, meter=meter.id)
