"""A wind or solar plant on the site's side of the meter: it makes what the weather gives, and reduces what is drawn; a surplus may be
exported, and what neither the site nor the line takes is curtailed.

    site cash = - p G - d (A - G)      G MWh made, A MWh it could have made, p price of a MWh made, d price of a MWh curtailed

What it saves is on no line of its own: `power` (or a block) settles the load at the meter net of G (decision 0013). What it can make is a
forecast while planning, and a measurement on a bill (`Outlook.available_mw`, `Actuals.available_mwh`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from optimizer.domain.actuals import Actuals
from optimizer.domain.behind_meter import BehindMeter
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.generator import DUST_MW, Generator
from optimizer.domain.money import UnknownCharge
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import NotNegative, Positive, Site
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory

GENERATED = "Energy made behind the meter, at the price its owner is paid for it (power purchase agreement)"
CURTAILED = "Energy that could have been made behind the meter and was not (power purchase agreement)"


class Renewable(BehindMeter):
    """A wind or solar plant behind a meter.

    mw                       most it can make
    usd_per_mwh              paid to its owner for each MWh made; below zero where each MWh made earns a credit
    curtailed_usd_per_mwh    paid to its owner for each MWh curtailed
    """

    type: ClassVar[str] = "renewable"
    charge_types: ClassVar[tuple[str, ...]] = ("generated", "curtailed")
    name: str = "renewable"
    mw: Positive
    usd_per_mwh: float = 0.0
    curtailed_usd_per_mwh: NotNegative = 0.0

    def generator(self, site: Site) -> Generator:
        """The plant as plan and bill know it: a MWh made costs its price less what it would cost curtailed."""
        marginal = self.usd_per_mwh - self.curtailed_usd_per_mwh
        return Generator(self.name, self.meter(site).id, self.mw, usd_per_mwh=marginal, variable=True)

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        always = its.during(None)
        yield Charge("generated", its.generated_mwh(self.name), "mwh", always * its.number(-self.usd_per_mwh), GENERATED)
        yield Charge("curtailed", its.curtailed_mwh(self.name), "mwh", always * its.number(-self.curtailed_usd_per_mwh), CURTAILED)

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        """Curtailed energy has a price, and what the plant could have made is not known."""
        curtailed = ActualQuantities.of(actuals).curtailed_mwh(self.name) if self.curtailed_usd_per_mwh else ()
        why = f"it is not known what {self.name} could have made"
        for n, (over, mwh) in enumerate(zip(actuals.grid.intervals, curtailed, strict=False)):
            if mwh.is_nan() and n not in actuals.gaps:
                yield UnknownCharge(self.name, "curtailed", over, "mwh", why, CURTAILED)

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        """What the plant makes and can make now, and for how long that is not known."""
        known, made, most = program.outlook.available_mw.get(self.name), path.generated_mw[self.name], program.machines[self.name].most_mw
        unknown = np.ones(program.n, dtype=bool) if known is None else np.isnan(known.onto(program.grid).values)
        if unknown.any():
            hours = float(program.hours[unknown].sum())
            yield f"what {self.name} can make is unknown for {hours:.4g} h of the plan, which counts on none of it there"
        if not unknown[0]:
            curtailed = f", {most[0] - made[0]:.3f} MW of it curtailed" if most[0] - made[0] > DUST_MW else ""
            yield f"{self.name} can make {most[0]:.3f} MW now{curtailed}"
