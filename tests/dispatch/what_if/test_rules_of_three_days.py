"""One site file under the rules of June 2026, January 2027 and June 2028: every line of the bill that differs cites a rule that does, and
since when it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from itertools import pairwise

import pytest

from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.what_if.apply import under_rules_of
from dispatch.what_if.base_plans import BasePlans
from dispatch.what_if.baseline import Baseline
from dispatch.what_if.compare import what_if
from dispatch.what_if.reference_day import ReferenceDayPrices
from dispatch.what_if.rule_changes import RuleChange, rule_changes
from markets.facts import Award, Call, CallKind
from markets.grid import Grid, Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.money import Line, Statement
from optimizer.settlement.settle import settle
from tests.fakes import NOON, hashprice, prices
from tests.sites import document, small

HOUR = timedelta(hours=1)
DAYS = (date(2026, 6, 15), date(2027, 1, 15), date(2028, 6, 15))
START = datetime(2026, 8, 20, 20, tzinfo=UTC)
OVER = Grid.regular(START, START + 4 * HOUR, 60)

CLR = {
    "type": "ancillary", "name": "clr", "products": ["ECRS"], "qualified_mw": {"ECRS": 0.1}, "lpc_mw": 0.1, "node": "RN_MINE",
    "provisional": {"until": "2028-03-01", "study_mw": 0.1},
}  # fmt: skip
WIRES = {"type": "transmission", "name": "wires", "method": "ercot", "usd_per_kw_year": 70.0, "usd_per_kw_year_of": {"12cp": 81.59}}
TEXAS = [CLR, {"type": "power", "adders_usd_per_mwh": 6.15}, WIRES]
MW = [D("0.25"), D("0.24"), D("0.13"), D("0.25")]
ZONE, NODE = [D("35.10"), D("90.25"), D("612.35"), D("44.00")], [D("30.05"), D("70.50"), D("1450.10"), D("-3.25")]
RT_ECRS = [D("5"), D("18.90"), D("220.35"), D("6.02")]


def texas() -> Setup:
    return small(obligations=TEXAS)


def happened(setup: Setup) -> Actuals:
    """Four hours at 0.13 to 0.25 MW, 0.1 MW of ECRS awarded a day ahead, the system's peak in the second hour."""
    nothing = [D(0)] * 4
    sold = Award(
        source="qse", known_at=START, obligation="clr", product="ECRS", market="DAM", over=OVER.over, mw=0.1, mcpc_usd_per_mw_h=9.0
    )
    return Actuals(
        site=setup.site, grid=OVER, energy_mwh={"a-old": nothing, "b-new": MW}, hash_ph_days={"a-old": nothing, "b-new": [D(1)] * 4},
        energy_price={"LZ_WEST": ZONE, "RN_MINE": NODE}, hashprice=[D(45)] * 4, awards=(sold,), reserve_price={"ECRS": RT_ECRS},
        peak_share={minutes: [D(0), D(1), D(0), D(0)] for minutes in (15, 30)},
    )  # fmt: skip


def bills(setup: Setup, actuals: Actuals) -> dict[date, Statement]:
    return {on: settle(tuple(under_rules_of(on, o) for o in setup.book), actuals) for on in DAYS}


def by_line(bill: Statement) -> dict[tuple[str, Interval], Line]:
    found = {(line.name, line.over): line for line in bill.lines}
    assert len(found) == len(bill.lines)
    return found


def changed(setup: Setup, before: date, after: date) -> Mapping[str, list[RuleChange]]:
    found: dict[str, list[RuleChange]] = {}
    for change in rule_changes(setup.book, setup.rules, before, after):
        found.setdefault(change["contract"], []).append(change)
    return found


def differing_lines_cite(setup: Setup, made: Mapping[date, Statement]) -> dict[tuple[date, date], set[str]]:
    """The charges that differ from one day's rules to the next; every line of them names a rule of its contract that changed."""
    out = {}
    for before, after in pairwise(DAYS):
        one, other, rules = by_line(made[before]), by_line(made[after]), changed(setup, before, after)
        unknown = {(charge.name, charge.over): charge for day in (before, after) for charge in made[day].unknown}
        differ = [key for key in {**one, **other} if key not in one or key not in other or one[key].amount_usd != other[key].amount_usd]
        for name, over in differ:
            said = " ".join(line.rule for line in (one.get((name, over)), other.get((name, over)), *_at(unknown, name, over)) if line)
            own = rules.get(name.partition("/")[0], [])
            cited = [change for change in own if f"{change['rule']} (" in said]
            assert cited, f"{name} at {over.start} differs from {before} to {after} and cites no rule that changed: {said}"
            since = [date.fromisoformat(change["case"]["since"]) for change in cited if "case" in change]
            assert since and all(before < on <= after for on in since)
        out[before, after] = {name for name, _ in differ}
    return out


def _at(unknown: Mapping[tuple[str, Interval], Line], name: str, over: Interval) -> Sequence[Line]:
    return [charge for (other, span), charge in unknown.items() if other == name and span.overlaps(over)]


