"""The codecs of every make against themselves in both roles, and against those of the clients."""

from __future__ import annotations

import json
from types import ModuleType

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasic.miners.backends import AvalonMiner

from dispatch.rigs.wire import antminer, auradine, avalon, braiins, cgminer, epic, http, line, luxos, proto, vnish, whatsminer_v3
from dispatch.rigs.wire.line import WireError

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789:.", min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6
)
POOL = {"url": "stratum+tcp://pool.invalid:1", "user": "me", "pass": "x"}


@given(st.lists(st.sampled_from(["summary", "power", "stats"]), min_size=1, max_size=3), st.lists(WORDS, max_size=4))
def test_cgminer_requests_arrive_as_they_were_sent(commands: list[str], words: list[str]) -> None:
    data = cgminer.request(*commands, words=tuple(words))
    assert line.complete(data) == len(data) and not line.complete(data[:-1])
    assert cgminer.parse_request(data) == cgminer.CgminerRequest(tuple(commands), tuple(words))


@given(st.text(max_size=40), st.sampled_from("SIWE"))
def test_cgminers_answers_arrive_as_they_were_sent(message: str, letter: str) -> None:
    document = cgminer.table(cgminer.status(letter, 11, message, 5, "x"), "SUMMARY", [{"a": 1}])
    assert cgminer.status_and_message(cgminer.parse_reply(cgminer.reply(document))) == (letter, message)


@given(st.sampled_from(["get.miner.status", "set.miner.service"]), JSON, st.text(max_size=20), st.text(max_size=8), st.integers(0, 2**33))
def test_v3_messages_arrive_as_they_were_sent(command: str, param: object, password: str, salt: str, ts: int) -> None:
    data = whatsminer_v3.write_request(command, param, password, salt, ts)
    assert whatsminer_v3.complete(data) == whatsminer_v3.complete(data + b"more") == len(data)
    assert not any(whatsminer_v3.complete(data[:cut]) for cut in (0, 3, len(data) - 1))
    assert whatsminer_v3.parse_request(data) == whatsminer_v3.WhatsminerV3Request(
        command, param, whatsminer_v3.token(command, password, salt, ts), ts
    )


@given(st.sampled_from(["GET", "POST", "PUT"]), WORDS, st.binary(max_size=200))
def test_http_both_ways(method: str, path: str, body: bytes) -> None:
    data = http.request(method, f"/{path}", "127.0.0.1", body, {"Token": "t"})
    assert http.complete(data + b"GET") == len(data) and not http.complete(data[:-1]) and not http.complete(b"")
    asked = http.parse_request(data)
    assert (asked.method, asked.path, asked.body, asked.headers["token"]) == (method, f"/{path}", body, "t")
    answer = http.parse_response(http.response(http.Response(207, body, {"X": "y"})))
    assert (answer.status, answer.body, answer.headers["x"]) == (207, body, "y")


@given(st.text("abcXYZ019", min_size=1, max_size=12), st.text("abcXYZ019", min_size=1, max_size=12))
def test_digests_of_ours_and_of_httpx_are_let_in_and_others_are_not(password: str, other: str) -> None:
    asked = http.HttpRequest("GET", "/cgi-bin/summary.cgi")
    challenged = http.challenge(antminer.REALM, "0001")
    ours = http.authorization("root", password, asked, challenged, "c0ffee")
    request = httpx.Request("GET", "http://127.0.0.1/cgi-bin/summary.cgi")
    flow = httpx.DigestAuth("root", password).auth_flow(request)
    next(flow)
    theirs = flow.send(httpx.Response(401, headers={"www-authenticate": challenged}, request=request)).headers["authorization"]
    for header in (ours, theirs):
        shown = http.HttpRequest("GET", asked.path, {"authorization": header})
        assert http.authorized(shown, "root", password, antminer.REALM, "0001")
        assert http.authorized(shown, "root", other, antminer.REALM, "0001") == (other == password)
        assert not http.authorized(shown, "root", password, antminer.REALM, "0002")
        assert not http.authorized(http.HttpRequest("GET", "/else", shown.headers), "root", password, antminer.REALM, "0001")
    assert not http.authorized(asked, "root", password, antminer.REALM, "0001")


