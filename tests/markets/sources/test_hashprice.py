"""Hashprice: the formulas against the worked example, and the sources against real HTTP servers on loopback."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets import NotPublished, Refused, SourceError, Stale, Unreachable
from markets.facts import HashPrice
from markets.hashmath import breakeven_usd_per_mwh, btc_per_ph_day, network_hashrate_eh, subsidy_btc, usd_per_ph_day
from markets.sources.hashprice import BitcoindHashprice, FixedHashprice, MempoolHashprice, epoch_s
from tests.conformance.source_kit import check_facts, conforms
from tests.realdata import real

NOW = datetime(2026, 8, 20, 17, 3, tzinfo=UTC)
DIFFICULTY, BTC, FEES = 155.97e12, 86_500.0, 0.0312
TIP = 955_000


def test_worked_example() -> None:
    """EX-8 of docs/rules.md, by an independent route for the breakevens."""
    gross = usd_per_ph_day(DIFFICULTY, BTC, FEES, 3.125)
    assert gross == pytest.approx(35.2122, abs=5e-5)
    assert gross * 0.99 == pytest.approx(34.8601, abs=5e-5)
    assert btc_per_ph_day(DIFFICULTY, FEES, 3.125) == pytest.approx(0.0004070777, abs=5e-11)
    assert network_hashrate_eh(DIFFICULTY) == pytest.approx(1_116.477, abs=5e-4)
    expected = {13.5: 107.59, 15: 96.83, 17.5: 83.00, 21.5: 67.56, 29.5: 49.24, 38: 38.22}
    assert {e: round(breakeven_usd_per_mwh(34.8601, e), 2) for e in expected} == expected


@pytest.mark.parametrize(
    ("height", "btc"), [(0, 50), (209_999, 50), (210_000, 25), (840_000, 3.125), (1_049_999, 3.125), (1_050_000, 1.5625)]
)
def test_subsidy(height: int, btc: float) -> None:
    assert subsidy_btc(height) == btc


def test_all_subsidies_make_less_than_21_million() -> None:
    total = sum(210_000 * round(subsidy_btc(210_000 * n) * 1e8) for n in range(40))
    assert total == 20_999_999_97690000
    assert subsidy_btc(64 * 210_000) == 0.0


@given(st.floats(1e9, 1e16), st.floats(1, 1e7), st.floats(0, 10))
def test_hashing_at_its_breakeven_earns_nothing(difficulty: float, btc_usd: float, fees: float) -> None:
    usd = usd_per_ph_day(difficulty, btc_usd, fees, 3.125)
    power_usd_day = breakeven_usd_per_mwh(usd, 20.0) * 24 * 20.0 / 1000  # 1 PH/s at 20 J/TH draws 20 kW
    assert power_usd_day == pytest.approx(usd, rel=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_figures_are_refused(bad: float) -> None:
    for call in (
        lambda: usd_per_ph_day(bad, BTC, FEES, 3.125),
        lambda: usd_per_ph_day(DIFFICULTY, bad, FEES, 3.125),
        lambda: network_hashrate_eh(bad),
        lambda: breakeven_usd_per_mwh(40.0, bad),
    ):
        with pytest.raises(ValueError, match="above zero"):
            call()


def test_real_days_agree_with_their_own_hashprice() -> None:
    """Difficulty, price, fees and subsidy of real days give the file's hashprice by difficulty."""
    with gzip.open(real("btc_daily.csv.gz"), "rt") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) > 1000
    for row in rows:
        btc_usd = float(row["PriceUSD"])
        fees_btc = float(row["FeeTotUSD"]) / btc_usd / float(row["BlkCnt"])
        ours = usd_per_ph_day(float(row["DiffMean"]), btc_usd, fees_btc, float(row["subsidy_btc"]))
        assert ours == pytest.approx(float(row["hashprice_usd_per_ph_day_difficulty"]), rel=1e-6), row["date"]


