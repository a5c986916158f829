"""Transmission: what load at the system's peaks costs, in the plan by probability, on the bill by fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from markets.facts import SystemLoad
from markets.forecasting.peaks import coincident_peak_share
from markets.grid import Grid, Interval, Market, OperatingDay
from markets.series import Series
from optimizer.domain.actuals import Actuals
from optimizer.domain.own_peak import OwnPeakMemory
from optimizer.domain.site import Site, SoFar
from optimizer.lp.trajectory import actuals_of, unpack
from optimizer.obligations.block import Block
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan, program_of, rigs_of
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, call, grid, group, outlook, random_prices, site, so_far
from tests.rule_cases import SHIPPED, with_market_rules

FULL = 3.5  # MW of a thousand S21


def one() -> Site:
    return site(group("g", rigs=1000))


def metered(where: Site, over: Grid, mw: list[str], **more) -> Actuals:
    hours = [Decimal(int(s)) / 3600 for s in np.diff(over.edges)]
    nothing = [Decimal(0)] * len(over)
    return Actuals(
        site=where, grid=over, energy_mwh={"g": [Decimal(m) * h for m, h in zip(mw, hours, strict=True)]}, hash_ph_days={"g": nothing},
        energy_price={"LZ_WEST": nothing}, hashprice=nothing, **more,
    )  # fmt: skip


def year_of(method: str, rate: float, peaks: list[str], months: list[int], minutes: int, **more) -> Decimal:
    """Next year's charge: the bill of each month, its system peak at 17:00 of the 15th, the site at the given MW then and at 100 else."""
    contract = Transmission(method=method, usd_per_kw_year=rate, **more)
    total = Decimal(0)
    for month, mw in zip(months, peaks, strict=True):
        start = datetime(2026, month, 15, 21, tzinfo=UTC)
        over = Grid.regular(start, start + timedelta(hours=2), 15)
        loads = [SystemLoad(source="t", known_at=start, over=i, load_mw=70_000.0) for i in over.intervals]
        width = minutes // 15
        for n in range(4, 4 + width):
            loads[n] = replace(loads[n], load_mw=80_000.0)
        share = coincident_peak_share(loads, over, Market.ERCOT, minutes)
        load = [mw if 4 <= n < 4 + width else "100.0" for n in range(len(over))]
        real = metered(one(), over, load, peak_share={minutes: [Decimal(repr(float(v))) for v in share.values]})
        total += settle((contract,), real).net_exact_usd
    return total.quantize(Decimal("0.01"))


def test_the_worked_example_to_the_cent():
    """EX-5 of docs/rules.md."""
    assert year_of("4cp", 70.0, ["3.2", "100.0", "2.8", "3.0"], [6, 7, 8, 9], 15) == Decimal("-1907500.00")
    assert (Decimal("1907500") / 12).quantize(Decimal("0.01")) == Decimal("158958.33")
    flat_out = year_of("4cp", 70.0, ["100.0"] * 4, [6, 7, 8, 9], 15)
    assert flat_out - Decimal("-1907500.00") == Decimal("-5092500.00")
    one_miss = year_of("4cp", 70.0, ["3", "100", "3", "3"], [6, 7, 8, 9], 15) - year_of("4cp", 70.0, ["3"] * 4, [6, 7, 8, 9], 15)
    assert one_miss == Decimal("-1697500.00")
    twelve = ["3"] * 12
    twelve[2] = twelve[7] = "100"
    assert year_of("12cp", 81.59, twelve, list(range(1, 13)), 30) == Decimal("-1563808.33")


