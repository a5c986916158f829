"""What if: each part of a scenario moves what it should and nothing else; the live plan is never touched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.decide.plan_inputs import PlanInputs
from dispatch.decide.state import State
from dispatch.entries import Seen, canonical_json
from dispatch.runtime.planner import make_plan
from dispatch.signals.documents import InvalidDocument, parse_document
from dispatch.site_file.load import setup_from_document
from dispatch.what_if.apply import under_rules_of
from dispatch.what_if.base_plans import BasePlans
from dispatch.what_if.baseline import Baseline, like_day
from dispatch.what_if.break_even import BreakEvenDocument, break_even
from dispatch.what_if.compare import what_if
from dispatch.what_if.reference_day import ReferenceDayPrices
from dispatch.what_if.sweep import set_key, sweep
from markets.facts import HashEconomics
from markets.grid import Grid, Market, OperatingDay, parse_instant
from markets.series import Series
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan_json import PlanDocument
from tests.dispatch.web.conftest import Here
from tests.fakes import NOON, hashprice, prices
from tests.sites import document, group, small

HOUR = timedelta(hours=1)


def baseline(setup: Any = None, usd: float = 50.0, more: tuple[Any, ...] = ()) -> Baseline:
    """Known at noon: twelve hours of one real-time price, two days of the same day-ahead. a-old breaks even at 62.50, b-new at 107.14."""
    setup = setup or small()
    facts = [
        *prices([usd] * 48, NOON - 12 * HOUR),
        *prices([usd] * 60, NOON - 12 * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - 24 * HOUR),
        hashprice(45.0, NOON),
        *more,
    ]
    state = State.start(setup, setup_from_document).after(Seen(at=NOON, facts=tuple(facts)), 1)
    return Baseline.of(state, NOON, ReferenceDayPrices(state))


def bases(**more: Any) -> BasePlans:
    return BasePlans(baseline(**more))


def run_what_if(scenario: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return what_if(bases(**more), scenario)


def faults(scenario: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as caught:
        run_what_if(scenario, **more)
    return {f.path: f.text for f in caught.value.faults}


def loads(plan: Mapping[str, Any], name: str) -> list[float]:
    return [i["groups"][name]["load_mw"] for i in plan["intervals"]]


def hours(plan: Mapping[str, Any]) -> list[float]:
    return [(parse_instant(i["end"]) - parse_instant(i["start"])) / HOUR for i in plan["intervals"]]


def test_an_empty_scenario_changes_nothing() -> None:
    answer = run_what_if({})
    assert answer["base"]["intervals"] == answer["case"]["intervals"]
    assert answer["difference"]["net_usd"] == 0 and answer["reasons"][0].startswith("Nothing changes")
    assert set(answer) == {"base", "case", "difference", "promises", "binding", "reasons"}


def test_the_money_of_a_price_change_matches_a_hand_calculation() -> None:
    """At 50 both run; at 75 a-old (40 x 3.0 kW) stops: 24 h of 4 PH/s at 45 are lost, its energy at 50 saved, b-new's costs half more."""
    answer = run_what_if({"prices": [{"scale": 1.5}]})
    total_h = sum(hours(answer["case"]))
    a_mw, b_mw, sleep_mw = 0.120, 0.140, 40 * 20e-6
    lost = 4.0 * 45.0 * total_h / 24
    energy = total_h * ((a_mw * 50.0 - sleep_mw * 75.0) - b_mw * 25.0)
    assert answer["difference"]["net_usd"] == pytest.approx(energy - lost, abs=0.01)
    assert answer["difference"]["hash_ph_days"] == pytest.approx(-4.0 * total_h / 24, abs=1e-6)
    assert loads(answer["case"], "a-old") == pytest.approx([sleep_mw] * len(answer["case"]["intervals"]))


def test_a_price_set_over_a_span_holds_there_only() -> None:
    at, until = NOON + 2 * HOUR, NOON + 4 * HOUR
    answer = run_what_if({"prices": [{"set_usd": 900, "from": at.isoformat(), "to": until.isoformat()}]})
    for interval in answer["case"]["intervals"]:
        inside = at <= parse_instant(interval["start"]) < until
        assert interval["load_mw"] == pytest.approx(0.0016 if inside else 0.26)


