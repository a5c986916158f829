"""What was ordered and cannot show yet: set points that change every few seconds are followed and not overshot, and what drifts under a
call is stopped again at once.

The judge reads the true load of the simulated fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispatch.decide.state import State
from dispatch.entries import Commanded, Seen
from dispatch.power_meters import MeterId
from dispatch.runtime import loop
from dispatch.runtime.redecide import redecide
from dispatch.service.replay import run_started
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import MemoryJournal, SqlJournal
from dispatch.store.tables import open_ledger
from markets.facts import Call, CallKind
from tests.dispatch.web.served import run_site
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.scenarios.test_promises_kept import CALLED, HOUR, METER, MINUTE, site, true_mw
from tests.sites import group, small

SECOND = timedelta(seconds=1)


def large_site(metered: bool) -> Any:
    """0.98 MW at full load, of which the halls let 0.92 run."""
    groups = [
        group("a-old", "a", watts=3000.0, ths=100.0, rigs=140, min_on_min=30, min_off_min=10),
        group("b-new", "b", watts=3500.0, ths=200.0, rigs=160, min_on_min=30, min_off_min=10),
    ]
    return small(groups=groups, meters=[{"id": "main", **({"driver": METER} if metered else {})}])


def set_points(targets: Sequence[float], every: timedelta) -> list[Call]:
    """Versions of one set point, each known when it begins."""
    starts = [CALLED + k * every for k in range(len(targets))]
    return [
        Call(
            source="qse", known_at=start, id="p", version=k, obligation="plant", kind=CallKind.SET_POINT, notice_at=start,
            start_at=start, end_at=CALLED + HOUR, mw_target=target,
        )
        for k, (start, target) in enumerate(zip(starts, targets, strict=True))
    ]  # fmt: skip


async def load_under(
    setup: Any, calls: Iterable[Call], faults: Iterable[ScheduledFault], until: datetime, meddle: Any = None
) -> tuple[list[tuple[datetime, float]], MemoryJournal]:
    """The true load every second, and the journal. `meddle(at, fleet)` is somebody else at the rigs."""
    fleet = Fleet(spec_of(setup.site.groups).with_faults(tuple(faults)), 3, NOON.timestamp())
    calls = tuple(calls)
    made = world(setup, NOON, [*prices([20.0] * 24, NOON - 2 * HOUR), hashprice(60.0, NOON), *calls], fleet=fleet)
    journal, loads = MemoryJournal(), list[tuple[datetime, float]]()
    rest, observe, observed = made.clock.sleep_until, made.observer.observe, [NOON]

    async def observe_at(at: datetime, state: State) -> Seen:
        observed.append(at)
        return await observe(at, state)

    async def urgent() -> None:
        """A call that became known since the last observation makes a tick at once, as one that is pushed does."""
        while not any(observed[-1] < call.known_at <= made.clock.now() for call in calls):
            await asyncio.sleep(0)

    async def sleep_until(at: datetime) -> None:
        while (now := made.clock.now()) < at:
            await rest(min(at, now + SECOND))
            fleet.advance(made.clock.now().timestamp())
            if meddle is not None:
                meddle(made.clock.now(), fleet)
            loads.append((made.clock.now(), true_mw(setup, fleet)))

    made.clock.sleep_until = sleep_until  # type: ignore[method-assign]
    made.observer.urgent, made.observer.observe = urgent, observe_at  # type: ignore[method-assign]
    await loop.run(made, journal, State.start(setup, setup_from_document), run_started("replay", setup, NOON, 1), until)
    return loads, journal


@pytest.mark.parametrize("metered", [True, False], ids=["metered", "unmetered"])
@pytest.mark.parametrize(("every_s", "step_mw"), [(4, 0.008), (1, 0.002)])
async def test_a_set_point_that_steps_down_every_few_seconds_is_followed_and_not_overshot(
    every_s: int, step_mw: float, metered: bool
) -> None:
    """What was ordered and not yet read was ordered again: 0.98 MW went to 0.33 under a set point of 0.83."""
    every, targets = timedelta(seconds=every_s), [0.91 - step_mw * k for k in range(18 * 4 // every_s)]
    setup = large_site(metered)
    loads, journal = await load_under(setup, set_points(targets, every), (), CALLED + 10 * MINUTE)
    point = {at: targets[min(len(targets) - 1, int((at - CALLED) / every))] for at, _ in loads if at >= CALLED}
    assert min(mw - point[at] for at, mw in loads if at >= CALLED) > -0.012, "never further below than the rigs of a step and a half"
    last = [mw for at, mw in loads if at >= CALLED + len(targets) * every + 30 * SECOND]
    assert max(abs(mw - targets[-1]) for mw in last) <= 0.0098, "within 1 % of the range"
    assert redecide(journal.read()).findings == []


async def test_calls_every_second_that_change_nothing_stop_no_rig_in_place_of_others() -> None:
    """Read-backs that were cut short counted as no effect: others were stopped in their place, down to 0.066 MW beside a cap of 0.85."""
    loads, _ = await load_under(large_site(True), set_points([0.85, 0.8501] * 60, SECOND), (), CALLED + 5 * MINUTE)
    assert min(mw for at, mw in loads if at >= CALLED) > 0.85 - 0.008
    assert max(mw for at, mw in loads if at >= CALLED + MINUTE) < 0.85 + 0.004


@pytest.mark.parametrize("liar", [False, True], ids=["all obey", "a liar holds an order open"])
async def test_rigs_that_are_woken_by_hand_under_a_call_are_asleep_again_within_15_s(liar: bool) -> None:
    """A liar's deadline of 60 s held the tick: 30 rigs woken by hand ran on for 240 s. A rig that wakes takes a minute to draw in full, so
    that nothing of it may be left 25 s later but what a rig asleep draws."""
    setup = site(True)
    woken_at = CALLED + 5 * MINUTE + 7 * SECOND
    faults = [ScheduledFault(RigFault.NO_EFFECT, "a-old", (1,))] if liar else []
    call = Call(
        source="qse", known_at=CALLED, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=CALLED, start_at=CALLED,
        end_at=CALLED + HOUR, mw_cap=0.02,
    )  # fmt: skip
    done: list[datetime] = []

    def meddle(at: datetime, fleet: Fleet) -> None:
        if at >= woken_at and not done:
            done.append(at)
            fleet.command("b-new", np.arange(10, 40), "normal")

    loads, journal = await load_under(setup, [call], faults, CALLED + 10 * MINUTE, meddle)
    asleep_mw = max(mw for at, mw in loads if CALLED + 4 * MINUTE <= at < woken_at)
    assert asleep_mw <= 0.02
    over = [at for at, mw in loads if at > done[0] and mw > 0.02]
    assert over and max(over) - done[0] <= 15 * SECOND
    gaps = np.diff([e.at.timestamp() for _, e in journal.read() if isinstance(e, Seen)])
    assert gaps.max() <= 300.0 and (gaps >= 0).all(), "every round has its own instant"


async def test_no_rig_is_woken_on_room_that_a_stop_under_way_has_not_made_yet() -> None:
    """Load that no rig reports comes on behind the meter under a cap, and a rig stops for it 5 s before a tick. At the tick the meter might
    still show what was drawn before the stop: the other load was taken for the stopped rig's, and another rig woken in its place."""
    setup, cap_mw, extra_at = site(True), 0.14, CALLED + 12 * MINUTE + 52 * SECOND
    fleet = Fleet(spec_of(setup.site.groups), 3, NOON.timestamp())
    call = Call(
        source="qse", known_at=CALLED, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=CALLED, start_at=CALLED,
        end_at=CALLED + HOUR, mw_cap=cap_mw,
    )  # fmt: skip
    facts = [*prices([20.0] * 24, NOON - 2 * HOUR), hashprice(60.0, NOON), call]
    made = world(setup, NOON, facts, fleet=fleet, meter_reads=lambda mw, at: mw + (0.0038 if at >= extra_at.timestamp() else 0.0))
    journal = MemoryJournal()
    started, state = run_started("replay", setup, NOON, 1), State.start(setup, setup_from_document)
    await loop.run(made, journal, state, started, CALLED + HOUR / 2)
    entries = [e for _, e in journal.read() if e.at >= extra_at]
    orders = [o for e in entries if isinstance(e, Commanded) for o in e.orders]
    assert orders and all(o.mode == "sleep" for o in orders), [(o.group, o.mode, o.rigs) for o in orders]
    over = [e.at for e in entries if isinstance(e, Seen) and e.meters[MeterId.parse("meter main")] > cap_mw]
    assert over and max(over) - extra_at <= 15 * SECOND


