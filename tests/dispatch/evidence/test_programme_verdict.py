"""The verdict of a packet is the judgement of the bill: the same functions, the same figures, on any load."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dispatch.decide.state import State
from dispatch.evidence.loads_seen import LoadsSeen
from dispatch.evidence.programme_verdict import programme_verdict
from dispatch.reports.event_packet import event_as_html
from dispatch.site_file.load import setup_from_document
from markets.facts import Call, CallKind
from markets.grid import Grid
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import calls_in_force
from optimizer.domain.obligation import Obligation
from tests.fakes import NOON
from tests.sites import document, group

MINUTE = timedelta(minutes=1)
MARKET = {"ancillary": "ercot", "ers": "ercot", "plant": "ercot", "lmr": "miso", "drr": "miso", "edr": "miso"}
CONTRACTS: dict[str, dict[str, Any]] = {
    "ers": {
        "product": "ERS-10",
        "mw": 0.2,
        "max_base_load_mw": 0.05,
        "usd_per_mw_hour": 7.0,
        "periods": [{"name": "all", "months": [8], "hours": list(range(24))}],
    },
    "ancillary": {"kind": "nclr", "products": ["ECRS"], "block": {"min_mw": 0.1}},
    "lmr": {"mw": 0.2, "firm_service_mw": 0.05, "zone": 6, "notice_min": 10.0},
    "drr": {"kind": "I", "mw": 0.2, "baseline_mw": 0.25, "notice_min": 5.0},
    "edr": {"mw": 0.2, "baseline_mw": 0.25, "offer_usd_per_mwh": 250.0, "notice_min": 5.0},
}


def state_with(kind: str) -> tuple[State, Obligation]:
    """A small site whose rigs are all under one contract."""
    market, own = MARKET[kind], CONTRACTS.get(kind)
    site = {**document()["site"], "market": market, "settlement_point": "LZ_WEST" if market == "ercot" else "TEXAS.HUB"}
    halls = [{"name": "a", "meter": "main", "limit_mw": 0.5}]
    groups = [group("g", "a", watts=3500.0, ths=200.0, rigs=72)]
    obligations = [{"type": "power"}, *([{"type": kind, **own}] if own else [])]
    setup = setup_from_document(document(site=site, halls=halls, groups=groups, obligations=obligations))
    return State.start(setup, setup_from_document), next(o for o in setup.book if o.name == kind)


def call(kind: str, **more: Any) -> Call:
    """A call of an hour for all that a contract promises; a dispatch begins after its notice."""
    asked: dict[str, Any] = {"mw_delta": 0.2} if kind in ("ancillary", "drr") else {"mw_cap": 0.05}
    asked |= {"start_at": NOON + (10 if kind == "drr" else 0) * MINUTE, "end_at": NOON + 60 * MINUTE, **more}
    return Call(source="qse", known_at=NOON, id="c", version=1, obligation=kind, kind=CallKind.DEPLOY, notice_at=NOON, **asked)


def seen(loads_mw: list[float], every: int = 5, start: datetime = NOON - 15 * MINUTE) -> list[LoadsSeen]:
    """Readings one after the other, the first before the notice."""
    return [LoadsSeen(start + n * every * MINUTE, {"g": mw}, {"g": mw}, frozenset({"g"}), {}) for n, mw in enumerate(loads_mw)]


def bill_of(contract: Obligation, state: State, verdict: dict[str, Any], asked: Call) -> bool:
    """Whether the contract's bill and memory count the call as answered, on the loads of the verdict."""
    step = 15 if state.site.market.value == "ercot" else 5
    grid = Grid.regular(NOON, NOON + 60 * MINUTE, step)
    loads = {row["start"]: row["load_mw"] for row in verdict["intervals"]}
    before = Decimal("0.25")
    energy = [
        Decimal(repr(loads.get(over.start.isoformat().replace("+00:00", "Z"), 0.25))) * Decimal(over.hours) for over in grid.intervals
    ]
    zeros = [Decimal(50)] * len(grid)
    memory = replace(contract.memory_from({}), load_before_mw={"c": float(before)})
    then = Actuals(
        state.site, grid, {"g": energy}, {"g": zeros}, dict.fromkeys(state.setup.settlement_points, zeros), zeros, calls=(asked,),
        memory={contract.name: memory},
    )  # fmt: skip
    after = contract.remember(memory, then)
    match contract.type:
        case "ers":
            full = contract.figure("event_full", NOON.date())  # type: ignore[attr-defined]
            figure = after.event_done / after.event_weight
            assert verdict["figure"] == pytest.approx(figure, abs=1e-5)
            return bool(figure >= full - 1e-9)
        case "lmr":
            return not after.missed
        case "ancillary":
            return not contract.remember(replace(memory, before_mw=0.25), then).strikes
        case "drr":
            return not any(line.charge_type == "drr_deviation" and line.amount_usd < 0 for line in contract.settle(then))
    raise AssertionError(contract.type)


