"""World = clock + observer + executor + planner. Live, shadow, replay and imagined differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from dispatch.clock import Clock
from dispatch.entries import Commanded, Done, Planned, Seen
from dispatch.rigs.controller import LoadCheck

if TYPE_CHECKING:
    from dispatch.decide.state import State


class Observer(Protocol):
    """Gathers what became known since the state was folded."""

    async def observe(self, at: datetime, state: State) -> Seen:
        """What became known since `state`, at the tick `at`."""
        ...

    async def urgent(self) -> None:
        """Returns as soon as something pushed (a call, a hold) waits in the inbox."""
        ...

    async def arrived(self) -> None:
        """Returns as soon as something that calls for a new plan waits to be observed."""
        ...

    async def next_fact_at(self, after: datetime, before: datetime) -> datetime | None:
        """When something that calls for a new plan will become known, in (after, before), as far as that can be said."""
        ...

    async def has_news(self, closely: bool, exceeded: LoadCheck) -> bool:
        """Whether readings show something that calls for a decision and that the last observation did not: a rig that left its mode or
        did not come to it, a meter that rises, or loads of which `exceeded` says that they are above a limit. `closely` has the rigs read
        often."""
        ...

    async def changed(self, until: datetime, closely: bool, exceeded: LoadCheck) -> bool:
        """Returns at `until`, or as soon as there is news; whether there is. `closely` has the rigs read often."""
        ...


class Executor(Protocol):
    """Carries out orders and reads their rigs back, beside the decisions that follow."""

    @property
    def busy(self) -> bool:
        """Whether orders are under way."""
        ...

    async def begin(self, commanded: Commanded) -> None:
        """Send the orders of a decision."""
        ...

    async def work(self, until: datetime) -> Done | None:
        """Carry on with the orders under way until `until`, until none is, or until interrupted. Returns the outcomes of those that ended;
        None when none did."""
        ...

    def interrupt(self) -> None:
        """Something urgent waits: `work` returns at its next step."""
        ...


class Planner(Protocol):
    """Makes plans beside the loop. At most one is being made; a newer request replaces an older one that waits."""

    def ask(self, at: datetime, seq: int, state: State) -> None:
        """Request a plan made at `at` from the state after the journal's row `seq`."""
        ...

    def has_plan(self) -> bool:
        """Whether a plan can be taken now."""
        ...

    async def ready(self) -> None:
        """Returns when a plan can be taken."""
        ...

    def take(self) -> Planned | None:
        """The plan that was made, once; None when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """One way of running a site; the loop knows nothing else of it."""

    name: str
    clock: Clock
    observer: Observer
    executor: Executor
    planner: Planner
