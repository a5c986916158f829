"""Sites, outlooks, actuals and checks that the tests of the optimizer share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from markets.facts import Call, CallKind
from markets.grid import Grid, Market
from markets.outlook import Basis, Outlook
from markets.series import Series
from optimizer.domain.actuals import Actuals
from optimizer.domain.site import SLEEP, Availability, Hall, Meter, Mode, RigGroup, Site, SoFar
from optimizer.lp.arrays import Arrays
from optimizer.planning.result import Plan
from optimizer.solve.lexicographic import Solution, SolveError

AT = datetime(2026, 8, 20, 16, 0, tzinfo=UTC)
POINT = "LZ_WEST"
# J/TH of the models of issue 2: watts and TH/s at the wall (config/rigs.toml).
MODELS = {"s19jpro": (3068.0, 104.0), "s19xp": (3010.0, 140.0), "s21": (3500.0, 200.0)}


def modes(watts: float, ths: float, *, standby: float = 0.0, low: bool = False) -> tuple[Mode, ...]:
    """Sleep and normal, and low at 70 % of the watts and 75 % of the hashing."""
    middle = (Mode(name="low", watts=0.7 * watts, ths=0.75 * ths),) if low else ()
    return (Mode(name=SLEEP, watts=standby, ths=0.0), *middle, Mode(name="normal", watts=watts, ths=ths))


def group(name: str, model: str = "s21", rigs: int = 1000, hall: str = "a", **more: Any) -> RigGroup:
    shape = {k: more.pop(k) for k in ("standby", "low") if k in more}
    return RigGroup(name=name, hall=hall, model=model, rigs=rigs, modes=more.pop("modes", modes(*MODELS[model], **shape)), **more)


def site(*groups: RigGroup, halls: Sequence[Hall] = (), **more: Any) -> Site:
    """A site with one meter, no losses and halls without a binding limit, unless given."""
    names = dict.fromkeys(g.hall for g in groups)
    meter = Meter(id="main", settlement_point=POINT, loss_factor=more.pop("loss_factor", 1.0))
    return Site(
        name="test",
        market=more.pop("market", Market.ERCOT),
        settlement_point=POINT,
        interconnect_mw=more.pop("interconnect_mw", 1000.0),
        meters=more.pop("meters", (meter,)),
        halls=tuple(halls) or tuple(Hall(name=n, meter="main", limit_mw=1000.0) for n in names),
        groups=groups,
        **more,
    )


def site_of_two_meters(export_mw: float) -> Site:
    """Some rigs behind the meter "main", which may export, and some behind the meter "other"."""
    return site(
        group("mine", "s21", rigs=800, hall="a", low=True, standby=10.0),
        group("old", "s19jpro", rigs=900, hall="b"),
        meters=(
            Meter(id="main", settlement_point=POINT, loss_factor=1.0178, export_mw=export_mw),
            Meter(id="other", settlement_point=POINT),
        ),
        halls=(Hall(name="a", meter="main", limit_mw=100), Hall(name="b", meter="other", limit_mw=100)),
    )


def three_models(**more: Any) -> Site:
    """A thousand rigs of each model of issue 2 in one hall."""
    return site(*(group(name, name) for name in MODELS), **more)


def grid(n: int, minutes: int = 15, at: datetime = AT) -> Grid:
    return Grid.regular(at, at + timedelta(minutes=minutes * n), minutes)


def outlook(
    prices: Sequence[float] | Mapping[str, Sequence[float]], over: Grid | None = None, *, hashprice: float = 45.0, celsius: float = 20.0
) -> Outlook:
    """Energy at POINT, or at each point named."""
    by = prices if isinstance(prices, Mapping) else {POINT: prices}
    over = over or grid(len(next(iter(by.values()))))
    return Outlook(
        at=over.start,
        grid=over,
        energy={point: Series(over, np.asarray(values, dtype=float), "usd_per_mwh") for point, values in by.items()},
        basis={point: (Basis.FORECAST,) * len(over) for point in by},
        hashprice=Series.flat(over, hashprice, "usd_per_ph_day"),
        temperature_c=Series.flat(over, celsius, "c"),
    )


def so_far(at: datetime = AT, **more: Any) -> SoFar:
    return SoFar(at=at, **more)


def available(over: Grid, **rigs: Sequence[float]) -> Availability:
    return Availability({name: Series(over, np.asarray(values, dtype=float), "rigs") for name, values in rigs.items()})


def call(obligation: str, start: datetime, end: datetime | None, *, id_: str = "c1", version: int = 1, **mw: float) -> Call:
    return Call(
        source="test", known_at=start, id=id_, version=version, obligation=obligation, kind=CallKind.DEPLOY,
        notice_at=start, start_at=start, end_at=end, **mw,
    )  # fmt: skip


def random_prices(rng: np.random.Generator, n: int) -> np.ndarray:
    """ERCOT-like to the cent: evening scarcity, negative hours, spikes."""
    base = 45.0 + 35.0 * np.sin(np.arange(n) / n * 4 * np.pi) + rng.normal(0, 20, n)
    spikes = np.where(rng.random(n) < 0.05, rng.uniform(200, 5000, n), 0.0)
    return np.round(base + spikes - np.where(rng.random(n) < 0.08, 80.0, 0.0), 2)


def decimals(values: Sequence[Any]) -> list[Decimal]:
    return [Decimal(str(v)) for v in values]


def actuals(where: Site, over: Grid, energy: Mapping[str, Sequence[Any]], prices: Mapping[str, Sequence[Any]], **more: Any) -> Actuals:
    """Energy and prices as written, hashing none unless given."""
    nothing = [Decimal(0)] * len(over)
    hashed = more.pop("hash_ph_days", {})
    return Actuals(
        site=where,
        grid=over,
        energy_mwh={g.name: decimals(energy.get(g.name, nothing)) for g in where.groups},
        hash_ph_days={g.name: decimals(hashed.get(g.name, nothing)) for g in where.groups},
        energy_price={point: decimals(values) for point, values in prices.items()},
        hashprice=decimals(more.pop("hashprice", [45] * len(over))),
        **more,
    )


def awake(plan: Plan, name: str) -> np.ndarray:
    """Rigs not asleep, by interval."""
    return sum((n for mode, n in plan.groups[name].modes.items() if mode != SLEEP), np.zeros(len(plan.grid)))


def awake_before(where: Site, state: SoFar, name: str) -> float:
    now = state.groups.get(name)
    return sum(n for mode, n in now.modes.items() if mode != SLEEP) if now else 0.0


def broken_limits(where: Site, plan: Plan, state: SoFar, *, minimum_times: bool = True) -> list[str]:
    """The limits that a plan breaks, computed without the program."""
    tolerance = 1e-4
    wrong = []
    start_s, minutes = plan.grid.edges[:-1], np.diff(plan.grid.edges) / 60.0
    load = sum(plan.groups[g.name].load_mw for g in where.groups)
    if np.abs(load - plan.load_mw).max() > tolerance:
        wrong.append("groups do not add up to the site")
    if plan.load_mw.max() > where.interconnect_mw + tolerance:
        wrong.append("interconnect")
    for hall in where.halls:
        names = [g.name for g in where.groups if g.hall == hall.name]
        if not names:
            continue
        if sum(plan.groups[n].load_mw for n in names).max() > hall.limit_mw + tolerance:
            wrong.append(f"hall {hall.name}")
        if hall.max_starts_per_min is not None:
            started = sum(np.maximum(0.0, np.diff(awake(plan, n), prepend=awake_before(where, state, n))) for n in names)
            if (started > hall.max_starts_per_min * minutes + 0.01).any():
                wrong.append(f"starts of hall {hall.name}")
    for g in where.groups:
        rigs = sum(plan.groups[g.name].modes.values())
        if rigs.max() > g.rigs + 0.01 or min(n.min() for n in plan.groups[g.name].modes.values()) < -0.01:
            wrong.append(f"rigs of {g.name}")
        if minimum_times:
            wrong += [f"{what} of {g.name}" for what in _minimum_times(where, plan, state, g, start_s)]
    return wrong


def _minimum_times(where: Site, plan: Plan, state: SoFar, g: RigGroup, start_s: np.ndarray) -> list[str]:
    up = awake(plan, g.name)
    change = np.diff(up, prepend=awake_before(where, state, g.name))
    now = state.groups.get(g.name)
    wrong = []
    for t, s in enumerate(start_s):
        recent = (start_s[: t + 1] + g.min_on_min * 60.0) > s
        held = sum(n for at, n in (now.woken if now else ()) if at.timestamp() + g.min_on_min * 60.0 > s)
        if np.maximum(0.0, change[: t + 1])[recent].sum() + held > up[t] + 0.01:
            wrong.append(f"minimum on time at {t}")
        recent = (start_s[: t + 1] + g.min_off_min * 60.0) > s
        resting = sum(n for at, n in (now.slept if now else ()) if at.timestamp() + g.min_off_min * 60.0 > s)
        if np.maximum(0.0, -change[: t + 1])[recent].sum() + resting > g.rigs - up[t] + 0.01:
            wrong.append(f"minimum off time at {t}")
    return wrong


class Dead:
    """A solver that never answers."""

    def __init__(self, fault: type[Exception] = SolveError) -> None:
        self.fault = fault

    def run(self, arrays: Arrays, budget_s: float) -> Solution:
        raise self.fault("no answer")
