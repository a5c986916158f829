"""Power: index energy at each meter's settlement point, losses included, and the adders on every MWh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from optimizer.contract import Contract
from optimizer.obligations import Charge, Its, meters_in

RULE = "Metered load x loss factor at the settlement point's real-time price (ERCOT Nodal Protocols 6.6.3.2, load at the load zone price)"
ADDERS = "Supplier's volumetric charges per MWh, losses included (retail contract)"


class Power(Contract):
    """What the supplier charges for metered energy. Energy that another contract of the book settles is left to that one.

    adders_usd_per_mwh   volumetric charges: supplier's fee, administration, delivery
    """

    type: ClassVar[str] = "power"
    name: str = "power"
    adders_usd_per_mwh: float = 0.0
    rule: str = RULE

    def charges(self, its: Its[Any]) -> Iterable[Charge[Any]]:
        for meter, groups in meters_in(its.site, self.scope):
            losses = its.number(meter.loss_factor)
            here = [its.energy_mwh(name) * (its.number(1) - its.settled_apart(name)) for name in groups]
            yield Charge(
                "energy", its.sum(here) * losses, "mwh", -its.energy_price(meter.settlement_point), self.rule, meter.settlement_point
            )
            if self.adders_usd_per_mwh:
                metered = its.sum([its.energy_mwh(name) for name in groups]) * losses
                yield Charge("adders", metered, "mwh", its.during(None) * its.number(-self.adders_usd_per_mwh), ADDERS)
