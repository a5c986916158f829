"""A small Stratum V1 pool on loopback: hands out made-up work and accepts only shares that hash to their difficulty, and counts them."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from dispatch.sim import stratum
from dispatch.sim.share_difficulty import digest, target_of
from dispatch.sim.stratum import MiningJob, PoolRefusal, StratumError

DIFFICULTY = 1e-6
JOB_EVERY_S = 30.0


class Pool:
    """What has been handed out and what came back. `accepted` sums the difficulty of taken shares by worker; `refused` counts by reason."""

    def __init__(self, difficulty: float = DIFFICULTY, extranonce2_bytes: int = 4) -> None:
        self.difficulty, self.extranonce2_bytes = difficulty, extranonce2_bytes
        self.accepted: dict[str, float] = defaultdict(float)
        self.refused: dict[PoolRefusal, int] = defaultdict(int)
        self._numbers = itertools.count(1)
        self._jobs: dict[str, MiningJob] = {}
        self._accepted: set[tuple[str, ...]] = set()

    def new_job(self) -> MiningJob:
        """Work of its own; shares of the two jobs before it still count."""
        number = next(self._numbers)
        job = MiningJob(
            id=f"{number:x}",
            prevhash=secrets.token_hex(32),
            coinb1=f"01000000{number:08x}",
            coinb2=secrets.token_hex(16),
            branch=(secrets.token_hex(32),),
            version="20000000",
            nbits="17034219",
            ntime=f"{1_700_000_000 + number:08x}",
        )
        self._jobs = dict([*self._jobs.items(), (job.id, job)][-3:])
        self._accepted = {t for t in self._accepted if t[0] in self._jobs}
        return job

    def judge(self, extranonce1: str, worker: str, job_id: str, extranonce2: str, ntime: str, nonce: str) -> PoolRefusal | None:
        """Whether a share counts; None when it does. Raises StratumError when it is none."""
        job, share = self._jobs.get(job_id), (job_id, extranonce1, extranonce2, ntime, nonce)
        if job is None:
            return PoolRefusal.JOB_NOT_FOUND
        if share in self._accepted:
            return PoolRefusal.DUPLICATE
        if len(extranonce2) != 2 * self.extranonce2_bytes:
            return PoolRefusal.OTHER
        try:
            tail = struct.pack("<I", int(nonce, 16))
        except (ValueError, struct.error):
            raise StratumError("not a nonce") from None
        if digest(job.header(extranonce1, extranonce2, ntime) + tail) > target_of(self.difficulty):
            return PoolRefusal.LOW_DIFFICULTY
        self._accepted.add(share)
        self.accepted[worker] += self.difficulty
        return None


class _Miner:
    """One connection to the pool."""

    def __init__(self, pool: Pool, writer: asyncio.StreamWriter) -> None:
        self._pool, self._writer = pool, writer
        self._extranonce1, self._workers = secrets.token_hex(4), set[str]()

    def answer(self, document: Mapping[str, Any]) -> bytes:
        """The pool's answer to a message."""
        id_, method, params = document.get("id"), document.get("method"), document.get("params") or []
        if method == "mining.subscribe":
            return stratum.answer(
                id_, [[["mining.set_difficulty", "d"], ["mining.notify", "n"]], self._extranonce1, self._pool.extranonce2_bytes]
            )
        if method == "mining.authorize" and params:
            self._workers.add(str(params[0]))
            return stratum.answer(id_, True) + stratum.notice("mining.set_difficulty", [self._pool.difficulty]) + self.work()
        if method == "mining.submit" and len(params) >= 5:
            return self._submitted(id_, [str(p) for p in params[:5]])
        return stratum.refused(id_, PoolRefusal.OTHER, "Unknown method")

    def work(self) -> bytes:
        return stratum.notice("mining.notify", self._pool.new_job().params(True))

    def _submitted(self, id_: Any, share: list[str]) -> bytes:
        worker, *rest = share
        why = self._pool.judge(self._extranonce1, worker, *rest) if worker in self._workers else PoolRefusal.UNAUTHORIZED
        if why is None:
            return stratum.answer(id_, True)
        self._pool.refused[why] += 1
        return stratum.refused(id_, why, why.name.replace("_", " ").capitalize())

    async def renew(self) -> None:
        """Send new work every JOB_EVERY_S seconds, for ever."""
        while True:
            await asyncio.sleep(JOB_EVERY_S)
            if self._workers:
                self._writer.write(self.work())


@asynccontextmanager
async def pooling(pool: Pool, host: str, port: int) -> AsyncIterator[None]:
    """Serve a pool as long as the context is open. Raises OSError when the address cannot be listened on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        miner = _Miner(pool, writer)
        renewing = asyncio.create_task(miner.renew())
        try:
            while data := await reader.readline():
                writer.write(miner.answer(stratum.parse(data)))
                await writer.drain()
        except (StratumError, OSError, ValueError):
            pass  # a client that breaks the protocol is disconnected
        finally:
            renewing.cancel()
            writer.close()

    server = await asyncio.start_server(serve, host, port, limit=stratum.MAX_LINE)
    try:
        yield
    finally:
        server.close()
