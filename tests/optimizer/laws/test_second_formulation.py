"""A plan earns what a second formulation in plain PuLP earns, and what merit order earns where nothing couples the hours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pulp
import pytest

from markets.grid import Grid
from markets.outlook import Outlook
from markets.series import Series
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import GroupNow, Hall, Meter, Overhead, Scope, Site, SoFar
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.ers.memory import ErsMemory
from optimizer.obligations.forward import Forward
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.hosting import Hosting
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan
from optimizer.planning.result import Plan
from tests.optimizer import fixtures, random_cases
from tests.optimizer.second_formulation import Oracle
from tests.rule_cases import with_market_rules

RATE = 41.9
EXACT = 1e-7


@dataclass
class Sketch:
    """A small site and market, and the same book twice: as contracts and as the oracle's rows."""

    rng: np.random.Generator
    site: Site
    ahead: Outlook
    state: SoFar
    oracle: Oracle
    book: list[Obligation]

    def price(self, point: str) -> list[float]:
        return [float(p) for p in self.ahead.energy[point].values]


def sketch(seed: int) -> Sketch:
    rng = np.random.default_rng([seed, 77])
    over = fixtures.grid(int(rng.integers(6, 14)), int(rng.choice([15, 60])), random_cases.STARTS[0])
    where = _site(rng)
    celsius, hashprice = float(rng.uniform(0, 42)), round(float(rng.uniform(20, 80)), 3)
    energy = {point: random_cases.prices(rng, len(over)) for point in random_cases.POINTS}
    peaks = {15: Series(over, np.where(rng.random(len(over)) < 0.3, rng.random(len(over)) * 0.02, 0.0), "share")}
    reserve = {p: Series(over, np.round(rng.exponential(15, len(over)), 2), "usd_per_mw_h") for p in ("ECRS", "NSPIN")}
    ahead = replace(fixtures.outlook(energy, over, hashprice=hashprice, celsius=celsius), peak_share=peaks, reserve=reserve)
    state = SoFar(over.start, groups=_doing(rng, where, over))
    oracle = Oracle(where, over.edges.tolist(), state, celsius=celsius, hashprice=[hashprice] * len(over))
    return Sketch(rng, where, ahead, state, oracle, [])


def _site(rng: np.random.Generator) -> Site:
    names = list(fixtures.MODELS)
    groups = tuple(
        fixtures.group(
            f"{hall}{k}",
            names[int(rng.integers(3))],
            rigs=int(rng.integers(100, 900)),
            hall=hall,
            tenant="guest" if hall == "b" else "own",
            low=bool(rng.random() < 0.4),
            standby=float(rng.choice([0.0, 15.0])),
            min_on_min=float(rng.choice([0, 30, 90])),
            min_off_min=float(rng.choice([0, 45])),
            wear_usd_per_start=float(rng.choice([0.0, 0.05])),
            wake_min=float(rng.choice([0, 12])),
        )
        for hall, k in (("a", 0), ("a", 1), ("b", 0))
    )
    full = {h: sum(g.rigs * g.full.watts for g in groups if g.hall == h) / 1e6 for h in "ab"}
    halls = tuple(
        Hall(
            name=h,
            meter={"a": "main", "b": "far"}[h],
            limit_mw=full[h] * float(rng.uniform(0.6, 1.3)),
            overhead=Overhead(share=0.03, share_per_c_above_25=0.002),
            max_starts_per_min=float(rng.integers(10, 60)) if rng.random() < 0.4 else None,
        )
        for h in "ab"
    )
    meters = (
        Meter(id="main", settlement_point=random_cases.POINTS[0], loss_factor=1.0178),
        Meter(id="far", settlement_point=random_cases.POINTS[1]),
    )
    return fixtures.site(*groups, halls=halls, meters=meters, interconnect_mw=sum(full.values()) * float(rng.uniform(0.6, 1.2)))


def _doing(rng: np.random.Generator, where: Site, over: Grid) -> dict[str, GroupNow]:
    """What groups do, their latest moves still binding; none awake that were woken a moment ago, as what reserve they give is a guess."""
    now = {}
    for g in where.groups:
        up = int(g.rigs * rng.choice([0.0, 0.5, rng.random()]) * 0.6)
        rested = int((g.rigs - up) * rng.uniform(0, 0.5))
        moved = over.start - timedelta(minutes=float(rng.uniform(1, 60)))
        now[g.name] = GroupNow({"sleep": float(g.rigs - up), "normal": float(up)}, slept=((moved, rested),) if rested else ())
    return now


