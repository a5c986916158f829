"""One rig through pyasic: what the driver asks of every make."""

from __future__ import annotations

from dispatch.clock import Clock
from dispatch.rigs import Ability
from optimizer.domain.site import Mode, RigGroup

SENT, REFUSED, UNSUPPORTED, SILENT = "sent", "refused", "unsupported", "unreachable"


class Spoken:
    """A rig of a group. Orders return SENT, REFUSED or UNSUPPORTED; what cannot be had or read raises, and is silence.

    abilities  what can be ordered of rigs that speak so
    password   what they are delivered with
    """

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE})
    password = ""

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        """`model` is what it calls itself on the wire."""

    async def read(self) -> tuple[float, float]:
        """Wall watts and TH/s."""
        raise NotImplementedError

    async def sleep(self) -> str:
        """Put it to sleep."""
        raise NotImplementedError

    async def wake(self, mode: Mode | None) -> str:
        """Wake it into a mode; None leaves the one it has to it."""
        raise NotImplementedError

    async def limit(self, watts: int) -> str:
        """Let it draw at most `watts`."""
        return UNSUPPORTED

    def due(self, before_s: float) -> bool:
        """Whether what it needs to be ordered is older than `before_s`, epoch seconds of the wall."""
        return False

    async def prepare(self) -> bool:
        """Have ready what it needs to be ordered."""
        return True