@given(st.floats(0, 1e5), st.floats(0, 1e3))
def test_figures_of_every_make(watts: float, ths: float) -> None:
    both = pytest.approx((watts, ths), rel=1e-9, abs=1e-9)
    assert whatsminer_v3.figures({"msg": {"summary": {"power-realtime": watts, "hash-realtime": ths}}}) == both
    assert luxos.figures({"summary": [{"SUMMARY": [{"GHS 5s": ths * 1e3}]}], "power": [{"POWER": [{"Watts": watts}]}]}) == both
    stats = {"power_stats": {"approximated_consumption": {"watt": watts}}}
    stats |= {"miner_stats": {"real_hashrate": {"last_5s": {"gigahash_per_second": ths * 1e3}}}}
    assert braiins.figures(stats) == both and braiins.target(json.dumps({"watt": watts}).encode()) == watts
    row = {"power_consumption": watts, "hr_realtime": ths * 1e3, "miner_status": {"miner_state": "stopped"}}
    assert vnish.figures({"miner": row})[:2] == both and vnish.figures({"miner": row})[2], "it says that it is stopped"
    board = {"Hashrate": [ths * 1e6]}
    summary = {"Power Supply Stats": {"Input Power": watts}, "Status": {"Operating State": "Mining"}, "HBs": [board]}
    assert epic.figures(summary)[:2] == both
    assert proto.figures({"mining-status": {"power_usage_watts": watts, "hashrate_ghs": ths * 1e3}}) == both
    stats = avalon.stats({"WALLPOWER": watts, "GHSspd": ths * 1e3, "NETFAIL": "0 0 0"})
    assert avalon.figures({"STATS": [{"STATS": 0, "MM ID0": stats}]}) == both
    assert (auradine.watts({"PSU": [{"PowerIn": f"{watts!r}W"}]}), auradine.ths({"SUMMARY": [{"MHS 5s": ths * 1e6}]})) == both
    assert antminer.figures({"STATS": [{}, {"GHS 5s": ths * 1e3, "chain_power": f"{watts!r} W"}]}) == both


@pytest.mark.parametrize(
    ("row", "watts"), [({"chain_power": "3250 W"}, 3250), ({"watt": 3344}, 3344), ({"chain_power": "0 W"}, 0), ({}, None)]
)
def test_watts_of_a_stock_antminer_are_those_it_reports(row: dict[str, object], watts: float | None) -> None:
    assert antminer.figures({"STATS": [{"Type": "Antminer S21"}, {"GHS 5s": 203_007.01, **row}]}) == (watts, pytest.approx(203.00701))


def test_watts_of_an_avalon_without_wallpower_are_those_its_power_supply_takes_in() -> None:
    """As an A1246 answered (avalon_a_stats.json of asic-rs), and an Avalon Q asleep (litestats.json there)."""
    awake = "Ver[1246-83-21072802] PS[0 1214 1316 242 3189 1320 3504] GHSspd[81072.68] GHSmm[83923.04] SoftOFF[0] MPO[3200] WORKMODE[1]"
    asleep = "Ver[Q-25052801] SYSTEMSTATU[Work: In Idle, Hash Board: 1] PS[0 1222 4 0 0 2245 146] GHSspd[0.00] SoftOFF[4] MPO[800]"
    assert avalon.figures({"STATS": [{"ID": "AVA100", "MM ID0": awake}]}) == (3504.0, pytest.approx(81.07268))
    assert avalon.figures({"STATS": [{"ID": "AVALON0", "MM ID0:Summary": f"'STATS':{{{asleep}}}"}]}) == (146.0, 0.0)
    assert avalon.figures({"STATS": [{"MM ID0": "PS[0 1 2 3 3189] GHSspd[1000]"}]}) == (3189.0, 1.0)