def test_every_line_that_differs_in_texas_cites_a_rule_that_changed() -> None:
    setup = texas()
    differ = differing_lines_cite(setup, bills(setup, happened(setup)))
    assert differ == {
        DAYS[:2]: {"clr/clr_energy", "clr/ecrs_imbalance"},
        DAYS[1:]: {"wires/coincident_peak"},
    }


def test_the_bills_of_texas_by_hand() -> None:
    made = bills(texas(), happened(texas()))
    energy = {DAYS[0]: ZONE, DAYS[1]: NODE, DAYS[2]: NODE}
    for on, bill in made.items():
        totals = {f"{contract}/{charge}": usd for (contract, charge), usd in bill.totals.items()}
        assert totals.pop("clr/clr_energy") == pytest.approx(
            -sum(mwh * usd for mwh, usd in zip(MW, energy[on], strict=True)), abs=D("0.005")
        )
        assert totals.pop("clr/ecrs_day_ahead") == D("0.1") * 4 * 9
        # Under the rules of June 2026 it carries its award; provisional, it buys all of it back.
        assert totals.pop("clr/ecrs_imbalance", D(0)) == (0 if on == DAYS[0] else pytest.approx(-D("0.1") * sum(RT_ECRS), abs=D("0.005")))
        rate, months = (D("81.59"), 12) if on == DAYS[2] else (D("70"), 4)
        assert totals.pop("wires/coincident_peak") == pytest.approx(-D("0.24") * rate * 1000 / months, abs=D("0.005"))
        assert totals.pop("power/adders") == pytest.approx(-sum(MW) * D("6.15"), abs=D("0.005"))
        assert totals.pop("hashing/hash_revenue") == D(180) and not totals


def test_a_what_if_names_the_rules_that_differ_and_since_when_they_hold() -> None:
    setup = small(obligations=[{k: v for k, v in CLR.items() if k != "node"}, {"type": "power"}, WIRES])
    facts = [*prices([50.0] * 48, NOON - 12 * HOUR), hashprice(45.0, NOON)]
    facts += prices([50.0] * 60, NOON - 12 * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - 24 * HOUR)
    state = State.start(setup, setup_from_document).after(Seen(at=NOON, facts=tuple(facts)), 1)
    answer = what_if(BasePlans(Baseline.of(state, NOON, ReferenceDayPrices(state))), {"rules_on": "2028-06-15"})
    rows = {(row["contract"], row["rule"]): row for row in answer["rules"]}
    method = rows["wires", "ercot.transmission.method"]
    assert (method["base"]["value"], method["case"]["value"]) == ("4cp", "12cp")
    assert (method["base"]["since"], method["case"]["since"], method["case"]["verified"]) == ("2010-12-01", "2027-10-01", False)
    assert not {rule for _, rule in rows} & {
        "ercot.transmission.mbd.from_mw",
        "ercot.clr.energy_settles_at",
        "ercot.transmission.oncor_usd_per_kw_month",
    }
    told = [text for text in answer["reasons"] if text.startswith("wires: ercot.transmission.method is 12cp (from 2027-10-01, PUCT")]
    assert len(told) == 1 and told[0].endswith("instead of 4cp (from 2010-12-01, 16 TAC 25.192(b)(1))")


LMR = {"type": "lmr", "mw": 0.2, "firm_service_mw": 0.05, "zone": 6}


def test_every_line_that_differs_in_miso_cites_a_rule_that_changed() -> None:
    where = {"name": "Small", "market": "miso", "settlement_point": "INDIANA.HUB", "interconnect_mw": 1.0}
    setup = setup_from_document(document(site=where, obligations=[{"type": "power"}, LMR]))
    nothing = [D(0)] * 4
    due = Interval(START + HOUR, START + 2 * HOUR)
    told = Call(source="miso", known_at=START - 6 * HOUR, id="e1", version=1, obligation="lmr", kind=CallKind.DEPLOY,
                notice_at=START - 6 * HOUR, start_at=due.start, end_at=due.end, mw_cap=0.05)  # fmt: skip
    actuals = Actuals(
        site=setup.site, grid=OVER, energy_mwh={"a-old": nothing, "b-new": MW}, hash_ph_days={"a-old": nothing, "b-new": [D(1)] * 4},
        energy_price={"INDIANA.HUB": ZONE}, hashprice=[D(45)] * 4, calls=(told,),
    )  # fmt: skip
    made = bills(setup, actuals)
    assert differing_lines_cite(setup, made) == dict.fromkeys(pairwise(DAYS), {"lmr/lmr_capacity", "lmr/lmr_forfeit"})
    for on, usd_a_day in ((DAYS[0], D("424.30")), (DAYS[1], D("35.97"))):
        assert made[on].totals["lmr", "lmr_capacity"] == pytest.approx(D("0.2") * usd_a_day * 4 / 24, abs=D("0.005"))
        # 0.19 MWh too much of an instruction of 0.2 MW for an hour, which is worth a day of credit.
        assert made[on].totals["lmr", "lmr_forfeit"] == pytest.approx(-D("0.19") * D("0.2") * usd_a_day / D("0.2"), abs=D("0.005"))
    assert made[DAYS[2]].unknown_names == ("lmr/lmr_capacity", "lmr/lmr_forfeit")  # accredited, and the site file does not say how much