def test_spikes_are_drawn_by_their_seed_within_their_span() -> None:
    at, until = NOON + HOUR, NOON + 3 * HOUR

    def spiked(seed: int) -> list[str]:
        change = {"spikes": {"usd": 2000, "count": 3, "seed": seed}, "from": at.isoformat(), "to": until.isoformat()}
        plan = run_what_if({"prices": [change]})["case"]["intervals"]
        high = [i["start"] for i in plan if i["price_usd_per_mwh"]["LZ_WEST"] == pytest.approx(2000.0)]
        assert all(at <= parse_instant(start) < until for start in high) and len(high) == 3
        return high

    assert spiked(1) == spiked(1) != spiked(2)


def test_spikes_raise_an_hour_by_their_share() -> None:
    """Four spikes of a quarter hour at 250 over the last hour's 50 are that hour at 250; one alone is a quarter of it."""
    last = baseline().at + 23 * HOUR
    span = {"from": last.isoformat(), "to": (last + HOUR).isoformat()}
    for count, usd in ((4, 250.0), (1, 100.0)):
        plan = run_what_if({"prices": [{"spikes": {"usd": 250, "count": count}, **span}]})["case"]["intervals"]
        assert plan[-1]["price_usd_per_mwh"]["LZ_WEST"] == pytest.approx(usd)


def test_prices_of_a_span_that_began_at_another_instant() -> None:
    """The synthetic market an hour later is the same span moved by an hour."""
    now, later = (
        [i["price_usd_per_mwh"]["LZ_WEST"] for i in run_what_if({"prices": [{"like_from": at}]})["case"]["intervals"]]
        for at in ("2025-07-13T12:00:00Z", "2025-07-13T13:00:00Z")
    )
    assert now[4:16] == later[:12] and len(set(now)) > 5
    assert (
        "are not known"
        in faults({"prices": [{"like_from": "2031-01-01T00:00:00Z"}]}, setup=small(prices={"source": "gridstatus"}))["prices.0.like_from"]
    )


def test_contracts_under_the_rules_of_another_day() -> None:
    """One contract, or all, under the rules of a day as if they held on every day."""
    wires = {"type": "transmission", "name": "wires", "method": "4cp", "usd_per_kw_year": 70.0}
    everything = run_what_if({"book": [{"add": wires}], "rules_on": "2026-06-01"})["case"]["lines"]
    for book in ([{"add": wires, "rules_on": "2026-06-01"}], [{"add": wires}, {"change": "wires", "rules_on": "2026-06-01"}]):
        assert run_what_if({"book": book})["case"]["lines"] == everything
    dated = under_rules_of(date(2026, 6, 1), Transmission(name="wires", method="4cp", usd_per_kw_year=70.0))
    pinned = {r.id: r for r in dated._rules}
    assert pinned and all(r.holds(date(2040, 1, 1)) and r.holds(date(2000, 1, 1)) for r in pinned.values())
    assert "`drop` takes no other key" in faults({"book": [{"drop": "power", "rules_on": "2028-01-01"}]})["book.0"]


def test_a_forecast_error_costs_what_a_plan_that_knew_would_have_saved() -> None:
    """At 50 both groups run. Two hours come at 900: the plan that did not know pays 0.26 MW x 2 h x 850 more; one that knew sleeps."""
    at, until = NOON + 2 * HOUR, NOON + 4 * HOUR
    error = {"prices": [{"set_usd": 900, "from": at.isoformat(), "to": until.isoformat()}]}
    answer = run_what_if({"forecast_error": error})
    found = answer["forecast_error"]
    assert answer["case"]["lines"] == answer["base"]["lines"], "the plan is made without knowing them"
    assert found["paid"]["net_usd"] == pytest.approx(sum(answer["case"]["lines"].values()) - 0.26 * 2 * 850.0, abs=0.01)
    knew = what_if(bases(), error)["case"]
    assert found["foreseen"]["net_usd"] == pytest.approx(sum(knew["lines"].values()), abs=1e-6)
    assert found["cost_usd"] == pytest.approx(found["foreseen"]["net_usd"] - found["paid"]["net_usd"]) and found["cost_usd"] > 100
    assert answer["reasons"][0].startswith("At the prices that come the plan earns -$")
    assert "forecast_error.prices.0.point" in faults({"forecast_error": {"prices": [{"scale": 2, "point": "HB_NORTH"}]}})