@pytest.mark.parametrize("kind", ["ers", "lmr", "ancillary", "drr"])
def test_the_verdict_is_that_of_the_bill_on_random_loads(kind: str) -> None:
    state, contract = state_with(kind)
    rng, said = random.Random(kind), set()
    for _ in range(40):
        low = rng.choice([0.02, 0.05, 0.0504, 0.06, 0.1])
        answered = [0.25] * 3 + [0.25, low] + [rng.choice([low, low, 0.05, 0.2]) if rng.random() < 0.3 else low for _ in range(12)]
        asked = call(kind)
        verdict = programme_verdict(asked, contract, seen(answered), state, NOON + 70 * MINUTE)
        assert verdict is not None and verdict["intervals"] and verdict["rule"]
        assert verdict["passed"] is bill_of(contract, state, verdict, asked), (answered, verdict)
        said.add(verdict["passed"])
    assert said == {True, False}


def test_a_limit_without_a_formula_is_judged_by_the_settlements_own_bounds() -> None:
    state, contract = state_with("plant")
    kept = programme_verdict(call("plant"), contract, seen([0.25] * 4 + [0.05] * 14), state, NOON + 70 * MINUTE)
    assert kept is not None and kept["passed"] is True and kept["figure"] is None and kept["outside_limit"] == []
    broken = programme_verdict(call("plant"), contract, seen([0.25] * 8 + [0.05] * 10), state, NOON + 70 * MINUTE)
    assert broken is not None and broken["passed"] is False and broken["outside_limit"][0]["mw"] > 0.05


def test_intervals_that_nobody_read_are_left_out_and_never_count_as_zero() -> None:
    state, contract = state_with("ers")
    readings = [*seen([0.25] * 4 + [0.05] * 3), *seen([0.05] * 4, start=NOON + 70 * MINUTE)]
    verdict = programme_verdict(call("ers", end_at=NOON + 90 * MINUTE), contract, readings, state, NOON + 95 * MINUTE)
    assert verdict is not None
    left_out = [row["start"] for row in verdict["intervals"] if row["left_out"]]
    assert left_out and all(row["load_mw"] is None for row in verdict["intervals"] if row["left_out"])
    nothing = programme_verdict(call("ers"), contract, [], state, NOON + 70 * MINUTE)
    assert nothing is not None and nothing["passed"] is None and nothing["figure"] is None and nothing["load_before_mw"] is None


@pytest.mark.parametrize(("minutes", "intervals"), [(14, 0), (16, 1), (29, 1), (44, 2), (61, 4)])
def test_only_intervals_that_are_over_are_judged(minutes: int, intervals: int) -> None:
    state, contract = state_with("ers")
    readings = seen([0.25] * 3 + [0.05] * (minutes // 5 + 1))
    verdict = programme_verdict(call("ers"), contract, readings, state, NOON + minutes * MINUTE)
    assert len(verdict["intervals"] if verdict else []) == intervals


def test_edr_counts_the_reduction_below_its_baseline() -> None:
    state, contract = state_with("edr")
    half = programme_verdict(call("edr"), contract, seen([0.25] * 3 + [0.15] * 14), state, NOON + 70 * MINUTE)
    assert half is not None and half["figure"] == pytest.approx(0.5) and half["passed"] is False
    assert calls_in_force([call("edr")], "edr")


def test_the_page_says_verdict_baseline_and_why_rigs_were_already_off() -> None:
    state, contract = state_with("ers")
    verdict = programme_verdict(call("ers"), contract, seen([0.25] * 4 + [0.15] * 14), state, NOON + 70 * MINUTE)
    packet: dict[str, Any] = {
        "id": "c",
        "obligation": "ers",
        "requested": "deploy",
        "in_force": None,
        "summary": {"missed": "", "first_command_after_s": None},
        "verdict": verdict,
        "before": {"already_off": {"g": ["g sleeps: energy is above its breakeven"]}},
        "journal": {name: {"seq": 1, "hash": "x"} for name in ("first", "last")},
        "signal": [],
        "decisions": [],
        "read_backs": [],
        "load": [],
    }
    html = event_as_html(packet)
    assert "Verdict of the programme (ers): FAILED" in html and "Baseline MW" in html and "above its breakeven" in html
