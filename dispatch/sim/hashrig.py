"""A rig that really hashes: a hasher on the CPU, mining at a Stratum pool, controlled over TCP with lines of JSON.

    {}             -> {"pace": as set, "mhs": as measured, "accepted_mhs": by the shares the pool accepted, "refused": shares}
    {"pace": 0.25} -> the same, from now on at that pace; zero stops

python -m dispatch.sim.hashrig HOST PORT POOL_HOST POOL_PORT WORKER      # prints "ready"
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

from dispatch.child_process import die_with_parent
from dispatch.clock import wall_s
from dispatch.sim import stratum
from dispatch.sim.hasher import Hasher, Work
from dispatch.sim.share_difficulty import HASHES_PER_DIFF
from dispatch.sim.stratum import MAX_LINE, MiningJob

SHARES_WINDOW_S = 10.0
RETRY_S = 1.0
MOST_MHS = 1000.0


class HashRig:
    """The rig and its account of accepted shares."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._shares: deque[tuple[float, float]] = deque()
        self._refused = 0
        self._asked: dict[int, float] = {}
        self._extranonce1, self._extranonce2_bytes, self._difficulty, self._number = "", 0, 1.0, 2
        self._writer: asyncio.StreamWriter | None = None
        self._loop = asyncio.get_running_loop()
        self.hasher = Hasher(self._found)

    def answer(self, data: bytes) -> bytes:
        """The answer to a line from its owner. Raises ValueError when the line is not a request."""
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
        if "pace" in document:
            pace = float(document["pace"])
            if not 0.0 <= pace <= MOST_MHS:
                raise ValueError("no pace")
            self.hasher.pace(pace)
        return json.dumps(self.status()).encode() + b"\n"

    def status(self) -> dict[str, float]:
        """Its pace and its shares, as answered to its owner."""
        now = wall_s()
        while self._shares and self._shares[0][0] < now - SHARES_WINDOW_S:
            self._shares.popleft()
        since_s = max(self.hasher.since_s, now - SHARES_WINDOW_S)
        worth = sum(difficulty for at, difficulty in self._shares if at >= since_s)
        accepted_mhs = worth * HASHES_PER_DIFF / 1e6 / max(now - since_s, 0.1)
        running = self.hasher.mhs > 0
        return {
            "pace": self.hasher.mhs,
            "mhs": round(self.hasher.measured_mhs(), 6),
            "accepted_mhs": round(accepted_mhs, 6) if running else 0.0,
            "refused": self._refused,
        }

    async def mine(self, host: str, port: int) -> None:
        """Mine at a pool for ever, through its outages."""
        while True:
            try:
                reader, self._writer = await asyncio.open_connection(host, port, limit=MAX_LINE)
                self._writer.write(stratum.request(1, "mining.subscribe", "loadstone"))
                self._writer.write(stratum.request(2, "mining.authorize", self._worker, "x"))
                while data := await reader.readline():
                    self._received(stratum.parse(data))
            except (OSError, ValueError):
                pass
            self.hasher.give(None)
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            await asyncio.sleep(RETRY_S)

    def _received(self, document: Mapping[str, Any]) -> None:
        params = document.get("params") or []
        match document.get("method"):
            case "mining.set_difficulty":
                self._difficulty = float(params[0])
            case "mining.notify":
                self.hasher.give(Work(MiningJob.of(params), self._extranonce1, self._extranonce2_bytes, self._difficulty))
            case None if document.get("id") == 1:
                self._extranonce1, self._extranonce2_bytes = stratum.subscription(document)
            case None if (worth := self._asked.pop(document.get("id") or 0, None)) is not None:
                if document.get("result") is True:
                    self._shares.append((wall_s(), worth))
                else:
                    self._refused += 1

    def _found(self, job: str, extranonce2: str, ntime: str, nonce: str) -> None:
        """From the hasher's thread."""
        self._loop.call_soon_threadsafe(self._submit, job, extranonce2, ntime, nonce)

    def _submit(self, job: str, extranonce2: str, ntime: str, nonce: str) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._number += 1
            self._asked[self._number] = self._difficulty
            self._writer.write(stratum.request(self._number, "mining.submit", self._worker, job, extranonce2, ntime, nonce))


async def serve(host: str, port: int, pool_host: str, pool_port: int, worker: str) -> None:
    """Be a rig until cancelled. Raises OSError when the address cannot be had."""
    rig = HashRig(worker)

    async def owner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.readline():
                writer.write(rig.answer(data))
                await writer.drain()
        except (OSError, ValueError, TypeError):
            pass  # whoever does not speak the protocol is let go
        finally:
            writer.close()

    server = await asyncio.start_server(owner, host, port, limit=MAX_LINE)
    print("ready", flush=True)
    try:
        await rig.mine(pool_host, pool_port)
    finally:
        server.close()
        rig.hasher.close()


if __name__ == "__main__":
    parent = os.environ.get("LOADSTONE_PARENT")
    die_with_parent(int(parent) if parent else None)
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]))
