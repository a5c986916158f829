"""The document of `GET /api/v1/state`: what the site does now and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from typing_extensions import TypedDict

from dispatch.decide.decide import target_mw
from dispatch.decide.reflex import wanted
from dispatch.decide.state import State
from dispatch.web.documents import (
    IN_FORCE,
    UPCOMING,
    CurrentPrice,
    HoldInForce,
    calls_document,
    hashprice_now,
    hold_document,
    iso,
    price_now,
)
from dispatch.web.live_view import LiveView
from markets.grid import format_instant


class Simulation(TypedDict):
    """What is simulated: the market, the rigs, and time (1 is real time)."""

    market: bool
    rigs: bool
    speed: float


class GroupLoad(TypedDict):
    """The load of a group, by its own rigs' readings (`rigs_mw`), and the load it should have, MW at the meter; the target is null before
    the first observation. The load is by the meter where one is believed."""

    load_mw: float
    rigs_mw: float
    target_mw: float | None


class MeterSeen(TypedDict):
    """A meter as last read, MW; `doubt` says why it is not believed, and is empty where it is."""

    meter: str
    mw: float
    doubt: str


class Alert(TypedDict):
    """A source, rig group or meter that does not respond as it should."""

    source: str
    message: str


class Health(TypedDict):
    """Each part of the site as "ok" or what is wrong with it; `ready` when ledger, leader and loop are all ok."""

    ready: bool
    ledger: str
    leader: str
    loop: str
    plan: str
    prices: str
    seen_age_s: float | None
    rigs_reachable: int


class StateDocument(TypedDict):
    """Loads in MW at the meter, hashrate in PH/s, ages in seconds of site time, `reasons` in sentences; `seq` is the newest journal row."""

    at: str
    seq: int
    site: str
    market: str
    world: str | None
    simulation: Simulation
    leader: Mapping[str, Any] | None
    price: CurrentPrice | None
    hashprice_usd_per_ph_day: float | None
    plan_at: str | None
    plan_seq: int
    plan_age_s: float | None
    plan_failed: str
    load_mw: float
    rigs_mw: float
    meters: list[MeterSeen]
    target_mw: float
    hashrate_ph: float
    groups: dict[str, GroupLoad]
    holds: list[HoldInForce]
    calls: list[dict[str, Any]]
    price_basis: str
    price_basis_reason: str
    alerts: list[Alert]
    health: Health
    reasons: list[str]


def state_document(view: LiveView, now: datetime, leader: Mapping[str, Any] | None, health: Health, speed: float = 1.0) -> StateDocument:
    """The state of the site at `now`, from the live view of its journal."""
    state = view.state
    loads, rigs = state.metered_mw(), state.rigs_mw()
    target, reasons = _target(state, now)
    return {
        "at": format_instant(now),
        "seq": state.seq,
        "site": state.site.name,
        "market": state.site.market.value,
        "world": state.run.world if state.run else None,
        "simulation": {"market": state.setup.prices.source == "synthetic", "rigs": simulated_rigs(state), "speed": speed},
        "leader": leader,
        "price": price_now(state, now),
        "hashprice_usd_per_ph_day": hashprice_now(state, now),
        "plan_at": iso(state.plan_at),
        "plan_seq": state.plan_seq,
        "plan_age_s": (now - state.plan_at).total_seconds() if state.plan_at else None,
        "plan_failed": state.plan_failed,
        "load_mw": sum(loads.values()),
        "rigs_mw": sum(rigs.values()),
        "meters": [{"meter": str(m), "mw": mw, "doubt": state.meter_doubts.get(m, "")} for m, mw in sorted(state.meters.items())],
        "target_mw": sum(target.values()),
        "hashrate_ph": sum(g.hashrate_ph for g in state.fleet.values()),
        "groups": {n: {"load_mw": loads[n], "rigs_mw": rigs[n], "target_mw": target.get(n)} for n in loads},
        "holds": [hold_document(h) for h in state.holds.values()],
        "calls": calls_document(view, now, shown=(IN_FORCE, UPCOMING)),
        "price_basis": state.price_basis,
        "price_basis_reason": state.price_basis_reason,
        "alerts": [{"source": source, "message": message} for source, message in state.alerts.items()],
        "health": health,
        "reasons": reasons,
    }


def _target(state: State, now: datetime) -> tuple[Mapping[str, float], list[str]]:
    """The load each group should have now, MW at the meter, and why: the control loop's own rules, applied at `now`."""
    if state.seen_at is None:
        return {}, ["Nothing has been observed yet."]
    want = wanted(state, now)
    return target_mw(state, now, want), list(dict.fromkeys(want.reasons))


def simulated_rigs(state: State) -> bool:
    """Whether every rig is simulated: inside the process, or at loopback addresses."""
    drivers = [g.driver for g in state.site.groups]
    return all(d["kind"] == "simulated" or str(d.get("subnet") or d.get("host") or "").startswith("127.") for d in drivers)
