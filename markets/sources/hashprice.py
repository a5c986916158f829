"""Hashprice sources: a fixed figure, a mempool instance's REST, or one's own bitcoind. Formulas are in `hashmath`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markets import NotPublished, Refused, Stale, Unreachable, usd_text
from markets.facts import Fact, HashPrice
from markets.grid import Interval
from markets.hashmath import SATS_PER_BTC, network_hashrate_eh, subsidy_btc, usd_per_ph_day

if TYPE_CHECKING:
    import httpx

# Fees are averaged over 144 blocks, about a day: docs/rules.md#hashprice.
FEE_BLOCKS = 144
HOLDS = timedelta(days=1)
EVERY = timedelta(minutes=5)
_PRICE_MAX_AGE = timedelta(hours=6)
_TIMEOUT_S = 10.0


class FixedHashprice:
    """Source "fixed": one figure, $/PH/day before the pool's fee (a hedge, a budget), at each full hour, the same in any replay."""

    name = "fixed"
    synthetic = False
    _LONGEST = timedelta(days=400)

    def __init__(self, usd_per_ph_day: float) -> None:
        self.usd_per_ph_day = float(_above_zero("usd_per_ph_day", usd_per_ph_day))

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """One fact for each full hour in (since, until], each holding for 25 hours."""
        basis = f"fixed by the site's owner at {usd_text(self.usd_per_ph_day)}/PH/day"
        first = int(max(since, until - self._LONGEST).timestamp()) // 3600 + 1
        hours = [datetime.fromtimestamp(hour * 3600, UTC) for hour in range(first, int(until.timestamp()) // 3600 + 1)]
        return [
            HashPrice(
                source=self.name,
                known_at=at,
                over=Interval(at, at + HOLDS + timedelta(hours=1)),
                usd_per_ph_day=self.usd_per_ph_day,
                basis=basis,
            )
            for at in hours
        ]


class _LiveHashprice:
    """What mempool and bitcoind share: asked at most every five minutes, each answer holds for a day."""

    name = ""
    synthetic = False

    def __init__(self, url: str, clock_now: Callable[[], datetime], every: timedelta) -> None:
        self.url, self.clock_now, self.every = url.rstrip("/"), clock_now, every
        self._client: httpx.AsyncClient | None = None
        self._due_at = datetime.min.replace(tzinfo=UTC)

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The hashprice from now on, when it is due. Raises Unreachable, NotPublished, Stale or Refused."""
        if self.clock_now() < self._due_at:
            return []
        try:
            usd, basis = await self._read()
        except (KeyError, TypeError, ValueError, IndexError) as fault:
            raise Refused(f"{self.name}: the answer cannot be true ({type(fault).__name__}: {fault})"[:300]) from None
        now = self.clock_now()
        self._due_at = now + self.every
        return [HashPrice(source=self.name, known_at=now, over=Interval(now, now + HOLDS), usd_per_ph_day=usd, basis=basis)]

    async def aclose(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _read(self) -> tuple[float, str]:
        raise NotImplementedError

    async def _request(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        import httpx  # a third of a second, which a fixed or archived hashprice does not need

        self._client = self._client or httpx.AsyncClient(timeout=httpx.Timeout(_TIMEOUT_S, connect=2.0))
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reply = await self._client.request(method, url, **kwargs)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as fault:
            raise Unreachable(f"{self.name}: {url}: {type(fault).__name__} {fault}"[:300]) from None
        return reply

    async def _get(self, path: str, base: str | None = None) -> Any:
        url = (base or self.url).rstrip("/") + path
        reply = await self._request("GET", url)
        if path.endswith("/prices") and reply.status_code == 400:
            raise NotPublished(f"{self.name}: {url}: no prices here (the instance is not on the main network)")
        if reply.status_code != 200:
            raise Unreachable(f"{self.name}: {url}: status {reply.status_code}")
        return _json(reply, self.name)

    async def _btc_usd(self, base: str | None = None) -> float:
        """mempool's spot price. Raises NotPublished where there is none, Stale when it is older than six hours."""
        prices = await self._get("/api/v1/prices", base)
        if not isinstance(prices, dict) or "USD" not in prices:
            raise NotPublished(f"{self.name}: the instance has no USD price")
        at = datetime.fromtimestamp(epoch_s(prices["time"]), UTC)
        if self.clock_now() - at > _PRICE_MAX_AGE:
            raise Stale(f"{self.name}: the BTC price is of {at:%Y-%m-%dT%H:%MZ}")
        return _above_zero("USD", prices["USD"])


class MempoolHashprice(_LiveHashprice):
    """Source "mempool": difficulty, the fees of the last 144 blocks and the BTC price from a mempool instance
    (docs/rules.md#hashprice)."""

    name = "mempool"

    def __init__(self, url: str, clock_now: Callable[[], datetime], every: timedelta = EVERY) -> None:
        super().__init__(url, clock_now, every)

    async def _read(self) -> tuple[float, str]:
        network = await self._get("/api/v1/mining/hashrate/3d")
        # Both are 0 while the backend's node is down.
        difficulty = _above_zero("currentDifficulty", network["currentDifficulty"])
        _above_zero("currentHashrate", network["currentHashrate"])
        rewards = await self._get(f"/api/v1/mining/reward-stats/{FEE_BLOCKS}")
        end = int(rewards["endBlock"])
        blocks = end - int(rewards["startBlock"]) + 1
        fees_sat, reward_sat = int(rewards["totalFee"]), int(rewards["totalReward"])  # strings of satoshi
        new_sat = _new_sats(end - blocks + 1, end)
        if not 0 < blocks <= 1000 or fees_sat < 0 or abs(reward_sat - fees_sat - new_sat) > 0.01 * reward_sat:
            raise ValueError(f"{reward_sat} sat of rewards are not the subsidy of {blocks} blocks and {fees_sat} sat of fees")
        return _priced(difficulty, await self._btc_usd(), fees_sat / SATS_PER_BTC / blocks, end + 1, f"mempool, {blocks} blocks")


class BitcoindHashprice(_LiveHashprice):
    """Source "bitcoind": difficulty and the fees of the last 144 blocks from one's own node (docs/rules.md#hashprice).

    url          the node's JSON-RPC, for example http://127.0.0.1:8332
    cookie_file  the node writes it anew at each start, so it is read at each call
    btc_usd      a price by the owner, $; or else
    price_url    the address of a mempool instance that tells it
    """

    name = "bitcoind"

    def __init__(
        self,
        url: str,
        cookie_file: str | Path,
        clock_now: Callable[[], datetime],
        *,
        btc_usd: float | None = None,
        price_url: str | None = None,
        every: timedelta = EVERY,
    ) -> None:
        super().__init__(url, clock_now, every)
        if (btc_usd is None) == (price_url is None):
            raise ValueError("bitcoind knows no price of BTC: give one of btc_usd and price_url")
        self.cookie_file, self._own_btc_usd, self._price_url = Path(cookie_file), btc_usd, price_url
        self._fees_sat: dict[int, int] = {}

    async def _read(self) -> tuple[float, str]:
        (chain,) = await self._call([("getblockchaininfo", [])])
        if chain["chain"] != "main":
            raise Refused(f"bitcoind: the node is on chain {chain['chain']!r}, not on main")
        if chain["initialblockdownload"] is not False:
            raise Stale("bitcoind: the node is still in its initial block download")
        tip = int(chain["blocks"])
        (mining,) = await self._call([("getmininginfo", [])])
        fees_btc = await self._fees(tip)
        btc_usd = await self._btc_usd(self._price_url) if self._price_url else _above_zero("btc_usd", self._own_btc_usd)
        return _priced(_above_zero("difficulty", mining["difficulty"]), btc_usd, fees_btc, tip + 1, f"bitcoind, {FEE_BLOCKS} blocks")

    async def _fees(self, tip: int) -> float:
        """Mean fees of the last 144 blocks, BTC; only blocks not seen before are asked for. The newest six may be reorganised."""
        wanted = range(tip - FEE_BLOCKS + 1, tip + 1)
        found = {height: sat for height, sat in self._fees_sat.items() if height in wanted}
        missing = [height for height in wanted if height not in found]
        stats = await self._call([("getblockstats", [height, ["height", "subsidy", "totalfee"]]) for height in missing])
        for block in stats:
            if block["subsidy"] != round(subsidy_btc(block["height"]) * SATS_PER_BTC):
                raise ValueError(f"block {block['height']} has a subsidy of {block['subsidy']} sat")
            found[int(block["height"])] = int(block["totalfee"])
        if found.keys() != set(wanted):
            raise ValueError(f"{len(found)} of {FEE_BLOCKS} blocks")
        self._fees_sat = {height: sat for height, sat in found.items() if height <= tip - 6}
        return sum(found.values()) / FEE_BLOCKS / SATS_PER_BTC

    async def _call(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """One JSON-RPC batch; results in the order of the calls."""
        try:
            user, _, secret = self.cookie_file.read_text(encoding="ascii").strip().partition(":")
        except (OSError, UnicodeDecodeError) as fault:
            raise Unreachable(f"bitcoind: cookie file {self.cookie_file}: {fault}") from None
        batch = [{"jsonrpc": "2.0", "id": n, "method": method, "params": params} for n, (method, params) in enumerate(calls)]
        reply = await self._request("POST", self.url, json=batch, auth=(user, secret))
        if reply.status_code in (401, 403):
            raise Unreachable(f"bitcoind: status {reply.status_code}: the cookie is refused")
        answers = _json(reply, self.name)
        if isinstance(answers, dict):  # a node that is warming up answers the batch with one error
            answers = [answers]
        if error := next((answer["error"] for answer in answers if answer.get("error")), None):
            raise Unreachable(f"bitcoind: error {error.get('code')}: {error.get('message')}")
        results = {answer["id"]: answer["result"] for answer in answers}
        return [results[n] for n in range(len(calls))]


def epoch_s(stamp: float) -> float:
    """Epoch seconds of a stamp in seconds or milliseconds: mempool's documents say one, its code at places the other."""
    stamp = float(stamp)
    return stamp / 1000.0 if stamp > 1e11 else stamp


def _priced(difficulty: float, btc_usd: float, fees_btc: float, next_height: int, where: str) -> tuple[float, str]:
    subsidy = subsidy_btc(next_height)
    basis = (
        f"{where} to {next_height - 1}: difficulty {difficulty:.6g} ({network_hashrate_eh(difficulty):.1f} EH/s), BTC {usd_text(btc_usd)}, "
        f"subsidy {subsidy:g} + fees {fees_btc:.4f} BTC a block, before the pool's fee"
    )
    return usd_per_ph_day(difficulty, btc_usd, fees_btc, subsidy), basis


def _new_sats(first: int, last: int) -> int:
    return sum(round(subsidy_btc(height) * SATS_PER_BTC) for height in range(first, min(last, first + 1000) + 1))


def _above_zero(name: str, value: Any) -> float:
    number = float(value)
    if not 0.0 < number < float("inf"):
        raise ValueError(f"{name} is {number}")
    return number


def _json(reply: httpx.Response, name: str) -> Any:
    try:
        return reply.json()
    except ValueError:
        raise Unreachable(f"{name}: status {reply.status_code}, not JSON") from None
