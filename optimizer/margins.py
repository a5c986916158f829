"""Margins: what a rig in a mode earns over sleeping, by the book's own formulas; and the energy price at which that is nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from markets.grid import Grid
from optimizer.expr import Floats
from optimizer.obligations import Obligation
from optimizer.program import Program
from optimizer.reader import Reader
from optimizer.site import SLEEP, Mode, RigGroup


def margin_usd(book: Sequence[Obligation], program: Program, group: RigGroup, mode: Mode) -> Floats:
    """Dollars an interval of a thousand rigs in `mode` instead of asleep, alone on the site, shape (n,)."""
    outlook = program.outlook
    asleep = next((m for m in group.modes if m.name == SLEEP), None)
    mw = program.mw_per_kilorig(group, mode) - (program.mw_per_kilorig(group, asleep) if asleep else 0.0)
    reader = Reader(
        program.site,
        program.grid,
        {group.name: mw * program.hours},
        {group.name: mode.ths * program.hours / 24.0},
        {point: series.values for point, series in outlook.energy.items()},
        outlook.hashprice.values,
        settled=program.settled,
    )
    nothing = Reader(program.site, program.grid, {}, {}, reader.prices, reader.hash_prices, settled=program.settled)
    return net(book, reader) - net(book, nothing)


def breakeven_usd_per_mwh(book: Sequence[Obligation], program: Program, group: RigGroup, t: int = 0) -> float:
    """The energy price in interval t at which the group's best mode and sleep earn the same: fee, overhead, losses and adders included.
    Infinite when running costs no energy."""
    mode = group.full
    one = _Instant(program, t)
    earned = one.margin(book, group, mode)
    mwh = one.mwh(group, mode) * program.site.meter_of[group.name].loss_factor
    return earned / mwh if mwh else float("inf")


class _Instant:
    """One interval of a program, with energy free: what is earned a MWh there is what energy may cost."""

    def __init__(self, program: Program, t: int) -> None:
        self.program, self.t = program, t
        self.grid = Grid(program.grid.edges[t : t + 2])

    def mwh(self, group: RigGroup, mode: Mode) -> float:
        asleep = next((m for m in group.modes if m.name == SLEEP), None)
        p = self.program
        mw = p.mw_per_kilorig(group, mode) - (p.mw_per_kilorig(group, asleep) if asleep else 0.0)
        return float(mw[self.t] * p.hours[self.t])

    def margin(self, book: Sequence[Obligation], group: RigGroup, mode: Mode) -> float:
        p = self.program
        free = {point: np.zeros(1) for point in p.outlook.energy}
        hashprice = p.outlook.hashprice.values[self.t : self.t + 1]
        settled = {o: {g: s[self.t : self.t + 1] for g, s in by.items()} for o, by in p.settled.items()}
        energy = {group.name: np.array([self.mwh(group, mode)])}
        hashed = {group.name: np.array([mode.ths * p.hours[self.t] / 24.0])}
        up = Reader(p.site, self.grid, energy, hashed, free, hashprice, settled=settled)
        down = Reader(p.site, self.grid, {}, {}, free, hashprice, settled=settled)
        return float((net(book, up) - net(book, down))[0])


def net(book: Sequence[Obligation], reader: Reader) -> Floats:
    """Dollars an interval of every charge, shape (n,)."""
    usd = np.zeros(len(reader.grid))
    for obligation in book:
        charges = getattr(obligation, "charges", None)
        for charge in charges(reader) if charges else ():
            usd = usd + charge.quantity * charge.rate
    return np.asarray(usd, dtype=np.float64)
