"""Offers of an operating day: what was proved limits them, what was not measured is said, gates are named, and files hold every step."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from dispatch.commands import Ended
from dispatch.commands.offers import offers as offers_command
from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, Order, Result, Seen, pack
from dispatch.offers.document import OffersDocument
from dispatch.offers.make import Offering, offers
from dispatch.offers.proved import MEASURED, NOT_MEASURED, QUALIFIED, Proof
from dispatch.rigs.shed_curve import ShedCurve
from dispatch.runtime.measured_sheds import measured_sheds
from dispatch.signals.documents import InvalidDocument
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from markets.facts import ReservePrice
from markets.grid import Grid, Market, OperatingDay
from tests.dispatch.settlement.fixtures import HandMadeDay
from tests.fakes import NOON, hashprice, price, prices
from tests.sites import small

TOMORROW = date(2026, 8, 21)
HOUR = timedelta(hours=1)
RESERVE = {"type": "ancillary", "products": ["ECRS", "NSPIN"], "qualified_mw": {"ECRS": 0.15, "NSPIN": 0.2}}


def selling(**changes: object) -> Setup:
    return small(obligations=[{"type": "power"}, {**RESERVE, **changes}])


def state_of(setup: Setup, usd: float = 70.0) -> State:
    """At noon: twelve hours of one real-time price, the day-ahead price of two days, and clearing prices of reserve."""
    hours = Grid.regular(NOON - 12 * HOUR, NOON + 48 * HOUR, 60).intervals
    reserve = [
        ReservePrice(source="fake", known_at=NOON - 24 * HOUR, product=product, market="DAM", over=over, usd_per_mw_h=usd)
        for product, usd in (("ECRS", 6.0), ("NSPIN", 2.0))
        for over in hours
    ]
    facts = [
        *prices([usd] * 48, NOON - 12 * HOUR),
        *prices([usd] * 60, NOON - 12 * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - 24 * HOUR),
        hashprice(45.0, NOON),
        *reserve,
    ]
    return State.start(setup, setup_from_document).after(Seen(at=NOON, facts=tuple(facts)), 1)


def made(setup: Setup, sheds: Mapping[str, ShedCurve] | None = None, on: date = TOMORROW) -> OffersDocument:
    return offers(Offering(state_of(setup), NOON, on, Proof(setup.site, sheds or {})))


def curve(within_s: Mapping[str, int]) -> ShedCurve:
    return ShedCurve().after(within_s, 40)


def most_mw(document: OffersDocument) -> list[float]:
    """By hour, the end of the last step of all products together."""
    hours = zip(*(offer["hours"] for offer in document["reserve"]), strict=True)
    return [sum(hour["steps"][-1]["mw"] if hour["steps"] else 0.0 for hour in here) for here in hours]


def test_steps_cost_what_running_the_group_costs() -> None:
    """At 70 $/MWh b-new runs anyway (breakeven 107.14), a-old only to carry reserve (62.50): its steps cost at least 7.50 $ more than real
    time pays, and what is lost in waking: two thirds of five minutes of 4 PH/s, for 0.1 MW."""
    waking = 45.0 * 4.0 * 5.0 * 2 / 3 / (24 * 60) / 0.1
    setup = selling(qualified_mw={"ECRS": 1.0}, products=["ECRS"])
    whole = curve({"60": 40})
    document = made(setup, {"a-old": whole, "b-new": whole})
    (offer,) = document["reserve"]
    assert len(offer["hours"]) == 24 and offer["basis"] == MEASURED
    first, last = offer["hours"][12]["steps"][0], offer["hours"][12]["steps"][-1]
    assert (first["mw"], first["usd"]) == (pytest.approx(0.1), pytest.approx(6.0, abs=0.02))
    assert last["mw"] == pytest.approx(0.2) and 6.0 + 7.5 + waking - 0.1 <= last["usd"] <= 6.0 + 7.5 + waking + 0.1
    (bid,) = document["energy"]
    assert [step["usd"] for step in bid["hours"][12]["steps"]] == pytest.approx([107.1, 62.4], abs=0.9)


def test_products_that_price_scenarios_do_not_move_are_named() -> None:
    setup = selling(qualified_mw={"ECRS": 1.0}, products=["ECRS"])
    known = (  # the two days before, of energy alone
        *prices([70.0] * 192, NOON - 60 * HOUR),
        *(price(65.0, NOON - k * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - 84 * HOUR) for k in range(13, 61)),
    )
    state = state_of(setup).after(Seen(at=NOON, facts=known), 2)
    found = offers(Offering(state, NOON, TOMORROW, Proof(setup.site, {}), risk_weight=0.2))
    held = "price scenarios do not move the prices of ECRS"
    assert [text.partition(":")[0] for text in found["findings"] if "scenarios" in text or "risk" in text] == [held]


@pytest.mark.parametrize(("within_s", "most"), [({"60": 40}, 0.2), ({"60": 20, "600": 20}, 0.2), ({"60": 20, "1200": 20}, 0.1), ({}, 0.0)])
def test_never_more_is_offered_than_was_measured_within_the_response_time(within_s: Mapping[str, int], most: float) -> None:
    """ECRS is there within ten minutes. Forty rigs of each group, of which so many had shed within the seconds named."""
    setup = selling(qualified_mw={"ECRS": 1.0}, products=["ECRS"])
    slow = curve(within_s)
    document = made(setup, {"a-old": slow, "b-new": slow})
    assert document["reserve"][0]["basis"] == MEASURED
    assert most_mw(document) == [pytest.approx(most)] * 24
    limit = document["reserve"][0]["limit_mw"]
    assert limit is not None and max(most_mw(document)) <= limit + 1e-9


def test_what_nobody_measured_is_said_and_rests_on_the_qualification_alone() -> None:
    document = made(selling())
    assert {offer["basis"] for offer in document["reserve"]} == {QUALIFIED}
    assert sum("nothing was measured" in text for text in document["findings"]) == 2
    assert all(0 < mw <= 0.26 for mw in most_mw(document))
    neither = made(selling(qualified_mw={"ECRS": 0.15}))
    basis = {offer["product"]: (offer["basis"], any(hour["steps"] for hour in offer["hours"])) for offer in neither["reserve"]}
    assert basis == {"ECRS": (QUALIFIED, True), "NSPIN": (NOT_MEASURED, False)}
    one = made(selling(), {"a-old": curve({"60": 40})})
    assert {offer["basis"] for offer in one["reserve"]} == {QUALIFIED}, "of one group nothing is known"


def test_gates_are_named_and_a_gate_that_passed_is_a_finding() -> None:
    (gate,) = made(selling(), on=date(2026, 8, 22))["gates"]
    assert gate["due_at"] == "2026-08-21T15:00:00Z" and gate["market_time"] == "2026-08-21 10:00" and gate["open"]
    today = made(selling(), on=date(2026, 8, 20))
    assert not today["gates"][0]["open"] and any("were due" in text for text in today["findings"])
    first = NOON.astimezone(OperatingDay(Market.ERCOT, TOMORROW).market.tz).hour + 1
    assert [hour["hour_ending"] for hour in today["reserve"][0]["hours"]] == list(range(first, 25)), "hours that have not begun"


@pytest.mark.parametrize(("on", "says"), [(date(2026, 8, 19), "is over"), (date(2026, 9, 19), "more than 8 days ahead")])
def test_a_day_that_cannot_be_offered_is_refused(on: date, says: str) -> None:
    with pytest.raises(InvalidDocument, match=says):
        made(selling(), on=on)


def test_a_season_is_promised_by_what_was_measured() -> None:
    ers = {
        "type": "ers",
        "product": "ERS-10",
        "mw": 0.2,
        "max_base_load_mw": 0.02,
        "usd_per_mw_hour": 7.25,
        "periods": [{"name": "TP3", "months": [8, 9, 10], "weekdays": True, "hours": [13, 14, 15]}],
    }
    setup = small(obligations=[{"type": "power"}, ers])
    rows = made(setup)["seasons"]
    assert [(r["begins"], r["mw"], r["basis"]) for r in rows] == [("2026-06-01", 0.2, NOT_MEASURED), ("2026-10-01", 0.2, NOT_MEASURED)]
    half = curve({"60": 20})
    assert [r["mw"] for r in made(setup, {"a-old": half, "b-new": half})["seasons"]] == [pytest.approx(0.129, abs=0.003)] * 2


def test_the_ledger_of_a_run_says_how_quickly_rigs_shed(tmp_path: Path) -> None:
    ran = HandMadeDay.of(tmp_path / "ran", date(2026, 7, 1), prices="synthetic")
    at = ran.day.start + HOUR
    group = ran.setup.site.groups[0]
    rigs = pack(range(group.rigs))
    order = Order(id="o1", group=group.name, mode="sleep", rigs=rigs, deadline_s=60.0, why="test")
    ran.journal.append(Commanded(at=at, round=1, target_mw={}, orders=(order,)))
    result = Result(order="o1", rigs_by_outcome={"reached": rigs}, shed_within_s={"30": group.rigs})
    ran.journal.append(Done(at=at + timedelta(minutes=1), results=(result,)))
    found = measured_sheds(ran.folder, at + HOUR)
    assert set(found) == {group.name} and found[group.name].orders[0][0] == group.rigs
    assert not measured_sheds(ran.folder, at), "what is judged later is not known yet"


def test_the_command_writes_every_step_as_json_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "site.toml"
    text = Path("config/ercot-miner.toml").read_text("utf-8").replace('source = "gridstatus"', 'source = "synthetic"\nseed = 3')
    config.write_text(text, "utf-8")
    with pytest.raises(Ended) as ended:
        offers_command(config, "2026-08-21", at="2026-08-20T13:00:00Z", folder=tmp_path / "out", as_json=True)
    assert ended.value.status == 1, "nothing was measured"
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "out" / "offers-2026-08-21.json").read_text("utf-8"))
    rows = list(csv.DictReader((tmp_path / "out" / "offers-2026-08-21.csv").open(encoding="utf-8")))
    steps = [step for offer in document["reserve"] + document["energy"] for hour in offer["hours"] for step in hour["steps"]]
    assert len(rows) == len(steps) and {row["product"] for row in rows} == {"ECRS", "NSPIN", "ENERGY"}
    assert [(float(row["mw"]), float(row["price"])) for row in rows] == [(step["mw"], step["usd"]) for step in steps]
    with pytest.raises(Ended, match="is over"):
        offers_command(config, "2026-08-19", at="2026-08-20T13:00:00Z")
