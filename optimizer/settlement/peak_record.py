"""How a site met the coincident peaks that its contracts charge by: for each metered interval the chance that the plan in force gave it,
what the site drew, what that would cost if the interval was the peak, and what was not earned because rigs slept for it. Pure.

What an interval costs is the contract's own formula, with the peak in it and without; nothing of it is billed. Market rules:
docs/rules.md#transmission-charges, docs/rules.md#capacity-in-miso.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from markets.grid import Grid, Interval, OperatingDay, parse_instant
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Floats
from optimizer.domain.billing import with_settling_contracts
from optimizer.domain.energy_bid_terms import settles_at
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.money import ZERO, decimals
from optimizer.domain.obligation import Obligation
from optimizer.domain.quantities import ActualQuantities
from optimizer.planning.plan_json import PlanDocument, window_name

CURTAILED_SHARE = 0.01  # of the load with every rig running: less not drawn is no curtailment
Plans = Sequence[tuple[datetime, PlanDocument]]


@dataclass(frozen=True, slots=True)
class FullLoad:
    """What the groups could have done in each interval, shape (n,): `energy_mwh` at the meter and `hash_ph_days` with every rig running,
    and `break_even`, usd_per_mwh, without what a peak may cost; NaN where it is not known."""

    energy_mwh: Mapping[str, Floats]
    hash_ph_days: Mapping[str, Floats]
    break_even: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class PeakInterval:
    """One metered interval under one contract; NaN where a figure is not known.

    chance           that the plan in force at its start gave it of being the peak, 0..1
    load_mw          what the contract's groups drew; `full_load_mw` with every rig running
    charge_usd       what that load costs if the interval is the peak, positive; `full_charge_usd` the same of the full load
    curtailed_hours  in which rigs slept that the energy price alone would have run, because of what the peak may cost
    curtailed_mwh    not drawn in them; `hash_usd` is the hash revenue given up, before the pool's fee, `margin_usd` what of it the energy
                     and other charges would have left
    """

    contract: str
    window: PeakWindow
    over: Interval
    chance: float
    load_mw: float
    full_load_mw: float
    charge_usd: float
    full_charge_usd: float
    curtailed_hours: float
    curtailed_mwh: float
    hash_usd: float
    margin_usd: float


def peak_intervals(book: Sequence[Obligation], actuals: Actuals, full: FullLoad, plans: Plans) -> list[PeakInterval]:
    """Every metered interval in which a contract charges by a coincident peak, contract by contract in order of time. `plans` are PLAN with
    the instant from which it was in force, in order of time."""
    ran_full = replace(actuals, energy_mwh={**actuals.energy_mwh, **{name: decimals(mwh) for name, mwh in full.energy_mwh.items()}})
    found: list[PeakInterval] = []
    faults = PluginFailures()
    for contract, window in [(o, window) for o in book for window in o.peak_windows()]:
        with faults.of(contract):  # what a plug-in raises is named where it is billed
            charge, at_full = (_usd_if_peak(book, contract, window, of) for of in (actuals, ran_full))
            if np.any(at_full > 0):
                chance = planned_chances(actuals.grid, plans, window)
                found += _metered(_OneContract(book, contract, window, actuals, full, chance, charge, at_full))
    return found


def planned_chances(grid: Grid, plans: Plans, window: PeakWindow) -> Floats:
    """The share of the peak that plans expected in each interval, shape (n,), each as the plan in force at the start of its metered
    interval had it; NaN where none did."""
    step, out = _step_s(window), np.full(len(grid), np.nan)
    since = np.array([at.timestamp() for at, _ in plans])
    read: dict[int, tuple[Floats, Floats, Floats]] = {}
    for n, start in enumerate(grid.edges[:-1].tolist()):
        metered_from = start // step * step
        newest = int(np.searchsorted(since, metered_from, side="right")) - 1
        if newest >= 0:
            if newest not in read:
                read = {newest: _expected(plans[newest][1], window)}
            out[n] = _within(*read[newest], start, float(grid.edges[n + 1]))
    return out


def _expected(plan: PlanDocument, window: PeakWindow) -> tuple[Floats, Floats, Floats]:
    """Starts and ends of a plan's intervals in seconds, and the share of the peak in each, NaN where the plan has none."""
    name = window_name(window)
    starts, ends = (np.array([parse_instant(i[edge]).timestamp() for i in plan["intervals"]]) for edge in ("start", "end"))
    return starts, ends, np.array([i.get("peak_share", {}).get(name, np.nan) for i in plan["intervals"]])


def _within(starts: Floats, ends: Floats, shares: Floats, start: float, end: float) -> float:
    """The share of the peak that a plan expects in a stretch; NaN where the plan does not cover all of it."""
    inside = np.maximum(0.0, np.minimum(ends, end) - np.maximum(starts, start))
    if inside.sum() < end - start - 1.0:  # a plan begins at a whole second
        return float("nan")
    at = inside > 0
    return float((shares[at] * inside[at] / (ends[at] - starts[at])).sum())


