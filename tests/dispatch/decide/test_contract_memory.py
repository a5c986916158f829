"""What contracts remember while the site runs: folded from looks, the same in every run."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from dispatch.decide import plan_inputs
from dispatch.decide.memories_now import memories_now
from dispatch.decide.state import State
from dispatch.entries import GroupSeen, RunStarted, Seen
from dispatch.power_meters import MeterId
from dispatch.site_file.load import setup_from_document
from markets.facts import Call, CallKind, LoadForecast, SystemLoad, Temperature
from markets.grid import Interval
from optimizer.domain.book import peak_windows
from optimizer.domain.memory import Memory
from tests.fakes import NOON, price
from tests.sites import document, group, small

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MAIN = MeterId.parse("meter main")
BOOK = [
    {"type": "power"},
    {"type": "transmission", "method": "ncp", "usd_per_kw_year": 70.0},
    {"type": "forward", "ph": 10.0, "usd_per_ph_day": 47.0, "damages_usd_per_ph_day": 5.0},
    {
        "type": "hosting",
        "scope": {"tenant": "guest"},
        "usd_per_mwh": 70.0,
        "uptime": 0.9,
        "credit_usd_per_mwh": 10.0,
        "strike_usd_per_mwh": 90.0,
    },
]
GROUPS = [
    group("a-old", "a", watts=3000.0, ths=100.0),
    group("b-new", "b", watts=3500.0, ths=200.0, tenant="guest"),
]
HALLS = [{"name": "a", "meter": "main", "limit_mw": 0.5, "overhead": {"share": 0.1}}, {"name": "b", "meter": "main", "limit_mw": 0.5}]


def site(**more: Any) -> Any:
    return small(**{"obligations": BOOK, "groups": GROUPS, "halls": HALLS, **more})


def look(at: datetime, mw: float, theirs: float = 0.0, *facts: Any) -> Seen:
    seen = {
        "a-old": GroupSeen(rigs=40, reachable=40, load_mw=mw, hashrate_ph=mw * 100 / 3, changed={"normal": "0-39"}),
        "b-new": GroupSeen(rigs=40, reachable=40, load_mw=theirs, hashrate_ph=0.0, changed={"normal": "0-39"}),
    }
    return Seen(at=at, fleet=seen, facts=tuple(facts))


def run(setup: Any, *looks: Seen) -> State:
    state = State.start(setup, setup_from_document)
    for seq, seen in enumerate(looks, start=1):
        state = state.after(seen, seq)
    return state


def looks(start: datetime, mw: list[float], theirs: float = 0.0, minutes: int = 5) -> list[Seen]:
    return [look(start + n * minutes * MINUTE, value, theirs) for n, value in enumerate(mw)]


def test_the_highest_quarter_hour_of_the_month_with_overhead() -> None:
    """0.12 MW for five minutes of a quarter hour and 0.06 for ten are 0.08; a tenth is overhead. The hour that runs is not counted."""
    state = run(site(), *looks(NOON, [0.06] * 6 + [0.12] + [0.06] * 5 + [0.11] * 3))
    assert state.contract_memories.by_contract["transmission"].own_peak_mw == pytest.approx(0.08 * 1.1)
    later = run(site(), *looks(NOON, [0.06] * 6 + [0.12] + [0.06] * 5 + [0.11] * 13))
    assert later.contract_memories.by_contract["transmission"].own_peak_mw == pytest.approx(0.11 * 1.1)


def test_what_is_remembered_is_what_the_meter_reads_as_long_as_it_is_believed() -> None:
    """The rigs say 0.12 MW, and a tenth is overhead; the meter reads 0.2 MW."""
    read = [replace(seen, meters={MAIN: 0.2}) for seen in looks(NOON, [0.12] * 13)]
    assert run(site(), *read).contract_memories.by_contract["transmission"].own_peak_mw == pytest.approx(0.2)
    doubted = [replace(seen, meter_doubts={MAIN: "it is stuck"}) for seen in read]
    assert run(site(), *doubted).contract_memories.by_contract["transmission"].own_peak_mw == pytest.approx(0.12 * 1.1)


def test_an_hour_seen_in_part_counts_the_intervals_of_which_more_than_half_was_seen() -> None:
    """As the bill does: ten minutes of a quarter hour at 0.12 MW are 0.08 MW of it; five minutes are a gap."""
    state = run(site(), *looks(NOON + 20 * MINUTE, [0.12, 0.12, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.0]))
    assert state.contract_memories.by_contract["transmission"].own_peak_mw == pytest.approx(0.08 * 1.1)
    state = run(site(), *looks(NOON + 25 * MINUTE, [0.12, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.0]))
    assert state.contract_memories.by_contract["transmission"].own_peak_mw == pytest.approx(0.06 * 1.1)


def test_a_long_gap_is_not_filled_with_the_last_reading() -> None:
    state = run(site(), look(NOON, 0.12), look(NOON + 5 * HOUR, 0.12), look(NOON + 5 * HOUR + 5 * MINUTE, 0.12))
    assert not state.contract_memories.by_contract
    short = run(site(), look(NOON, 0.12), look(NOON + 50 * MINUTE, 0.12), look(NOON + HOUR, 0.0))
    assert short.contract_memories.by_contract["transmission"].own_peak_mw == pytest.approx(0.12 * 1.1)


def test_what_was_delivered_and_what_ran_of_what_was_promised() -> None:
    told = price(30.0, NOON)
    state = run(site(), look(NOON, 0.12, 0.07, told), *looks(NOON + 5 * MINUTE, [0.12] * 24, 0.07))
    forward, hosting = state.contract_memories.by_contract["forward"], state.contract_memories.by_contract["hosting"]
    assert forward.delivered_ph_days == pytest.approx(4.0 * 2 / 24)
    assert forward.needed_ph_days == pytest.approx(10.0 * 2 / 24)
    assert hosting.run_mwh == pytest.approx(0.14)
    assert hosting.promised_mwh == pytest.approx(0.9 * 40 * 3500 / 1e6 * 2)


def test_a_plan_gets_what_contracts_remember() -> None:
    state = run(site(), look(NOON, 0.12, 0.0, price(30.0, NOON)), *looks(NOON + 5 * MINUTE, [0.12] * 14))
    memory = plan_inputs.so_far(state, state.at).memory
    assert memory["transmission"].own_peak_mw == pytest.approx(0.12 * 1.1)
    assert type(memory["power"]) is Memory and set(memory) == {o.name for o in state.setup.book}
    assert memories_now(state, state.at) == memory, "the reflex knows as much as the plan"


def test_another_site_file_keeps_the_memory_and_drops_the_hour_that_runs() -> None:
    state = run(site(), *looks(NOON, [0.12] * 16))
    other = document(obligations=BOOK[:3], groups=[GROUPS[0]], halls=HALLS)
    at = state.at + MINUTE
    assert state.contract_memories.energy_mwh
    after = state.after(RunStarted(at=at, world="replay", version="1", config_hash="other", token=2, config=other), 99)
    assert after.contract_memories.by_contract == state.contract_memories.by_contract and not after.contract_memories.energy_mwh
    assert "a-old" in after.fleet and "b-new" not in after.fleet


def test_calls_of_a_season_and_its_highest_hour() -> None:
    """An instruction of half an hour is answered once; a plan is told so, and foresees the season's peaks beside."""
    lmr = {"type": "lmr", "zone": 6, "mw": 0.1, "firm_service_mw": 0.02}
    site_ = {"name": "Small", "market": "miso", "settlement_point": "INDIANA.HUB", "interconnect_mw": 1.0, "horizon_h": 24}
    setup = small(site=site_, obligations=[{"type": "power"}, lmr, {"type": "pra", "zone": 6}])
    told = Call(source="miso", known_at=NOON, id="e1", version=1, obligation="lmr", kind=CallKind.DEPLOY, notice_at=NOON - HOUR,
                start_at=NOON + HOUR, end_at=NOON + 1.5 * HOUR, mw_cap=0.02)  # fmt: skip
    state = run(setup, look(NOON, 0.12, 0.0, told), *looks(NOON + 5 * MINUTE, [0.12] * 11 + [0.02] * 6 + [0.12] * 20))
    memory = plan_inputs.so_far(state, state.at).memory["lmr"]
    assert (memory.called, memory.season, memory.failed) == (("e1",), date(2026, 6, 1), False)
    assert memory.highest_mw == pytest.approx(0.12)
    assert peak_windows(setup.book) == ((60, 3),)


