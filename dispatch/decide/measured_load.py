"""What a part of the site draws: the best measurement there is of it, and how far it is from what the rigs' modes should draw.

Source order: a meter, then a feeder or a PDU, then what the rigs say themselves, then the catalogue's watts of their modes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import numpy as np

from dispatch.decide.group_state import UNKNOWN, UNREACHABLE, WAKING, Codes, GroupState, heading
from dispatch.decide.state import State
from dispatch.entries import MeterId, MeterKind
from optimizer.domain.site import RigGroup, Scope, Site

# Rigs draw up to this much more than their nameplate says before we distrust the meter instead.
MOST_BIAS = 1.3
# A meter may say this much less than the rigs that answer should draw; beyond it is the meter that is wrong.
MOST_BELOW = 0.1
# So long after rigs were told to wake their watts may not be up yet: a meter that reads low then proves nothing.
RISING_S = 120.0


def groups_behind(site: Site, meter: MeterId) -> tuple[str, ...]:
    """The names of the groups whose load a meter measures."""
    scopes = {
        MeterKind.METER: Scope(meter=meter.name),
        MeterKind.HALL: Scope(hall=meter.name),
        MeterKind.GROUP: Scope(groups=(meter.name,)),
    }
    return scopes[meter.kind].names(site)


def watts_at_meter(state: State, group: RigGroup, at: datetime) -> list[float]:
    """Watts a rig of each mode adds at the meter now: nameplate, raised by what the group is seen to draw above it, with overhead."""
    overhead = state.overhead(group.name, at)
    now = state.fleet[group.name]
    # The load that was seen is the load of the modes that were seen, silent rigs as they were: what was commanded since has not changed it.
    nominal_w = sum(m.watts * float((now.drew == k).sum()) for k, m in enumerate(group.modes))
    bias = float(np.clip(now.load_mw * 1e6 / nominal_w, 1.0, MOST_BIAS)) if nominal_w > 0 else 1.0
    return [m.watts * bias * overhead for m in group.modes]


def effective(group: RigGroup, now: GroupState) -> Codes:
    """By rig: the index of the mode it is taken to be in, or UNKNOWN.

    What was seen counts once it was looked at after the last command, or where that command did not take;
    a waking rig is where it is going.
    """
    found = np.where(now.seen >= 0, now.seen, np.where(now.seen == WAKING, heading(group, now.wanted), now.wanted))
    codes: Codes = np.where((now.looked_s > now.told_s) | (now.tries > 0), found, now.wanted)
    return codes


def load_w(state: State, at: datetime, codes: Codes, group: RigGroup) -> float:
    """Watts at the meter of rigs in these modes."""
    return sum(w * float((codes == k).sum()) for k, w in enumerate(watts_at_meter(state, group, at)))


def silent_w(state: State, at: datetime, names: Iterable[str]) -> float:
    """Watts at the meter of rigs that do not answer, as they were last read: silence is no shed load."""
    groups = ((state.site.group(n), state.fleet[n]) for n in names)
    return sum(load_w(state, at, np.where(now.seen == UNREACHABLE, now.drew, UNKNOWN), g) for g, now in groups)


def offset_w(state: State, at: datetime, names: Sequence[str]) -> float:
    """What a part of the site is measured to draw beyond what its rigs' modes say, watts at the meter."""
    found = sum(measured - expected for measured, expected in _parts(state, at, names))
    rising = any(((now.told_s > at.timestamp() - RISING_S) & (now.wanted > 0)).any() for now in (state.fleet[n] for n in names))
    least = 0.0 if rising else -MOST_BELOW * sum(_as_looked(state, at, n) for n in names) - silent_w(state, at, names)
    return max(found, least)


def _parts(state: State, at: datetime, names: Sequence[str]) -> Iterator[tuple[float, float]]:
    """(measured, expected) watts at the meter of the parts that the whole falls into."""
    left = set(names)
    for kind in MeterKind:
        for meter, mw in state.meters.items():
            behind = groups_behind(state.site, meter)
            if meter.kind is kind and behind and left.issuperset(behind):
                left -= set(behind)
                overhead = state.overhead(behind[0], at) if kind is MeterKind.GROUP else 1.0
                yield mw * 1e6 * overhead, sum(_when_metered(state, at, n) for n in behind)
    for name in names:
        if name in left:
            yield state.fleet[name].load_mw * 1e6 * state.overhead(name, at), _as_looked(state, at, name)


def _as_looked(state: State, at: datetime, name: str) -> float:
    return load_w(state, at, state.fleet[name].drew, state.site.group(name))


def _when_metered(state: State, at: datetime, name: str) -> float:
    """What a group should have drawn when the meters were last read: at the last look, or after the orders that followed it."""
    if not state.metered_after:
        return _as_looked(state, at, name)
    group, now = state.site.group(name), state.fleet[name]
    codes = np.where(now.seen == UNREACHABLE, now.drew, effective(group, now))
    return load_w(state, at, codes, group)