READERS = [
    whatsminer_v3.figures, luxos.figures, luxos.profiles, luxos.session, proto.figures, avalon.figures, auradine.watts, auradine.ths,
    auradine.token, braiins.figures, vnish.figures, epic.figures, antminer.figures, antminer.work_mode, cgminer.status_and_message,
    lambda d: antminer.ordered(d, 1),
]  # fmt: skip
KEYS = ["msg", "summary", "POWER", "SUMMARY", "PROFILES", "STATS", "PSU", "STATUS", "miner-mode", "pools", "power_stats", "miner", "HBs"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_a_document_that_lacks_something_is_a_wire_error_and_nothing_else(document: dict[str, object]) -> None:
    for read in READERS:
        try:
            read(document)
        except WireError:
            pass


@given(st.binary(max_size=300))
def test_rubbish_is_a_wire_error_and_nothing_else(data: bytes) -> None:
    for codec, parse in (
        (line, cgminer.parse_request),
        (whatsminer_v3, whatsminer_v3.parse_request),
        (http, http.parse_request),
        (http, http.parse_response),
    ):
        for read in (codec.complete, parse):
            try:
                read(data)
            except WireError:
                pass


@pytest.mark.parametrize(("codec", "data"), [
    (http, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), (http, b"GET / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"),
    (http, b"\x01\x02"), (http, b"A" * 70_000), (whatsminer_v3, b"\xff\xff\xff\xff"), (line, b"{" * 70_000),
])  # fmt: skip
def test_what_can_become_no_message_is_refused_at_once(codec: ModuleType, data: bytes) -> None:
    with pytest.raises(WireError):
        codec.complete(data)


def test_no_configuration_is_posted_that_would_wipe_pools() -> None:
    empty = {"url": "", "user": "", "pass": ""}
    good = {
        "bitmain-work-mode": "0",
        "bitmain-freq-level": "100",
        "bitmain-fan-pwm": "80",
        "pools": [POOL, {"url": "", "user": "", "pass": ""}],
    }
    posted = antminer.ordered(good, 1)
    assert posted["pools"] == good["pools"] and posted["miner-mode"] == 1 and posted["bitmain-fan-pwm"] == "80"
    for pools in (None, [], [empty] * 3, [{"url": "x"}], "pools", [None]):
        with pytest.raises(WireError):
            antminer.ordered({**good, "pools": pools}, 1)
    with pytest.raises(WireError, match="work mode"):
        antminer.ordered({"pools": [POOL]}, 1)


@given(st.integers(0, 2**33))
def test_an_avalons_instant_arrives(epoch_s: int) -> None:
    assert avalon.epoch(avalon.at("softoff", epoch_s + 0.7)) == epoch_s
    assert avalon.accepted("I", avalon.success(avalon.at("softon", epoch_s)))


@pytest.mark.parametrize("words", [(), ("0", "softoff"), ("0", "softoff", "2:5"), ("0", "softoff", "1:soon"), ("0", "softoff", "1")])
def test_no_instant_is_a_wire_error(words: tuple[str, ...]) -> None:
    with pytest.raises(WireError):
        avalon.epoch(words)


def test_pyasic_reads_an_avalons_strings_as_we_do() -> None:
    text = avalon.stats({"WALLPOWER": 3647, "SYSTEMSTATU": "Work: In Work, Hash Board: 3", "MGHS": "1.0 2.0 3.0"})
    theirs = AvalonMiner.parse_estats({"STATS": [{"MM ID0": text}]})["STATS"][0]["MM ID0"]
    ours = avalon.parse_stats(text)
    assert theirs["WALLPOWER"] == int(ours["WALLPOWER"]) and theirs["SYSTEMSTATU"] == ours["SYSTEMSTATU"]
    assert theirs["MGHS"] == [float(part) for part in ours["MGHS"].split()]


def test_profiles_come_rising() -> None:
    rows = [{"Profile Name": name, "Watts": watts} for name, watts in (("b", 2794), ("a", "1414"), ("c", 3462))]
    assert list(luxos.profiles({"PROFILES": rows}).items()) == [("a", 1414.0), ("b", 2794.0), ("c", 3462.0)]


@pytest.mark.parametrize("value", [None, "", 7, ["token"]])
def test_a_token_that_is_missing_is_named(value: object) -> None:
    assert line.text("abc", "token") == "abc"
    with pytest.raises(WireError, match="no token"):
        line.text(value, "token")


def test_json_is_written_without_blanks() -> None:
    assert json.loads(line.write({"a": [1, 2]})) == {"a": [1, 2]} and b" " not in line.write({"a": [1, 2]})