def test_a_book_that_remembers_nothing_costs_nothing() -> None:
    state = run(small(), look(NOON, 0.1), look(NOON + 2 * HOUR, 0.1))
    assert state.contract_memories.seen_at is None and not state.contract_memories.by_contract


def test_an_outlook_foresees_the_peaks_its_book_asks_for() -> None:
    peak = small(obligations=[{"type": "power"}, {"type": "transmission", "method": "4cp", "usd_per_kw_year": 70.0}])
    hours = [Interval(NOON + k * HOUR, NOON + (k + 1) * HOUR) for k in range(-48, 48)]
    facts = [SystemLoad(source="t", known_at=NOON, over=o, load_mw=70_000.0) for o in hours[:48]]
    facts += [LoadForecast(source="t", known_at=NOON, over=o, load_mw=75_000.0 + 5000 * (k == 5)) for k, o in enumerate(hours[48:])]
    facts += [price(30.0, NOON), Temperature(source="t", known_at=NOON, over=hours[48], celsius=30.0)]
    asked = plan_inputs.inputs(run(peak, look(NOON, 0.1, 0.0, *facts)), NOON).outlook
    assert set(asked.peak_share) == {15}
    share = asked.peak_share[15]
    assert share.values[share.grid.share_within(hours[53]) > 0].sum() > 0.9 * share.values.sum() > 0
    assert not plan_inputs.inputs(run(small(), look(NOON, 0.1, 0.0, *facts)), NOON).outlook.peak_share