def test_what_it_takes_for_granted_is_what_the_dated_rules_say():
    held = {r.id: r.value for r in SHIPPED.dated() if r.id.startswith("ercot.transmission.")}
    assert held["ercot.transmission.4cp.months"].split() == [str(m) for m in METHODS["4cp"].counted_months]
    assert held["ercot.transmission.4cp.interval_min"] == METHODS["4cp"].metered_min
    assert held["ercot.transmission.12cp.interval_min"] == Transmission(method="12cp", usd_per_kw_year=1).metered_min
    real = metered(one(), grid(1), ["2.0"], peak_share={15: [Decimal(1)]})
    (line,) = settle((with_market_rules(METHODS["4cp"]),), real).lines
    assert "16 TAC 25.192" in line.rule and "ercot.transmission.4cp.interval_min" in line.rule and "not verified" in line.rule


def test_minimum_billing_demand_avoids_nothing_at_system_peaks():
    """EX-5 of docs/rules.md: the year's own highest, 101.5 MW, whatever the load was at the system's peaks."""
    contract = Transmission(method="mbd", usd_per_kw_year=81.59)
    start = datetime(2026, 8, 15, 21, tzinfo=UTC)
    over = Grid.regular(start, start + timedelta(hours=2), 15)
    real = metered(one(), over, ["3.0", "80", "101.5", "101.5", "2", "2", "99", "0"])
    bill = settle((contract,), real)
    assert bill.net_usd == Decimal("-8281385.00")
    assert [(line.quantity, line.over.start.minute) for line in bill.lines] == [
        (Decimal("3.0"), 0),
        (Decimal("77"), 15),
        (Decimal("21.5"), 30),
    ]
    known = replace(real, memory={"transmission": OwnPeakMemory(own_peak_mw=101.5)})
    assert settle((contract,), known).net_usd == 0
    part = replace(real, memory={"transmission": OwnPeakMemory(own_peak_mw=100.0)})
    assert settle((contract,), part).net_usd == Decimal("-122385.00")


def test_a_demand_charge_begins_anew_each_month_and_bills_at_least_the_contract():
    contract = Transmission(method="ncp", usd_per_kw_year=120.0, contract_mw=2.0)
    start = datetime(2026, 9, 1, 4, 30, tzinfo=UTC)  # half an hour before Central midnight
    over = Grid.regular(start, start + timedelta(hours=1), 15)
    real = metered(one(), over, ["3", "3", "1", "4"], memory={"transmission": OwnPeakMemory(own_peak_mw=2.5)})
    lines = settle((contract,), real).lines
    # 10,000 $ a MW and month: 0.5 MW more in August; in September the contract's 2 MW from its first interval, then 2 MW more.
    assert [(line.quantity, line.amount_usd) for line in lines] == [(Decimal("0.5"), -5000), (2, -20000), (2, -20000)]
    summer = Transmission(method="ncp", usd_per_kw_year=120.0, months=(8,))
    assert settle((summer,), real).net_usd == Decimal("-5000.00")


@pytest.mark.parametrize("method", ["ncp", "mbd"])
def test_the_least_demand_is_owed_once_in_each_period_that_a_bill_touches(method):
    """A site that starts in the middle of a month or year, with a gap at first, and is billed in two parts."""
    contract = Transmission(method=method, usd_per_kw_year=120.0, contract_mw=2.0)
    per_mw = Decimal(-10_000 if method == "ncp" else -120_000)
    whole = metered(one(), grid(4), ["NaN", "1", "1.5", "0.5"])
    assert [(line.over, line.amount_usd) for line in settle((contract,), whole).lines] == [(grid(4).intervals[1], 2 * per_mw)]
    memory = contract.remember(contract.memory_type(), whole)
    assert memory.least_is_billed and memory.own_peak_mw == 1.5
    later = replace(metered(one(), grid(2), ["1", "3"]), memory={contract.name: memory})
    assert settle((contract,), later).net_usd == per_mw, "1 MW above the contract's 2 MW, which are billed already"
    nothing = metered(one(), grid(2), ["NaN", "NaN"])
    assert not settle((contract,), nothing).lines and not contract.remember(contract.memory_type(), nothing).least_is_billed
    elsewhen = replace(later, memory={contract.name: replace(memory, period=(memory.period or 0) - 1)})
    assert settle((contract,), elsewhen).net_usd == 3 * per_mw


