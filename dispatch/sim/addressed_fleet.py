"""Rigs by address: an order that comes in at an address moves a rig of the fleet, is logged, and is answered. No sockets."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dispatch.clock import Clock
from dispatch.sim.fleet import Fleet
from dispatch.sim.rig import POOLS, Rig
from dispatch.sim.spec import FleetSpec, RigFault


class AddressedFleet:
    """A fleet at its addresses. `places` gives each group's addresses by position.

    effects_path collects every order that came as JSON lines, flushed one by one: {"at", "rig", "verb", "effective"} and the state it left
    the rig in. Opening such a file again puts the rigs back where they were.
    """

    def __init__(
        self, spec: FleetSpec, places: Mapping[str, Sequence[str]], clock: Clock, effects_path: Path | None = None, seed: int = 0
    ) -> None:
        self._clock = clock
        logged = _logged_effects(effects_path)
        self.fleet = Fleet(spec, seed, min([clock.now().timestamp(), *(row["at"] for row in logged[:1])]))
        at = [(group, rig) for group in spec.groups for rig in range(group.rigs)]
        self.rigs = {
            places[g.name][r]: Rig(places[g.name][r], n, r, g, self.fleet, self._log_effect, self._later) for n, (g, r) in enumerate(at)
        }
        # Orders for a later instant: (epoch seconds, a number that keeps their order, what to do).
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        for row in logged:
            self._restore(row)
        self._effects: TextIO | None = effects_path.open("a", encoding="utf-8") if effects_path else None
        self.advance()

    def close(self) -> None:
        """Close the log of effects."""
        if self._effects is not None:
            self._effects.close()

    def advance(self) -> None:
        """Let time pass up to the clock's now; orders that fall due on the way take effect at their instants."""
        now_s = self._clock.now().timestamp()
        while self._due and self._due[0][0] <= now_s:
            at_s, _, act = heapq.heappop(self._due)
            self.fleet.advance(at_s)
            act()
        self.fleet.advance(now_s)

    def connection_fault(self, rig: Rig) -> RigFault | None:
        """The fault that shows in how a rig treats its connections, if it has one now."""
        self.advance()
        return next((fault for fault in (RigFault.UNREACHABLE, RigFault.HANGS, RigFault.SLOW_ANSWERS) if rig.has(fault)), None)

    def _later(self, rig: Rig, at_s: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._due, (at_s, next(self._numbers), act))

    def _log_effect(self, rig: Rig, verb: str, effective: bool) -> None:
        if self._effects is None:
            return
        mode, awake_mode, limit_w = self.fleet.orders_of(rig.group.name, rig.at)
        row = {
            "at": self.fleet.now_s,
            "rig": rig.address,
            "verb": verb,
            "effective": effective,
            "mode": mode,
            "awake_mode": awake_mode,
            "limit_w": limit_w if np.isfinite(limit_w) else None,
            **({"pools": rig.pools} if rig.pools is not POOLS else {}),
        }
        self._effects.write(json.dumps(row) + "\n")
        self._effects.flush()

    def _restore(self, row: Mapping[str, Any]) -> None:
        """Put a rig back as a row of the log left it."""
        rig = self.rigs.get(row["rig"])
        if rig is None or not row["effective"]:
            return
        self.fleet.advance(row["at"])
        limit_w = np.inf if row["limit_w"] is None else row["limit_w"]
        self.fleet.restore(rig.group.name, np.array([rig.at]), row["mode"], row["awake_mode"], limit_w)
        if "pools" in row:
            rig.pools = tuple((url, user) for url, user in row["pools"])


def _logged_effects(path: Path | None) -> list[dict[str, Any]]:
    """The rows of an effects log; a last line that a kill left incomplete is removed."""
    if path is None or not path.exists():
        return []
    complete, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        path.write_bytes(complete + b"\n" if complete else b"")
    return [json.loads(line) for line in complete.splitlines()]