# --- each contract, on both sides ---------------------------------------------------------------------------------------------------------


def power(s: Sketch, settled: tuple[str, ...] = ()) -> None:
    adders, fee = float(s.rng.choice([0.0, 6.15])), float(s.rng.choice([0.0, 0.01]))
    s.book += [Hashing(pool_fee=fee), Power(adders_usd_per_mwh=adders), Plant()]
    s.oracle.hashing(fee, [n for n in s.oracle.all if s.site.group(n).tenant == "own" or not _hosted(s)])
    s.oracle.energy(adders, {p: s.price(p) for p in random_cases.POINTS}, settled)
    s.oracle.limits()


def _hosted(s: Sketch) -> bool:
    return any(isinstance(b, Hosting) for b in s.book)


def block(s: Sketch) -> tuple[str, ...]:
    mw, haircut = round(float(s.rng.uniform(0.3, 3)), 2), float(s.rng.choice([0.0, 3.0, 40.0]))
    sells, cap = bool(s.rng.random() < 0.8), round(float(s.rng.uniform(0, 1.4)) * mw, 2)
    terms = SellBack(haircut_usd_per_mwh=haircut, cap_mw=cap) if sells else None
    s.book.append(Block(mw=mw, usd_per_mwh=33.0, sell_back=terms, scope=Scope(meter="main")))
    s.oracle.block(mw, 33.0, "main", s.price(random_cases.POINTS[0]), haircut, cap if sells else None)
    return tuple(s.oracle.behind("main"))


def peaks(s: Sketch) -> None:
    s.book.append(Transmission(method="4cp", usd_per_kw_year=RATE))
    s.oracle.coincident(RATE, 4, [float(v) for v in s.ahead.peak_share[15].values])


def reserve(s: Sketch) -> None:
    qualified = {p: round(float(s.rng.uniform(0.1, 2)), 2) for p in ("ECRS", "NSPIN")}
    floor = float(s.rng.choice([0.0, 0.4]))
    s.book.append(with_market_rules(Ancillary(scope=Scope(meter="main"), products=("ECRS", "NSPIN"), qualified_mw=qualified, lpc_mw=floor)))
    s.oracle.reserve("main", {p: (mw, [float(v) for v in s.ahead.reserve[p].values]) for p, mw in qualified.items()}, floor)


def event(s: Sketch) -> None:
    grid = s.ahead.grid
    start = grid.intervals[int(s.rng.integers(len(grid) - 2))].start + timedelta(minutes=int(s.rng.integers(15)))
    end = start + timedelta(minutes=int(s.rng.integers(10, 120)))
    mw = round(float(s.rng.uniform(0.06, 2)), 3)  # more than rigs asleep draw
    told = fixtures.call("plant", start, end, mw_cap=mw)
    s.state = replace(s.state, calls=(told,))
    s.oracle.event(s.oracle.all, mw, [over.start < end and start < over.end for over in grid.intervals])


def emergency(s: Sketch) -> None:
    """An emergency on the far meter in a term that has hours to spare: base load from the dispatch to the recall, all of the pay."""
    mw, base, usd = (round(float(s.rng.uniform(low, high)), 2) for low, high in ((0.2, 1), (0.1, 0.6), (1, 20)))
    grid, all_day = s.ahead.grid, {"name": "all", "months": tuple(range(1, 13)), "hours": tuple(range(24))}
    terms = {"product": "ERS-30", "mw": mw, "max_base_load_mw": base, "usd_per_mw_hour": usd, "periods": (all_day,)}
    s.book.append(with_market_rules(Ers(scope=Scope(meter="far"), **terms)))
    start = grid.intervals[int(s.rng.integers(1, len(grid) - 2))].start
    end = start + timedelta(minutes=int(s.rng.integers(10, 150)))
    told = replace(fixtures.call("ers", start, end, mw_cap=base), notice_at=start - timedelta(minutes=30))
    past = ErsMemory(obligated_h=5000.0, available_h=5000.0, gross_usd=1000.0, worth_usd=1000.0)
    s.state = replace(s.state, calls=(told,), memory={"ers": past})
    s.oracle.event(s.oracle.behind("far"), base, [over.start < end and start < over.end for over in grid.intervals])
    s.oracle.usd.append(mw * usd * float(sum(grid.hours)))


