"""Every fault of a rig, on a tenth and on three tenths of the rigs, from the start and later, with and without a meter: a call is kept in
time wherever the healthy rigs suffice, what is missed is named within a tick, and no rig gets more commands than its budget.

The judge reads the true load of the simulated fleet, as a revenue meter would, not what rigs or our own books say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from dispatch.alerting.conditions import AlertCondition, conditions
from dispatch.decide.fit_to_limit import KEPT_WITHIN_W
from dispatch.decide.order_budget import COMMANDS_PER_HOUR
from dispatch.decide.state import State
from dispatch.entries import Commanded, entry_to_json
from dispatch.evidence.event_packet import event_document
from dispatch.evidence.loads_seen import loads_seen
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.sim.fleet import Answers, Fleet
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store.journal import MemoryJournal
from dispatch.web.live_view import LiveView
from dispatch.web.state_document import Health, state_document
from markets.facts import Call, CallKind
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.scenarios.test_promises_kept import CALLED, HOUR, MINUTE, NEW, OLD, RESPONSE, site, true_mw

FULL_MW = OLD * 0.0030 + NEW * 0.0035
ENDS = CALLED + HOUR
# A rig that wakes by itself or comes back draws until it is read, ordered and asleep, or until others sleep in its place.
CAUGHT = timedelta(seconds=15)
# A rig that obeys in part cannot be told from one that still stops before its 12 s are over; those that stop in its place may do the same.
CAUGHT_LATER = {RigFault.PARTIAL: timedelta(seconds=30)}
# Less above a cap than this is no miss: any rig draws more.
KEPT_WITHIN_MW = KEPT_WITHIN_W / 1e6
HEALTH = Health(ready=True, ledger="ok", leader="ok", loop="ok", plan="ok", prices="ok", seen_age_s=0.0, rigs_reachable=OLD + NEW)
# What rigs that do not measure their watts draw is known from the catalogue alone where there is no meter.
CATALOGUE_SHARE = 0.01


class CountingFleet(Fleet):
    """A fleet that counts the commands to each rig, with their instants."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.commands: dict[tuple[str, int], list[float]] = defaultdict(list)

    def command(self, group: str, rigs: Any, mode: str) -> Answers:
        for rig in rigs:
            self.commands[group, int(rig)].append(self.now_s)
        return super().command(group, rigs, mode)

    def most_in_an_hour(self) -> int:
        return max((sum(at <= t < at + 3600.0 for t in times) for times in self.commands.values() for at in times), default=0)


class Judge:
    """What a revenue meter would have recorded, and what the journal says."""

    def __init__(self) -> None:
        self.mw: list[tuple[Any, float]] = []
        self.journal = MemoryJournal()

    def over(self, cap_mw: float, since: Any, until: Any, caught: timedelta) -> Iterator[tuple[Any, float]]:
        """Instants at which the load was over a cap, and had been for longer than it takes to catch a rig."""
        began = None
        for at, mw in self.mw:
            began = None if mw <= cap_mw + KEPT_WITHIN_MW else began or at
            if began is not None and since <= at < until and at - began > caught:
                yield at, mw

    def named(self) -> list[Commanded]:
        return [e for _, e in self.journal.read() if isinstance(e, Commanded) and e.shortfall_mw.get("plant", 0.0) > 0]


def called(mw_cap: float) -> Call:
    return Call(
        source="qse", known_at=CALLED, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=CALLED, start_at=CALLED,
        end_at=ENDS, mw_cap=mw_cap,
    )  # fmt: skip


async def judged(fault: RigFault, share: float, later: bool, metered: bool, cap_mw: float, seed: int) -> tuple[Judge, CountingFleet]:
    """A site at full load under a call of an hour, and the hour after it, in which the rigs wake again."""
    setup = site(metered)
    begins = CALLED + 20 * MINUTE if later else NOON - MINUTE
    spec = spec_of(setup.site.groups).with_faults([ScheduledFault(fault, None, None, share, begins.timestamp())])
    fleet, judge = CountingFleet(spec, seed, NOON.timestamp()), Judge()
    made = world(setup, NOON, [*prices([20.0] * 24, NOON - 2 * HOUR), hashprice(45.0, NOON), called(cap_mw)], fleet=fleet)
    watched = made.clock.sleep_until

    async def sleep_until(at: Any) -> None:
        """Time passes in steps of at most 5 s, and the meter reads at each."""
        while (now := made.clock.now()) < at:
            await watched(min(at, now + timedelta(seconds=5)))
            fleet.advance(made.clock.now().timestamp())
            judge.mw.append((made.clock.now(), true_mw(setup, fleet)))

    made.clock.sleep_until = sleep_until  # type: ignore[method-assign]
    started, state = run_started("replay", setup, NOON, 1), State.start(setup, setup_from_document)
    await loop.run(made, judge.journal, state, started, ENDS + HOUR / 2)
    return judge, fleet


