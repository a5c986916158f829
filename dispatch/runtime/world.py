"""World = clock + observer + executor + planner. Live, shadow, replay and imagined differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from dispatch.clock import Clock
from dispatch.entries import Commanded, Done, Planned, Seen

if TYPE_CHECKING:
    from dispatch.decide.state import State


class Observer(Protocol):
    """Gathers what became known since the state was folded."""

    async def observe(self, at: datetime, state: State) -> Seen: ...

    async def urgent(self) -> None:
        """Returns as soon as something pushed (a call, a hold) waits in the inbox."""
        ...


class Executor(Protocol):
    """Carries out orders and reads back."""

    async def execute(self, commanded: Commanded) -> Done: ...

    def interrupt(self) -> None:
        """Something urgent waits: end what `do` is waiting for."""
        ...


class Planner(Protocol):
    """Makes plans beside the loop. At most one is under way; a newer question replaces an older one that waits."""

    def ask(self, at: datetime, seq: int, state: State) -> None: ...

    def waiting(self) -> bool:
        """Whether a plan can be taken now."""
        ...

    async def ready(self) -> None:
        """Returns when a plan can be taken."""
        ...

    def take(self) -> Planned | None: ...


@dataclass(frozen=True, slots=True)
class World:
    """One way of running a site; the loop knows nothing else of it."""

    name: str
    clock: Clock
    observer: Observer
    executor: Executor
    planner: Planner
