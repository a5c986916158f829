"""Driver of rigs that hash on a CPU (`dispatch.sim.hashrig`): they hash for real, and stand for a rig of their group's size.

A rig hashes at `mhs` million hashes a second when its group's fullest mode is wanted, slower in lower ones, not at all asleep. What it
says back is measured: the pace it kept, and the pace by the shares its pool accepted. Read as watts and TH/s it is scaled so that `mhs`
is the group's fullest mode: a stopped hasher draws the sleep watts, one at half the pace half of what lies above them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from dispatch.clock import Clock
from dispatch.rigs import Ability, Readings, Sent
from optimizer.domain.site import RigGroup

MAX_LINE = 4096


class CpuMinerDriver:
    """The rigs of one group: rig k answers at `host` and `port` + k. Deadlines are wall seconds."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.MODES})

    def __init__(self, group: RigGroup, host: str, port: int, mhs: float, clock: Clock) -> None:
        self._group, self._where, self._mhs, self._clock = group, (host, port), mhs, clock
        self._sleep_w = group.asleep.watts

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """Wall watts and TH/s of rigs, scaled to the modes of their group, in the order of `rigs`."""
        answers = await asyncio.gather(*(self._ask(rig, {}, deadline_s) for rig in rigs))
        figures = [self._figures(answer) for answer in answers]
        at = np.full(len(rigs), self._clock.now().timestamp())
        return Readings(np.array(rigs, np.int64), np.array([w for w, _ in figures]), np.array([t for _, t in figures]), at)

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Set the pace of rigs to that of a mode; returns their answers."""
        pace = self._pace(mode)
        answers = await asyncio.gather(*(self._ask(rig, {"pace": pace}, deadline_s) for rig in rigs))
        took = [answer is not None and answer.get("pace") == pace for answer in answers]
        sent = tuple(rig for rig, yes in zip(rigs, took, strict=True) if yes)
        return Sent(sent=sent, unreachable=tuple(rig for rig in rigs if rig not in sent))

    async def close(self) -> None:
        """Nothing stays open."""

    def _pace(self, mode: str) -> float:
        return self._mhs * self._group.mode(mode).ths / self._group.full.ths

    def _figures(self, answer: dict[str, Any] | None) -> tuple[float, float]:
        full = self._group.full
        try:
            kept, accepted = (float(answer[key]) / self._mhs for key in ("mhs", "accepted_mhs")) if answer else (np.nan, np.nan)
        except (LookupError, TypeError, ValueError):
            return np.nan, np.nan
        return self._sleep_w + (full.watts - self._sleep_w) * kept, full.ths * accepted

    async def _ask(self, rig: int, question: dict[str, Any], deadline_s: float) -> dict[str, Any] | None:
        writer = None
        host, port = self._where
        try:
            async with asyncio.timeout(deadline_s):
                reader, writer = await asyncio.open_connection(host, port + rig, limit=MAX_LINE)
                writer.write(json.dumps(question).encode() + b"\n")
                answer = json.loads(await reader.readline())
                return answer if isinstance(answer, dict) else None
        except (OSError, TimeoutError, ValueError):
            return None
        finally:
            if writer is not None:
                writer.close()