def assert_named_everywhere(setup: Setup, journal: MemoryJournal, call: Call) -> None:
    """What a decision says is missed is in the state that the page shows, an alert that is sent in quiet hours too, and in the packet."""
    view, rows, missed_mw = LiveView(State.start(setup, setup_from_document)), list(journal.read()), 0.0
    changes: list[tuple[int, float]] = []
    for seq, entry in rows:
        view.fold([(seq, entry)])
        if isinstance(entry, Commanded) and entry.shortfall_mw.get("plant", 0.0) != missed_mw:
            missed_mw = entry.shortfall_mw.get("plant", 0.0)
            shown = state_document(view, entry.at, None, HEALTH)
            text = f"plant is missed by {missed_mw:.3f} MW with every rig that obeys"
            assert [a["message"] for a in shown["alerts"] if a["source"] == "shortfall of plant"] == ([text] if missed_mw else [])
            assert conditions(shown).get("shortfall of plant") == (AlertCondition(text, urgent=True) if missed_mw else None)
            changes += [(seq, missed_mw)] if CALLED <= entry.at < ENDS else []
    documents = [(seq, entry_to_json(entry)) for seq, entry in rows if CALLED <= entry.at < ENDS]
    loads = loads_seen((entry for _, entry in rows), setup.site, view.state.net_meters)
    packet = event_document("c1", [call], documents, view.state, loads, ENDS)
    assert [(row["seq"], row["mw"]) for row in packet["shortfalls"]] == changes
    assert {d["seq"]: d["shortfall_mw"] for d in packet["decisions"]} == {
        seq: entry.shortfall_mw for seq, entry in rows if isinstance(entry, Commanded) and CALLED <= entry.at < ENDS
    }


def cases() -> Iterator[Any]:
    """The whole matrix; by default one case of every third fault, between them every other choice."""
    for n, fault in enumerate(RigFault):
        for k, (share, later, metered) in enumerate((s, t, m) for s in (0.1, 0.3) for t in (False, True) for m in (True, False)):
            name = f"{fault}-{share:.0%}-{'later' if later else 'from the start'}-{'metered' if metered else 'unmetered'}"
            marks = [] if n % 3 == 0 and k == n % 8 else [pytest.mark.slow]
            yield pytest.param(fault, share, later, metered, 8 * n + k, id=name, marks=marks)


@pytest.mark.parametrize(("fault", "share", "later", "metered", "seed"), list(cases()))
async def test_a_call_is_kept_or_what_is_missed_is_named(fault: RigFault, share: float, later: bool, metered: bool, seed: int) -> None:
    """Once with a cap that the healthy rigs suffice for, once with one that needs every rig."""
    enough_mw, caught = share * FULL_MW * 1.05 + 0.012, CAUGHT_LATER.get(fault, CAUGHT)
    judge, fleet = await judged(fault, share, later, metered, enough_mw, seed)
    assert max(mw for at, mw in judge.mw if at < CALLED) > 0.5 * FULL_MW
    unmeasured = fault is RigFault.REPORTS_NO_WATTS and not metered
    assert not list(judge.over(enough_mw * (1.0 + CATALOGUE_SHARE * unmeasured), CALLED + RESPONSE, ENDS, caught))
    assert fleet.most_in_an_hour() <= COMMANDS_PER_HOUR

    judge, fleet = await judged(fault, share, later, metered, 0.006, seed)
    missed = list(judge.over(0.006 + 0.0005, CALLED + RESPONSE, ENDS, caught))
    named = [c for c in judge.named() if c.at < ENDS]
    assert not missed or (named and named[0].at <= missed[0][0] + timedelta(seconds=60)), missed[0]
    assert_named_everywhere(site(metered), judge.journal, called(0.006))
    assert fleet.most_in_an_hour() <= COMMANDS_PER_HOUR
