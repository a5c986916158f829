"""What people's holds leave a plan: how many rigs of a group may draw in each interval, and the site's load. Pure.

A hold in a mode that draws is not in a plan: the decisions keep its group there (`dispatch.decide.reflex`), whatever the plan says.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.group_state import sleep_index
from dispatch.decide.state import State
from dispatch.entries import Hold
from markets.facts import Call, CallKind
from markets.grid import Grid
from optimizer.domain.site import RigGroup

PLANT = "plant"  # the contract that holds the limits of the whole site; every book has one


def rigs_that_holds_leave(state: State, group: RigGroup, grid: Grid, rigs: int) -> NDArray[np.float64]:
    """Of so many rigs of a group, how many may draw in each interval, shape (n,). An interval in which a hold ends counts as held: the end
    of a hold calls for a new plan."""
    found = np.full(len(grid), float(rigs))
    for hold in state.holds.values():
        if hold.group in (None, group.name):
            held = grid.edges[:-1] < (hold.until.timestamp() if hold.until else np.inf)
            found[held] = np.minimum(found[held], _most_rigs(state, hold, group, grid.start, rigs))
    return found


def _most_rigs(state: State, hold: Hold, group: RigGroup, at: datetime, rigs: int) -> float:
    sleep = sleep_index(group)
    if hold.mode is not None and sleep is not None and hold.mode == group.modes[sleep].name:
        return 0.0
    if hold.mw_cap is None or hold.group is None:
        return rigs
    watts = group.full.watts * state.overhead(group.name, at)
    return min(rigs, np.floor(hold.mw_cap * 1e6 / watts)) if watts > 0 else rigs


def site_holds_as_calls(state: State, at: datetime) -> tuple[Call, ...]:
    """Holds of the whole site's load, as calls under its own contract: a plan keeps both alike."""
    name = next((o.name for o in state.setup.book if o.type == PLANT), None)
    holds = [hold for hold in state.holds.values() if hold.group is None and hold.mw_cap is not None]
    return tuple(_as_call(hold, name, at) for hold in holds) if name is not None else ()


def _as_call(hold: Hold, obligation: str, at: datetime) -> Call:
    since = at.replace(microsecond=0)
    return Call(
        source=hold.by,
        known_at=since,
        id=f"hold {hold.id}",
        version=1,
        obligation=obligation,
        kind=CallKind.DEPLOY,
        notice_at=since,
        start_at=since,
        end_at=hold.until,
        mw_cap=hold.mw_cap,
    )
