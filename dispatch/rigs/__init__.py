"""Rigs: what a driver can do to them, and the outcomes of orders.

A Driver moves the rigs of one group. What it returns for a command means "sent", never "done": a command is done when a later reading
agrees. A site file's `driver` table names it; the entry points of `dispatch.rigs` reach it, built-in or plugged in. A rig is named by its
position in its group, 0..rigs-1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dispatch.rigs.wire.identity import RigIdentity


class Ability(StrEnum):
    """What a driver can do to its rigs. `stored_orders`: an order is written into the rig's configuration, so none is repeated soon."""

    READ = "read"
    SLEEP = "sleep"
    WAKE = "wake"
    POWER_LIMIT = "power_limit"
    MODES = "modes"
    STORED_ORDERS = "stored_orders"


class Outcome(StrEnum):
    """The outcome of a command on a rig, by a reading taken afterwards."""

    REACHED = "reached"
    PARTLY = "partly"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    UNREACHABLE = "unreachable"
    NO_EFFECT = "no_effect"


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of rigs of one group, taken together; arrays of one length n.

    rigs   positions in the group, int64
    watts  at the wall, float64; NaN where the rig did not answer
    ths    terahashes a second, float64; NaN where the rig did not answer
    at     when each rig was read, epoch seconds, float64
    """

    rigs: NDArray[np.int64]
    watts: NDArray[np.float64]
    ths: NDArray[np.float64]
    at: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sent:
    """The answers of rigs to one command: positions by answer."""

    sent: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    unsupported: tuple[int, ...] = ()
    unreachable: tuple[int, ...] = ()


class Driver(Protocol):
    """Moves and reads the rigs of one group. Rigs are positions in the group; deadlines are wall seconds per rig. Never raises for a rig:
    one that does not answer in time is unreachable."""

    abilities: frozenset[Ability]

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """Watts and TH/s of rigs, in the order of `rigs`."""
        ...

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Order rigs into one of the group's modes, "sleep" among them; returns their answers."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@runtime_checkable
class PreparesOrders(Protocol):
    """A driver that can fetch ahead what its orders need, such as tokens."""

    def prepare_orders(self) -> None:
        """Orders will come: fetch ahead, from now on, what they need. Not called in a dry run, which asks no rig for a token."""
        ...


@runtime_checkable
class Identifies(Protocol):
    """A driver whose rigs report their firmware and serial numbers."""

    async def identify(self, rigs: Sequence[int], deadline_s: float) -> Mapping[int, RigIdentity]:
        """What rigs say they are, by position; those that do not answer are missing. Writes nothing."""
        ...
