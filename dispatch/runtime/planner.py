"""Planners: one that answers at once (replay, what-if), and one in a worker process with a deadline."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any, cast

import structlog

from dispatch.child_process import die_with_parent
from dispatch.clock import Clock, wall_s
from dispatch.decide.plan_inputs import PlanInputs, inputs
from dispatch.decide.state import State
from dispatch.entries import Planned
from optimizer.lp.arrays import Arrays
from optimizer.planning.plan import plan
from optimizer.planning.plan_json import PlanDocument, plan_to_json
from optimizer.planning.result import Risk
from optimizer.solve import Session
from optimizer.solve.lexicographic import Solution, SolveError

log = structlog.get_logger()

BUDGET_S = 20.0  # what the solver may take; the plan falls back to merit order beyond it
DEADLINE_S = 30.0  # when the worker is given up and started anew, wall seconds


Stopwatch = Callable[[], float]


def make_plan(
    made_from: PlanInputs, session: Session | None = None, risk: Risk | None = None, stopwatch: Stopwatch = wall_s
) -> PlanDocument:
    """A plan as its document. A session kept from plan to plan starts where the last one ended when only prices moved. `risk` takes the
    place of that of the inputs. `stopwatch` times it, in seconds."""
    i = made_from
    risk = risk or i.risk
    made = plan(i.site, i.book, i.outlook, i.so_far, i.availability, deadline_s=BUDGET_S, session=session, risk=risk, stopwatch=stopwatch)
    return plan_to_json(made)


class NoSolver:
    """Stands in for a solver that failed: a plan made with it is made by merit order, in a fraction of a second."""

    def __init__(self, why: str) -> None:
        self._why = why

    def run(self, arrays: Arrays, budget_s: float) -> Solution:
        """Raises SolveError with the reason."""
        raise SolveError(self._why)


def rule_based(made_from: PlanInputs, why: str, stopwatch: Stopwatch = wall_s) -> PlanDocument:
    """A plan without any solver, within every bound; `why` is among its findings."""
    i = made_from
    return plan_to_json(plan(i.site, i.book, i.outlook, i.so_far, i.availability, session=NoSolver(why), stopwatch=stopwatch))


def _without_solver(at: datetime, seq: int, state: State, why: str, stopwatch: Stopwatch) -> Planned:
    """A rule-based plan, or the failure of that too."""
    try:
        return Planned(at=at, as_of=seq, plan=rule_based(inputs(state, at), why, stopwatch))
    except Exception as fault:  # whatever it is, the loop must learn of it
        return Planned(at=at, as_of=seq, plan=None, failed=f"{why}; by merit order: {fault!r}")


class InlinePlanner:
    """Plans when it is asked: the plan is there at the same instant of a virtual clock. `stopwatch` says how long each took, seconds."""

    def __init__(self, stopwatch: Stopwatch = wall_s) -> None:
        self._stopwatch = stopwatch
        self._planned: Planned | None = None

    def ask(self, at: datetime, seq: int, state: State) -> None:
        """Make the plan now; without a solver where that fails, and none where nothing can be planned."""
        try:
            self._planned = Planned(at=at, as_of=seq, plan=make_plan(inputs(state, at), stopwatch=self._stopwatch))
        except Exception as fault:  # whatever it is, the loop goes on
            log.error("planned without a solver", error=repr(fault))
            self._planned = _without_solver(at, seq, state, f"the planner failed: {fault!r}", self._stopwatch)

    def has_plan(self) -> bool:
        """Whether a plan can be taken now."""
        return self._planned is not None

    async def ready(self) -> None:
        """Returns when a plan can be taken; never without one, because plans are made when they are asked for."""
        while self._planned is None:
            await asyncio.Event().wait()

    def take(self) -> Planned | None:
        """The plan that was made, once; None when there is none."""
        planned, self._planned = self._planned, None
        return planned


class WorkerPlanner:
    """Plans in a worker process. A worker that dies or overruns its deadline is replaced: a rule-based plan is made at once instead, and
    the next worker is asked again, unless a newer request waits by then."""

    def __init__(self, clock: Clock, deadline_s: float = DEADLINE_S) -> None:
        self._clock = clock
        self._deadline_s = deadline_s
        self._waiting: tuple[int, PlanInputs] | None = None
        self._planned: Planned | None = None
        self._asked = asyncio.Event()
        self._answered = asyncio.Event()
        self._process: Any = None
        self._pipe: Connection | None = None

    def ask(self, at: datetime, seq: int, state: State) -> None:
        """Request a plan; it replaces a request that the worker has not begun."""
        try:
            self._waiting = (seq, inputs(state, at))
            self._asked.set()
        except Exception as fault:  # whatever it is, the loop goes on
            log.error("no plan", error=repr(fault))
            self._deliver(seq, None, f"the inputs of a plan cannot be made: {fault!r}")

    def has_plan(self) -> bool:
        """Whether a plan can be taken now."""
        return self._planned is not None

    async def ready(self) -> None:
        """Returns when a plan can be taken."""
        await self._answered.wait()

    def take(self) -> Planned | None:
        """The plan that was made, once; None when there is none."""
        planned, self._planned = self._planned, None
        self._answered.clear()
        return planned

    async def work(self) -> None:
        """Serve requests for ever; run it as a task beside the loop."""
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                if self._waiting is not None:
                    (seq, made_from), self._waiting = self._waiting, None
                    await self._answer(seq, made_from)
        finally:
            self.stop()

    @property
    def worker_pid(self) -> int | None:
        """The process that plans, when there is one."""
        return self._process.pid if self._process is not None else None

    async def _answer(self, seq: int, made_from: PlanInputs) -> None:
        for attempt in (1, 2):
            why = ""
            try:
                pipe = self._worker()
                pipe.send(made_from)
                async with asyncio.timeout(self._deadline_s):
                    answer: dict[str, Any] = await _receive(pipe)
                if "error" not in answer:
                    self._deliver(seq, cast(PlanDocument, answer))
                    return
                why = f"the planner failed: {answer['error']}"
            except TimeoutError:
                why = f"the planner had no answer within {self._deadline_s:g} s"
            except (OSError, EOFError):
                why = "the planner's process died"
            log.warning("the planner is replaced", attempt=attempt, why=why)
            self.stop()
            if attempt == 1:
                await self._without_worker(seq, made_from, why)
            if self._asked.is_set():
                return

    async def _without_worker(self, seq: int, made_from: PlanInputs, why: str) -> None:
        try:
            self._deliver(seq, await asyncio.to_thread(rule_based, made_from, why))
        except Exception as fault:  # whatever it is, the loop must learn of it
            log.error("no plan", error=repr(fault))
            self._deliver(seq, None, f"{why}; by merit order: {fault!r}")

    def _deliver(self, seq: int, made: PlanDocument | None, failed: str = "") -> None:
        self._planned = Planned(at=self._clock.now(), as_of=seq, plan=made, failed=failed)
        self._answered.set()

    def _worker(self) -> Connection:
        if self._pipe is None or not self._process.is_alive():
            self.stop()
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True, name="loadstone-planner")
            self._process.start()
            theirs.close()
        return self._pipe

    def stop(self) -> None:
        """End the worker process."""
        if self._process is not None:
            self._process.kill()
            self._process.join(5)
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


async def _receive(pipe: Connection) -> Any:
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    return pipe.recv()


def _serve(pipe: Connection, parent: int) -> None:
    die_with_parent(parent)
    session = Session()
    while True:
        try:
            made_from = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(make_plan(made_from, session))
        except Exception as fault:  # whatever it is, the loop must learn of it
            pipe.send({"error": repr(fault)})
