"""A month's coincident peak is known at any start: plan, what-if, the first observation of a run, and a replay."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import Planned, Seen
from dispatch.runtime import loop
from dispatch.runtime.history import facts_before
from dispatch.runtime.redecide import redecide
from dispatch.service.replay import run_started
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store.journal import MemoryJournal
from markets.facts import LoadForecast, SystemLoad
from markets.grid import Interval, Market, OperatingDay
from tests.dispatch.worlds import world
from tests.fakes import FixedSource, hashprice, prices
from tests.sites import document

HOUR = timedelta(hours=1)
AT = datetime(2026, 8, 20, 17, tzinfo=UTC)  # noon in Texas
FOUR_CP = {"type": "transmission", "method": "4cp", "usd_per_kw_year": 70.0}
BOOK: list[dict[str, Any]] = [{"type": "power", "adders_usd_per_mwh": 6.15}, FOUR_CP]


def site() -> Setup:
    return setup_from_document(document(obligations=BOOK))


def month(hot_day: int = 3, late_h: float = 0.0) -> list[Any]:
    """Loads of August up to AT, of 60 GW and of 85 GW at 17:00 on one day, published `late_h` hours after they end, and a forecast of 75 GW
    for this afternoon; prices and hashprice of the last two days."""
    facts: list[Any] = []
    for day in range(1, 21):
        start = OperatingDay(Market.ERCOT, datetime(2026, 8, day).date()).start
        for hour in range(24):
            over, hot = Interval(start + hour * HOUR, start + (hour + 1) * HOUR), day == hot_day and hour == 17
            if over.end <= AT:
                known_at = over.end + late_h * HOUR if hot else over.end
                facts.append(SystemLoad(source="t", known_at=known_at, over=over, load_mw=85_000.0 if hot else 60_000.0))
            elif day == 20:
                mw = 75_000.0 if hour == 17 else 60_000.0
                facts.append(LoadForecast(source="t", known_at=start - 12 * HOUR, over=over, load_mw=mw))
    facts += prices([30.0] * 48 * 4, AT - 40 * HOUR)
    facts += prices([30.0] * 72, AT - 40 * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=AT - 40 * HOUR)
    return [*facts, hashprice(45.0, AT - 8 * HOUR)]


def chance_this_afternoon(state: State, at: datetime = AT) -> float:
    outlook = inputs(state, at).outlook
    here = [share for over, share in zip(outlook.grid.intervals, outlook.peak_share[15].values, strict=True) if over.end <= at + 12 * HOUR]
    return float(sum(here))


def test_a_plan_without_a_run_knows_the_months_highest_load_of_three_weeks_ago() -> None:
    facts = asyncio.run(facts_before(FixedSource(month()), site(), (AT - timedelta(days=8), AT)))
    state = State.start(site(), setup_from_document).after(Seen(at=AT, facts=tuple(facts)), 1)
    assert max(f.load_mw for f in state.facts.loads) == 85_000.0
    assert chance_this_afternoon(state) < 1e-6


def test_a_load_published_late_is_not_known_before() -> None:
    """The peak of the third is published on the 25th: until then 75 GW this afternoon may be the month's highest."""
    facts = asyncio.run(facts_before(FixedSource(month(late_h=22 * 24)), site(), (AT - timedelta(days=8), AT)))
    assert max(f.load_mw for f in facts if isinstance(f, SystemLoad)) == 60_000.0
    assert all(f.known_at <= AT for f in facts)
    state = State.start(site(), setup_from_document).after(Seen(at=AT, facts=tuple(facts)), 1)
    assert chance_this_afternoon(state) > 0.1


@pytest.mark.parametrize("hot_day", [3, 17])
def test_the_first_run_of_a_site_begins_with_the_month_and_redecides_alike(hot_day: int) -> None:
    """The loads of the month come with the first observation, through the journal; the site does not yield to 75 GW in the afternoon."""
    setup, journal = site(), MemoryJournal()
    made = world(setup, AT, month(hot_day))
    state = State.start(setup, setup_from_document)
    state = asyncio.run(loop.run(made, journal, state, run_started("replay", setup, AT, 1), AT + timedelta(minutes=20)))
    first = next(entry for _, entry in journal.read() if isinstance(entry, Seen))
    loads = [f for f in first.facts if isinstance(f, SystemLoad)]
    assert min(f.over.start for f in loads) == datetime(2026, 8, 1, 5, tzinfo=UTC) and len(loads) == len({f.over for f in loads})
    planned = [entry.plan for _, entry in journal.read() if isinstance(entry, Planned) and entry.plan]
    assert planned and all(row["load_mw"] > 0.1 for row in planned[0]["intervals"])
    again = redecide(journal.read())
    assert again.plans and not again.findings
    other = [f for f in first.facts if not isinstance(f, SystemLoad | LoadForecast)]
    assert all(f.known_at > AT - timedelta(days=2) for f in other), "prices of the last two days only"


def test_a_run_that_goes_on_does_not_ask_for_the_month_again() -> None:
    setup, journal = site(), MemoryJournal()
    state = State.start(setup, setup_from_document)
    for at in (AT, AT + 2 * HOUR):
        made = world(setup, at, month())
        state = asyncio.run(loop.run(made, journal, state, run_started("replay", setup, at, 1), at + timedelta(minutes=10)))
    seen = [[f for f in entry.facts if isinstance(f, SystemLoad)] for _, entry in journal.read() if isinstance(entry, Seen)]
    assert len(seen[0]) > 400 and sum(map(len, seen[1:])) == 0


def test_a_contract_added_later_brings_the_month_it_needs() -> None:
    """A site that ran without a coincident charge for a day, and then has one: what the journal lacks of the month comes with the next
    start."""
    plain, journal = setup_from_document(document(obligations=BOOK[:1])), MemoryJournal()
    state = State.start(plain, setup_from_document)
    for at, setup in ((AT, plain), (AT + HOUR, site())):
        made = world(setup, at, month())
        state = asyncio.run(loop.run(made, journal, state, run_started("replay", setup, at, 1), at + timedelta(minutes=10)))
    assert chance_this_afternoon(state, AT + HOUR) < 1e-6
    loads = [f for _, entry in journal.read() if isinstance(entry, Seen) for f in entry.facts if isinstance(f, SystemLoad)]
    assert len(loads) == len({f.over for f in loads})