def test_half_an_hour_with_a_gap_is_metered_by_what_is_known():
    contract = Transmission(method="ncp", usd_per_kw_year=12.0, interval_min=30)
    real = metered(one(), grid(4), ["NaN", "3", "2", "2"])
    assert [(line.over, line.quantity) for line in settle((contract,), real).lines] == [(grid(4).intervals[1], 3)]


def test_thirty_minute_demand_is_the_mean_of_two_quarters():
    contract = Transmission(method="ncp", usd_per_kw_year=12.0, interval_min=30)
    real = metered(one(), grid(4), ["0", "3", "2", "2"])
    assert sum(line.quantity for line in settle((contract,), real).lines) == 2


def test_a_later_higher_system_peak_takes_the_place_of_an_earlier_one():
    contract = Transmission(method="4cp", usd_per_kw_year=70.0)
    first = Grid.regular(datetime(2026, 8, 13, 5, tzinfo=UTC), datetime(2026, 8, 14, 5, tzinfo=UTC), 15)
    loads = [
        SystemLoad(source="t", known_at=i.end, over=i, load_mw=60_000.0 + 20_000 * np.sin(np.pi * (n - 24) / 96) ** 2)
        for n, i in enumerate(first.intervals)
    ]
    peak = int(np.argmax([f.load_mw for f in loads]))

    def bill(facts):
        share = coincident_peak_share(facts, first, Market.ERCOT, 15)
        return settle((contract,), metered(one(), first, ["3.5"] * 96, peak_share={15: [Decimal(repr(float(v))) for v in share.values]}))

    assert [(line.over, line.amount_usd) for line in bill(loads).lines] == [(first.intervals[peak], Decimal("-61250"))]
    later = Interval(datetime(2026, 8, 20, 22, tzinfo=UTC), datetime(2026, 8, 20, 22, 15, tzinfo=UTC))
    assert not bill([*loads, SystemLoad(source="t", known_at=later.end, over=later, load_mw=80_500.0)]).lines
    lower = SystemLoad(source="t", known_at=later.end, over=later, load_mw=79_000.0)
    assert bill([*loads, lower]).net_usd == Decimal("-61250.00")
    september = Interval(later.start + timedelta(days=20), later.end + timedelta(days=20))
    assert bill([*loads, replace(lower, over=september, load_mw=90_000.0)]).net_usd == Decimal("-61250.00")


def foreseen(ahead, share):
    return replace(ahead, peak_share={15: Series(ahead.grid, np.asarray(share, dtype=float), "share")})


def test_the_plan_avoids_an_interval_once_its_probability_is_worth_more_than_hashing():
    """A thousand S21 hash for 375 $ an hour and draw 105 $ of energy; being on at a peak costs 61,250 $."""
    where, book = one(), (Hashing(), Power(), Transmission(method="4cp", usd_per_kw_year=70.0))
    ahead = outlook([30.0] * 8)
    worth = (200 * 45.0 / 24 - FULL * 30.0) / 4  # of a quarter hour
    even = worth / (70.0 * 1000 / 4 * FULL)
    share = [0.0, 0.9 * even, 1.1 * even, 0.3, 0.0, 0.9 * even, 1.1 * even, 0.0]
    made = plan(where, book, foreseen(ahead, share), so_far())
    assert list(np.round(made.load_mw, 6)) == [FULL, FULL, 0, 0, FULL, FULL, 0, FULL]
    cost = made.lines[("transmission", "coincident_peak")]
    assert cost == pytest.approx([0, -0.9 * worth, 0, 0, 0, -0.9 * worth, 0, 0])
    calm = plan(where, book, ahead, so_far())
    assert calm.load_mw == pytest.approx([FULL] * 8)


