"""Emergency Response Service: the worked example to the cent, the calendar, events and tests, and the conflict with the price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from markets.facts import Award, Call, CallKind
from markets.grid import Grid, Interval, Market, OperatingDay
from optimizer.domain.site import GroupNow, Mode
from optimizer.domain.time_periods import TimePeriod, holidays, period_at
from optimizer.obligations.ers.calendar import hours_left, term
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.ers.memory import ErsMemory, ErsTest
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from optimizer.settlement.performance import promises
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import POINT, actuals, group, outlook, random_prices, site, so_far
from tests.rule_cases import with_market_rules

# Four clock hours of every day from June to September: 488 hours.
AFTERNOON = TimePeriod(name="afternoon", months=(6, 7, 8, 9), hours=(13, 14, 15, 16))
W, MBL = 40.0, 4.0
JUNE, OCTOBER = datetime(2026, 6, 1, 5, tzinfo=UTC), datetime(2026, 10, 1, 5, tzinfo=UTC)
TERM = Grid.regular(JUNE, OCTOBER, 15)


def ers(**more):
    options = {"product": "ERS-30", "mw": W, "max_base_load_mw": MBL, "usd_per_mw_hour": 7.25, "periods": (AFTERNOON,), **more}
    return with_market_rules(Ers(**options))


def local(month, day, hour, minute=0, second=0):
    return datetime(2026, month, day, hour, minute, second, tzinfo=Market.ERCOT.tz).astimezone(UTC)


def event(kind=CallKind.DEPLOY, id_="e1", day=15):
    at = local(7, day, 15, 7, 30)
    return Call(
        source="qse", known_at=at, id=id_, version=1, obligation="ers", kind=kind, notice_at=at, start_at=at, end_at=local(7, day, 17, 20),
        mw_cap=MBL,
    )  # fmt: skip


def whole_term(during, away=0, calls=None, day=15):
    """A term at 44 MW but for the eight intervals of an event and `away` obligated intervals in August without load."""
    mw = ["44"] * len(TERM)
    first = TERM.index(local(7, day, 15, 30))
    for k, value in enumerate(during):
        mw[first + k] = str(value)
    obligated = [
        t
        for t, over in enumerate(TERM.intervals)
        if over.start >= local(8, 1, 0) and AFTERNOON.holds(over.start.astimezone(Market.ERCOT.tz))
    ]
    for t in obligated[:away]:
        mw[t] = "0"
    where = site(group("g", rigs=15_000))
    calls = (event(),) if calls is None and during else calls or ()
    return actuals(where, TERM, {"g": [D(v) / 4 for v in mw]}, {POINT: ["0"] * len(TERM)}, calls=calls)


GOOD = (9, 4, "3.5", 6, 4, 4, 4, 4)
BAD = (30, 14, 8, 4, 4, 4, 4, 4)


def test_ex4_paid_in_full():
    """Gross 141,520.00; an event at EPF 0.983537 and availability 0.9708 cost nothing."""
    statement = settle((ers(),), whole_term(GOOD, away=57))
    assert statement.totals == {("ers", "ers_capacity"): D("141520.00")}
    assert sum(line.quantity for line in statement.lines) == 488 * 40


def test_ex4_a_poor_event():
    """EPF 0.901220: 127,540.59 of it, 13,979.41 lost."""
    statement = settle((ers(),), whole_term(BAD, away=56))
    assert statement.totals == {("ers", "ers_capacity"): D("141520.00"), ("ers", "ers_factors"): D("-13979.41")}
    assert statement.net_usd == D("127540.59")


def test_ex4_poor_availability_too():
    """AF 0.8825 exactly and EPF 0.901220: 112,554.57. The hours before this grid are in the memory."""
    contract = ers()
    real = whole_term(BAD)
    found = contract.settle(real)
    assert sum(line.amount_usd for line in found).quantize(D("0.01")) == D("127540.59")
    # 1,952 intervals of which eight are the event's: an availability of 0.8825 needs hours the example leaves open.
    for available, paid in ((D("0.8825"), "112554.57"), (D("0.9712"), "127540.59"), (D("0.84"), "89992.64")):
        memory = {"ers": ErsMemory.from_json({"obligated_h": "4800", "available_h": str(available * 4800), "gross_usd": "141520",
                          "event_weight": str(D(41) / 6), "event_done": str(D("5.825") + D(1) / 3)})}  # fmt: skip
        quiet = Grid.regular(OCTOBER - timedelta(hours=1), OCTOBER, 15)
        after = actuals(site(group("g")), quiet, {"g": ["0"] * 4}, {POINT: ["0"] * 4}, memory=memory)
        (part,) = contract.terms(quiet, Market.ERCOT, memory["ers"])
        from optimizer.domain.money import decimal

        worth = contract.worth(part, contract.so_far(memory["ers"], decimal), False)
        assert worth.quantize(D("0.01")) == D(paid)
        paid_before = {"ers": replace(memory["ers"], worth_usd=float(worth))}
        assert settle((contract,), replace(after, memory=paid_before)).net_usd == 0


def test_availability_counts_intervals_of_the_whole_term():
    """1,895 of 1,952 is 0.970799: in full. A hundred short is 0.9488: in proportion. Four hundred short: squared."""
    for away, share in ((57, D(1)), (100, D(1852) / 1952), (400, (D(1552) / 1952) ** 2)):
        statement = settle((ers(),), whole_term((), away))
        assert statement.net_exact_usd == pytest.approx(D(141520) * share, abs=D("0.0001"))


def test_days_add_up_to_their_term():
    """Settled day by day with the days before in memory, the lines add up to what the term as a whole pays."""
    contract, real = ers(), whole_term(BAD, away=130)
    memory = ErsMemory()
    total, at = D(0), JUNE
    from optimizer.domain.actuals import Actuals

    while at < OCTOBER:
        end = min(at + timedelta(days=7), OCTOBER)
        a, b = TERM.index(at), TERM.index(end - timedelta(minutes=1)) + 1
        week = Actuals(
            real.site, Grid(TERM.edges[a : b + 1]), {"g": real.energy_mwh["g"][a:b]}, {"g": [D(0)] * (b - a)}, {POINT: [D(0)] * (b - a)},
            [D(45)] * (b - a), calls=real.calls, memory={"ers": memory},
        )  # fmt: skip
        total += sum(line.amount_usd for line in contract.settle(week))
        memory = contract.remember(memory, week)
        at = end
    once = sum(line.amount_usd for line in contract.settle(real))
    assert total == pytest.approx(once, abs=D("0.0001"))
    assert memory.deployed_h == pytest.approx(1 + 42.5 / 60)
    assert (memory.term, memory.obligated_h) == (date(2026, 6, 1), 488 - 2), "from the dispatch at 15:07 on nothing of the day counts"
    later = contract.terms(Grid.regular(OCTOBER, OCTOBER + timedelta(hours=1), 15), Market.ERCOT, memory)[0]
    assert not contract.recalled(memory, later.begins).obligated_h, "a new term begins from nothing"


def ending(days):
    """A deployment of six hours and a half on each of two days: the hours of the term are used up on the second."""
    calls = []
    for n, day in enumerate(days):
        at = local(7, day, 13)
        calls.append(
            Call(
                source="qse", known_at=at, id=f"e{n}", version=1, obligation="ers", kind=CallKind.DEPLOY, notice_at=at, start_at=at,
                end_at=local(7, day, 20), mw_cap=MBL,
            )
        )  # fmt: skip
    return tuple(calls)


def by_days(contract, real):
    """Dollars by operating day, each settled with the days before in memory, and the memory after the last."""
    memory, usd, at = ErsMemory(), {}, JUNE
    while at < OCTOBER:
        a = TERM.index(at)
        one = replace(
            real, grid=Grid(TERM.edges[a : a + 97]), energy_mwh={"g": real.energy_mwh["g"][a : a + 96]}, hash_ph_days={"g": [D(0)] * 96},
            energy_price={POINT: [D(0)] * 96}, hashprice=[D(45)] * 96, memory={"ers": memory},
        )  # fmt: skip
        lines = list(contract.settle(one))
        usd[at.astimezone(Market.ERCOT.tz).date()] = sum((line.amount_usd for line in lines), D(0))
        memory = contract.remember(memory, one)
        at += timedelta(days=1)
    return usd, memory


DAY = D(4 * 40) * D("7.25")


def test_used_up_hours_end_the_obligation_with_their_day():
    """13 h of the 12 that a summer has: the rest of it is not obligated, whatever the load does, and is not paid."""
    real = whole_term((), calls=ending((14, 15)))
    real = replace(real, energy_mwh={"g": _low(real.energy_mwh["g"], (14, 15))})
    contract = ers()
    usd, memory = by_days(contract, real)
    assert memory.used_up == date(2026, 7, 15) and memory.deployed_h == pytest.approx(13.0)
    assert usd[date(2026, 7, 15)] == DAY and usd[date(2026, 7, 16)] == 0 and usd[date(2026, 9, 30)] == 0
    assert sum(usd.values()) == 45 * DAY, "June, and fifteen days of July"
    assert memory.obligated_h == 43 * 4, "the days of the events count by their performance"
    figures = {score.name: score for score in contract.progress(memory, OperatingDay(Market.ERCOT, date(2026, 9, 30)))}
    assert figures["ers: deployed"].value == pytest.approx(13.0) and "12 h since 1 June 2026" in figures["ers: deployed"].how
    assert figures["ers: availability so far"].value == pytest.approx(100.0)
    autumn = Grid.regular(OCTOBER, OCTOBER + timedelta(days=1), 15)
    fall = ers(periods=(TimePeriod(name="all", months=(10,), hours=(13,)),))
    assert any(fall.obligated(autumn, Market.ERCOT, memory)), "the next term is another one"


def test_a_renewed_obligation_begins_anew_on_the_day_after():
    """With renewal every day is obligated. A poor event cuts the first contract period, the second is paid in full."""
    real = whole_term((), calls=ending((14, 15)))
    contract = ers(renewal=True)
    usd, memory = by_days(contract, real)  # the load stays up: no performance at all in the events
    assert memory.term == date(2026, 7, 16) and memory.deployed_h == 0 and memory.used_up is None
    assert (memory.event_weight, memory.obligated_h) == (0.0, 77 * 4)
    assert sum((v for day, v in usd.items() if day > date(2026, 7, 15)), D(0)) == 77 * DAY
    assert sum((v for day, v in usd.items() if day <= date(2026, 7, 15)), D(0)) == pytest.approx(D(0), abs=D("0.0001"))
    now = next(iter(contract.progress(memory, OperatingDay(Market.ERCOT, date(2026, 9, 30)))))
    assert (now.value, now.how) == (0.0, "of at most 12 h since 16 July 2026")
    again = contract.terms(
        Grid.regular(local(7, 15, 0), local(7, 17, 0), 15), Market.ERCOT, ErsMemory(used_up=date(2026, 7, 15), term=date(2026, 6, 1))
    )
    assert [(part.begins, part.first, part.last) for part in again] == [(date(2026, 6, 1), 0, 96), (date(2026, 7, 16), 96, 192)]
    assert (again[0].ahead, again[1].ahead) == ((0,), (76 * 4,))


def _low(mwh, days):
    """The same at the base load in the sustained response of the events."""
    out = list(mwh)
    for day in days:
        for t in range(TERM.index(local(7, day, 13, 30)), TERM.index(local(7, day, 20))):
            out[t] = D(MBL) / 4
    return out


def test_a_plan_after_the_hours_are_used_up_stands_by_for_nothing():
    """A dear afternoon with no hour to give up: it sleeps, for nothing is owed any more; renewed, it stands by."""
    over = Grid.regular(local(7, 20, 12), local(7, 20, 18), 60)
    memory = {
        "ers": ErsMemory.from_json(
            {"term": "2026-06-01", "obligated_h": 180, "available_h": 171, "gross_usd": 180 * 290.0, "used_up": "2026-07-15"}
        )
    }
    ahead = outlook([50, 115, 115, 115, 115, 50], over, hashprice=40.0)
    for renewal, load, said in ((False, 0, "not obligated again before 1 October"), (True, 42, "obligated anew")):
        made = plan(miner(), (*BOOK, ers(rest_available=0.95, renewal=renewal)), ahead, so_far(over.start, memory=memory))
        np.testing.assert_allclose(made.load_mw, [50, load, load, load, load, 50], atol=2e-3)
        assert any("were used up on 15 July" in text and said in text for text in reasons(made))


def failed_on(*starts):
    """Tests of an hour without any performance."""
    return {f"t{k}": ErsTest(at, at + timedelta(hours=1), 4.0, 0.0) for k, at in enumerate(starts)}


def test_three_failed_tests_in_a_row_leave_nothing():
    test = event(CallKind.TEST)
    assert settle((ers(),), whole_term(BAD, calls=(test,))).net_usd == D("141520.00")
    real = whole_term(BAD, calls=(test,))
    twice = {"ers": ErsMemory(tests=failed_on(local(5, 1, 15), local(5, 8, 15)))}
    assert settle((ers(),), replace(real, memory=twice)).net_usd == D("0.00")
    long_ago = {"ers": ErsMemory(tests=failed_on(JUNE - timedelta(days=300), local(5, 8, 15)))}
    assert settle((ers(),), replace(real, memory=long_ago)).net_usd == D("141520.00"), "the oldest is over a year old when the term ends"
    passed = whole_term(GOOD, calls=(test,))
    assert settle((ers(),), replace(passed, memory=twice)).net_usd == D("141520.00")


def test_the_default_baseline_is_registered_or_awarded():
    contract = ers(baseline="default", max_base_load_mw=0.0, baseline_mw=44.0)
    assert settle((contract,), whole_term((4,) * 8)).net_usd == D("141520.00")
    assert settle((contract,), whole_term((24,) * 8)).net_usd < D("100000")
    said = Award(
        source="qse", known_at=JUNE, obligation="ers", product="BASELINE", market="RT", over=TERM.over, mw=64.0, mcpc_usd_per_mw_h=0.0
    )  # fmt: skip
    assert settle((contract,), replace(whole_term((24,) * 8), awards=(said,))).net_usd == D("141520.00")
    now = Interval(local(7, 15, 16), local(7, 15, 16, 15))
    call = replace(event(), mw_cap=None, mw_target=None)
    assert contract.bounds(miner(), ErsMemory(), (call,), now).cap_mw == 4.0
    with pytest.raises(ValidationError, match="baseline_mw is missing: baseline 'default' is judged by it; add the load"):
        ers(baseline="default")
    with pytest.raises(ValidationError, match="nobody can drop more than the baseline"):
        ers(baseline="default", baseline_mw=39.0)
    with pytest.raises(ValidationError, match="does not apply to baseline 'alternate'"):
        ers(baseline_mw=50.0)


def test_the_calendar():
    assert term(date(2026, 2, 3), "12 1 2 3 | 4 5 | 6 7 8 9 | 10 11") == (date(2025, 12, 1), date(2026, 4, 1))
    assert term(date(2026, 12, 31), "12 1 2 3 | 4 5 | 6 7 8 9 | 10 11") == (date(2026, 12, 1), date(2027, 4, 1))
    assert holidays(2026) == {
        date(2026, 1, 1),
        date(2026, 5, 25),
        date(2026, 7, 4),
        date(2026, 9, 7),
        date(2026, 11, 26),
        date(2026, 12, 25),
    }
    tp2 = TimePeriod(name="TP2", months=(6, 7, 8, 9), weekdays=True, hours=(9, 10, 11, 12))
    assert period_at((tp2,), local(9, 7, 10), Market.ERCOT) is None
    assert period_at((tp2,), local(9, 8, 10), Market.ERCOT) is tp2
    assert hours_left((AFTERNOON,), JUNE, date(2026, 10, 1), Market.ERCOT) == (488,)
    assert hours_left((tp2,), JUNE, date(2026, 10, 1), Market.ERCOT) == (4 * 87,)


def miner(rigs=20_000):
    """50 MW of rigs at 15 J/TH: a breakeven of 111 $/MWh at 40 $/PH/day."""
    return site(group("g", rigs=rigs, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=2500, ths=2500 / 15))))


BOOK = (Hashing(), Power(), Plant())


def test_it_stands_by_where_the_price_says_sleep_and_says_what_that_costs():
    """Late in the term with no hour left to give up, the load stays at its threshold through a dear afternoon; with room it sleeps."""
    over = Grid.regular(local(9, 29, 12), local(9, 29, 18), 60)
    ahead = outlook([50, 150, 150, 150, 150, 50], over, hashprice=40.0)
    tight = {"ers": ErsMemory.from_json({"obligated_h": 480, "available_h": 456, "gross_usd": 480 * 290.0})}
    stays = plan(miner(), (*BOOK, ers()), ahead, so_far(over.start, memory=tight))
    np.testing.assert_allclose(stays.load_mw, [50, 42, 42, 42, 42, 50], atol=2e-3)
    assert any("ers" in r and "costs" in r for r in reasons(stays))
    loose = {"ers": ErsMemory.from_json({"obligated_h": 480, "available_h": 480, "gross_usd": 480 * 290.0})}
    sleeps = plan(miner(), (*BOOK, ers()), ahead, so_far(over.start, memory=loose))
    np.testing.assert_allclose(sleeps.load_mw, [50, 0, 0, 0, 0, 50], atol=1e-6)
    assert any("ers" in r and "given up" in r for r in reasons(sleeps))


def test_it_stands_by_with_as_much_as_sheds_the_promise_in_time():
    """38 MW are to stand over the 4 MW that may run on; 95 of 100 rigs were measured to shed within 30 minutes: 44 MW must stand."""
    over = Grid.regular(local(9, 29, 12), local(9, 29, 18), 60)
    tight = {"ers": ErsMemory.from_json({"obligated_h": 480, "available_h": 456, "gross_usd": 480 * 290.0})}
    measured = {"g": GroupNow({"normal": 20_000.0}, shed=((60.0, 0.5), (600.0, 0.95)))}
    ahead = outlook([50, 150, 150, 150, 150, 50], over, hashprice=40.0)
    made = plan(miner(), (*BOOK, ers()), ahead, so_far(over.start, memory=tight, groups=measured))
    np.testing.assert_allclose(made.load_mw, [50, 44, 44, 44, 44, 50], atol=2e-3)


def test_an_event_that_cannot_be_met_costs_what_its_factors_cut():
    """10,000 of 20,000 rigs draw 1,200 W asleep: 12 MW stay above a base load of 4."""
    asleep = (Mode(name="sleep", watts=1200, ths=0), Mode(name="normal", watts=2500, ths=2500 / 15))
    over, call = Grid.regular(local(7, 15, 15), local(7, 15, 18), 15), event()
    where = site(group("g", rigs=10_000, modes=asleep), group("h", rigs=10_000, modes=(Mode(name="sleep", watts=0, ths=0), asleep[1])))
    made = plan(where, (*BOOK, ers()), outlook([20.0] * 12, over, hashprice=40.0), so_far(over.start, calls=(call,)))
    (short,) = made.shortfalls
    assert (short.promise, round(short.mw, 4), short.hours) == ("call ers", 8.0, "15-17:30")
    assert short.usd == pytest.approx(-made.lines[("ers", "ers_factors")].sum()) and short.usd > 100


def test_a_deployment_goes_down_to_the_base_load_and_comes_back():
    over = Grid.regular(local(7, 15, 15), local(7, 15, 18), 15)
    ahead = outlook([-20.0] * 12, over, hashprice=40.0)
    call = event()
    made = plan(miner(), (*BOOK, ers()), ahead, so_far(over.start, calls=(call,)))
    assert made.load_mw[1:9].max() <= MBL + 1e-6
    np.testing.assert_allclose(made.load_mw[10:], 50, atol=1e-6)
    assert not made.shortfalls
    loose = Call(**{f: getattr(call, f) for f in call.__dataclass_fields__} | {"mw_cap": 60.0})
    made = plan(miner(), (*BOOK, ers()), ahead, so_far(over.start, calls=(loose,)))
    assert made.load_mw[2:9].max() <= MBL + 1e-6, "from the sustained response on the base load counts, whatever the figure says"
    assert made.load_mw[1] == pytest.approx(50)
    quiet = ers().bounds(miner(), ers().memory_from({}), (call,), Interval(local(7, 15, 14), local(7, 15, 15)))
    assert quiet.cap_mw == float("inf")


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    obligated=st.integers(0, 488),
    share=st.floats(0.7, 1.0),
    mw=st.floats(0.1, 6.0),
    called=st.booleans(),
    rest=st.sampled_from([1.0, 0.96]),
)
def test_the_program_never_says_more_than_the_bill(seed, obligated, share, mw, called, rest):
    rng = np.random.default_rng(seed)
    where = site(group("g", "s21", rigs=800, low=True, standby=10.0), group("h", "s19jpro", rigs=900))
    over = Grid.regular(local(9, 28, 12), local(9, 28, 20), 30)
    ahead = outlook(random_prices(rng, len(over)), over)
    base = 6.0 if called else float(rng.uniform(0, 3))
    contract = ers(mw=mw, max_base_load_mw=base, rest_available=rest)
    memory = {"ers": ErsMemory.from_json({"obligated_h": obligated, "available_h": obligated * share, "gross_usd": obligated * mw * 7.25})}
    calls = (event(day=15),) if not called else (
        Call(source="qse", known_at=over.start, id="x", version=1, obligation="ers", kind=CallKind.DEPLOY, notice_at=over.start,
             start_at=over.start, end_at=local(9, 28, 15, 10), mw_cap=50.0),
    )  # fmt: skip
    state = so_far(over.start, memory=memory, calls=calls if called else ())
    said, paid = kit.keeps_the_law(contract, where, ahead, rng, linear=False, state=state)
    if not called and obligated >= 200 and share >= 0.93:  # never below 0.85, where a tangent stands for the square
        assert said.sum() == pytest.approx(paid.sum(), abs=0.01)


def test_the_kit():
    over = Grid.regular(local(9, 28, 12), local(9, 28, 20), 30)
    rng = np.random.default_rng(3)
    ahead = outlook(random_prices(rng, len(over)), over)
    kit.holds(ers(mw=1.0, max_base_load_mw=1.0), site(group("g", "s21", rigs=800, low=True)), ahead, rng, linear=False)


def test_the_base_load_may_stay_under_an_instruction_to_go_to_zero():
    """ERS keeps 4 MW of base load: an instruction at 0 MW asks for no more, and load at 4 MW keeps it; 6 MW does not."""
    contract, call = ers(), replace(event(), mw_cap=0.0, start_at=local(7, 15, 15, 30))
    over = Interval(local(7, 15, 16), local(7, 15, 16, 15))
    assert contract.bounds(miner(), ErsMemory(), (call,), over).cap_mw == MBL
    kept, missed = (promises((contract,), whole_term([mw] * 8, calls=(call,)))[0] for mw in (4, 6))
    assert kept.kept and not missed.kept


def test_a_reduction_leaves_the_base_load_too():
    """10 MW off 12 MW would leave 2: under ERS 4 MW may stay. Off 50 MW they leave 40, and the sustained response asks for 4."""
    contract = ers()
    call = replace(event(), mw_cap=None, mw_delta=10.0)
    early, late = (Interval(at, at + timedelta(minutes=15)) for at in (local(7, 15, 15, 15), local(7, 15, 15, 45)))
    for before_mw, caps in ((12.0, (4.0, 4.0)), (50.0, (40.0, 4.0))):
        memory = ErsMemory(load_before_mw={call.id: before_mw})
        assert tuple(contract.bounds(miner(), memory, (call,), over).cap_mw for over in (early, late)) == caps
