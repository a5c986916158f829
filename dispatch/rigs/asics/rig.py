"""One rig on the network: what the driver needs of every make."""

from __future__ import annotations

from dispatch.clock import Clock
from dispatch.rigs import Ability
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import Mode, RigGroup

SENT, REFUSED, UNSUPPORTED, SILENT = "sent", "refused", "unsupported", "unreachable"


class NetworkRig:
    """A rig of a group. Orders return SENT, REFUSED or UNSUPPORTED; an answer that is missing or unreadable raises, and counts as none.

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

    async def identity(self) -> RigIdentity:
        """What it says it is."""
        raise NotImplementedError

    async def sleep(self) -> str:
        """Put it to sleep."""
        raise NotImplementedError

    async def wake(self, mode: Mode | None) -> str:
        """Wake it into a mode; None leaves it in the mode it had."""
        raise NotImplementedError

    async def limit(self, watts: int) -> str:
        """Limit its draw to `watts`."""
        return UNSUPPORTED

    def due(self, before_s: float) -> bool:
        """Whether its token or session is older than `before_s`, epoch seconds of the wall clock."""
        return False

    async def prepare(self) -> bool:
        """Fetch the token or session that an order needs. Returns whether that succeeded."""
        return True