def test_months_that_do_not_count_cost_nothing():
    where = one()
    winter = Transmission(method="4cp", usd_per_kw_year=70.0, months=(12, 1))
    made = plan(where, (Hashing(), Power(), winter), foreseen(outlook([30.0] * 4), [0.25] * 4), so_far())
    assert made.load_mw == pytest.approx([FULL] * 4)


def test_the_operators_own_list_is_kept_and_yields_to_a_called_floor():
    where = one()
    over = {"from": AT + timedelta(minutes=15), "to": AT + timedelta(minutes=45)}
    contract = Transmission(method="4cp", usd_per_kw_year=70.0, avoid=({**over, "mw": 1.0},))
    made = plan(where, (Hashing(), Power(), contract), outlook([30.0] * 4), so_far())
    assert made.load_mw == pytest.approx([FULL, 1.0, 1.0, FULL])
    assert "transmission" not in {name for (name, _), usd in made.lines.items() if usd.any()}, "the list is no cash"
    within = contract.bounds(where, contract.memory_from({}), (), Interval(AT + timedelta(minutes=20), AT + timedelta(minutes=25)))
    assert (within.cap_mw, within.firm) == (1.0, False) and "list" in within.why
    must = (call("transmission", AT, AT + timedelta(hours=2), mw_target=2.0),)
    called = contract.bounds(where, contract.memory_from({}), must, Interval(AT + timedelta(minutes=20), AT + timedelta(minutes=25)))
    assert (called.floor_mw, called.cap_mw, called.firm) == (2.0, 2.0, True)
    kept = plan(where, (Hashing(), Power(), contract), outlook([30.0] * 4), so_far(calls=must))
    assert kept.load_mw == pytest.approx([2.0] * 4)


def test_a_cap_that_is_missed_costs_what_it_adds_to_the_charge():
    """It draws 0.2 MW asleep where nothing may: a quarter of 70 $/kW-year on it at the peak, a twelfth of 120 as the month's demand."""
    where = site(group("g", "s21", standby=200.0))
    told = (call("transmission", AT, AT + timedelta(hours=1), mw_cap=0.0),)
    ahead = foreseen(outlook([30.0] * 4), [0.0, 0.5, 0.0, 0.0])
    at_peak = plan(where, (Hashing(), Power(), Transmission(method="4cp", usd_per_kw_year=70.0)), ahead, so_far(calls=told))
    (short,) = at_peak.shortfalls
    assert short.promise == "call transmission" and short.mw == pytest.approx(0.2)
    assert short.usd == pytest.approx(0.2 * 0.5 * 17_500)
    own = plan(where, (Hashing(), Power(), Transmission(method="ncp", usd_per_kw_year=120.0)), outlook([30.0] * 4), so_far(calls=told))
    assert own.shortfalls[0].usd == pytest.approx(0.2 * 10_000)


def test_the_own_peak_so_far():
    day = OperatingDay(Market.ERCOT, AT.date())
    contract = Transmission(method="ncp", usd_per_kw_year=12.0, contract_mw=2.0)
    memory = contract.remember(contract.memory_type(), metered(one(), grid(4), ["0", "3.25", "2", "2"]))
    (score,) = contract.progress(memory, day)
    assert (score.value, score.unit) == (3.25, "MW") and "of August 2026, 15 minutes metered; at least 2 MW" in score.how
    assert not list(Transmission(method="4cp", usd_per_kw_year=12.0).progress(OwnPeakMemory(), day)), (
        "a coincident peak is no figure of the site alone"
    )