@dataclass
class Site:
    """A loopback HTTP server; `pages` answer GET by path, `rpc` answers JSON-RPC methods."""

    pages: dict[str, tuple[int, str]] = field(default_factory=dict)
    rpc: dict[str, Callable[..., Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    secret: str = "__cookie__:s3cret"
    url: str = ""

    def put(self, path: str, document: Any, status: int = 200) -> None:
        self.pages[path] = (status, document if isinstance(document, str) else json.dumps(document))

    def batch(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answers = []
        for call in reversed(calls):  # a batch may be answered in any order
            self.calls.append(call["method"])
            try:
                answers.append({"id": call["id"], "result": self.rpc[call["method"]](*call["params"]), "error": None})
            except LookupError as fault:
                answers.append({"id": call["id"], "result": None, "error": {"code": -8, "message": str(fault)}})
        return answers


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.calls.append(self.path)
            self.reply(*served.pages.get(self.path, (404, "not here")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            wanted = "Basic " + base64.b64encode(served.secret.encode()).decode()
            if self.headers["Authorization"] != wanted:
                return self.reply(401, "")
            return self.reply(200, json.dumps(served.batch(json.loads(body))))

        def reply(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()


def rewards(fees_btc: float = FEES, tip: int = TIP, subsidy: float = 3.125) -> dict[str, Any]:
    fee_sat = round(144 * fees_btc * 1e8)
    return {
        "startBlock": tip - 143,
        "endBlock": tip,
        "totalReward": str(round(144 * subsidy * 1e8) + fee_sat),
        "totalFee": str(fee_sat),
        "totalTx": "9",
    }


@pytest.fixture
def mempool(site: Site) -> Site:
    site.put("/api/v1/mining/hashrate/3d", {"currentHashrate": 1.1e21, "currentDifficulty": DIFFICULTY, "hashrates": [], "difficulty": []})
    site.put("/api/v1/mining/reward-stats/144", rewards())
    site.put("/api/v1/prices", {"time": int(NOW.timestamp()) - 60, "USD": 86_500, "EUR": 1})
    return site


async def asked(source: MempoolHashprice | BitcoindHashprice) -> HashPrice:
    try:
        (fact,) = await source.fetch(NOW - timedelta(minutes=5), NOW)
        assert isinstance(fact, HashPrice)
        check_facts(source, [fact], NOW - timedelta(minutes=5), NOW)
        assert await source.fetch(NOW, NOW) == []  # not due again
        return fact
    finally:
        await source.aclose()


async def test_mempool(mempool: Site) -> None:
    fact = await asked(MempoolHashprice(mempool.url + "/", lambda: NOW))
    assert fact.usd_per_ph_day == pytest.approx(35.2122, abs=5e-5)
    assert (fact.source, fact.known_at) == ("mempool", NOW)
    assert fact.over.start == NOW
    assert fact.over.hours == 24
    assert "1116.5 EH/s" in fact.basis
    assert "$86,500" in fact.basis


async def test_mempool_counts_the_subsidy_of_the_next_block(mempool: Site) -> None:
    mempool.put("/api/v1/mining/reward-stats/144", rewards(tip=1_049_999))
    fact = await asked(MempoolHashprice(mempool.url, lambda: NOW))
    assert fact.usd_per_ph_day == pytest.approx(usd_per_ph_day(DIFFICULTY, BTC, FEES, 1.5625))


async def test_milliseconds_and_seconds(mempool: Site) -> None:
    mempool.put("/api/v1/prices", {"time": int(NOW.timestamp() * 1000), "USD": "86500"})
    assert (await asked(MempoolHashprice(mempool.url, lambda: NOW))).usd_per_ph_day == pytest.approx(35.2122, abs=5e-5)
    assert epoch_s(NOW.timestamp()) == epoch_s(NOW.timestamp() * 1000) == NOW.timestamp()


HASHRATE, REWARDS, PRICES = "/api/v1/mining/hashrate/3d", "/api/v1/mining/reward-stats/144", "/api/v1/prices"


@pytest.mark.parametrize(
    ("path", "document", "status", "kind"),
    [
        (HASHRATE, {"currentHashrate": 0, "currentDifficulty": 0}, 200, Refused),
        (HASHRATE, {"currentHashrate": 1e21, "currentDifficulty": 0}, 200, Refused),
        (HASHRATE, {"hashrates": []}, 200, Refused),
        (HASHRATE, "<html>", 200, Unreachable),
        (HASHRATE, "", 503, Unreachable),
        (HASHRATE, [], 200, Refused),
        (REWARDS, {**rewards(), "totalReward": "1"}, 200, Refused),
        (REWARDS, {**rewards(), "totalFee": "-1"}, 200, Refused),
        (REWARDS, {**rewards(), "startBlock": TIP + 1}, 200, Refused),
        (REWARDS, rewards(subsidy=6.25), 200, Refused),
        (PRICES, "not on this network", 400, NotPublished),
        (PRICES, {"time": NOW.timestamp()}, 200, NotPublished),
        (PRICES, {"time": NOW.timestamp(), "USD": 0}, 200, Refused),
        (PRICES, {"time": NOW.timestamp(), "USD": None}, 200, Refused),
        (PRICES, {"time": NOW.timestamp() - 7 * 3600, "USD": 86_500}, 200, Stale),
    ],
)
async def test_mempool_traps(mempool: Site, path: str, document: Any, status: int, kind: type[SourceError]) -> None:
    mempool.put(path, document, status)
    source = MempoolHashprice(mempool.url, lambda: NOW)
    with pytest.raises(kind):
        await source.fetch(NOW, NOW)
    await source.aclose()


async def test_a_source_that_does_not_listen_is_unreachable() -> None:
    source = MempoolHashprice("http://127.0.0.1:9", lambda: NOW)
    with pytest.raises(Unreachable):
        await source.fetch(NOW, NOW)
    await source.aclose()


@pytest.fixture
def cookie(site: Site, tmp_path: Path) -> Path:
    path = tmp_path / ".cookie"
    path.write_text(site.secret + "\n")
    chain = {"chain": "main", "initialblockdownload": False, "blocks": TIP}
    stats = {"subsidy": 312_500_000, "totalfee": round(FEES * 1e8)}
    site.rpc["getblockchaininfo"] = lambda: chain
    site.rpc["getmininginfo"] = lambda: {"difficulty": DIFFICULTY, "blocks": TIP, "chain": "main"}
    site.rpc["getblockstats"] = lambda height, fields: {"height": height, **stats}
    return path


async def test_bitcoind(site: Site, cookie: Path) -> None:
    fact = await asked(BitcoindHashprice(site.url, cookie, lambda: NOW, btc_usd=86_500.0))
    assert fact.usd_per_ph_day == pytest.approx(35.2122, abs=5e-5)
    assert (fact.source, fact.known_at) == ("bitcoind", NOW)


async def test_bitcoind_keeps_old_blocks_and_reads_the_cookie_at_each_call(mempool: Site, cookie: Path) -> None:
    at = [NOW]
    source = BitcoindHashprice(mempool.url, cookie, lambda: at[0], price_url=mempool.url)
    assert len(await source.fetch(NOW, NOW)) == 1
    assert mempool.calls.count("getblockstats") == 144
    mempool.rpc["getblockchaininfo"] = lambda: {"chain": "main", "initialblockdownload": False, "blocks": TIP + 2}
    mempool.secret = "__cookie__:other"
    cookie.write_text(mempool.secret)
    at[0] = NOW + timedelta(minutes=10)
    assert len(await source.fetch(NOW, at[0])) == 1
    assert mempool.calls.count("getblockstats") == 144 + 8  # two new ones and the six that may still be reorganised
    await source.aclose()


@pytest.mark.parametrize(
    ("method", "answer", "kind"),
    [
        ("getblockchaininfo", {"chain": "regtest", "initialblockdownload": False, "blocks": TIP}, Refused),
        ("getblockchaininfo", {"chain": "main", "initialblockdownload": True, "blocks": TIP}, Stale),
        ("getblockchaininfo", {"chain": "main"}, Refused),
        ("getmininginfo", {"difficulty": 0}, Refused),
        ("getblockstats", {"height": 1, "subsidy": 5_000_000_000, "totalfee": 0}, Refused),
        ("getblockstats", {"height": TIP, "subsidy": 1, "totalfee": 0}, Refused),
        ("getblockstats", None, Refused),
    ],
)
async def test_bitcoind_traps(site: Site, cookie: Path, method: str, answer: Any, kind: type[SourceError]) -> None:
    site.rpc[method] = lambda *args: answer
    source = BitcoindHashprice(site.url, cookie, lambda: NOW, btc_usd=86_500.0)
    with pytest.raises(kind):
        await source.fetch(NOW, NOW)
    await source.aclose()


async def test_bitcoind_errors_and_cookies(site: Site, cookie: Path) -> None:
    source = BitcoindHashprice(site.url, cookie, lambda: NOW, btc_usd=86_500.0)
    del site.rpc["getmininginfo"]
    with pytest.raises(Unreachable, match="error -8"):
        await source.fetch(NOW, NOW)
    cookie.write_text("__cookie__:wrong")
    with pytest.raises(Unreachable, match="the cookie is refused"):
        await source.fetch(NOW, NOW)
    with pytest.raises(ValueError, match="one of"):
        BitcoindHashprice(site.url, cookie, lambda: NOW)
    cookie.unlink()
    with pytest.raises(Unreachable, match="cookie file"):
        await source.fetch(NOW, NOW)
    await source.aclose()


async def test_fixed_gives_one_fact_each_hour() -> None:
    source = FixedHashprice(45.0)
    facts = await source.fetch(NOW - timedelta(hours=3), NOW)
    assert [fact.known_at.hour for fact in facts] == [15, 16, 17]
    assert {fact.usd_per_ph_day for fact in facts if isinstance(fact, HashPrice)} == {45.0}
    assert list(await source.fetch(NOW, NOW + timedelta(minutes=56))) == []
    with pytest.raises(ValueError, match="usd_per_ph_day"):
        FixedHashprice(0.0)


async def test_fixed_keeps_the_protocol() -> None:
    assert len(await conforms(FixedHashprice(45.0), NOW, NOW + timedelta(days=3))) == 72


@given(st.integers(0, 10_000), st.integers(1, 5_000), st.integers(1, 5_000))
async def test_fixed_gives_any_window_the_same_facts(start: int, first: int, second: int) -> None:
    source = FixedHashprice(45.0)
    a = NOW + timedelta(minutes=start)
    b, c = a + timedelta(minutes=first), a + timedelta(minutes=first + second)
    assert [*await source.fetch(a, b), *await source.fetch(b, c)] == list(await source.fetch(a, c))
