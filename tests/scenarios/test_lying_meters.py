"""A site whose revenue meter lies, in eight ways, under a call: the rigs are kept to the call whatever the meter says, a meter that does
not follow them is named within two minutes, and no lie puts the whole site to sleep.

The judge reads the true load of the simulated fleet.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.power_meters import MeterId
from dispatch.runtime import loop
from dispatch.runtime.redecide import redecide
from dispatch.service.replay import run_started
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import MemoryJournal
from markets.facts import Call, CallKind
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.scenarios.test_promises_kept import CALLED, HOUR, MINUTE, RESPONSE, site, true_mw

MAIN, CAP_MW, FULL_MW = MeterId.parse("meter main"), 0.2, 0.39
FROM_S = CALLED.timestamp() - 600.0
NOISE = random.Random(2)


def late(read: dict[float, float], mw: float, at_s: float) -> float:
    """What the load was two minutes ago."""
    read[at_s] = mw
    return read[max((s for s in read if s <= at_s - 120.0), default=at_s)]


def meters() -> dict[str, Callable[[float, float], float]]:
    """By lie, what is read of the true load; every lie begins ten minutes before the call."""
    earlier: dict[float, float] = {}
    lies: dict[str, Callable[[float, float], float]] = {
        "stuck high": lambda mw, at: FULL_MW,
        "stuck low": lambda mw, at: 0.05,
        "negative": lambda mw, at: -mw,
        "zero": lambda mw, at: 0.0,
        "a tenth": lambda mw, at: 0.1 * mw,
        "ten times": lambda mw, at: 10.0 * mw,
        "late": lambda mw, at: late(earlier, mw, at),
        "noisy": lambda mw, at: mw * (1.0 + NOISE.uniform(-0.03, 0.03)),
    }
    return {name: lambda mw, at, lie=lie: lie(mw, at) if at >= FROM_S else mw for name, lie in lies.items()}  # type: ignore[misc]


@pytest.mark.parametrize("name", list(meters()))
async def test_a_call_is_kept_by_the_rigs_where_the_meter_lies(name: str) -> None:
    setup = site(True)
    fleet = Fleet(spec_of(setup.site.groups), 1, NOON.timestamp())
    call = Call(
        source="qse", known_at=CALLED, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=CALLED, start_at=CALLED,
        end_at=CALLED + HOUR, mw_cap=CAP_MW,
    )  # fmt: skip
    facts = [*prices([20.0] * 24, NOON - 2 * HOUR), hashprice(60.0, NOON), call]
    made, journal, rest = world(setup, NOON, facts, fleet=fleet, meter_reads=meters()[name]), MemoryJournal(), None
    loads: list[tuple[datetime, float]] = []
    rest = made.clock.sleep_until

    async def sleep_until(at: datetime) -> None:
        while (now := made.clock.now()) < at:
            await rest(min(at, now + timedelta(seconds=5)))
            fleet.advance(made.clock.now().timestamp())
            loads.append((made.clock.now(), true_mw(setup, fleet)))

    made.clock.sleep_until = sleep_until  # type: ignore[method-assign]
    await loop.run(made, journal, State.start(setup, setup_from_document), run_started("replay", setup, NOON, 1), CALLED + HOUR - MINUTE)
    assert min(mw for at, mw in loads if NOON + 5 * MINUTE < at < CALLED - 10 * MINUTE) > 0.3
    during = [mw for at, mw in loads if at >= CALLED + RESPONSE]
    assert max(during) <= CAP_MW * (1.03 if name == "noisy" else 1.0)
    assert max(mw for at, mw in loads if at >= CALLED + HOUR / 2) > 0.8 * CAP_MW, "the site is not left asleep"
    observed = [e for _, e in journal.read() if isinstance(e, Seen)]
    named = [e for e in observed if e.meter_doubts]
    if name == "noisy":
        assert not named
    else:
        assert named and named[0].at <= CALLED + 2 * MINUTE
        assert named[0].alerts["meter main"].endswith(": the sum of its rigs' readings is used instead")
    assert redecide(journal.read()).findings == []