def test_cash_and_accruals_stand_apart() -> None:
    billed = {"type": "transmission", "name": "wires", "method": "mbd", "usd_per_kw_year": 180.0}
    answer = run_what_if({"book": [{"add": billed}]})
    gain, lines = answer["difference"], answer["difference"]["lines"]
    later = sum(usd for name, usd in lines.items() if name.startswith("wires/"))
    assert gain["accrued_usd"] == pytest.approx(later) and later != 0
    assert gain["settled_usd"] + gain["accrued_usd"] == pytest.approx(gain["net_usd"])


def test_a_break_even_is_where_rigs_come_back() -> None:
    """a-old makes 33.3 GH/J: at 50 $/MWh and 20 W asleep it comes back at 36 $/PH/day; at 900 nothing does."""
    asked = {"key": "hash.usd_per_ph_day", "low": 10, "high": 100}
    found = break_even(bases(), parse_document(BreakEvenDocument, {**asked, "hall": "a"}))
    (group_name,) = found["groups"]
    runs = [what_if(bases(), {"hash": {"usd_per_ph_day": found["value"] + more}}) for more in (-0.05, 0.05)]
    assert [max(loads(answer["case"], group_name)) > 0.1 for answer in runs] == [False, True]
    assert found["share_at_low"] == 0.0 and found["share_at_high"] == pytest.approx(1.0) and found["plans"] < 20
    falls = break_even(bases(), parse_document(BreakEvenDocument, {"key": "prices.set_usd", "low": 10, "high": 200, "group": "b-new"}))
    edges = [[datetime.fromisoformat(i[edge]) for i in run_what_if({})["base"]["intervals"]] for edge in ("start", "end")]
    start_usd = 45.0 * 8.0 * 5.0 * 2 / 3 / (24 * 60)  # two thirds of five minutes of hashing, for all the hours of the plan
    an_hour = 45.0 * 8.0 / 24 - start_usd / ((edges[1][-1] - edges[0][0]) / timedelta(hours=1))
    assert falls["value"] == pytest.approx(an_hour / (0.140 - 40 * 20e-6), abs=0.02) and "below" in falls["reasons"][0]
    never = break_even(bases(), parse_document(BreakEvenDocument, {**asked, "scenario": {"prices": [{"set_usd": 9000}]}}))
    assert never["value"] is None and "there is no break-even between" in never["reasons"][0]
    for wrong in ({**asked, "high": 10}, {**asked, "group": "a-old", "hall": "a"}, {**asked, "hall": "z"}, {**asked, "group": "z"}):
        with pytest.raises(InvalidDocument):
            break_even(bases(), parse_document(BreakEvenDocument, wrong))


def test_changes_apply_in_their_order() -> None:
    there = run_what_if({"prices": [{"shift_usd": 10}, {"scale": 2}]})["case"]["intervals"][0]["price_usd_per_mwh"]["LZ_WEST"]
    assert there == pytest.approx(120.0)


@pytest.mark.parametrize(
    ("change", "usd"),
    [
        ({"usd_per_ph_day": 30}, 30.0),
        ({"scale": 0.5}, 22.5),
        ({"difficulty_scale": 1.25}, 36.0),
        ({"scale": 2, "difficulty_scale": 2}, 45.0),
    ],
)
def test_hashprice_changes(change: dict[str, float], usd: float) -> None:
    assert run_what_if({"hash": change})["case"]["intervals"][0]["hashprice_usd_per_ph_day"] == pytest.approx(usd)


def test_a_btc_price_changes_a_hashprice_computed_from_it() -> None:
    assert "use usd_per_ph_day or scale" in faults({"hash": {"btc_usd": 80_000}})["hash.btc_usd"]
    known = HashEconomics(
        source="test", known_at=NOON, on=date(2026, 8, 19), difficulty=1e14, btc_usd=100_000.0, fees_btc_per_block=0.1, subsidy_btc=3.125
    )
    answer = run_what_if({"hash": {"btc_usd": 80_000}}, more=(known,))
    case, base = (answer[k]["intervals"][0]["hashprice_usd_per_ph_day"] for k in ("case", "base"))
    assert case == pytest.approx(0.8 * base)


