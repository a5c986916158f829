"""An ERS term settled in pieces adds up to the term, whatever the cuts: tests, events across midnight, strikes over a year."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from fractions import Fraction as F

import numpy as np
import pytest

from markets.facts import Call, CallKind
from markets.grid import Grid, Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.time_periods import TimePeriod
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.ers.memory import ErsMemory, ErsTest
from tests import independent_service_bill as services
from tests.independent_contract_bill import Days
from tests.optimizer import random_cases
from tests.optimizer.fixtures import POINT, actuals, group, site
from tests.rule_cases import with_market_rules

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
# October and November on the market's clock, in which it goes back.
FIRST = datetime(2026, 10, 1, 5, tzinfo=UTC)
LAST = datetime(2026, 12, 1, 6, tzinfo=UTC)
TERM = Grid.regular(FIRST, LAST, 15)
HOURS = (13, 14, 15, 16, 17, 18, 19, 20)


def contract(**more):
    evening = TimePeriod(name="evening", months=(10, 11), hours=HOURS)
    return with_market_rules(
        Ers(**{"product": "ERS-30", "mw": 40.0, "max_base_load_mw": 4.0, "usd_per_mw_hour": 7.25, "periods": (evening,), **more})
    )


def called(kind, start, hours, id_, **more):
    known = {"source": "qse", "known_at": start, "version": 1, "obligation": "ers", "mw_cap": 4.0}
    return Call(**known, id=id_, kind=kind, notice_at=start, start_at=start, end_at=start + hours * HOUR, **more)


def real(load_mw, calls):
    return actuals(site(group("g", rigs=15_000)), TERM, {"g": [D(str(v)) / 4 for v in load_mw]}, {POINT: ["0"] * len(TERM)}, calls=calls)


def pieces(whole: Actuals, cuts, memory=None):
    """The lines of each piece, settled with the pieces before it in memory and the calls in force in it, and the memory after the last."""
    ours, memory, found = contract(), memory or ErsMemory(), []
    for a, b in zip(cuts, cuts[1:], strict=False):
        part = replace(
            whole, grid=Grid(TERM.edges[a : b + 1]), energy_mwh={"g": whole.energy_mwh["g"][a:b]}, hash_ph_days={"g": [D(0)] * (b - a)},
            energy_price={POINT: [D(0)] * (b - a)}, hashprice=[D(45)] * (b - a), memory={"ers": memory},
            calls=tuple(c for c in whole.calls if c.end_at.timestamp() > TERM.edges[a] and c.start_at.timestamp() < TERM.edges[b]),
        )  # fmt: skip
        found.append(list(ours.settle(part)))
        memory = ErsMemory.from_json(ours.remember(memory, part).to_json())
    return found, memory


def by_operating_day():
    starts = [t for t, over in enumerate(TERM.intervals) if over.start.astimezone(Market.ERCOT.tz).strftime("%H%M") == "0000"]
    return [*starts, len(TERM)]


def down(start, hours, load):
    """The load at the base load from the sustained response to the recall."""
    first, last = TERM.index(start + 2 * QUARTER), TERM.index(start + hours * HOUR)
    load[first:last] = [4] * (last - first)
    return load


def test_a_third_failed_test_takes_the_terms_pay_once():
    days = [datetime(2026, 10, day, 19, tzinfo=UTC) for day in (5, 7, 9)]
    tests = tuple(called(CallKind.TEST, at, 1.5, f"t{k}") for k, at in enumerate(days))
    found, memory = pieces(real([44] * len(TERM), tests), by_operating_day())
    day = D(8 * 40) * D("7.25")
    usd = [sum((line.amount_usd for line in lines), D(0)) for lines in found]
    assert usd[:8] == [day] * 8 and usd[8] == -8 * day
    assert usd[9:] == [0] * (len(usd) - 9), "what the ninth day took is not taken again"
    assert contract().failed_tests(memory.tests.values(), LAST) == 3


def test_a_failed_test_is_a_finding_and_the_third_says_what_it_costs():
    day = OperatingDay(Market.ERCOT, TERM.intervals[by_operating_day()[4]].start.astimezone(Market.ERCOT.tz).date())
    at = day.start + 19 * HOUR
    failed = [ErsTest(at - timedelta(days=d), at - timedelta(days=d) + HOUR, 4.0, 0.0) for d in (9, 5)]
    before = ErsMemory(tests={"t1": failed[0], "t2": failed[1]})
    after = replace(before, tests={**before.tests, "t3": ErsTest(at, at + HOUR, 4.0, 0.0)})
    first, second = contract().findings(before, after, day)
    assert (first.kind, first.text) == ("strike", "ers: test t3 was failed; 3 in a row")
    assert (second.kind, second.text) == ("disqualified", "ers: 3 failed tests in a row leave nothing of the term's pay")
    assert not list(contract().findings(after, after, OperatingDay(Market.ERCOT, day.on + timedelta(days=1))))


def test_a_test_across_midnight_utc_is_one_test():
    """18:15 to 20:30 on the market's clock is 23:15 to 01:30 UTC: cut there, both halves fail, and it is one strike."""
    at = datetime(2026, 10, 5, 23, 15, tzinfo=UTC)
    whole = real([44] * len(TERM), (called(CallKind.TEST, at, 2.25, "t1"),))
    midnights = [0, *(t for t, over in enumerate(TERM.intervals) if over.start.hour == over.start.minute == 0), len(TERM)]
    _, memory = pieces(whole, midnights)
    assert contract().failed_tests(memory.tests.values(), LAST) == 1
    (test,) = memory.tests.values()
    assert (test.started_at, test.weight) == (at + 2 * QUARTER, 7.0)
    half = down(at, 2.25, [44] * len(TERM))
    half[TERM.index(at + 2 * QUARTER)] = 12.0
    _, memory = pieces(replace(whole, energy_mwh={"g": [D(str(v)) / 4 for v in half]}), midnights)
    assert contract().failed_tests(memory.tests.values(), LAST) == 0, "0.971 on the whole, though 0.93 before midnight"


