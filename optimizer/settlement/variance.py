"""Differences: from what the plans in force expected to what the bill says, by cause, adding up to the last digit.

Every group and interval belongs to one cause. Going from plan to bill, prices change first, then the cells of one cause after the other
take what really happened; each cause is the change of the bill's net at its step. So the causes add up, whatever the contracts.
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
from optimizer.settlement.settle import net_usd

# Half a rig more awake than before is a start.
STARTED_RIGS = 0.5
CAUSES = ("price", "call", "data", "wake", "device")
GAPS = ("forecast", "obligation", "device", "ramp and wake", "link and feed")


@dataclass(frozen=True, slots=True)
class InForce:
    """What the plans in force said of one interval: energy at the meter and hashing by group, the prices they took, who was to wake, what
    each generator was to make."""

    energy_mwh: Mapping[str, Decimal]
    hash_ph_days: Mapping[str, Decimal]
    energy_price: Mapping[str, Decimal]
    hashprice: Decimal
    waking: frozenset[str] = frozenset()
    generated_mwh: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Differences:
    """`planned_usd` + the sum of `causes` = `actual_usd`, exactly. Causes: price; call (a deployed instruction stood there); data (energy
    estimated, not read); wake (rigs were to start); device (rigs did not do as planned)."""

    planned_usd: Decimal
    actual_usd: Decimal
    causes: Mapping[str, Decimal]


def differences(book: Sequence[Obligation], planned: Sequence[InForce | None], actuals: Actuals) -> Differences:
    """By cause, over the intervals of `actuals`; where no plan was in force (None) plan and bill are the same."""
    cause = _causes(book, planned, actuals)
    now = _as_planned(planned, actuals)
    expected = worth = net_usd(book, now)
    causes: dict[str, Decimal] = {}
    now = replace(now, energy_price=actuals.energy_price, hashprice=actuals.hashprice)
    for name in CAUSES:
        if name != "price":
            now = _taken(now, actuals, cause, name)
        causes[name] = net_usd(book, now) - worth
        worth += causes[name]
    return Differences(expected, worth, causes)


def missed(book: Sequence[Obligation], foreseen: Actuals, planned: Sequence[InForce | None], actuals: Actuals) -> dict[str, Decimal]:
    """By how much the day earned more (less: negative) than with every price known before it came, by cause, adding up exactly, usd.

    `foreseen` is `actuals` with the energy and hashing of perfect foresight. Its cells go to what happened step by step: where no plan was
    in force (link and feed); to what the plans in force said (forecast); then where a call stood (obligation), where rigs were to start
    (ramp and wake), where they did not do as planned (device), where they were not read (link and feed again).
    """
    cause = _causes(book, planned, actuals)
    blind = {g: ["link and feed" if p is None else "" for p in planned] for g in actuals.energy_mwh}
    stages = [_taken(foreseen, actuals, blind, "link and feed")]
    stages.append(replace(_as_planned(planned, actuals), energy_price=actuals.energy_price, hashprice=actuals.hashprice))
    for name in ("call", "wake", "device", "data"):
        stages.append(_taken(stages[-1], actuals, cause, name))
    worth = [net_usd(book, foreseen), *(net_usd(book, stage) for stage in stages)]
    blindness, forecast, called, waking, device, unread = (after - before for before, after in zip(worth, worth[1:], strict=False))
    return dict(zip(GAPS, (forecast, called, device, waking, blindness + unread), strict=True))


def in_force(grid: Grid, plans: Sequence[tuple[datetime, PlanDocument]]) -> tuple[InForce | None, ...]:
    """What plans said, on a settlement grid. `plans` are (instant from which it was in force, plan document), in order of time; each holds
    until the next. An interval that is not covered whole has None."""
    pieces = _pieces(plans, int(grid.edges[-1]))
    out: list[InForce | None] = []
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
        out.append(_said(here, awake) if covered else None)
        awake = {name: _awake(g) for name, g in here[-1][1]["groups"].items()} if here else {}
    return tuple(out)


def _pieces(plans: Sequence[tuple[datetime, PlanDocument]], until_s: int) -> list[tuple[int, int, IntervalDocument]]:
    """(from, to, planned interval) in epoch seconds, not overlapping."""
    pieces = []
    for (since, plan), later in zip(plans, [*plans[1:], None], strict=True):
        last = int(later[0].timestamp()) if later else until_s
        for interval in plan["intervals"]:
            first = max(int(parse_instant(interval["start"]).timestamp()), int(since.timestamp()))
            end = min(int(parse_instant(interval["end"]).timestamp()), last)
            if first < end:
                pieces.append((first, end, interval))
            if end >= last:
                break
    return pieces


def _said(here: Sequence[tuple[int, IntervalDocument]], before: Mapping[str, float]) -> InForce:
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
    return InForce(energy, hashed, price, hashprice, frozenset(waking), made)


def _awake(group: GroupDocument) -> float:
    return float(sum(n for mode, n in group["modes"].items() if mode != SLEEP))


def _as_planned(planned: Sequence[InForce | None], actuals: Actuals) -> Actuals:
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


def _causes(book: Sequence[Obligation], planned: Sequence[InForce | None], actuals: Actuals) -> dict[str, list[str]]:
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


def _taken(now: Actuals, actuals: Actuals, cause: Mapping[str, Sequence[str]], name: str) -> Actuals:
    """The cells of one cause as they really were."""

    def taken(kept: Mapping[str, Sequence[Decimal]], real: Mapping[str, Sequence[Decimal]]) -> dict[str, list[Decimal]]:
        return {g: [r if c == name else k for k, r, c in zip(kept[g], real[g], cause[g], strict=True)] for g in kept}

    return replace(
        now,
        energy_mwh=taken(now.energy_mwh, actuals.energy_mwh),
        hash_ph_days=taken(now.hash_ph_days, actuals.hash_ph_days),
    )
