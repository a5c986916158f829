"""How long a plan takes, beside the solver's own run on the same numbers in the same process. Ratios count, times are this machine's.

A = 48 h in quarter hours, 100 groups of 10 kinds in 10 halls; B = the same with 100 kinds. Every contract of an ERCOT site: hashing, power,
block, 4CP, reserve from a CLR and emergency service each on its own meter, wakes priced, plant with limits and minimum times. The MILP has
a block that sells back at a haircut as well. The pure HiGHS run is that of the finished program, whole numbers as they are; `_relaxed` is
one of the simplex alone with whole numbers relaxed, a far shorter thing. `--json` prints one object last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import metadata

import highspy
import numpy as np

from dispatch.site_file import market_rules
from markets.forecasting.scenarios import scenarios
from markets.grid import Grid, Market
from markets.outlook import Outlook
from markets.series import Series
from optimizer.domain.site import GroupNow, Hall, Meter, Mode, Overhead, RigGroup, Scope, Site, SoFar
from optimizer.domain.time_periods import TimePeriod
from optimizer.lp.arrays import Arrays
from optimizer.lp.program import Program
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transition import Transition
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan, program_of
from optimizer.planning.result import Plan, Risk
from optimizer.solve import Session, to_pulp
from optimizer.solve.lexicographic import last_stage

AT = datetime(2026, 8, 20, 16, tzinfo=UTC)
POINT = "LZ_WEST"
METERS = {7: "ers", 8: "clr", 9: "clr"}
ERS_HOURS = ((9, 10, 11, 12), (13, 14, 15), (16, 17, 18), (19, 20, 21))
BOOK = (
    Hashing(pool_fee=0.01),
    Power(adders_usd_per_mwh=6.15),
    Block(mw=60.0, usd_per_mwh=32.5),
    Plant(),
    Transmission(method="4cp", usd_per_kw_year=70.0),
    Ancillary(
        products=("REGUP", "RRS", "ECRS", "NSPIN"),
        qualified_mw={"REGUP": 5.0, "RRS": 5.0, "ECRS": 10.0, "NSPIN": 10.0},
        scope=Scope(meter="clr"),
    ).with_rules(market_rules.default_market_rules().dated()),
    Ers(
        product="ERS-30",
        mw=5.0,
        max_base_load_mw=0.5,
        usd_per_mw_hour=7.25,
        scope=Scope(meter="ers"),
        periods=tuple(TimePeriod(name=f"TP{k}", months=(6, 7, 8, 9), weekdays=True, hours=hours) for k, hours in enumerate(ERS_HOURS, 2)),
    ).with_rules(market_rules.default_market_rules().dated()),
    Transition(),
)


def kinds(n: int) -> list[tuple[Mode, ...]]:
    """Rig models between 15 and 30 J/TH, sleep, low and normal."""
    out = []
    for k in range(n):
        watts, j_per_th = 3000.0 + 50.0 * (k % 10), 15.0 + 15.0 * k / n
        ths = watts / j_per_th
        modes = (("sleep", 15.0, 0.0), ("low", 0.7 * watts, 0.75 * ths), ("normal", watts, ths))
        out.append(tuple(Mode(name=m, watts=round(w, 3), ths=round(t, 6)) for m, w, t in modes))
    return out


def a_site(groups: int = 100, of: int = 10, mw: float = 100.0, limits: bool = True) -> Site:
    models = kinds(of)
    rigs = int(mw * 1e6 / groups / 3225.0)
    made = tuple(
        RigGroup(
            name=f"g{k}",
            hall=f"h{k % 10}",
            model=f"m{k % of}",
            rigs=rigs,
            modes=models[k % of],
            wake_min=5.0,
            min_on_min=30.0,
            min_off_min=30.0,
        )
        for k in range(groups)
    )
    halls = tuple(
        Hall(name=f"h{k}", meter=METERS.get(k, "main"), limit_mw=mw / 4, overhead=Overhead(share=0.03, share_per_c_above_25=0.002))
        for k in range(10)
    )
    meters = tuple(Meter(id=name, settlement_point=POINT, loss_factor=1.0178) for name in ("main", "clr", "ers"))
    ramp = {"max_ramp_up_mw_per_min": mw / 60, "max_ramp_down_mw_per_min": mw / 30} if limits else {}
    return Site(
        name="bench", market=Market.ERCOT, settlement_point=POINT, interconnect_mw=0.9 * mw, meters=meters, halls=halls, groups=made, **ramp
    )


def an_outlook(hours: int = 48, minutes: int = 15, seed: int = 7) -> Outlook:
    """Prices with evenings, spikes and negative hours; the same day curve at every step length."""
    over = Grid.regular(AT, AT + timedelta(hours=hours), minutes)
    rng = np.random.default_rng(seed)
    quarters = hours * 4
    price = 45 + 30 * np.sin(np.arange(quarters) / 96 * 4 * np.pi) + rng.normal(0, 15, quarters)
    price += np.where(rng.random(quarters) < 0.03, rng.uniform(200, 3000, quarters), 0.0) - np.where(rng.random(quarters) < 0.06, 70.0, 0.0)
    at = np.minimum((np.cumsum(over.hours) - over.hours) * 4, quarters - 1).astype(int)
    hour = (np.cumsum(over.hours) - over.hours).astype(int)
    reserve = {product: rng.uniform(1, 12, hours)[hour].round(2) for product in ("REGUP", "RRS", "ECRS", "NSPIN")}
    peak = np.where((hour % 24 > 4) & (hour % 24 < 8), 0.01, 0.0)
    celsius = 30 + 8 * np.sin(np.cumsum(over.hours) / 24 * 2 * np.pi)
    return Outlook(
        at=AT,
        grid=over,
        energy={POINT: Series(over, np.round(price[at], 2), "usd_per_mwh")},
        basis={},
        hashprice=Series.flat(over, 45.0, "usd_per_ph_day"),
        temperature_c=Series(over, celsius, "c"),
        reserve={product: Series(over, values, "usd_per_mw_h") for product, values in reserve.items()},
        peak_share={15: Series(over, peak, "share")},
    )


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median seconds of processor: one thread does all of it, and other work on the machine does not count."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took)


def bare_s(arrays: Arrays, rounds: int, whole: bool = False) -> float:
    """The pure HiGHS run on the same numbers, one thread, model already in: as it is, or dual simplex with whole numbers relaxed."""
    took = []
    for _ in range(rounds):
        highs = _loaded(arrays, whole)
        began = time.process_time()
        highs.run()
        took.append(time.process_time() - began)
    return statistics.median(took)


def _loaded(a: Arrays, whole: bool = False) -> highspy.Highs:
    highs = highspy.Highs()
    highs.silent()
    linear = (("presolve", "off"), ("solver", "simplex"))
    for option, value in (("threads", 1), *((("mip_rel_gap", 1e-6),) if whole else linear)):
        highs.setOptionValue(option, value)
    m = a.matrix
    highs.passModel(
        m.shape[1], m.shape[0], m.nnz, int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), a.offset,
        a.cost, a.lower, a.upper, a.row_lower, a.row_upper,
        m.indptr, m.indices, m.data, (a.integer & whole).astype(np.int32),
    )  # fmt: skip
    return highs


def solved(program: Program) -> Arrays:
    return last_stage(program, Session())[0]


def now(site: Site) -> SoFar:
    return SoFar(at=AT, groups={g.name: GroupNow({"normal": float(g.rigs)}) for g in site.groups})


def both(site: Site, ahead: Outlook, rounds: int, book=BOOK) -> tuple[float, float]:
    """(plan, pure HiGHS), seconds, in turn."""
    state = now(site)
    arrays = solved(program_of(site, book, ahead, state))
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(seconds(lambda: plan(site, book, ahead, state), 1))
        theirs.append(bare_s(arrays, 1))
    return statistics.median(ours), statistics.median(theirs)


def through_pulp_s(site: Site, ahead: Outlook, whole: bool) -> float:
    """The same program stated in PuLP and solved by HiGHS through it, once."""
    import pulp

    def work() -> None:
        problem = to_pulp(program_of(site, BOOK, ahead, now(site)))
        problem.solve(pulp.HiGHS(mip=whole, msg=False, threads=1, gapRel=1e-6))

    return seconds(work, 1)


def resolve_ratios(site: Site, ahead: Outlook, rounds: int) -> dict[str, float]:
    """Prices changed by some tenth, solved again on the same session, over the first solve; and beside it pure HiGHS with integers relaxed:
    its own hot run over its own cold one, and our second solve over its hot run."""
    arrays = solved(program_of(site, BOOK, ahead, now(site)))
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(rounds):
        session, highs = Session(), _loaded(arrays)
        first, cold = seconds(lambda s=session: s.run(arrays), 1), seconds(highs.run, 1)
        price = ahead.energy[POINT]
        moved = replace(ahead, energy={POINT: price.with_values(price.values * rng.uniform(0.9, 1.1, len(price.values)))})
        again = solved(program_of(site, BOOK, moved, now(site)))
        ours = seconds(lambda s=session, a=again: s.run(a), 1)
        hot = seconds(lambda h=highs, a=again: _run_with_costs(h, a), 1)
        rows.append((ours / first, hot / cold, ours / hot))
    resolve, floor, over_hot = (statistics.median(side) for side in zip(*rows, strict=True))
    return {"resolve_ratio": resolve, "highs_hot_over_cold": floor, "resolve_over_highs_hot": over_hot}


def _run_with_costs(highs: highspy.Highs, a: Arrays) -> None:
    """HiGHS again, from the basis it ended with, with other costs."""
    highs.changeColsCost(len(a.cost), np.arange(len(a.cost), dtype=np.int32), a.cost)
    highs.run()


def idle_move_mwh(site: Site) -> float:
    """Energy that moves between groups when the plan is made again a quarter hour later from the state it led to, prices unchanged."""
    ahead = an_outlook()
    # The ramp starts from the load now: air that warms between the two plans would be a changed input.
    ahead = replace(ahead, temperature_c=Series.flat(ahead.grid, 30.0, "c"))
    first = plan(site, BOOK, ahead, now(site))
    later = Grid(ahead.grid.edges[1:])
    cut = replace(
        ahead,
        at=later.start,
        grid=later,
        energy={POINT: Series(later, ahead.energy[POINT].values[1:], "usd_per_mwh")},
        hashprice=Series(later, ahead.hashprice.values[1:], "usd_per_ph_day"),
        temperature_c=Series(later, ahead.temperature_c.values[1:], "c"),
        reserve={product: Series(later, series.values[1:], series.unit) for product, series in ahead.reserve.items()},
        peak_share={15: Series(later, ahead.peak_share[15].values[1:], "share")},
    )
    second = plan(site, BOOK, cut, SoFar(at=later.start, groups={g.name: _led_to(g, first) for g in site.groups}))
    return float(sum(np.abs(second.groups[g.name].load_mw - first.groups[g.name].load_mw[1:]) @ later.hours for g in site.groups))


def _led_to(group: RigGroup, made: Plan) -> GroupNow:
    modes = {m: float(n[0]) for m, n in made.groups[group.name].modes.items()}
    stopped = modes["sleep"]
    return GroupNow(modes, slept=((AT, stopped),) if stopped > 0.5 else ())


def first_plan() -> tuple[float, float]:
    """A fresh process from start to its first plan: seconds and peak MiB."""
    took, peak = [], 0.0
    for _ in range(3):
        spent_s, said = fresh("-m", "bench.plan", "--once")
        took.append(spent_s)
        peak = float(said.split()[-1])
    return statistics.median(took), peak


def fresh(*arguments: str) -> tuple[float, str]:
    """A Python of its own: the seconds of processor it took, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def cvar_s(site: Site) -> float:
    """A plan weighed over 100 scenarios of 24 hours."""
    ahead, rng = an_outlook(24, 60), np.random.default_rng(9)
    past = enumerate(np.round(rng.normal(0, 25, (60, 24)) + (rng.random((60, 24)) < 0.03) * 900, 2), 1)
    risk = Risk(0.3, scenarios(ahead, {POINT: {AT.date() - timedelta(days=back): day for back, day in past}}, 1, 100))
    return seconds(lambda: plan(site, BOOK, ahead, now(site), risk=risk), 3)