@pytest.mark.parametrize("kind", [CallKind.DEPLOY, CallKind.TEST])
def test_an_event_its_ramp_and_its_return_are_left_out_of_availability(kind):
    """Down from the dispatch at 14:00 to the recall at 16:00 and back only at midnight: seven of eight hours are left out."""
    at = datetime(2026, 10, 5, 19, tzinfo=UTC)
    load = [44.0] * len(TERM)
    load[TERM.index(at) : TERM.index(at + 10 * HOUR)] = [4.0] * 40
    _, memory = pieces(real(load, (called(kind, at, 2, "e1"),)), by_operating_day()[:9])
    assert (memory.obligated_h, memory.available_h) == (7 * 8 + 1, 7 * 8 + 1)
    early = real(load, (called(kind, at - 13 * HOUR, 2, "e1"),))
    _, memory = pieces(early, by_operating_day()[:9])
    assert memory.obligated_h - memory.available_h == 7, "ten hours after the recall it must be back"


def test_strikes_live_for_365_days():
    ours = contract()
    assert ours.memory_days() == 365
    tests = [ErsTest(LAST - timedelta(days=d), LAST - timedelta(days=d) + HOUR, 4.0, 0.0) for d in (364.9, 200, 10)]
    assert ours.pays_nothing(tests, LAST) and not ours.pays_nothing(tests, LAST + timedelta(days=0.2))
    passed = replace(tests[1], done=4.0)
    assert ours.failed_tests([tests[0], passed, tests[2]], LAST) == 1, "in a row"
    assert ours.failed_tests([*tests[1:], replace(tests[0], ends_at=None)], LAST) == 2, "one that goes on is not judged"


def test_hours_used_up_settle_the_term_with_their_day():
    """12 h are used up on 6 October with an availability below 0.85: the day pays by the hours that were, not by those still expected."""
    at = [datetime(2026, 10, day, 11, tzinfo=UTC) for day in (5, 6)]
    load = [44.0] * len(TERM)
    load[: TERM.index(at[0])] = [0.0] * TERM.index(at[0])
    for start in at:
        load = down(start, 7, load)
    whole = real(load, tuple(called(CallKind.DEPLOY, start, 7, f"e{k}") for k, start in enumerate(at)))
    found, memory = pieces(whole, by_operating_day())
    assert memory.used_up and memory.used_up.day == 6 and memory.deployed_h == 13.0
    total = sum((line.amount_usd for lines in found for line in lines), D(0))
    share = D(repr(memory.available_h)) / D(repr(memory.obligated_h))
    assert share < D("0.85") and total == pytest.approx(D(6 * 8 * 40) * D("7.25") * share * share, abs=D("1e-9"))


def settled(whole, cuts, memory=None):
    found, memory = pieces(whole, cuts, memory)
    return sum((line.amount_usd for lines in found for line in lines), D(0)), memory


def test_days_that_nobody_ran_leave_the_sum_of_the_others():
    """Away for a tenth of all hours before an outage of 20 days: no statement is made of those days, and the rest of the term adds up to
    its pay by the hours that were run."""
    load = [44.0] * len(TERM)
    afternoons = [t for t, over in enumerate(TERM.intervals) if over.start.astimezone(Market.ERCOT.tz).hour in HOURS]
    for t in afternoons[:192]:
        load[t] = 3.0
    days = by_operating_day()
    whole = real(load, ())
    first, memory = settled(whole, days[:21])
    second, memory = settled(whole, days[40:], memory)
    run = 20 + len(days) - 41
    share = D(run * 8 - 48) / D(run * 8)
    assert D("0.85") < share < D("0.95") and memory.obligated_h == run * 8
    assert first + second == pytest.approx(D(run * 8 * 40) * D("7.25") * share, abs=D("1e-9"))


