"""The alert about rigs: groups that do not respond, and groups that are left asleep."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.decide.fit_to_limit import not_ours_to_wake
from dispatch.decide.group_state import sleep_index
from dispatch.decide.state import State
from dispatch.entries import GroupSeen


def rigs_alert(state: State, fleet: Mapping[str, GroupSeen]) -> str:
    """Sentences on the rigs as just read (`fleet`) and as last folded (`state`); empty when all is well."""
    return "; ".join(sentence for sentence in (_silent(state, fleet), _left_asleep(state)) if sentence)


def _silent(state: State, fleet: Mapping[str, GroupSeen]) -> str:
    """A sentence on the groups of which fewer than half of the rigs respond; empty when there are none."""
    rigs = {g.name: g.rigs for g in state.site.groups}
    few = [(name, seen.reachable) for name, seen in fleet.items() if 2 * seen.reachable < rigs[name]]
    return "; ".join(f"group {name}: {n} of {rigs[name]} rigs responding" for name, n in few)


def _left_asleep(state: State) -> str:
    """A sentence on the groups of which every rig that responds was put to sleep by somebody else, so that none is woken; empty when there
    are none."""
    groups = []
    for group in state.site.groups:
        now = state.fleet[group.name]
        left = not_ours_to_wake(state.site, now.asleep_by_others(sleep_index(group)))
        if now.reachable and int(left.sum()) == now.reachable:
            groups.append(group.name)
    if not groups:
        return ""
    return (
        f"the rigs of {', '.join(groups)} sleep, and Loadstone did not put them to sleep, so it does not wake them: hold the group in an"
        ' awake mode, or set wakes = "all" in [site]'
    )
