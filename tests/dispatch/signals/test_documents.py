"""Calls, awards and holds: what is taken, what is refused, and where each fault stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.signals.documents import (
    HOLD_LASTS,
    CallDocument,
    InvalidDocument,
    documents_in_file,
    parse_award,
    parse_call,
    parse_document,
    parse_hold,
    stored_document,
)
from markets.facts import CallKind
from tests.fakes import NOON
from tests.sites import small

SETUP = small()
CALL: dict[str, Any] = {"id": "c1", "obligation": "power", "kind": "deploy", "mw_cap": 4.0}
AWARD: dict[str, Any] = {
    "obligation": "power",
    "product": "ENERGY",
    "market": "DAM",
    "interval_start": "2026-08-20T17:00:00Z",
    "interval_end": "2026-08-20T18:00:00Z",
    "mw": 0.5,
    "mcpc_usd_per_mw_h": 12.5,
}


def faults(parse: Any, document: Any, *more: Any) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as caught:
        parse(document, *more)
    return {f.path: f.text for f in caught.value.faults}


def test_a_call_without_times_holds_from_when_it_is_taken_in_until_recall() -> None:
    call = parse_call(CALL, SETUP.book, NOON)
    assert (call.notice_at, call.start_at, call.end_at, call.known_at) == (NOON, NOON, None, NOON)
    assert (call.version, call.kind, call.mw_cap, call.mw_delta) == (1, CallKind.DEPLOY, 4.0, None)


def test_null_and_left_out_are_the_same() -> None:
    nulls = {**CALL, "notice_at": None, "start_at": None, "end_at": None, "mw_delta": None}
    assert parse_call(nulls, SETUP.book, NOON) == parse_call(CALL, SETUP.book, NOON)
    assert stored_document(parse_document(CallDocument, nulls)) == CALL


def test_times_keep_their_instant_whatever_their_offset() -> None:
    call = parse_call({**CALL, "start_at": "2026-08-20T12:00:00-05:00"}, SETUP.book, NOON - timedelta(hours=1))
    assert call.start_at == datetime(2026, 8, 20, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"mw_delta": 1.0}, "", "exactly one of"),
        ({"mw_cap": None}, "", "it has none"),
        ({"mw_cap": False}, "mw_cap", "needs a number"),
        ({"mw_cap": "4"}, "mw_cap", "needs a number"),
        ({"mw_cap": -1}, "mw_cap", "at least 0"),
        ({"mw_cap": float("nan")}, "mw_cap", "finite"),
        ({"id": ""}, "id", "not be empty"),
        ({"version": 1.5}, "version", "whole number"),
        ({"version": 0}, "version", "at least 1"),
        ({"kind": "stop"}, "kind", "one of"),
        ({"obligation": "erss"}, "obligation", "it has hashing, power, plant"),
        ({"start_at": "2026-08-20T12:00:00"}, "start_at", "offset"),
        ({"start_at": 1755700000}, "start_at", "ISO 8601"),
        ({"start_at": "0001-01-01T00:00:00+14:00"}, "start_at", "ISO 8601"),
        ({"end_at": "2026-08-20T16:00:00Z"}, "end_at", "not after its start"),
        ({"mw_kap": 4}, "mw_kap", "did you mean mw_cap?"),
    ],
)
def test_faults_of_a_call_name_their_place(change: dict[str, Any], path: str, said: str) -> None:
    found = faults(parse_call, {**CALL, **change}, SETUP.book, NOON)
    assert path in found and said in found[path]


def test_all_faults_come_at_once() -> None:
    found = faults(parse_call, {"id": "", "kind": "x", "mw_cap": True}, SETUP.book, NOON)
    assert set(found) == {"id", "kind", "mw_cap", "obligation"}


@pytest.mark.parametrize("document", [None, 4, "call", [], [CALL]])
def test_a_value_that_is_not_a_document_is_refused(document: Any) -> None:
    assert faults(parse_call, document, SETUP.book, NOON)


def test_a_recall_needs_no_megawatts_and_carries_none() -> None:
    recall = parse_call({"id": "c1", "version": 2, "obligation": "power", "kind": "recall", "mw_cap": 4.0}, SETUP.book, NOON)
    assert recall.kind is CallKind.RECALL and recall.mw_cap is None


def test_an_award_spans_its_interval() -> None:
    award = parse_award(AWARD, SETUP.site, SETUP.book, NOON)
    assert (award.over.hours, award.mw, award.mcpc_usd_per_mw_h) == (1.0, 0.5, 12.5)
    assert "must come after" in faults(parse_award, {**AWARD, "interval_end": AWARD["interval_start"]}, SETUP.site, SETUP.book, NOON)[""]


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"obligation": "erss"}, "obligation", "it has hashing, power, plant"),
        ({"product": "ECRS"}, "product", "'power' does not sell 'ECRS'; it sells ENERGY"),
        ({"obligation": "plant"}, "product", "'plant' does not sell 'ENERGY'; it takes no awards"),
        ({"market": "RT"}, "market", "in DAM, not in RT"),
        ({"mw": 500}, "mw", "500 MW is more than the site's interconnect with its losses, 1.000 MW"),
    ],
)
def test_an_award_that_the_contract_does_not_sell_is_refused(change: dict[str, Any], path: str, said: str) -> None:
    found = faults(parse_award, {**AWARD, **change}, SETUP.site, SETUP.book, NOON)
    assert path in found and said in found[path]


def test_reserve_is_awarded_up_to_what_is_qualified_and_can_be_drawn() -> None:
    """40 rigs of 3 kW and 40 of 3.5 kW draw 260 kW."""
    contract = {"type": "ancillary", "products": ["ECRS", "NSPIN"], "qualified_mw": {"ECRS": 0.1}}
    sells = small(obligations=[{"type": "power"}, contract])
    award = {**AWARD, "obligation": "ancillary", "product": "ECRS", "mw": 0.1}
    assert parse_award(award, sells.site, sells.book, NOON).mw == 0.1
    for change, limit in (({"mw": 0.2}, "its qualified_mw of ECRS, 0.100 MW"), ({"product": "NSPIN", "mw": 0.3}, "can draw, 0.260 MW")):
        assert limit in faults(parse_award, {**award, **change}, sells.site, sells.book, NOON)["mw"]


def test_an_award_may_come_before_its_price_and_a_baseline_has_none() -> None:
    unpriced = {key: value for key, value in AWARD.items() if key != "mcpc_usd_per_mw_h"}
    assert parse_award(unpriced, SETUP.site, SETUP.book, NOON).mcpc_usd_per_mw_h is None
    setup = small(
        site={"name": "North", "market": "miso", "settlement_point": "MINN.HUB", "interconnect_mw": 1.0, "horizon_h": 24},
        obligations=[{"type": "edr", "mw": 0.1, "baseline_mw": 0.2, "offer_usd_per_mwh": 50.0}],
    )
    baseline = {k: v for k, v in unpriced.items() if k not in ("product", "market")} | {"obligation": "edr", "kind": "BASELINE", "mw": 0.15}
    award = parse_award(baseline, setup.site, setup.book, NOON)
    assert (award.product, award.market, award.mw) == ("BASELINE", "RT", 0.15)
    assert "leave product out" in faults(parse_award, {**baseline, "product": "ECRS"}, setup.site, setup.book, NOON)[""]


def test_a_hold_must_name_groups_and_modes_of_the_site() -> None:
    assert parse_hold({"id": "h", "group": "a-old", "mode": "sleep"}, SETUP.site, "ann").by == "ann"
    assert "did you mean a-old?" in faults(parse_hold, {"id": "h", "group": "a-ol", "mode": "sleep"}, SETUP.site)["group"]
    assert "it has sleep, normal" in faults(parse_hold, {"id": "h", "group": "a-old", "mode": "turbo"}, SETUP.site)["mode"]
    assert "exactly one" in faults(parse_hold, {"id": "h", "mode": "sleep", "mw_cap": 1.0}, SETUP.site)[""]


def test_a_csv_file_is_the_same_documents_as_json() -> None:
    table = "id,obligation,kind,mw_cap,version\nc1,power,deploy,4.0,\nc2,power,recall,,2\n"
    rows = documents_in_file(table, ".CSV")
    assert rows == [("row 2", CALL), ("row 3", {"id": "c2", "obligation": "power", "kind": "recall", "version": 2})]
    assert faults(documents_in_file, "id,mw_cap\nc1,four\n", ".csv") == {"row 2.mw_cap": "needs a number, not 'four'"}
    assert faults(documents_in_file, "id,mw_cap\nc1\n", ".csv") == {"row 2": "has not as many columns as the header"}


@pytest.mark.parametrize("text", ["{", "[1]", '{"mw_cap": NaN}', "", "[" * 100_000])
def test_a_file_that_is_not_json_objects_is_refused(text: str) -> None:
    assert faults(documents_in_file, text, ".json")


@given(
    st.dictionaries(
        st.sampled_from([*CALL, "mw_delta", "start_at", "x"]), st.none() | st.booleans() | st.floats() | st.text() | st.integers()
    )
)
def test_anything_is_a_call_or_faults(document: dict[str, Any]) -> None:
    """Never another exception, and never a call that breaks its own rules."""
    try:
        call = parse_call(document, SETUP.book, NOON)
    except InvalidDocument as found:
        assert found.faults
    else:
        assert call.end_at is None or call.end_at > call.start_at
        assert call.obligation in {o.name for o in SETUP.book}


def test_a_hold_without_an_end_ends_by_itself() -> None:
    site = small().site
    assert parse_hold({"id": "h", "mw_cap": 0.1}, site, "key", NOON).until == NOON + HOLD_LASTS
    end = NOON + HOLD_LASTS / 4
    assert parse_hold({"id": "h", "mw_cap": 0.1, "until": end.isoformat()}, site, "key", NOON).until == end