def test_a_new_month_does_not_stop_a_site_that_earns():
    """At the month's start no hours before the horizon carry the demand: the rest of the month does."""
    where, at = one(), datetime(2026, 9, 1, 5, tzinfo=UTC)
    contract = Transmission(method="ncp", usd_per_kw_year=36.0)
    ahead = outlook([30.0] * 48, Grid.regular(at, at + timedelta(hours=48), 60))
    made = plan(where, (Hashing(), Power(), contract), ahead, so_far(at))
    assert made.load_mw == pytest.approx([FULL] * 48)
    assert sum(made.lines[("transmission", "demand")]) == pytest.approx(-36.0 * 1000 / 12 * FULL)
    # Two days of hashing earn 3,830 $ a MW: less than the month's charge, more than two days' part of it.
    month = Transmission(method="ncp", usd_per_kw_year=540.0)
    assert plan(where, (Hashing(), Power(), month), ahead, so_far(at)).load_mw == pytest.approx([FULL] * 48)
    dear = Transmission(method="ncp", usd_per_kw_year=3600.0)
    assert plan(where, (Hashing(), Power(), dear), ahead, so_far(at)).load_mw.max() < 0.01
    known = so_far(at, memory={"transmission": OwnPeakMemory(own_peak_mw=2.0)})
    end = ahead.grid.start - timedelta(days=3)
    later = outlook([30.0] * 24, Grid.regular(end, end + timedelta(hours=24), 60))
    assert plan(where, (Hashing(), Power(), dear), later, replace(known, at=end)).load_mw == pytest.approx([2.0] * 24, abs=1e-6)


METHODS = {
    "4cp": Transmission(method="4cp", usd_per_kw_year=70.0),
    "12cp": Transmission(method="12cp", usd_per_kw_year=81.59, interval_min=15),
    "ncp": Transmission(method="ncp", usd_per_kw_year=70.0, contract_mw=1.0),
    "ncp of half hours": Transmission(method="ncp", usd_per_kw_year=70.0, interval_min=30),
    "mbd": Transmission(method="mbd", usd_per_kw_year=70.0, contract_mw=3.0),
    "listed": Transmission(method="4cp", usd_per_kw_year=70.0, avoid=({"from": AT, "to": AT + timedelta(hours=1)},)),
}


@pytest.mark.parametrize("kind", METHODS)
@settings(max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_the_law(kind, seed):
    rng = np.random.default_rng(seed)
    where = site(group("mine", rigs=800, low=True, standby=10.0), group("old", "s19jpro", rigs=900))
    ahead = foreseen(outlook(random_prices(rng, 12)), rng.dirichlet(np.ones(12)) * rng.uniform(0, 1))
    kit.holds(METHODS[kind], where, ahead, rng, linear=METHODS[kind].method in ("4cp", "12cp"))
    kit.keeps_the_law(METHODS[kind], where, ahead, rng, linear=False, beside=(Hashing(), Power(), Block(mw=1.0, usd_per_mwh=30.0)))


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_the_law_in_expectation_over_where_the_peak_falls(seed):
    """The program's line is the mean of the bills, over the intervals that may turn out to be the peak."""
    rng = np.random.default_rng(seed)
    where, contract = one(), METHODS["4cp"]
    share = rng.dirichlet(np.ones(12)) * rng.uniform(0, 1)
    ahead = foreseen(outlook(random_prices(rng, 12)), share)
    program = program_of(where, (contract,), ahead, SoFar(at=AT))
    solution = kit.solve_with_random_load(program, rng)
    said = sum(float(e.usd.at(solution.x).sum()) for e in program.earned)
    real = actuals_of(program, unpack(program, rigs_of(program, solution)))
    bills = []
    for t in range(12):
        fact = [Decimal(int(t == n)) for n in range(12)]
        bills.append(float(settle((contract,), replace(real, peak_share={15: fact})).net_exact_usd))
    assert said == pytest.approx(float(np.dot(share, bills)), abs=0.005)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "4cp", "contract_mw": 3.0}, "contract_mw does not apply to 4cp"),
        ({"method": "ncp", "cp_year_start": 10}, "cp_year_start does not apply to ncp"),
        ({"method": "mbd", "months": (6,)}, "months"),
        ({"method": "4cp", "months": (6, 6)}, "months needs each month once"),
        ({"method": "4cp", "avoid": [{"from": AT, "to": AT}]}, "is not after from"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        Transmission(usd_per_kw_year=70.0, **options)