def test_deployments_that_overlap_are_one():
    """One event that reaches the site twice, as two calls of which the second lasts longer: its hours and its performance count once."""
    at = datetime(2026, 10, 5, 19, tzinfo=UTC)
    load = down(at, 2, [44.0] * len(TERM))
    once = real(load, (called(CallKind.DEPLOY, at, 3, "a"),))
    twice = replace(once, calls=(called(CallKind.DEPLOY, at, 2, "b"), *once.calls))
    (usd, memory), (same_usd, same) = settled(once, by_operating_day()), settled(twice, by_operating_day())
    assert (memory.deployed_h, memory.event_weight, memory.event_done) == (2.5, 10.0, 6.0)
    assert (same_usd, same) == (usd, memory)


def test_an_event_over_the_end_of_a_term_counts_in_both_by_its_intervals():
    """30 September 23:00 to 1 October 02:00: down before midnight, up after it. The old term is paid in full, the new one loses its pay."""
    grid = Grid.regular(FIRST - 24 * HOUR, FIRST + 48 * HOUR, 15)
    always = TimePeriod(name="always", months=tuple(range(1, 13)), hours=tuple(range(24)))
    ours = with_market_rules(Ers(product="ERS-30", mw=40.0, max_base_load_mw=4.0, usd_per_mw_hour=7.25, periods=(always,)))
    call = called(CallKind.DEPLOY, FIRST - HOUR, 3, "e1")
    load = [4 if FIRST - HOUR <= over.start < FIRST else 44 for over in grid.intervals]
    whole = actuals(site(group("g", rigs=15_000)), grid, {"g": [D(v) / 4 for v in load]}, {POINT: ["0"] * len(grid)}, calls=(call,))
    day_usd = D(24 * 40) * D("7.25")
    (cut,) = [line for line in ours.settle(whole) if line.charge_type == "ers_factors"]
    assert (cut.over.start, cut.amount_usd) == (FIRST, -2 * day_usd)


def adds_up(seed):
    rng = np.random.default_rng([seed, 8])
    load = np.where(rng.random(len(TERM)) < rng.uniform(0, 0.1), 3.0, np.round(rng.uniform(42, 50, len(TERM)), 2)).tolist()
    calls = []
    for k in range(int(rng.integers(1, 9))):
        at = FIRST + float(rng.integers(1, 60 * 96)) * QUARTER + timedelta(minutes=float(rng.integers(0, 15)))
        kind, hours = (CallKind.TEST if rng.random() < 0.7 else CallKind.DEPLOY), float(rng.choice([1.0, 1.5, 2.25]))
        calls.append(called(kind, at, hours, f"c{k}"))
        if rng.random() < 0.4:
            load = down(TERM.intervals[TERM.index(at)].start, hours, load)
    past = {
        f"p{k}": ErsTest(at, at + HOUR, 4.0, float(rng.choice([0.0, 4.0])))
        for k, at in enumerate(FIRST - timedelta(days=float(d)) for d in rng.uniform(1, 380, int(rng.integers(0, 4))))
    }
    whole = real(load, tuple(calls))
    inside = rng.choice(np.arange(1, len(TERM)), int(rng.integers(0, 20)), replace=False).tolist()
    cuts = sorted({*by_operating_day(), *inside}) if rng.random() < 0.7 else [0, *sorted(inside), len(TERM)]
    found, _ = pieces(whole, cuts, ErsMemory(tests=past))
    ours = sum((line.amount_usd for lines in found for line in lines), D(0))
    assert abs(F(ours) - reckoned(whole, past)) < F(1, 10**8), "the memory holds sixteen digits of 141,520"


def reckoned(whole: Actuals, past) -> F:
    """The whole term at once, in fractions, and what the term was worth before it: nothing."""
    calls = [
        {"id": c.id, "version": 1, "kind": str(c.kind), "notice": c.notice_at, "start": c.start_at, "end": c.end_at, "cap": 4.0,
         "target": None, "delta": None} for c in whole.calls
    ]  # fmt: skip
    memory = {"tests": {k: {"started_at": t.started_at, "ends_at": t.ends_at, "weight": t.weight, "done": t.done} for k, t in past.items()}}
    days = Days(
        edges=[over.start for over in TERM.intervals] + [TERM.end], tz=str(Market.ERCOT.tz), calls=calls, memory=memory,
        mwh={"g": [F(v) for v in whole.energy_mwh["g"]]}, ph_days={}, price={}, hashprice=[], meters={}, full_mw={},
    )  # fmt: skip
    return services.ers(days, contract().model_dump(by_alias=True), ["g"])


def test_pieces_add_up_to_the_term():
    random_cases.each(range(3), adds_up)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_two_hundred_terms_in_pieces_add_up():
    random_cases.each(range(200), adds_up)
