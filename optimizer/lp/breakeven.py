"""What a rig in a mode earns over sleeping, by the contracts' own formulas, and the energy price at which that is nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.other_charges import read_in_order
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import SLEEP, Mode, RigGroup, Site
from optimizer.lp.program import KILO, Program


def margin_usd(book: Sequence[Obligation], program: Program, group: RigGroup, mode: Mode) -> Floats:
    """Dollars an interval of a thousand rigs in `mode` instead of asleep, each as if it was the first on the site, shape (n,)."""
    prices = {point: series.values for point, series in program.outlook.energy.items()}
    return _alone(book, program, prices, group, mode, 1.0 / KILO) * KILO


def breakevens_usd_per_mwh(book: Sequence[Obligation], program: Program) -> dict[str, Floats]:
    """By group: the energy price in each interval at which its best mode and sleep earn the same, fee, overhead, losses and adders
    included, shape (n,): what it earns where energy is free, by MWh that settle. Infinite where running costs no energy."""
    free = {point: np.zeros(program.n) for point in program.outlook.energy}
    found = {}
    for group in program.site.groups:
        earned = _alone(book, program, free, group, group.full)
        mwh = _more_mw(program, group, group.full) * program.hours * program.site.meter_of[group.name].loss_factor
        mwh = mwh + _percentages_per_usd(book, program, group)
        found[group.name] = np.asarray(np.divide(earned, mwh, out=np.full(program.n, np.inf), where=mwh > 0))
    for obligation in book:
        for name, stop in obligation.stop_prices(program.site).items():
            found[name] = np.full(program.n, stop.usd_per_mwh) if stop.alone else np.minimum(found[name], stop.usd_per_mwh)
    return found


def load_at_prices_mw(program: Program, groups: Sequence[str]) -> Floats:
    """The most that groups would draw if prices alone decided, shape (n,): those whose breakeven is below the price draw their least."""
    own, mw = breakevens_usd_per_mwh(program.book, program), np.zeros(program.n)
    for name in groups:
        least, most = program.group_load_mw(name).range(program.lower, program.upper)
        price = program.energy_price(program.site.meter_of[name].settlement_point)
        mw = mw + np.where(price <= own[name], most, least)
    return np.asarray(mw, dtype=np.float64)


def net(book: Sequence[Obligation], reader: ActualQuantities) -> Floats:
    """Dollars an interval of every charge, shape (n,). A contract that raises adds nothing: it is named where it shapes or settles."""
    usd, faults = np.zeros(len(reader.grid)), PluginFailures()
    for _, charges in read_in_order(book, reader, faults, lambda o, its: o.charges(its)):
        for charge in charges:
            if not charge.over_period:
                usd = usd + charge.quantity * charge.rate
    return np.asarray(usd, dtype=np.float64)


def _alone(
    book: Sequence[Obligation], program: Program, prices: Mapping[str, Floats], group: RigGroup, mode: Mode, kilorigs: float = 1.0
) -> Floats:
    """With and without so many thousand rigs, on a site that holds nothing else."""
    where = Site.model_construct(**{**dict(program.site), "groups": (group,)})
    energy = {group.name: _more_mw(program, group, mode) * program.hours * kilorigs}
    hashed = {group.name: mode.ths * program.hours / 24.0 * kilorigs}
    hashprice = program.outlook.hashprice.values
    peaks = {minutes: series.values for minutes, series in program.outlook.peak_share.items()}
    up = ActualQuantities(
        where, program.grid, energy, hashed, prices, hashprice, settled=program.settled, hashed=program.hashed, peaks=peaks
    )
    idle = ActualQuantities(where, program.grid, {}, {}, prices, hashprice, settled=program.settled, hashed=program.hashed, peaks=peaks)
    return net(book, up) - net(book, idle)


def _percentages_per_usd(book: Sequence[Obligation], program: Program, group: RigGroup) -> Floats:
    """What taxes and other percentages of its charges cost more, USD, for each dollar that a MWh costs more."""
    without = [o for o in book if not o.charged_on()]
    if len(without) == len(book):
        return np.zeros(program.n)
    free, dear = ({point: np.full(program.n, usd) for point in program.outlook.energy} for usd in (0.0, 1.0))
    with_, plain = (_alone(some, program, free, group, group.full) - _alone(some, program, dear, group, group.full)
                    for some in (book, without))  # fmt: skip
    return with_ - plain


def _more_mw(program: Program, group: RigGroup, mode: Mode) -> Floats:
    """Load of a thousand rigs in `mode` over sleeping ones."""
    asleep = next((m for m in group.modes if m.name == SLEEP), None)
    load = program.mw_per_kilorig(group, mode)
    return np.asarray(load - program.mw_per_kilorig(group, asleep)) if asleep else load