def ramp(s: Sketch) -> None:
    mw = {w: round(float(s.rng.uniform(0.01, 0.1)), 4) for w in ("up", "down")}
    s.site = s.oracle.site = s.site.model_copy(update={f"max_ramp_{w}_mw_per_min": v for w, v in mw.items()})
    s.oracle.ramps(before(s))


def before(s: Sketch) -> float:
    return sum(
        n * next(m.watts for m in g.modes if m.name == mode) * s.oracle.over[g.hall] / 1e6
        for g in s.site.groups
        for mode, n in s.state.groups[g.name].modes.items()
    )


def forward(s: Sketch) -> None:
    ph, price = round(float(s.rng.uniform(20, 150)), 2), round(float(s.rng.uniform(30, 70)), 2)
    damages = round(float(s.rng.uniform(0, 9)), 2)
    hourly = bool(s.rng.random() < 0.5)
    delivery = "hourly" if hourly else "daily"
    s.book.append(Forward(ph=ph, usd_per_ph_day=price, damages_usd_per_ph_day=damages, delivery=delivery))
    s.oracle.forward(ph, price, damages, (s.ahead.grid.edges[:-1] // (3600 if hourly else 86400)).tolist())


def hosting(s: Sketch) -> None:
    names = s.oracle.behind("far")
    full = sum(g.rigs * g.full.watts for g in map(s.site.group, names)) / 1e6
    uptime, credit = round(float(s.rng.uniform(0.5, 1)), 2), round(float(s.rng.uniform(1, 80)), 2)
    strike, fee, passes = round(float(s.rng.uniform(20, 150)), 2), float(s.rng.choice([5.0, 60.0])), bool(s.rng.random() < 0.5)
    terms = {"usd_per_mwh": fee, "strike_usd_per_mwh": strike, "pass_through": passes, "uptime": uptime, "credit_usd_per_mwh": credit}
    s.book.append(Hosting(scope=Scope(tenant="guest"), **terms))
    s.oracle.hosting(names, fee, s.price(random_cases.POINTS[1]), strike, passes, (full * uptime, credit))


def agrees(seed: int, solver: type[pulp.LpSolver] | None = None) -> None:
    """Each contract in about every second book. Under an instruction reserve is counted with care, so the two never meet here."""
    s = sketch(seed)
    likes = s.rng.random(7) < 0.45
    if likes[0]:
        hosting(s)
    power(s, block(s) if likes[1] else ())
    for part, liked in zip((ramp, forward, peaks, reserve), likes[2:], strict=False):
        if liked:
            part(s)
    if likes[6] and not likes[5]:
        (event if s.rng.random() < 0.5 else emergency)(s)
    made = plan(s.site, tuple(s.book), s.ahead, s.state)
    most = s.oracle.best(solver)
    if most is None:
        assert made.shortfalls, "the oracle finds no plan that keeps all"
        return
    assert not made.shortfalls, made.shortfalls
    assert made.objective_usd == pytest.approx(most, rel=EXACT, abs=tie_usd(made))


def tie_usd(made: Plan) -> float:
    """What breaking ties may cost where two plans earn the same but for less than a thousandth of a dollar a megawatt hour."""
    return 1e-4 + 1e-6 * float((made.load_mw * np.asarray(made.grid.hours)).sum())


def test_the_plan_earns_what_a_second_formulation_earns():
    random_cases.each(range(20), agrees)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_plan_earns_what_a_second_formulation_earns_five_hundred_times():
    random_cases.each(range(500), agrees)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_and_what_it_earns_by_another_solver():
    random_cases.each(range(500, 530), lambda seed: agrees(seed, lambda: pulp.PULP_CBC_CMD(msg=False, gapRel=1e-10)))


def test_rigs_that_may_not_sleep_yet_are_no_reserve_whichever_sleep_in_their_place():
    """After a cheap quarter hour a third sleeps again: old ones, as the young may not yet; only what is old beyond them is reserve."""
    where = fixtures.site(fixtures.group("g", "s21", rigs=1500, min_on_min=60))
    over = fixtures.grid(8)
    ahead = fixtures.outlook([110.0, 110.0, -200.0, 110.0, 110.0, 110.0, 110.0, 110.0], over)
    ahead = replace(ahead, reserve={"ECRS": Series.flat(over, 20.0, "usd_per_mw_h")})
    state = SoFar(over.start, groups={"g": GroupNow({"normal": 1000.0, "sleep": 500.0})})
    book = (Hashing(), Power(), Plant(), with_market_rules(Ancillary(products=("ECRS",), qualified_mw={"ECRS": 3.5})))
    made = plan(where, book, ahead, state)
    awake = fixtures.awake(made, "g")
    starts = np.maximum(0.0, np.diff(awake, prepend=1000.0))
    assert starts.sum() == pytest.approx(500)
    for t in range(len(over)):
        young = starts[max(0, t - 3) : t + 1].sum()
        assert made.offers["ECRS"][t] <= (awake[t] - young) * 3500 / 1e6 + 1e-6


# --- where nothing couples the hours ------------------------------------------------------------------------------------------------------


def merit_usd(s: Sketch, spare_mw: float, qualified: float, price: list[float], fee: float, adders: float) -> float:
    """Hour by hour: the rigs that earn most a megawatt first, to the interconnect; below the qualified reserve at that much more."""
    usd, hours, loss = 0.0, np.asarray(s.ahead.grid.hours), s.site.meters[0].loss_factor
    energy, sold = s.price(random_cases.POINTS[0]), s.ahead.reserve["ECRS"].values
    for t, h in enumerate(hours):
        steps = []
        for g in s.site.groups:
            over = s.oracle.over[g.hall] / 1e6
            for mw, ph in _concave([(m.watts * over * g.rigs, m.ths * g.rigs / 1e3) for m in g.modes]):
                steps.append(((ph / mw) * s.oracle.hashprice[t] * (1 - fee) / 24 - (energy[t] + adders) * loss, mw))
            usd -= g.modes[0].watts * over * g.rigs * (energy[t] + adders) * loss * h
        left, reserve = spare_mw, qualified
        for worth, mw in sorted(steps, reverse=True):
            for size, more in ((min(mw, left, reserve), float(sold[t])), (max(0.0, min(mw, left) - reserve), 0.0)):
                if worth + more > 0:
                    usd += size * (worth + more) * h
                    left, reserve = left - size, reserve - (size if more else 0.0)
    return usd


def _concave(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Steps of MW and PH/s from mode to mode along the upper hull, sleep first."""
    steps, at = [], 0
    while at < len(points) - 1:
        rest = range(at + 1, len(points))
        to = max(rest, key=lambda k: (points[k][1] - points[at][1]) / (points[k][0] - points[at][0]))
        steps.append((points[to][0] - points[at][0], points[to][1] - points[at][1]))
        at = to
    return steps


def merit_agrees(seed: int) -> None:
    s = sketch(seed)
    names = s.oracle.all
    free = {"min_on_min": 0.0, "min_off_min": 0.0, "wear_usd_per_start": 0.0, "wake_min": 0.0, "hall": "a"}
    groups = tuple(g.model_copy(update=free) for g in s.site.groups)
    idle = sum(g.modes[0].watts * g.rigs for g in groups) / 1e6
    most = round(float(s.rng.uniform(0.3, 1.2)) * sum(g.rigs * g.full.watts for g in groups) / 1e6, 2)
    halls = (s.site.halls[0].model_copy(update={"limit_mw": 1000.0, "max_starts_per_min": None}),)
    s.site = s.site.model_copy(update={"groups": groups, "halls": halls, "interconnect_mw": max(most, 1.3 * idle)})
    fee, adders, qualified = 0.01, 6.15, round(float(s.rng.uniform(0.1, 3)), 2)
    book = (
        Hashing(pool_fee=fee),
        Power(adders_usd_per_mwh=adders),
        Plant(),
        with_market_rules(Ancillary(products=("ECRS",), qualified_mw={"ECRS": qualified})),
    )
    made = plan(s.site, book, s.ahead, SoFar(s.ahead.at))
    spare = s.site.interconnect_mw - idle * s.oracle.over["a"]
    exact = merit_usd(s, spare, qualified, s.price(random_cases.POINTS[0]), fee, adders)
    assert made.objective_usd == pytest.approx(exact, rel=EXACT, abs=tie_usd(made)), names


def test_where_nothing_couples_the_hours_merit_order_is_exact_with_reserve():
    random_cases.each(range(30), merit_agrees)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_merit_order_is_exact_five_hundred_times():
    random_cases.each(range(500), merit_agrees)
