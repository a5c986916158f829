"""Margins: what a rig in a mode earns over sleeping, by the book's own formulas; and the energy price at which that is nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optimizer.expr import Floats
from optimizer.obligations import Obligation
from optimizer.program import Program
from optimizer.reader import Reader
from optimizer.site import SLEEP, Mode, RigGroup


def margin_usd(
    book: Sequence[Obligation], program: Program, group: RigGroup, mode: Mode, prices: Mapping[str, Floats] | None = None
) -> Floats:
    """Dollars an interval of a thousand rigs in `mode` instead of asleep, alone on the site, shape (n,); at the outlook's energy prices
    unless others are given."""
    prices = prices or {point: series.values for point, series in program.outlook.energy.items()}
    energy = {group.name: _more_mw(program, group, mode) * program.hours}
    hashed = {group.name: mode.ths * program.hours / 24.0}
    hashprice = program.outlook.hashprice.values
    up = Reader(program.site, program.grid, energy, hashed, prices, hashprice, settled=program.settled)
    down = Reader(program.site, program.grid, {}, {}, prices, hashprice, settled=program.settled)
    return net(book, up) - net(book, down)


def breakeven_usd_per_mwh(book: Sequence[Obligation], program: Program, group: RigGroup) -> Floats:
    """The energy price in each interval at which the group's best mode and sleep earn the same, fee, overhead, losses and adders included,
    shape (n,): what it earns where energy is free, by MWh that settle. Infinite where running costs no energy."""
    free = {point: np.zeros(program.n) for point in program.outlook.energy}
    earned = margin_usd(book, program, group, group.full, free)
    mwh = _more_mw(program, group, group.full) * program.hours * program.site.meter_of[group.name].loss_factor
    return np.asarray(np.divide(earned, mwh, out=np.full(program.n, np.inf), where=mwh > 0))


def net(book: Sequence[Obligation], reader: Reader) -> Floats:
    """Dollars an interval of every charge, shape (n,)."""
    usd = np.zeros(len(reader.grid))
    for obligation in book:
        charges = getattr(obligation, "charges", None)
        for charge in charges(reader) if charges else ():
            usd = usd + charge.quantity * charge.rate
    return np.asarray(usd, dtype=np.float64)


def _more_mw(program: Program, group: RigGroup, mode: Mode) -> Floats:
    """Load of a thousand rigs in `mode` over sleeping ones."""
    asleep = next((m for m in group.modes if m.name == SLEEP), None)
    load = program.mw_per_kilorig(group, mode)
    return np.asarray(load - program.mw_per_kilorig(group, asleep)) if asleep else load
