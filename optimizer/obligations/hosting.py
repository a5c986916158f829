"""Hosting: a tenant's rigs on the site's power. The tenant keeps what they hash; the site is paid for power and promises uptime.

    receipts   E (f + p)       while p is under the tenant's strike     E metered MWh with losses, f fee, p energy price when passed through
    credit     s c             s MWh under the promise over a month, c credit

Above the strike the tenant wants its rigs off and pays for nothing: running them there is at the site's cost, so the plan stops them by
itself, and these hours are not promised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import model_validator

from markets.grid import Interval, OperatingDay, months
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Ints
from optimizer.domain.contract import Contract
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.load_and_price_limits import StopPrice
from optimizer.domain.memory import PeriodMemory
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import Fraction, NotNegative, Positive, Site, meters_in
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory, value_lines

UPTIME_CREDIT = "uptime_credit"
FEE = "Hosting fee per metered MWh, losses included, while the price is under the tenant's strike (hosting agreement)"
PASSED = "Energy passed through at the settlement point's real-time price, losses included, under the tenant's strike (hosting agreement)"
SHARE = "Share of the tenant's hashing at hashprice (hosting agreement)"
UPTIME = "Uptime credit: promised less metered MWh of the calendar month (hosting agreement)"


@dataclass(frozen=True, slots=True, kw_only=True)
class UptimeMemory(PeriodMemory):
    """What ran and what was promised of the calendar month so far, MWh."""

    run_mwh: float = 0.0
    promised_mwh: float = 0.0


class Hosting(Contract[UptimeMemory]):
    """A hosting agreement. Its scope is the tenant's: `scope = { tenant = "..." }`.

    usd_per_mwh             fee on every metered MWh: the whole price, or the margin on top of `pass_through`
    pass_through            the tenant pays the energy price as well
    strike_usd_per_mwh      the tenant runs below this energy price only
    hash_share              the site's share of what the tenant hashes
    uptime                  promised share of `mw` over a calendar month
    mw                      contracted load at the meter; all rigs in their full mode unless told
    credit_usd_per_mwh      owed on each MWh under the promise
    """

    type: ClassVar[str] = "hosting"
    charge_types: ClassVar[tuple[str, ...]] = ("hosting_fee", "power_passed_through", "hash_share", "uptime_credit")
    memory_type = UptimeMemory
    name: str = "hosting"
    usd_per_mwh: NotNegative = 0.0
    pass_through: bool = False
    strike_usd_per_mwh: float | None = None
    hash_share: Fraction = 0.0
    uptime: Fraction = 0.0
    mw: Positive | None = None
    credit_usd_per_mwh: NotNegative = 0.0

    @model_validator(mode="after")
    def _makes_sense(self) -> Hosting:
        if self.scope.tenant is None and self.scope.groups is None:
            raise ValueError('needs a tenant: scope = { tenant = "..." }')
        if bool(self.uptime) != bool(self.credit_usd_per_mwh):
            raise ValueError("uptime and credit_usd_per_mwh need each other: a promise without a price has no effect")
        return self

    def tenant(self, site: Site) -> str | None:
        """The tenant of its rigs; None when they are of several."""
        tenants = {site.group(name).tenant for name in self.scope.names(site)}
        return tenants.pop() if len(tenants) == 1 else None

    def settles_hash(self, site: Site) -> Mapping[str, Interval | None]:
        """The tenant's rigs hash for the tenant."""
        return dict.fromkeys(self.scope.names(site), None)

    def stop_prices(self, site: Site) -> Mapping[str, StopPrice]:
        """By group: the energy price the tenant stops at, and whether that alone decides, the price being passed through."""
        strike = float("inf") if self.strike_usd_per_mwh is None else self.strike_usd_per_mwh
        return dict.fromkeys(self.scope.names(site), StopPrice(strike, self.pass_through))

    def service(self) -> str:
        """A tenant with a strike follows the price."""
        return "strike" if self.strike_usd_per_mwh is not None else ""

    def protects_uptime(self) -> bool:
        return self.uptime > 0

    def memory_days(self) -> int:
        """How far back its memory may reach."""
        return 31 if self.uptime else 0

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        for meter, groups in meters_in(its.site, self.scope):
            price = its.energy_price(meter.settlement_point)
            wanted = self._wanted(its, price)
            load = its.sum([its.energy_mwh(name) for name in groups]) * its.number(meter.loss_factor)
            if self.usd_per_mwh:
                yield Charge("hosting_fee", load, "mwh", wanted * its.number(self.usd_per_mwh), FEE, meter=meter.id)
            if self.pass_through:
                yield Charge("power_passed_through", load, "mwh", wanted * price, PASSED, meter.settlement_point, meter=meter.id)
        if self.hash_share:
            hashed = its.sum([its.hash_ph_days(name) for name in self.scope.names(its.site)])
            yield Charge("hash_share", hashed, "ph_day", its.hashprice() * its.number(self.hash_share), SHARE)
        if self.uptime:
            month = months(its.site.market, its.grid)
            known = self.memory_from(its.memories).of_period(int(month[0]))
            missing = its.short(*self._run_and_promised(its, month), (known.run_mwh, known.promised_mwh))
            yield Charge(UPTIME_CREDIT, missing, "mwh", its.during(None) * its.number(-self.credit_usd_per_mwh), UPTIME, over_period=True)

    def remember(self, memory: UptimeMemory, then: Actuals) -> UptimeMemory:
        """Its memory after a stretch of time: what ran and what was promised of the month that the stretch ends in."""
        its = ActualQuantities.of(then)
        month = months(its.site.market, its.grid)
        last = int(month[-1])
        run, _, promised = self._run_and_promised(its, month)
        pairs = [(float(r), float(p)) for r, p, m in zip(run, promised, month, strict=True) if m == last and r == r and p == p]
        before = memory.of_period(last)
        return replace(
            memory,
            period=last,
            run_mwh=before.run_mwh + sum(r for r, _ in pairs),
            promised_mwh=before.promised_mwh + sum(p for _, p in pairs),
        )

    def progress(self, memory: UptimeMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        """Uptime of the month so far, of what was promised of it."""
        promised, month = memory.promised_mwh, f"{day.on:%B %Y}"
        if promised:
            run = memory.run_mwh
            how = f"of contracted MWh in {month}, hours above the tenant's strike left out; {100 * self.uptime:g} % promised"
            yield ContractProgress(f"{self.name}: uptime so far", 100 * self.uptime * run / promised, "%", how)
            yield ContractProgress(
                f"{self.name}: missing so far", max(0.0, promised - run), "MWh", f"of {promised:.6g} MWh promised in {month}"
            )

    def shortfall_usd(self, program: Program, path: Trajectory, short_mw: Any) -> float:
        """The uptime credit of a called floor that is missed; a cap that is missed costs a tenant nothing."""
        memory = self.memory_from(program.memories)
        calls = program.calls_of(self.name)
        floor = np.array([self.bounds(program.site, memory, calls, over).floor_mw for over in program.grid.intervals])
        load = sum((path.group_load_mw[name] for name in self.scope.names(program.site)), np.zeros(program.n))
        missed_mwh = float((np.where(load < floor, short_mw, 0.0) * program.hours).sum())
        owed = value_lines([self], program, path).get((self.name, UPTIME_CREDIT), np.zeros(1))
        return min(missed_mwh * self.credit_usd_per_mwh, -float(owed.sum()))

    def _run_and_promised(self, its: Quantities[Any], month: Ints) -> tuple[Any, Ints, Any]:
        """Metered and promised MWh in the hours the tenant wants, with the months they count in."""
        run, promised = [], its.during(None) * its.number(0)
        for meter, groups in meters_in(its.site, self.scope):
            wanted = self._wanted(its, its.energy_price(meter.settlement_point))
            run.append(its.sum([its.energy_mwh(name) for name in groups]) * wanted)
            promised = promised + its.hours * wanted * its.number(self._share_mw(its.site, groups) * self.uptime)
        return its.sum(run), month, promised

    def _wanted(self, its: Quantities[Any], price: Any) -> Any:
        """One where the tenant wants to run, zero above its strike; a price that is missing is no strike."""
        if self.strike_usd_per_mwh is None:
            return its.during(None)
        strike, kind = its.number(self.strike_usd_per_mwh), np.asarray(price).dtype
        return np.array([its.number(0) if usd == usd and usd >= strike else its.number(1) for usd in price], dtype=kind)

    def _share_mw(self, site: Site, groups: tuple[str, ...]) -> float:
        """Contracted megawatts behind one meter: `mw` by the rigs' full load."""
        full = {name: site.group(name).rigs * site.group(name).full.watts / 1e6 for name in self.scope.names(site)}
        here = sum(full[name] for name in groups)
        whole = sum(full.values())
        return here if self.mw is None else self.mw * here / whole if whole else 0.0
