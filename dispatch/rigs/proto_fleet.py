"""Rigs behind a Proto Fleet server that a site already runs: it keeps the credentials and speaks to the rigs, Loadstone decides.

Connect protocol, unary calls as JSON over HTTP POST with an API key:

    minercommand.v1.MinerCommandService/StopMining, StartMining         {"deviceSelector": {"includeDevices": {"deviceIdentifiers": [...]}}}
    fleetmanagement.v1.FleetManagementService/ListMinerStateSnapshots   pages of up to 1,000

Source: the .proto files of github.com/block/proto-fleet, 2026-08-21. Its `IngestCurtailmentSignal` answers "unimplemented" there, and a
curtailment event can only be restored whole, so rigs are stopped and started by name instead. What was proven against a simulated server
and what was not stands in docs/reference/rigs.md. A zero is left out of the JSON, so a measurement without a value is zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import numpy as np

from dispatch.clock import Clock, wall_now
from dispatch.rigs import Ability, Readings, Sent
from optimizer.domain.site import SLEEP, RigGroup

COMMAND = "minercommand.v1.MinerCommandService"
FLEET = "fleetmanagement.v1.FleetManagementService"
PAGE = 1000
MOST_PAGES = 1000
# The server polls rigs by itself; what it knows of one is no reading when it is older than this.
STALE_S = 300.0
KILO = 1000.0
# Codes of the Connect protocol that mean no, rather than not there.
OF_SOME = frozenset({"failed_precondition", "already_exists", "invalid_argument", "not_found"})
REFUSALS = OF_SOME | {"permission_denied", "unauthenticated", "out_of_range"}


class ProtoFleetDriver:
    """The rigs of one group: `devices[k]` is what the server calls rig k. Deadlines are wall seconds."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE})

    def __init__(self, group: RigGroup, url: str, devices: Sequence[str], key: str, clock: Clock) -> None:
        if len(devices) != group.rigs:
            raise ValueError(f"group {group.name!r} has {group.rigs} rigs and {len(devices)} devices")
        self._group, self._devices, self._clock = group, tuple(devices), clock
        self._position = {device: k for k, device in enumerate(devices)}
        headers = {"Authorization": f"Bearer {key}", "Connect-Protocol-Version": "1"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, follow_redirects=False, trust_env=False)

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """What the server last knew of its rigs, each at the time it was measured."""
        watts, ths = np.full(self._group.rigs, np.nan), np.full(self._group.rigs, np.nan)
        at = np.full(self._group.rigs, self._clock.now().timestamp())
        cursor = ""
        for _ in range(MOST_PAGES):
            page = await self._ask(f"{FLEET}/ListMinerStateSnapshots", {"pageSize": PAGE, "cursor": cursor}, deadline_s)
            for miner in page.get("miners", ()) if "code" not in page else ():
                self._note(miner, watts, ths, at)
            if not (cursor := page.get("cursor", "")):
                break
        positions = np.array(rigs, np.int64)
        return Readings(positions, watts[positions], ths[positions], at[positions])

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Order rigs to sleep or to hash; any mode but sleep and the fullest is unsupported. Returns their answers."""
        if mode not in (SLEEP, self._group.full.name):
            return Sent(unsupported=tuple(rigs))
        answers: dict[str, list[int]] = {"sent": [], "refused": [], "unreachable": []}
        await self._order(list(rigs), "StopMining" if mode == SLEEP else "StartMining", deadline_s, answers)
        return Sent(**{answer: tuple(sorted(some)) for answer, some in answers.items()})

    async def _order(self, rigs: list[int], verb: str, deadline_s: float, answers: dict[str, list[int]]) -> None:
        """One call for all of them; where some make the server refuse it, halves, so that the others get the order."""
        if not rigs:
            return
        document = {"deviceSelector": {"includeDevices": {"deviceIdentifiers": [self._devices[r] for r in rigs]}}}
        answer = await self._ask(f"{COMMAND}/{verb}", document, deadline_s)
        if "batchIdentifier" in answer:
            answers["sent"] += rigs
        elif answer.get("code") in OF_SOME and len(rigs) > 1:
            half = len(rigs) // 2
            await asyncio.gather(*(self._order(part, verb, deadline_s, answers) for part in (rigs[:half], rigs[half:])))
        else:
            answers["refused" if answer.get("code") in REFUSALS else "unreachable"] += rigs

    async def close(self) -> None:
        """Close the connection to the server."""
        await self._http.aclose()

    def _note(self, miner: Mapping[str, Any], watts: np.ndarray, ths: np.ndarray, at: np.ndarray) -> None:
        position = self._position.get(str(miner.get("deviceIdentifier")))
        if position is None or miner.get("deviceStatus") == "DEVICE_STATUS_OFFLINE":
            return
        try:
            power, hashrate = (_newest(miner[key]) for key in ("powerUsage", "hashrate"))
            age_s = (wall_now() - datetime.fromisoformat(miner["timestamp"])).total_seconds()
        except (LookupError, TypeError, ValueError):
            return
        if age_s <= STALE_S:
            watts[position], ths[position] = power * KILO, hashrate
            at[position] = self._clock.now().timestamp() - max(0.0, age_s)

    async def _ask(self, procedure: str, document: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        """The answer, or {"code": ...}; "unavailable" when there was none in time."""
        try:
            answer = await self._http.post(f"/{procedure}", json=document, timeout=deadline_s)
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            return {"code": "unavailable"}
        if not isinstance(found, dict):
            return {"code": "unavailable"}
        return found if answer.is_success else {"code": "unavailable", **found}


def _newest(measurements: Sequence[Mapping[str, Any]]) -> float:
    """The last of a series. Raises LookupError when it is empty."""
    return float(measurements[-1].get("value", 0.0))
