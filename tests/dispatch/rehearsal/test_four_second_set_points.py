"""Set points every four seconds, as a controllable load is dispatched by, on the simulated rigs: how closely they are tracked.

A stop sheds its watts in seconds: falling and steady set points are tracked within 1 % of the range. A start takes a minute to reach its
watts, half of which is the lag of the load behind a set point that rises: the error is the rate of rise times about 34 s.
"""

from __future__ import annotations

import numpy as np

from dispatch.rehearsal.modbus_desk import ModbusDesk
from dispatch.rehearsal.play import play
from dispatch.rehearsal.rehearsal import Rehearsal
from dispatch.rehearsal.scenarios import SET_POINTS, CallScenario, Expected, Message
from dispatch.site_file.load import setup_from_document
from tests.sites import document, group

STEP_S = 4
SETTLED = 20  # set points until the first one, a step, is reached
# A minute of falling by a tenth of the range, half a minute steady, two minutes of rising by 1.5 % a minute.
FALLS = [0.8] * SETTLED + [0.8 - 0.1 * STEP_S / 60 * n for n in range(1, 16)]
SHARES = [*FALLS, *([FALLS[-1]] * 8), *(FALLS[-1] + 0.015 * STEP_S / 60 * n for n in range(1, 31))]


def controllable_load() -> Rehearsal:
    """A site with a controllable load of 400 rigs, each of which is 0.25 % of its range."""
    site = document(
        site={**document()["site"], "interconnect_mw": 3.0, "wakes": "all"},
        meters=[{"id": "main"}, {"id": "clr"}],
        halls=[{"name": "a", "meter": "main", "limit_mw": 0.5}, {"name": "b", "meter": "clr", "limit_mw": 2.0}],
        groups=[group("a-old", "a", watts=3000.0, ths=100.0, rigs=4), group("b-new", "b", watts=3500.0, ths=200.0, rigs=400)],
        obligations=[
            {"type": "power"},
            {"type": "ancillary", "scope": {"meter": "clr"}, "products": ["ECRS"], "qualified_mw": {"ECRS": 1.0}},
        ],
    )
    return Rehearsal(setup_from_document(site))


async def test_set_points_of_four_seconds_are_tracked_within_1_percent_of_the_range() -> None:
    rehearsal, minutes = controllable_load(), len(SHARES) * STEP_S / 60
    loads = rehearsal.loads["ancillary"]
    messages = tuple(Message(n * STEP_S / 60, "set_point", round(share, 7)) for n, share in enumerate(SHARES))
    scenario = CallScenario("four seconds", "", messages, (Expected(0, minutes, 0.0),), minutes, SET_POINTS, contract="ancillary")
    (played,) = (await play(rehearsal.setup, [(scenario, ModbusDesk())])).plays
    assert all(accepted for _, accepted in played.accepted) and len(played.accepted) == len(SHARES)
    errors = []
    for at, mw in played.readings:
        n = int((at - played.start).total_seconds() / STEP_S - 1e-6)
        if SETTLED <= n < len(SHARES):
            errors.append(abs(mw - loads.at(SHARES[n])) / loads.width_mw)
    assert len(errors) >= len(SHARES) - SETTLED - 1, "each set point is answered before the next"
    assert np.mean(np.array(errors) <= 0.01) >= 0.99, np.round(100.0 * np.array(errors), 2)