def test_the_fees_of_a_block_change_a_hashprice_computed_from_them() -> None:
    known = HashEconomics(
        source="test", known_at=NOON, on=date(2026, 8, 19), difficulty=1e14, btc_usd=100_000.0, fees_btc_per_block=0.125, subsidy_btc=3.125
    )
    answer = run_what_if({"hash": {"fees_btc_per_block": 1.75}}, more=(known,))
    case, base = (answer[k]["intervals"][0]["hashprice_usd_per_ph_day"] for k in ("case", "base"))
    assert case == pytest.approx(1.5 * base)
    assert "use usd_per_ph_day or scale" in faults({"hash": {"fees_btc_per_block": 1.0}})["hash.fees_btc_per_block"]


def test_the_pool_fee_can_change() -> None:
    answer = run_what_if({"hash": {"pool_fee": 0.02}})
    revenue = answer["case"]["lines"]["hashing/hash_revenue"]
    assert answer["difference"]["net_usd"] == pytest.approx(-0.02 * revenue, abs=0.01)


def test_unavailable_rigs_do_not_hash() -> None:
    answer = run_what_if({"fleet": [{"group": "b-new", "available": 0.25, "to": (NOON + HOUR).isoformat()}]})
    assert loads(answer["case"], "b-new")[0] == pytest.approx(0.035) and loads(answer["case"], "b-new")[-1] == pytest.approx(0.140)


def test_an_outage_of_a_hall_takes_all_its_groups() -> None:
    at, until = NOON + HOUR, NOON + 3 * HOUR
    answer = run_what_if({"fleet": [{"hall": "b", "available": 0, "from": at.isoformat(), "to": until.isoformat()}]})
    for interval in answer["case"]["intervals"]:
        out = at <= parse_instant(interval["start"]) < until
        assert interval["groups"]["b-new"]["load_mw"] == pytest.approx(0.0 if out else 0.140)
        assert interval["groups"]["a-old"]["load_mw"] == pytest.approx(0.120)
    assert "the site has no hall 'z'" in faults({"fleet": [{"hall": "z", "available": 0}]})["fleet.0.hall"]


def test_a_group_gets_another_model_in_its_place() -> None:
    answer = run_what_if({"fleet": [{"swap": "a-old", "model": "whatsminer-m60s"}]})
    assert loads(answer["case"], "a-old") == pytest.approx([40 * 3441e-6] * len(answer["case"]["intervals"]))
    assert answer["difference"]["hash_ph_days"] > 0 and answer["difference"]["net_usd"] > 0
    found = faults({"fleet": [{"swap": "zz", "model": "whatsminer-m60s"}, {"swap": "a-old", "model": "s12"}, {"swap": "a-old"}]})
    assert {"fleet.2"} == set(found)
    found = faults({"fleet": [{"swap": "zz", "model": "whatsminer-m60s"}, {"swap": "a-old", "model": "s12"}]})
    assert {"fleet.0.swap", "fleet.1.model"} == set(found)


def test_groups_can_be_added_and_removed() -> None:
    new = {"name": "c-new", "hall": "b", "model": "whatsminer-m60s", "rigs": 20}
    answer = run_what_if({"fleet": [{"add": new}, {"remove": "a-old"}]})
    assert set(answer["case"]["intervals"][0]["groups"]) == {"b-new", "c-new"}
    assert loads(answer["case"], "c-new")[0] == pytest.approx(20 * 3441e-6)
    found = faults({"fleet": [{"add": {**new, "hall": "z", "rigs": "many"}}, {"add": {**new, "name": "a-old"}}, {"remove": "zz"}]})
    assert {"fleet.0.add.rigs", "fleet.1.add.name", "fleet.2.remove"} <= set(found)


def test_a_smaller_interconnect_limit_binds_and_has_a_worth() -> None:
    answer = run_what_if({"site": {"interconnect_mw": 0.2}})
    assert max(i["load_mw"] for i in answer["case"]["intervals"]) <= 0.2 + 1e-6
    assert any(b["case_usd_per_mw"] > 0 and b["base_usd_per_mw"] == 0 for b in answer["binding"])


