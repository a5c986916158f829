"""The hashing load: double SHA-256 that hashlib confirms, shares a pool takes, and a rig that stops and resumes when it is told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from dispatch.clock import WallClock
from dispatch.rigs.cpu_miner import CpuMinerDriver
from dispatch.sim import stratum
from dispatch.sim.hashing import Search, search
from dispatch.sim.numba_kernel import search as compiled_search
from dispatch.sim.pool import Pool, pooling
from dispatch.sim.share_difficulty import HASHES_PER_DIFF, digest, target_of
from dispatch.sim.stratum import MiningJob, PoolRefusal, StratumError
from optimizer.domain.site import Mode, RigGroup
from tests.dispatch.rigs.fakes import START

HOST, PORT, POOL_PORT = "127.40.1.1", 4100, 3333
MHS = 0.1
# The genesis block's header without its nonce, and the nonce that was found for it.
GENESIS = bytes.fromhex(
    "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a" + "29ab5f49" + "ffff001d"
)
GENESIS_NONCE = 2083236893
CPU = RigGroup(
    name="cpu", hall="h", model="cpu", rigs=1, wake_min=1.0,
    modes=(Mode(name="sleep", watts=13, ths=0), Mode(name="low", watts=2000, ths=93), Mode(name="normal", watts=3400, ths=186)),
)  # fmt: skip


@pytest.mark.parametrize("search", [search, compiled_search], ids=["hashlib", "numba"])
def test_a_search_finds_the_genesis_block(search: Search) -> None:
    first = GENESIS_NONCE // 16 * 16 - 160
    assert search(GENESIS, first, 320, target_of(1.0)) == [GENESIS_NONCE]
    assert (
        f"{digest(GENESIS + struct.pack('<I', GENESIS_NONCE)):064x}" == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    )


@pytest.mark.parametrize("search", [search, compiled_search], ids=["hashlib", "numba"])
def test_a_search_finds_every_share(search: Search) -> None:
    prefix, target = hashlib.sha512(b"a header").digest() + b"twelve bytes", target_of(1e-6)
    slow = [n for n in range(1 << 15) if digest(prefix + struct.pack("<I", n)) <= target]
    assert search(prefix, 0, 1 << 15, target) == slow and len(slow) > 2


def test_a_default_install_has_no_numba_and_searches_with_hashlib() -> None:
    locked = (Path(__file__).parents[3] / "requirements" / "runtime.txt").read_text("utf-8").splitlines()
    assert locked and not [line for line in locked if line.startswith(("numba==", "llvmlite=="))]
    without = "import sys; sys.modules['numba'] = None; from dispatch.sim import hashing; assert hashing.fastest_search() is hashing.search"
    subprocess.run([sys.executable, "-c", without], check=True)


def test_a_job_becomes_the_header_it_stands_for() -> None:
    """The genesis block as a pool would have handed it out: its coinbase cut in two around the extranonces."""
    coinbase = (
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e"
        "2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000"
        "434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d"
        "5fac00000000"
    )
    job = MiningJob("1", "00" * 32, coinbase[:100], coinbase[116:], (), "00000001", "1d00ffff", "495fab29")
    assert job.header(coinbase[100:108], coinbase[108:116]) == GENESIS
    assert MiningJob.of(job.params(True)) == job
    with pytest.raises(StratumError):
        job.header("zz", "00000000")


def test_a_pool_takes_a_share_once_and_only_for_work_it_gave() -> None:
    pool = Pool(difficulty=1e-7)
    job = pool.new_job()
    nonce = search(job.header("aabbccdd", "00000001"), 0, 1 << 13, target_of(pool.difficulty))[0]
    share = ("aabbccdd", "w", job.id, "00000001", job.ntime, f"{nonce:08x}")
    assert pool.judge(*share) is None and pool.accepted == {"w": 1e-7}
    assert pool.judge(*share) is PoolRefusal.DUPLICATE
    assert pool.judge("aabbccdd", "w", "ff", *share[3:]) is PoolRefusal.JOB_NOT_FOUND
    bad = next(n for n in range(64) if digest(job.header("aabbccdd", "00000001") + struct.pack("<I", n)) > target_of(1e-7))
    assert pool.judge(*share[:5], f"{bad:08x}") is PoolRefusal.LOW_DIFFICULTY
    for _ in range(3):
        pool.new_job()
    assert pool.judge(*share[:3], "00000002", *share[4:]) is PoolRefusal.JOB_NOT_FOUND


def test_a_pool_that_asks_for_a_longer_extranonce_refuses_a_short_one() -> None:
    pool = Pool(difficulty=1e-7, extranonce2_bytes=8)
    job = pool.new_job()
    for extranonce2, reason in (("00000001", PoolRefusal.OTHER), ("0000000000000001", None)):
        nonce = search(job.header("aabbccdd", extranonce2), 0, 1 << 13, target_of(pool.difficulty))[0]
        assert pool.judge("aabbccdd", "w", job.id, extranonce2, job.ntime, f"{nonce:08x}") is reason


@pytest.mark.parametrize("result", [None, [], [[], "aa"], [[], "aa", 0], [[], "aa", 17], [[], "aa", "x"], [[], "aa", None]])
def test_a_subscription_without_a_usable_extranonce_length_is_none(result: object) -> None:
    with pytest.raises(StratumError):
        stratum.subscription({"id": 1, "result": result})


async def test_a_client_that_breaks_the_protocol_is_disconnected() -> None:
    async with pooling(Pool(), HOST, POOL_PORT + 1):
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"[1,2]\n", b"x" * (stratum.MAX_LINE + 10) + b"\n"):
            reader, writer = await asyncio.open_connection(HOST, POOL_PORT + 1)
            writer.write(nonsense)
            async with asyncio.timeout(5.0):
                with suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
        reader, writer = await asyncio.open_connection(HOST, POOL_PORT + 1)
        writer.write(stratum.request(1, "mining.submit", "w", "1", "00", "00", "00"))
        assert json.loads(await reader.readline())["error"][0] == PoolRefusal.UNAUTHORIZED
        writer.close()


@pytest.fixture(params=[4, 8], ids=["extranonce2 of 4 bytes", "of 8 bytes"])
async def mining(request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    pool = Pool(difficulty=2e-7, extranonce2_bytes=request.param)
    async with pooling(pool, HOST, POOL_PORT):
        rig = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dispatch.sim.hashrig", HOST, str(PORT), HOST, str(POOL_PORT), "w", stdout=asyncio.subprocess.PIPE
        )
        assert rig.stdout is not None and await rig.stdout.readline() == b"ready\n"
        yield pool
        rig.kill()
        await rig.wait()


async def figures(driver: CpuMinerDriver) -> tuple[float, float]:
    readings = await driver.read([0], 2.0)
    return float(readings.watts[0]), float(readings.ths[0])


async def until(driver: CpuMinerDriver, holds: object, within_s: float = 20.0) -> tuple[float, float]:
    async with asyncio.timeout(within_s):
        while True:
            found = await figures(driver)
            if holds(*found):  # type: ignore[operator]
                return found
            await asyncio.sleep(0.05)


async def test_a_rig_hashes_stops_and_resumes_on_order_and_its_hashrate_is_what_the_pool_accepted(mining: Pool) -> None:
    driver = CpuMinerDriver(CPU, HOST, PORT, MHS, WallClock(START))
    assert await figures(driver) == (13.0, 0.0)
    assert (await driver.set_mode([0], "normal", 2.0)).sent == (0,)
    await until(driver, lambda watts, ths: watts > 2500 and ths > 100)
    credited = mining.accepted["w"] * HASHES_PER_DIFF / 1e6
    assert credited > 0.0 and not mining.refused
    assert (await driver.set_mode([0], "sleep", 2.0)).sent == (0,)
    assert await until(driver, lambda watts, ths: watts == 13.0) == (13.0, 0.0)
    await asyncio.sleep(0.2)
    stopped = mining.accepted["w"]
    await asyncio.sleep(0.5)
    assert mining.accepted["w"] == stopped  # nothing comes any more
    await driver.set_mode([0], "low", 2.0)
    watts, ths = await until(driver, lambda watts, ths: ths > 0 and watts > 900)
    assert watts < 2600 and mining.accepted["w"] > stopped


async def test_a_rig_that_is_not_there_is_silent() -> None:
    driver = CpuMinerDriver(CPU, HOST, PORT + 50, MHS, WallClock(START))
    assert (await driver.set_mode([0], "sleep", 0.5)).unreachable == (0,)
    watts, ths = await figures(driver)
    assert watts != watts and ths != ths
