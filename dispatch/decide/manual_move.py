"""What a manual move would do, before it is done: megawatts, dollars an hour, and the promises it touches. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from dispatch.decide.decide import target_mw
from dispatch.decide.reflex import STOP_ID, Wanted, wanted
from dispatch.decide.state import State
from dispatch.entries import Hold
from markets.outlook import PriceBasis
from optimizer.domain.site import Scope

# A promise that falls short by less than this more is not touched: it is less than any rig draws.
TOUCHED_MW = 1e-4


@dataclass(frozen=True, slots=True)
class MovePreview:
    """What a move changes against what the site would do without it, at once.

    groups         those that the hold or the stop is for
    now_mw         by group, what it draws by its last reading
    without_mw     by group, the load that is wanted without the move
    with_mw        by group, the load that is wanted with it
    usd_per_hour   what the move earns an hour, by the real-time prices of energy and the hashprice; None where one of them is not known now
    promises_mw    by promise, by how many MW more it would be missed
    reasons        the sentences of the decision that the move would make
    """

    groups: tuple[str, ...]
    now_mw: Mapping[str, float]
    without_mw: Mapping[str, float]
    with_mw: Mapping[str, float]
    usd_per_hour: float | None
    promises_mw: Mapping[str, float]
    reasons: tuple[str, ...]

    @property
    def moved_mw(self) -> float:
        """How much load moves, whichever way, MW: the more of what changes against the decision in force and against the readings. Groups
        that the move neither is for nor changes count with neither: what they do now they do anyway."""
        after, without = self.with_mw, self.without_mw
        moved = [g for g in after if g in self.groups or abs(after[g] - without[g]) > TOUCHED_MW]
        return max(sum(abs(after[g] - before.get(g, 0.0)) for g in moved) for before in (without, self.now_mw))


def preview_hold(state: State, at: datetime, hold: Hold) -> MovePreview:
    """What a hold would do, or its release where it is released."""
    others = {id_: each for id_, each in state.holds.items() if id_ != hold.id}
    held = state.holds.get(hold.id, hold) if hold.released else hold
    moved = replace(state, holds=others if hold.released else {**others, hold.id: hold})
    return _preview(state, moved, at, Scope(groups=(held.group,) if held.group else None))


def preview_stop(state: State, at: datetime, *, ends: bool = False) -> MovePreview:
    """What the global stop would do, or its end."""
    others = {id_: each for id_, each in state.holds.items() if id_ != STOP_ID}
    stop = Hold(id=STOP_ID, group=None, mode=None, mw_cap=None, until=None, by="preview")
    return _preview(state, replace(state, holds=others if ends else {**others, STOP_ID: stop}), at, Scope())


def _preview(state: State, moved: State, at: datetime, of: Scope) -> MovePreview:
    without, with_move = wanted(state, at), wanted(moved, at)
    more = {name: mw - without.short.get(name, 0.0) for name, mw in with_move.short.items()}
    return MovePreview(
        groups=of.names(state.site),
        now_mw={g.name: round(_now_mw(state, g.name, at), 6) for g in state.site.groups},
        without_mw=target_mw(state, at, without),
        with_mw=target_mw(state, at, with_move),
        usd_per_hour=_usd_per_hour(state, at, without, with_move),
        promises_mw={name: round(mw, 6) for name, mw in more.items() if mw > TOUCHED_MW},
        reasons=with_move.reasons,
    )


def _now_mw(state: State, group: str, at: datetime) -> float:
    return state.fleet[group].load_mw * state.overhead(group, at)


def _usd_per_hour(state: State, at: datetime, without: Wanted, with_move: Wanted) -> float | None:
    """Energy at each meter's price and hashing at the hashprice; no other charge of a contract. None while no real-time price is known:
    the last one may be of another day."""
    hashprice = state.facts.hashprice(at)
    if hashprice is None or state.price_basis != PriceBasis.REAL_TIME:
        return None
    before, after, usd = target_mw(state, at, without), target_mw(state, at, with_move), 0.0
    for group in state.site.groups:
        price = state.facts.last_price(state.site.meter_of[group.name].settlement_point)
        if price is None:
            return None
        rigs = zip(with_move.counts[group.name], without.counts[group.name], group.modes, strict=True)
        ph = sum((n - m) * mode.ths for n, m, mode in rigs) / 1000.0
        usd += ph * hashprice.usd_per_ph_day / 24.0 - (after[group.name] - before[group.name]) * price.usd_per_mwh
    return round(usd, 2)
