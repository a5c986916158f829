"""Trajectory: rigs by mode over a grid, and the load, hashrate and money that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optimizer.domain import reserve_awards
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Floats
from optimizer.domain.billed_lines import USD
from optimizer.domain.formula import Charge
from optimizer.domain.generator import DUST_MW
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.net_load import greedy
from optimizer.domain.obligation import Obligation
from optimizer.domain.other_charges import read_in_order
from optimizer.domain.quantities import ActualQuantities, Exactly, exact
from optimizer.domain.site import SLEEP
from optimizer.lp.program import KILO, Program


@dataclass(frozen=True, slots=True)
class Trajectory:
    """By group of the program's site; arrays of shape (n,). `rigs` holds every mode, sleep too; `load_mw` is what the site draws at its
    meters, its generators left out, `generated_mw` what each of these makes; `expected_usd` by (obligation, charge type) are dollars
    that no bill of these hours holds (`Program.expect`)."""

    rigs: Mapping[str, Mapping[str, Floats]]
    group_load_mw: Mapping[str, Floats]
    hashrate_ph: Mapping[str, Floats]
    load_mw: Floats
    wear_usd: float
    offers: Mapping[tuple[str, str], Floats] = field(default_factory=dict)
    generated_mw: Mapping[str, Floats] = field(default_factory=dict)
    expected_usd: Mapping[tuple[str, str], Floats] = field(default_factory=dict)


def unpack(program: Program, awake: Mapping[str, Mapping[str, Floats]], x: Floats | None = None) -> Trajectory:
    """The trajectory of rigs awake by group and mode, with the reserve that a solution `x` of the program keeps ready."""
    offers = {} if x is None else {key: np.maximum(0.0, mw.at(x)) for key, mw in program.offers.items()}
    rigs: dict[str, dict[str, Floats]] = {}
    load: dict[str, Floats] = {}
    hashrate: dict[str, Floats] = {}
    wear = 0.0
    for group in program.site.groups:
        up = awake[group.name]
        count = sum(up.values(), np.zeros(program.n))
        asleep = np.maximum(0.0, program.kilorigs[group.name] * KILO - count)
        rigs[group.name] = {SLEEP: asleep, **up}
        load[group.name], hashrate[group.name] = np.zeros(program.n), np.zeros(program.n)
        for mode in group.modes:
            n = rigs[group.name].get(mode.name)
            if n is not None:
                load[group.name] = load[group.name] + n / KILO * program.mw_per_kilorig(group, mode)
                hashrate[group.name] = hashrate[group.name] + n / KILO * mode.ths
        if group.wear_usd_per_start:
            now = program.so_far.groups.get(group.name)
            before = sum(r for m, r in now.modes.items() if m != SLEEP) if now else 0.0
            wear += group.wear_usd_per_start * float(np.maximum(0.0, np.diff(count, prepend=min(before, count[0] + asleep[0]))).sum())
    made = _generated(program, load, x)
    return Trajectory(rigs, load, hashrate, sum(load.values(), np.zeros(program.n)), wear, offers, made, _expected_usd(program, x))


def _expected_usd(program: Program, x: Floats | None) -> dict[tuple[str, str], Floats]:
    """What a solution expects beyond the bill of its hours (`Program.expect`); nothing without one."""
    found: dict[tuple[str, str], Floats] = {}
    for e in program.expected if x is not None else ():
        key = (e.obligation, e.charge_type)
        usd: Floats = e.usd.at(np.asarray(x))
        found[key] = found[key] + usd if key in found else usd
    return found


def _generated(program: Program, load: Mapping[str, Floats], x: Floats | None) -> dict[str, Floats]:
    """What a solution has the generators make, or what they would without one."""
    if x is not None:
        found = {name: machine.mw.at(x) for name, machine in program.machines.items()}
        return {name: np.where(mw < DUST_MW, 0.0, mw) for name, mw in found.items()}
    by_meter: dict[str, Floats] = {}
    for name, mw in load.items() if program.behind else ():
        meter = program.site.meter_of[name].id
        by_meter[meter] = by_meter.get(meter, np.zeros(program.n)) + mw
    prices = {point: series.values for point, series in program.outlook.energy.items()}
    return greedy(program.site, program.behind, by_meter, prices, program.outlook)


def value_lines(
    book: Sequence[Obligation], program: Program, path: Trajectory, faults: PluginFailures | None = None
) -> dict[tuple[str, str], Floats]:
    """What the bill's own formulas say of a trajectory at the outlook's prices: usd by interval, by (obligation, charge type). What a
    contract raises is recorded in `faults`; without it, it is raised."""
    return _summed(read_in_order(book, float_reader(program, path), faults, _charges_of))


def plan_lines(
    book: Sequence[Obligation], program: Program, path: Trajectory, faults: PluginFailures | None = None
) -> dict[tuple[str, str], Floats]:
    """The lines of a plan: what the bill says (`value_lines`), for each charge of a period a line CHARGE_TYPE_carried that takes off
    the part of later hours, and what the plan expects beyond the bill. They add up to what the program maximises."""
    read = list(read_in_order(book, float_reader(program, path), faults, _charges_of))
    lines = _summed(read) | dict(path.expected_usd)
    for obligation, charges in read:
        for charge in charges:
            if charge.carried is not None and charge.carried.any():
                usd = np.asarray(charge.quantity * charge.rate * -charge.carried, dtype=np.float64)
                lines[(obligation.name, f"{charge.charge_type}_carried")] = usd
    return lines


def lost_usd(contract: Obligation, program: Program, path: Trajectory, over_mw: Floats) -> float:
    """What a contract's own lines lose by load of its scope that is `over_mw` above what was asked, shape (n,)."""
    names = contract.scope.names(program.site)
    load = sum((path.group_load_mw[name] for name in names), np.zeros(program.n))
    kept = np.maximum(0.0, 1.0 - over_mw / np.where(load > 0, load, 1.0))
    less = {name: mw * kept if name in names else mw for name, mw in path.group_load_mw.items()}
    asked, here = (value_lines([contract], program, p) for p in (replace(path, group_load_mw=less), path))
    return max(0.0, float(sum(usd.sum() for usd in asked.values()) - sum(usd.sum() for usd in here.values())))