def test_obligations_can_be_added_changed_and_dropped() -> None:
    fixed = {"type": "block", "name": "block", "mw": 0.1, "usd_per_mwh": 40.0, "from": "2026-01-01T00:00:00Z", "to": "2031-01-01T00:00:00Z"}
    added = run_what_if({"book": [{"add": fixed}]})
    assert any(name.startswith("block/") for name in added["case"]["lines"])
    dearer = run_what_if({"book": [{"change": "power", "adders_usd_per_mwh": 10.0}]})
    assert dearer["difference"]["lines"]["power/adders"] < 0
    free = run_what_if({"book": [{"drop": "power"}]})
    assert "power/energy" not in free["case"]["lines"] and free["difference"]["net_usd"] > 0
    half = {"type": "block", "mw": "x"}
    wrong = [{"drop": "ers"}, {"change": "power", "adders": 3}, {"add": {"type": "lmr"}}, {"add": half}]
    assert {"book.0.drop", "book.1.adders", "book.2.add.mw", "book.3.add.mw"} <= set(faults({"book": wrong}))
    assert "needs the keys" in faults({"book": [{"change": "power"}]})["book.0"]


def test_calls_are_kept_and_listed_as_promises() -> None:
    until = (NOON + 2 * HOUR).isoformat()
    cap = {"id": "x", "obligation": "plant", "kind": "deploy", "mw_cap": 0.05, "end_at": until}
    answer = run_what_if({"calls": [cap]})
    assert max(i["load_mw"] for i in answer["case"]["intervals"] if parse_instant(i["start"]) < NOON + 2 * HOUR) <= 0.05 + 1e-6
    (promise,) = answer["promises"]
    assert promise["name"] == "plant: call x" and not promise["base"]["made"] and promise["case"]["kept"]


def test_a_set_point_above_what_the_site_can_draw_is_not_kept() -> None:
    call = {"id": "c9", "obligation": "plant", "kind": "set_point", "mw_target": 0.9}
    (promise,) = run_what_if({"calls": [call]})["promises"]
    assert promise["name"] == "plant: call c9" and promise["case"]["made"] and not promise["case"]["kept"]
    assert promise["case"]["shortfall_mw"] > 0.5 and promise["base"]["kept"]


def test_a_reduction_counts_from_the_load_of_the_base_plan() -> None:
    answer = run_what_if({"calls": [{"id": "x", "obligation": "plant", "kind": "deploy", "mw_delta": 0.1}]})
    assert answer["base"]["intervals"][0]["load_mw"] == pytest.approx(0.26)
    assert answer["case"]["intervals"][0]["load_mw"] <= 0.16 + 1e-6


def test_a_past_span_uses_the_published_prices() -> None:
    span = {"from": (NOON - 3 * HOUR).isoformat(), "to": (NOON - HOUR).isoformat()}
    answer = run_what_if(span, usd=70.0)
    assert sum(hours(answer["base"])) == pytest.approx(2.0)
    assert {i["price_usd_per_mwh"]["LZ_WEST"] for i in answer["base"]["intervals"]} == {70.0}
    assert "are not known" in faults({"from": (NOON - 40 * HOUR).isoformat(), "to": (NOON - 38 * HOUR).isoformat()})["from"]


@pytest.mark.parametrize(
    ("scenario", "path"),
    [
        ({"price": []}, "price"),
        ({"prices": [{"scale": "1.2"}]}, "prices.0.scale"),
        ({"prices": [{"scale": True}]}, "prices.0.scale"),
        ({"prices": [{"scale": float("inf")}]}, "prices.0.scale"),
        ({"prices": [{"scale": 1, "set_usd": 2}]}, "prices.0"),
        ({"prices": [{"scale_usd": 1}]}, "prices.0.scale_usd"),
        ({"prices": [{"scale": 2, "point": "HB_NORTH"}]}, "prices.0.point"),
        ({"prices": [{"scale": 2, "from": "2030-01-01T00:00:00Z"}]}, "prices.0.from"),
        ({"prices": [{"like": "yesterday"}]}, "prices.0.like"),
        ({"hash": {"usd_per_ph_day": 40, "scale": 2}}, "hash"),
        ({"hash": {"usd_per_th_day": 0.04}}, "hash.usd_per_th_day"),
        ({"fleet": [{"group": "a-old"}]}, "fleet.0"),
        ({"fleet": [{"group": "a-old", "available": 50}]}, "fleet.0.available"),
        ({"fleet": [{"remove": "a-old"}, {"remove": "b-new"}]}, "fleet"),
        ({"site": {"interconnect_kw": 80}}, "site.interconnect_kw"),
        ({"site": {"interconnect_mw": 0}}, "site.interconnect_mw"),
        ({"calls": [{"id": "x", "obligation": "ers", "kind": "deploy", "mw_cap": 1}]}, "calls.0.obligation"),
        ({"from": "2026-08-20T18:00:00Z", "to": "2026-08-20T18:00:00Z"}, ""),
        ({"to": "2026-08-20T16:00:00Z"}, "to"),
        ({"to": "2027-08-20T16:00:00Z"}, "to"),
        ([], ""),
    ],
)
def test_each_fault_of_a_scenario_is_named_by_its_path(scenario: Any, path: str) -> None:
    assert path in faults(scenario)