def _usd_if_peak(book: Sequence[Obligation], contract: Obligation, window: PeakWindow, actuals: Actuals) -> Floats:
    """What each interval would cost under a contract if the whole peak that `window` measures was in it, usd, positive, shape (n,): its
    charges with the peak there less those without. NaN where the load is not known."""
    n, windows = len(actuals.grid), contract.peak_windows()

    def usd(share: Decimal) -> Any:
        its = ActualQuantities.of(replace(actuals, peak_share={each: [share if each == window else ZERO] * n for each in windows}))
        charges = (charge for charge in contract.charges(its) if not charge.over_period)
        return sum((charge.quantity * charge.rate for charge in charges), np.full(n, ZERO))

    actuals = with_settling_contracts(book, actuals)
    return np.array([float(value) for value in usd(ZERO) - usd(Decimal(1))])


@dataclass(frozen=True, slots=True)
class _OneContract:
    """A contract's figures in each settlement interval, shape (n,)."""

    book: Sequence[Obligation]
    contract: Obligation
    window: PeakWindow
    actuals: Actuals
    full: FullLoad
    chance: Floats
    charge: Floats
    full_charge: Floats

    @property
    def names(self) -> Sequence[str]:
        """The groups it charges."""
        return tuple(self.contract.scope.names(self.actuals.site))

    def curtailed(self) -> tuple[Floats, Floats, Floats]:
        """MWh not drawn because of the peak, hash revenue and margin given up, each shape (n,): of the groups that the energy price would
        have run, where what a MWh is expected to add to the charge exceeds what it would have earned."""
        actuals, hours = self.actuals, self.actuals.grid.hours
        mwh, hash_usd, margin_usd = (np.zeros(len(hours)) for _ in range(3))
        all_mwh = sum((self.full.energy_mwh[name] for name in self.names), np.zeros(len(hours)))
        per_mwh = np.nan_to_num(self.chance) * np.divide(self.full_charge, all_mwh, out=np.zeros(len(hours)), where=all_mwh > 0)
        hashprice, on = _floats(actuals.hashprice), OperatingDay.of(actuals.site.market, actuals.grid.start).on
        for name in self.names:
            meter = actuals.site.meter_of[name]
            gain = self.full.break_even[name] - _floats(actuals.energy_price[settles_at(self.book, actuals.site, name, on)])
            idle = np.maximum(0.0, self.full.energy_mwh[name] - _floats(actuals.energy_mwh[name]))
            unhashed = np.maximum(0.0, self.full.hash_ph_days[name] - _floats(actuals.hash_ph_days[name]))
            here = (gain > 0) & (per_mwh > gain) & (idle > CURTAILED_SHARE * self.full.energy_mwh[name]) & np.isfinite(unhashed)
            mwh += np.where(here, idle, 0.0)
            hash_usd += np.where(here, unhashed * hashprice, 0.0)
            margin_usd += np.where(here, idle * meter.loss_factor * gain, 0.0)
        return mwh, hash_usd, margin_usd

    def load_mw(self, energy_mwh: Mapping[str, Sequence[Decimal]] | Mapping[str, Floats]) -> Floats:
        """MW of its groups, shape (n,)."""
        hours = self.actuals.grid.hours
        return np.asarray(sum((_floats(energy_mwh[name]) for name in self.names), np.zeros(len(hours))) / hours)


def _metered(of: _OneContract) -> Iterable[PeakInterval]:
    """The settlement intervals of a contract brought together to those it is metered by; those in which nothing is charged are left out."""
    grid, step = of.actuals.grid, _step_s(of.window)
    metered_from = grid.edges[:-1] // step * step
    mwh, hash_usd, margin_usd = of.curtailed()
    load_mw, full_mw = of.load_mw(of.actuals.energy_mwh), of.load_mw(of.full.energy_mwh)
    for start in np.unique(metered_from).tolist():
        at = metered_from == start
        hours = grid.hours[at]
        if hours.sum() * 3600 < step - 1 or not np.any(of.full_charge[at] > 0):
            continue
        yield PeakInterval(
            contract=of.contract.name,
            window=of.window,
            over=Grid(np.array([start, start + step], dtype=np.int64)).over,
            chance=float(of.chance[at].sum()),
            load_mw=float(np.average(load_mw[at], weights=hours)),
            full_load_mw=float(np.average(full_mw[at], weights=hours)),
            charge_usd=float(np.average(of.charge[at], weights=hours)),
            full_charge_usd=float(np.average(of.full_charge[at], weights=hours)),
            curtailed_hours=float(hours[mwh[at] > 0].sum()),
            curtailed_mwh=float(mwh[at].sum()),
            hash_usd=float(hash_usd[at].sum()),
            margin_usd=float(margin_usd[at].sum()),
        )


def _floats(values: Sequence[Decimal] | Floats) -> Floats:
    return np.array([float(value) for value in values])


def _step_s(window: PeakWindow) -> int:
    """Seconds of a metered interval."""
    return 60 * (window[0] if isinstance(window, tuple) else window)