def test_rigs_that_replace_others_start_as_soon_as_those_are_read_to_have_stopped(tmp_path: Path) -> None:
    """The hall has room for one group. Holds that kept the worse one awake and the better one asleep end: no load is above the limit, and
    the rigs that had no room yet do not wait for the next tick, five minutes later."""
    groups = [group("a-old", "a", watts=3000.0, ths=100.0), group("b-new", "a", watts=3500.0, ths=200.0)]
    setup = small(groups=groups, meters=[{"id": "main", "driver": METER}], halls=[{"name": "a", "meter": "main", "limit_mw": 0.145}])
    until = (NOON + 22 * MINUTE).isoformat()
    holds = [("hold", {"group": name, "mode": mode, "until": until}) for name, mode in (("a-old", "normal"), ("b-new", "sleep"))]
    run_site(tmp_path, setup, 0.6, usd=[30.0] * 16, pushed=holds)
    entries = [e for _, e in SqlJournal(open_ledger(tmp_path)).read() if e.at >= NOON + 22 * MINUTE]
    first, second = (e for e in entries if isinstance(e, Commanded) and e.orders)
    assert first.skipped["b-new"] == {"no room under a limit yet": 34}
    assert {(o.group, o.mode) for o in second.orders} == {("b-new", "normal")} and second.at - first.at <= 15 * SECOND
    assert max(e.meters[MeterId.parse("meter main")] for e in entries if isinstance(e, Seen)) <= 0.145