def _charges_of(obligation: Obligation, reader: ActualQuantities) -> Iterable[Charge[Any]]:
    """A contract's charges as its bill has them."""
    return obligation.charges(reader) if obligation.bill_is_its_charges else _settled_charges(obligation, reader)


def _summed(read: Iterable[tuple[Obligation, tuple[Charge[Any], ...]]]) -> dict[tuple[str, str], Floats]:
    """USD by interval, by (obligation, charge type)."""
    lines: dict[tuple[str, str], Floats] = {}
    for obligation, charges in read:
        for charge in charges:
            key = (obligation.name, charge.charge_type)
            usd = np.asarray(charge.quantity * charge.rate, dtype=np.float64)
            lines[key] = lines[key] + usd if key in lines else usd
    return lines


def float_reader(program: Program, path: Trajectory) -> ActualQuantities:
    """A trajectory as a formula reads it, in floats. Reserve that can still be offered day-ahead counts as awarded there."""
    outlook = program.outlook
    return ActualQuantities(
        program.site,
        program.grid,
        {name: mw * program.hours for name, mw in path.group_load_mw.items()},
        {name: ph * (program.hours / 24.0) for name, ph in path.hashrate_ph.items()},
        {point: series.values for point, series in outlook.energy.items()},
        outlook.hashprice.values,
        settled=program.settled,
        hashed=program.hashed,
        peaks={minutes: series.values for minutes, series in outlook.peak_share.items()},
        memories=program.memories,
        offers={key: path.offers.get(key, np.zeros(program.n)) for key in program.offers},
        reserve={product: reserve_awards.expected(outlook, product) for product in outlook.reserve},
        calls=program.so_far.calls,
        awards=(*program.so_far.awards, *reserve_awards.sold_ahead(path.offers, program.sold_ahead, outlook)),
        made={name: mw * program.hours for name, mw in path.generated_mw.items()},
        available={name: machine.most_mw * program.hours for name, machine in program.machines.items() if machine.of.variable},
        behind=program.behind,
    )


def actuals_of(program: Program, path: Trajectory) -> Actuals:
    """The trajectory as if it had happened, exact, for the bill."""
    return _actuals(float_reader(program, path))


def _actuals(reader: ActualQuantities) -> Actuals:
    return Actuals(
        site=reader.site,
        grid=reader.grid,
        energy_mwh=Exactly(reader.energy),
        hash_ph_days=Exactly(reader.hash_),
        energy_price=Exactly(reader.prices),
        hashprice=list(exact(reader.hash_prices)),
        settled_by={o: Exactly(by) for o, by in reader.settled.items()},
        hashed_by={o: Exactly(by) for o, by in reader.hashed.items()},
        peak_share=Exactly(reader.peaks),
        memory=reader.memories,
        calls=reader.calls,
        awards=reserve_awards.carried(reader.awards, reader.offers, reader.reserve, reader.grid),
        reserve_price=Exactly(reader.reserve),
        generated_mwh=Exactly(reader.made),
        available_mwh=Exactly(reader.available),
        generators=reader.behind,
    )


def _settled_charges(obligation: Obligation, reader: ActualQuantities) -> Iterable[Charge[Any]]:
    """The lines of a contract whose bill is its own, as charges in dollars; one over several intervals is spread by time. It reads only
    its own reserve."""
    own = {key: mw for key, mw in reader.offers.items() if key[0] == obligation.name}
    place = {over: t for t, over in enumerate(reader.grid.intervals)}
    lines: dict[str, Floats] = {}
    accrued: dict[str, bool] = {}
    for line in obligation.settle(_actuals(replace(reader, offers=own))):
        usd = lines.setdefault(line.charge_type, np.zeros(len(reader.grid)))
        accrued[line.charge_type] = line.accrued
        if line.over in place:
            usd[place[line.over]] += float(line.amount_usd)
        else:
            usd += reader.grid.share_within(line.over) * reader.grid.hours / line.over.hours * float(line.amount_usd)
    one = np.ones(len(reader.grid))
    return [Charge(charge_type, usd, USD, one, accrued=accrued[charge_type]) for charge_type, usd in lines.items()]