def test_implausible_figures_are_refused() -> None:
    wild = {"prices": [{"scale": 1e308}, {"set_usd": -1e9}], "hash": {"btc_usd": 1e300}}
    assert set(faults(wild)) == {"prices.0.scale", "prices.1.set_usd", "hash.btc_usd"}


def test_the_live_site_is_untouched() -> None:
    base = baseline()
    before = (canonical_json(dict(base.setup.document)), base.setup.site.model_dump_json(), base.so_far, base.facts)
    what_if(
        BasePlans(base),
        {"fleet": [{"remove": "a-old"}], "book": [{"change": "power", "adders_usd_per_mwh": 1.0}], "site": {"interconnect_mw": 0.1}},
    )
    assert before == (canonical_json(dict(base.setup.document)), base.setup.site.model_dump_json(), base.so_far, base.facts)


@settings(max_examples=20)
@given(st.lists(st.floats(0.2, 3.0), min_size=1, max_size=3), st.floats(-200, 200))
def test_a_better_price_never_earns_less(scales: list[float], shift: float) -> None:
    """Cheaper energy everywhere never earns less than dearer energy."""
    base = baseline(usd=60.0)
    case = [{"scale": s} for s in scales]
    low = what_if(BasePlans(base), {"prices": [*case, {"shift_usd": shift - 10.0}]})["difference"]["net_usd"]
    high = what_if(BasePlans(base), {"prices": [*case, {"shift_usd": shift}]})["difference"]["net_usd"]
    assert low >= high - 1e-3


@pytest.mark.parametrize(("day", "n"), [("2026-03-08", 92), ("2026-11-01", 100), ("2026-07-13", 96)])
def test_a_reference_day_follows_the_markets_clock(day: str, n: int) -> None:
    whole = OperatingDay(Market.ERCOT, date.fromisoformat(day)).grid()
    assert len(whole) == n
    local = [i.start.astimezone(Market.ERCOT.tz) for i in whole.intervals]
    series = Series(whole, np.array([t.hour * 100.0 + t.minute for t in local]), "usd_per_mwh")
    base = baseline()
    grid = Grid.regular(NOON, NOON + 24 * HOUR, 15)
    for value, over in zip(like_day(series, grid, base), grid.intervals, strict=True):
        at = over.start.astimezone(Market.ERCOT.tz)
        assert value == at.hour * 100 + at.minute or (n == 92 and at.hour == 2 and value == 145.0)


def test_a_synthetic_day_can_be_the_reference_day() -> None:
    answer = run_what_if({"prices": [{"like": "2025-07-13"}]})
    assert len({i["price_usd_per_mwh"]["LZ_WEST"] for i in answer["case"]["intervals"]}) > 5


def test_what_ifs_of_one_baseline_compare_with_one_plan() -> None:
    made = list[PlanInputs]()

    def counting(inputs: PlanInputs) -> PlanDocument:
        made.append(inputs)
        return make_plan(inputs)

    shared = BasePlans(baseline(), counting)
    first, again = (what_if(shared, {"prices": [{"scale": scale}]}) for scale in (0.5, 2.0))
    assert len(made) == 3 and first["base"] is again["base"]
    assert what_if(shared, {"site": {"horizon_h": 12}})["base"] is not first["base"] and len(made) == 5
    alone = what_if(bases(), {"prices": [{"scale": 2.0}]})
    assert (alone["case"]["lines"], alone["base"]["lines"]) == (again["case"]["lines"], again["base"]["lines"])


def test_a_sweep_equals_its_single_what_ifs() -> None:
    base = baseline()
    table = sweep(BasePlans(base), {"hash": {"scale": 0.9}}, ["prices.scale=0.5:2:3", "fleet.a-old.available=0:1:2"])
    assert [a["values"] for a in table["axes"]] == [[0.5, 1.25, 2.0], [0.0, 1.0]] and len(table["rows"]) == 6
    row = table["rows"][3]
    alone = what_if(BasePlans(base), {"hash": {"scale": 0.9}, "prices": [{"scale": 1.25}], "fleet": [{"group": "a-old", "available": 1.0}]})
    assert row["values"] == [1.25, 1.0] and row["difference_usd"] == pytest.approx(alone["difference"]["net_usd"])