def bare_imports_s() -> float:
    """A fresh process that imports numpy, scipy and highspy and does nothing: seconds."""
    return statistics.median(fresh("-c", "import numpy, scipy, highspy")[0] for _ in range(3))


def machine() -> str:
    with open("/proc/cpuinfo") as told:
        model = next((line.partition(":")[2].strip() for line in told if line.startswith("model name")), platform.machine())
    versions = f"Python {platform.python_version()}, highspy {metadata.version('highspy')}, numpy {np.__version__}"
    return f"{os.cpu_count()} x {model}, {versions}"


def peak_mib() -> float:
    """The most this process held. Linux' own high-water mark: getrusage would count the parent's memory before exec."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--once", action="store_true", help="one plan A, then the peak memory of this process")
    told = parser.parse_args()
    if told.once:
        plan(a_site(), BOOK, an_outlook(), now(a_site()))
        print(peak_mib())
        return
    found = measured(told.rounds)
    print(machine(), *(f"{key:28} {value:10.3f}" for key, value in found.items()), sep="\n")
    if told.json:
        print(json.dumps(found))


def measured(rounds: int) -> dict[str, float]:
    ahead, site_a, site_b = an_outlook(), a_site(), a_site(of=100)
    a, bare_a = both(site_a, ahead, rounds)
    b, bare_b = both(site_b, ahead, max(3, rounds // 2))
    small, _ = both(a_site(groups=10), an_outlook(24, 60), rounds)
    haircut = (*BOOK[:2], Block(mw=60.0, usd_per_mwh=32.5, sell_back=SellBack(haircut_usd_per_mwh=2.0, cap_mw=50.0)), *BOOK[3:])
    milp, _ = both(site_a, ahead, 3, haircut)
    thousand, _ = both(a_site(groups=1000), ahead, 3)
    five, _ = both(site_a, an_outlook(minutes=5), 3)
    (start_s, rss_mb), imports_s = first_plan(), bare_imports_s()
    return {
        "a_ms": a * 1e3,
        "a_ratio_to_highs": a / bare_s(solved(program_of(site_a, BOOK, ahead, now(site_a))), 3, whole=True),
        "a_ratio_to_highs_relaxed": a / bare_a,
        "b_ms": b * 1e3,
        "b_ratio_to_highs": b / bare_s(solved(program_of(site_b, BOOK, ahead, now(site_b))), 1, whole=True),
        "b_ratio_to_highs_relaxed": b / bare_b,
        "b_speedup_over_pulp": through_pulp_s(site_b, ahead, True) / b,
        "b_speedup_over_pulp_relaxed": through_pulp_s(site_b, ahead, False) / b,
        **resolve_ratios(site_a, ahead, rounds),
        "idle_move_mwh": idle_move_mwh(site_a),
        "groups_1000_ratio": thousand / a,
        "five_minute_ratio": five / a,
        "small_ratio": small / a,
        "milp_ratio": milp / a,
        "cvar_ratio": cvar_s(site_a) / a,
        "first_plan_s": start_s,
        "first_plan_ratio": start_s / imports_s,
        "rss_mb": rss_mb,
    }


if __name__ == "__main__":
    main()
