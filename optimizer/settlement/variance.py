"""Variance: why the bill differs from what the plans in force expected, by cause; the causes add up exactly.

Every group and interval belongs to one cause. Going from plan to bill, the actual prices are put in first, then the actual figures of one
cause after the other. The amount of a cause is the change of the bill's net at its step, so the causes add up for any contracts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

import numpy as np

from markets.grid import Grid, parse_instant
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import active, calls_in_force
from optimizer.domain.money import ZERO, decimal
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import SLEEP
from optimizer.planning.plan_json import GroupDocument, IntervalDocument, PlanDocument
from optimizer.settlement.settle import net_usd, weighed_net_usd

# More rigs awake than before by this much is a start.
STARTED_RIGS = 0.5
VARIANCE_CAUSES = ("price", "call", "data", "wake", "device")
FORESIGHT_GAP_CAUSES = ("forecast", "obligation", "device", "ramp and wake", "link and feed")


@dataclass(frozen=True, slots=True)
class PlannedEnergy:
    """What the plans in force had planned for one settlement interval: energy at the meter (MWh) and hashing (PH/s-days) by group, the
    prices they used, the groups that were to start rigs, and MWh of each generator."""

    energy_mwh: Mapping[str, Decimal]
    hash_ph_days: Mapping[str, Decimal]
    energy_price: Mapping[str, Decimal]
    hashprice: Decimal
    waking: frozenset[str] = frozenset()
    generated_mwh: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variance:
    """`planned_usd` + the sum of `causes` = `actual_usd`, exactly. Causes: price; call (a deployed instruction was in force); data
    (energy was estimated, not read); wake (rigs were to start); device (rigs did not do as planned)."""

    planned_usd: Decimal
    actual_usd: Decimal
    causes: Mapping[str, Decimal]


def variance_by_cause(book: Sequence[Obligation], planned: Sequence[PlannedEnergy | None], actuals: Actuals) -> Variance:
    """The variance over the intervals of `actuals`, by cause. Where no plan was in force (None), the actual figures count as planned."""
    cause = _causes(book, planned, actuals)
    now = _as_planned(planned, actuals)
    expected = worth = net_usd(book, now)
    causes: dict[str, Decimal] = {}
    now = replace(now, energy_price=actuals.energy_price, hashprice=actuals.hashprice)
    for name in VARIANCE_CAUSES:
        if name != "price":
            now = _with_actual(now, actuals, cause, name)
        causes[name] = net_usd(book, now) - worth
        worth += causes[name]
    return Variance(expected, worth, causes)


def foresight_gap_by_cause(
    book: Sequence[Obligation], foreseen: Actuals, planned: Sequence[PlannedEnergy | None], actuals: Actuals
) -> dict[str, Decimal]:
    """What was earned less what perfect foresight of prices would have earned, usd, by cause, adding up exactly; usually negative. Charges
    of a period are weighed as in a plan.

    `foreseen` is `actuals` with the energy and hashing of perfect foresight, and of the same awards. Its figures are replaced step by step
    by what happened: where no plan was in force (link and feed); by what the plans in force had planned (forecast); then where a call was
    in force (obligation), where rigs were to start (ramp and wake), where they did not do as planned (device), where they were not read
    (link and feed again).
    """
    cause = _causes(book, planned, actuals)
    no_plan = {g: ["link and feed" if p is None else "" for p in planned] for g in actuals.energy_mwh}
    stages = [_with_actual(foreseen, actuals, no_plan, "link and feed")]
    stages.append(replace(_as_planned(planned, actuals), energy_price=actuals.energy_price, hashprice=actuals.hashprice))
    for name in ("call", "wake", "device", "data"):
        stages.append(_with_actual(stages[-1], actuals, cause, name))
    worth = [weighed_net_usd(book, stage) for stage in (foreseen, *stages)]
    without_plan, forecast, called, waking, device, unread = (after - before for before, after in zip(worth, worth[1:], strict=False))
    return dict(zip(FORESIGHT_GAP_CAUSES, (forecast, called, device, waking, without_plan + unread), strict=True))


def planned_energy(grid: Grid, plans: Sequence[tuple[datetime, PlanDocument]]) -> tuple[PlannedEnergy | None, ...]:
    """What the plans in force had planned for each interval of a settlement grid. `plans` are (instant from which a plan was in force, its
    document) in order of time; each holds until the next. None for an interval that plans do not cover completely."""
    pieces = _pieces(plans, int(grid.edges[-1]))
    out: list[PlannedEnergy | None] = []
    awake: dict[str, float] = {}
    at = 0
    for start, end in zip(grid.edges[:-1], grid.edges[1:], strict=True):
        while at < len(pieces) and pieces[at][1] <= start:
            at += 1
        here = []
        k = at
        while k < len(pieces) and pieces[k][0] < end:
            here.append((min(pieces[k][1], int(end)) - max(pieces[k][0], int(start)), pieces[k][2]))
            k += 1
        covered = sum(s for s, _ in here) == end - start
        out.append(_planned(here, awake) if covered else None)
        awake = {name: _awake(g) for name, g in here[-1][1]["groups"].items()} if here else {}
    return tuple(out)


def _pieces(plans: Sequence[tuple[datetime, PlanDocument]], until_s: int) -> list[tuple[int, int, IntervalDocument]]:
    """(from, to, planned interval) in epoch seconds, not overlapping."""
    pieces = []
    for (since, plan), later in zip(plans, [*plans, None][1:], strict=True):
        last = int(later[0].timestamp()) if later else until_s
        for interval in plan["intervals"]:
            first = max(int(parse_instant(interval["start"]).timestamp()), int(since.timestamp()))
            end = min(int(parse_instant(interval["end"]).timestamp()), last)
            if first < end:
                pieces.append((first, end, interval))
            if end >= last:
                break
    return pieces


def _planned(here: Sequence[tuple[int, IntervalDocument]], before: Mapping[str, float]) -> PlannedEnergy:
    span = Decimal(sum(s for s, _ in here))
    energy: dict[str, Decimal] = {}
    hashed: dict[str, Decimal] = {}
    price: dict[str, Decimal] = {}
    hashprice = ZERO
    waking: set[str] = set()
    made: dict[str, Decimal] = {}
    for seconds, interval in here:
        for name, group in interval["groups"].items():
            energy[name] = energy.get(name, ZERO) + decimal(group["load_mw"]) * seconds / 3600
            hashed[name] = hashed.get(name, ZERO) + decimal(group["hashrate_ph"]) * seconds / 86_400
            if _awake(group) > before.get(name, _awake(group)) + STARTED_RIGS:
                waking.add(name)
        for name, machine in interval.get("generation", {}).items():
            made[name] = made.get(name, ZERO) + decimal(machine["mw"]) * seconds / 3600
        for point, usd in interval["price_usd_per_mwh"].items():
            price[point] = price.get(point, ZERO) + decimal(usd) * seconds / span
        hashprice += decimal(interval["hashprice_usd_per_ph_day"]) * seconds / span
        before = {name: _awake(group) for name, group in interval["groups"].items()}
    return PlannedEnergy(energy, hashed, price, hashprice, frozenset(waking), made)


def _awake(group: GroupDocument) -> float:
    return float(sum(n for mode, n in group["modes"].items() if mode != SLEEP))


def _as_planned(planned: Sequence[PlannedEnergy | None], actuals: Actuals) -> Actuals:
    """The planned energy, hashing and prices; the actual ones where there was no plan."""

    def mixed(real: Sequence[Decimal], of: str, key: str) -> list[Decimal]:
        return [r if p is None else getattr(p, of).get(key, r) for r, p in zip(real, planned, strict=True)]

    return replace(
        actuals,
        energy_mwh={g: mixed(v, "energy_mwh", g) for g, v in actuals.energy_mwh.items()},
        hash_ph_days={g: mixed(v, "hash_ph_days", g) for g, v in actuals.hash_ph_days.items()},
        energy_price={s: mixed(v, "energy_price", s) for s, v in actuals.energy_price.items()},
        hashprice=[r if p is None else p.hashprice for r, p in zip(actuals.hashprice, planned, strict=True)],
        price_source={},
    )


def _causes(book: Sequence[Obligation], planned: Sequence[PlannedEnergy | None], actuals: Actuals) -> dict[str, list[str]]:
    """By group: the cause each interval belongs to."""
    called = {g: np.zeros(len(actuals.grid), dtype=bool) for g in actuals.energy_mwh}
    for obligation in book:
        for call in calls_in_force(actuals.calls, obligation.name):
            here = [active(call, over) for over in actuals.grid.intervals]
            for name in obligation.scope.names(actuals.site):
                if name in called:
                    called[name] |= np.array(here)
    out: dict[str, list[str]] = {}
    for name in actuals.energy_mwh:
        out[name] = []
        for i, plan in enumerate(planned):
            wakes = plan is not None and name in plan.waking
            out[name].append("call" if called[name][i] else "data" if i in actuals.estimated else "wake" if wakes else "device")
    return out


def _with_actual(now: Actuals, actuals: Actuals, cause: Mapping[str, Sequence[str]], name: str) -> Actuals:
    """Actuals in which the figures of one cause are the actual ones."""

    def mixed(kept: Mapping[str, Sequence[Decimal]], real: Mapping[str, Sequence[Decimal]]) -> dict[str, list[Decimal]]:
        return {g: [r if c == name else k for k, r, c in zip(kept[g], real[g], cause[g], strict=True)] for g in kept}

    return replace(
        now,
        energy_mwh=mixed(now.energy_mwh, actuals.energy_mwh),
        hash_ph_days=mixed(now.hash_ph_days, actuals.hash_ph_days),
    )
