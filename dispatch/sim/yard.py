"""Rigs at addresses: what comes in at an address moves a rig of the fleet, is written down, and is answered. No sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dispatch.clock import Clock, wall_s
from dispatch.rigs.wire import whatsminer as wire
from dispatch.rigs.wire.line import WireError
from dispatch.rigs.wire.whatsminer import Keys, Request
from dispatch.sim.fleet import REFUSED, SENT, UNSUPPORTED, Answers, Fleet
from dispatch.sim.spec import Fault, FleetSpec
from dispatch.sim.whatsminer import Condition, answer
from optimizer.site import SLEEP

PASSWORD = "admin"
# All rigs of a yard share salts: thousands of them shall not spend the machine on md5crypt. Real ones draw their own.
SALT, NEWSALT = "BQ5hoXV9", "jbzkfQls"
POOLS = tuple((f"stratum+tcp://pool{n}.invalid:3333", "site.rig") for n in (1, 2, 3))
DEFAULT_MODEL = "M60S_VK30"


@dataclass(frozen=True, slots=True)
class Place:
    """An address and the rig there, by group and position; `number` counts all rigs of the yard."""

    address: str
    group: str
    rig: int
    number: int


class Yard:
    """A fleet at its addresses. `places` gives each group's addresses by position.

    effects_path collects, as JSON lines and flushed one by one, every order that came: {"at", "rig", "verb", "effective"} and the state it
    left the rig in. A yard that opens such a file again puts its rigs back where they were.
    """

    def __init__(
        self, spec: FleetSpec, places: Mapping[str, Sequence[str]], clock: Clock, effects_path: Path | None = None, seed: int = 0
    ) -> None:
        self._clock = clock
        at = [(group.name, rig) for group in spec.groups for rig in range(group.rigs)]
        self.places = {places[g][r]: Place(places[g][r], g, r, n) for n, (g, r) in enumerate(at)}
        self._groups = {g.name: g for g in spec.groups}
        self._pools: dict[str, tuple[tuple[str, str], ...]] = {}
        past = _past(effects_path)
        self.fleet = Fleet(spec, seed, min([clock.now().timestamp(), *(row["at"] for row in past[:1])]))
        for row in past:
            self._again(row)
        self.fleet.advance(clock.now().timestamp())
        self._effects: TextIO | None = effects_path.open("a", encoding="utf-8") if effects_path else None
        self.models: dict[str, str] = {}

    def close(self) -> None:
        if self._effects is not None:
            self._effects.close()

    def manner(self, place: Place) -> Fault | None:
        """The fault that shows in how a rig treats its connections, if it has one."""
        self._now()
        for fault in (Fault.UNREACHABLE, Fault.HANGS, Fault.DRIPS):
            if self.fleet.has(fault, place.group, place.rig):
                return fault
        return None

    def handle(self, place: Place, data: bytes) -> bytes:
        """The answer to a whole request. Raises WireError when it is none."""
        self._now()
        when = int(self._clock.now().timestamp())
        try:
            request, known = _understood(data)
        except WireError as error:
            # Encrypted with what is not our key: a stale token or a wrong password.
            if b'"enc"' in data:
                return wire.reply(wire.stale_token(when))
            raise error
        if request.commands == ("get_token",):
            return wire.reply(wire.token_answer(_bucket(0), SALT, NEWSALT, when))
        if request.token is None or known is None:
            unsafe = set(request.commands) & wire.WRITES
            return wire.reply(wire.refused(when) if unsafe else answer(request.commands, self._condition(place, when)))
        if request.token != known.sign:
            return wire.reply(wire.stale_token(when))
        return self._write(place, request, known, when)

    def _now(self) -> None:
        self.fleet.advance(self._clock.now().timestamp())

    def _write(self, place: Place, request: Request, known: Keys, when: int) -> bytes:
        verb = request.commands[0]
        answers = self._order(place, verb, request.params)
        self._write_down(place, verb, bool(answers is not None and answers.moved[0]))
        if answers is None or answers.said[0] == UNSUPPORTED:
            return wire.reply(wire.invalid(when))
        if answers.said[0] == REFUSED:
            return wire.reply(wire.refused(when))
        return wire.reply(wire.ok(when), known)

    def _order(self, place: Place, verb: str, params: Mapping[str, Any]) -> Answers | None:
        """Move the rig; None for a verb or a parameter no rig knows."""
        fleet, group, rig = self.fleet, place.group, np.array([place.rig])
        match verb:
            case "power_off":
                return fleet.command(group, rig, SLEEP)
            case "power_on":
                return fleet.wake(group, rig)
            case "set_low_power" | "set_normal_power" | "set_high_power":
                return fleet.prefer(group, rig, verb.split("_")[1])
            case "adjust_power_limit":
                watts = _number(params.get("power_limit"), 1, wire.NO_LIMIT_W)
                return None if watts is None else fleet.limit(group, rig, np.inf if watts == wire.NO_LIMIT_W else watts)
            case "set_power_pct":
                percent = _number(params.get("percent"), 0, 100)
                return None if percent is None else fleet.limit(group, rig, self._groups[group].normal.watts * percent / 100.0)
            case "restart_btminer" | "reboot":
                return fleet.reboot(group, rig)
            case "update_pools":
                said = fleet.reboot(group, rig).said
                obeys = said[0] == SENT and not fleet.has(Fault.LIES, group, place.rig)
                if obeys:
                    self._pools[place.address] = tuple((str(params.get(f"pool{n}")), str(params.get(f"worker{n}"))) for n in (1, 2, 3))
                return Answers(said, np.array([obeys]))
        return None

    def _condition(self, place: Place, when: int) -> Condition:
        group, rig = self._groups[place.group], np.array([place.rig])
        watts, ths = self.fleet.truth(place.group, rig)
        mode, _, limit_w = self.fleet.standing(place.group, place.rig)
        return Condition(
            address=place.address,
            number=place.number,
            model=self.models.get(group.model, DEFAULT_MODEL),
            mode=mode,
            watts=float(watts[0]),
            ths=float(ths[0]),
            board_c=float(self.fleet.board_c(place.group, rig)[0]),
            normal_w=group.normal.watts,
            normal_ths=group.normal.ths,
            wake_s=group.wake_min * 60.0,
            limit_w=limit_w,
            pools=self._pools.get(place.address, POOLS),
            when=when,
        )

    def _write_down(self, place: Place, verb: str, effective: bool) -> None:
        if self._effects is None:
            return
        mode, awake_mode, limit_w = self.fleet.standing(place.group, place.rig)
        row = {
            "at": self.fleet.now_s,
            "rig": place.address,
            "verb": verb,
            "effective": effective,
            "mode": mode,
            "awake_mode": awake_mode,
            "limit_w": limit_w if np.isfinite(limit_w) else None,
            **({"pools": self._pools[place.address]} if place.address in self._pools else {}),
        }
        self._effects.write(json.dumps(row) + "\n")
        self._effects.flush()

    def _again(self, row: Mapping[str, Any]) -> None:
        """What a row of the log did, done again."""
        place = self.places.get(row["rig"])
        if place is None or not row["effective"]:
            return
        self.fleet.advance(row["at"])
        limit_w = np.inf if row["limit_w"] is None else row["limit_w"]
        self.fleet.restore(place.group, np.array([place.rig]), row["mode"], row["awake_mode"], limit_w)
        if "pools" in row:
            self._pools[place.address] = tuple((url, user) for url, user in row["pools"])


def _past(path: Path | None) -> list[dict[str, Any]]:
    """The rows of an effects log; a last line that a kill cut short is cut off."""
    if path is None or not path.exists():
        return []
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        path.write_bytes(whole + b"\n" if whole else b"")
    return [json.loads(line) for line in whole.splitlines()]


def _bucket(back: int) -> str:
    return f"{int(wall_s() // wire.TOKEN_LIFE_S - back) % 10_000:04d}"


def _understood(data: bytes) -> tuple[Request, Keys | None]:
    """A request read with the keys of this half hour, or of the last one."""
    last: WireError | None = None
    for back in (0, 1):
        known = wire.keys(PASSWORD, _bucket(back), SALT, NEWSALT)
        try:
            request = wire.parse_request(data, known)
        except WireError as error:
            last = error
            continue
        if request.token is None:
            return request, None
        if request.token == known.sign or back:
            return request, known
    raise last or WireError("not a request")


def _number(value: Any, least: float, most: float) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if least <= number <= most else None