@pytest.mark.parametrize(
    "key",
    [
        "prices",
        "prices.scale=1:2",
        "prices.scale=1:2:0",
        "prices.scale=a:2:2",
        "prices.scale=0:1:5000",
        "prices.9.scale=0:1:2",
        "hash.x.y=0:1:2",
        "x.y=0:1:2",
    ],
)
def test_invalid_sweeps_are_refused(key: str) -> None:
    with pytest.raises(InvalidDocument):
        sweep(bases(), {}, [key])


def test_a_sweep_key_sets_the_named_element() -> None:
    scenario: dict[str, Any] = {"fleet": [{"group": "a", "available": 1}]}
    for key in ("fleet.a.available", "fleet.b.available", "book.block.mw", "site.horizon_h", "prices.scale", "hash.usd_per_ph_day"):
        set_key(scenario, key, 12.0)
    assert scenario["fleet"] == [{"group": "a", "available": 12.0}, {"group": "b", "available": 12.0}]
    assert scenario["book"] == [{"change": "block", "mw": 12.0}] and type(scenario["site"]["horizon_h"]) is int


def test_over_http_a_what_if_needs_no_key_and_its_faults_are_a_422(here: Here) -> None:
    answer = here.http.post("/api/v1/what-if", json={"prices": [{"scale": 0.1}]})
    assert answer.status_code == 200 and answer.json()["difference"]["net_usd"] > 0
    before = here.http.get("/api/v1/plan").json()["seq"]
    wrong = here.http.post("/api/v1/what-if", json={"pricez": 1, "fleet": [{"remove": "x"}]})
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["pointer"] == "#/pricez"
    assert "did you mean prices?" in wrong.text
    deeper = here.http.post(
        "/api/v1/what-if", json={"fleet": [{"remove": "x"}], "calls": [{"id": "1", "obligation": "z", "kind": "recall"}]}
    )
    assert [e["path"] for e in deeper.json()["errors"]] == ["fleet.0.remove", "calls.0.obligation"]
    assert here.http.get("/api/v1/plan").json()["seq"] == before
    table = here.http.post("/api/v1/what-if/sweep", json={"sweep": ["prices.scale=0.5:1.5:3"]})
    assert table.status_code == 200 and len(table.json()["rows"]) == 3
    for scenario, path in (({"pricez": 1}, "scenario.pricez"), ({"fleet": [{"remove": "x"}]}, "scenario.fleet.0.remove")):
        astray = here.http.post("/api/v1/what-if/sweep", json={"scenario": scenario, "sweep": ["hash.scale=1:2:2"]})
        assert astray.status_code == 422 and [e["path"] for e in astray.json()["errors"]] == [path]
    solved = here.http.post("/api/v1/what-if/break-even", json={"key": "hash.scale", "low": 0.01, "high": 20})
    assert solved.status_code == 200 and solved.json()["value"] is not None


def test_offers_are_answered_for_an_operating_day(here: Here) -> None:
    on = OperatingDay.of(Market.ERCOT, here.at).on
    answer = here.http.post("/api/v1/offers", json={"for": on.isoformat(), "risk": 0.2})
    assert answer.status_code == 200, answer.text
    assert answer.json()["operating_day"] == on.isoformat() and answer.json()["energy"][0]["hours"]
    for wrong, path in (
        ({}, "for"),
        ({"for": "yesterday"}, "for"),
        ({"for": "2020-01-01"}, "for"),
        ({"for": on.isoformat(), "risk": 2}, "risk"),
    ):
        refused = here.http.post("/api/v1/offers", json=wrong)
        assert refused.status_code == 422 and [e["path"] for e in refused.json()["errors"]] == [path], refused.text


def test_another_horizon_applies_to_both_plans() -> None:
    answer = run_what_if({"site": {"horizon_h": 12}}, setup=small(groups=[group("one", "a", watts=3000.0, ths=100.0)]))
    assert len(answer["base"]["intervals"]) == len(answer["case"]["intervals"])
    assert answer["difference"]["net_usd"] == 0 and document()["site"]["horizon_h"] == 24
