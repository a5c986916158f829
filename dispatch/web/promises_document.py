"""What is promised of the load: what insists on it now, each contract's calls and proved reduction, and what was kept last."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from typing_extensions import TypedDict

from dispatch.decide.fit_to_limit import LoadLimit, LoadsNow
from dispatch.decide.limits_now import load_limits
from dispatch.decide.reflex import wanted
from dispatch.decide.state import State
from dispatch.offers.proved import Proof
from dispatch.settlement.document import PromiseRow
from dispatch.web.context import ApiContext
from dispatch.web.documents import IN_FORCE, UPCOMING, calls_document

# Seconds within which a reduction counts as proved here: the ten minutes of most reserve and demand response.
RESPONSE_S = 600.0


class StandingLimit(TypedDict):
    """What insists on the load of some groups now, MW at the meter. `floor_mw` and `cap_mw` are null where there is none, and `load_mw` and
    `margin_mw`, how far the load is inside of both (negative where it is outside), before the first observation. `short_mw` is what will be
    missed with every rig that obeys; a limit that is not `firm` is a wish of a contract, which instructions outweigh."""

    promise: str
    why: str
    groups: list[str]
    firm: bool
    floor_mw: float | None
    cap_mw: float | None
    load_mw: float | None
    margin_mw: float | None
    short_mw: float


class ContractPromise(TypedDict):
    """A contract: its groups and their load, its calls in force and to come by id, what its groups were proved to drop within ten minutes
    (null where nothing was measured), and what the plan cannot keep of it."""

    name: str
    type: str
    groups: list[str]
    load_mw: float | None
    calls_in_force: list[str]
    calls_to_come: list[str]
    proved_mw: float | None
    planned_shortfalls: list[dict[str, Any]]


class PromisesDocument(TypedDict):
    """`limits` from the weakest to the strongest; `settled` how promises were kept on the newest settled day, `settled_on`, null before."""

    limits: list[StandingLimit]
    contracts: list[ContractPromise]
    settled_on: str | None
    settled: list[PromiseRow]


def promises_document(context: ApiContext) -> PromisesDocument:
    """At the instant of the context's clock. Raises LedgerUnavailable, JournalBroken."""
    state, now = context.view.state, context.now()
    day, rows = _settled(context)
    loads = state.metered_mw() if state.seen_at is not None else None
    return {
        "limits": _limits(state, now, loads),
        "contracts": _contracts(context, state, now, loads),
        "settled_on": day,
        "settled": rows,
    }


def _limits(state: State, now: datetime, loads: dict[str, float] | None) -> list[StandingLimit]:
    limits = load_limits(state, now)
    short = wanted(state, now, LoadsNow(state, now), limits).short if loads is not None else {}
    return [_limit(limit, _load_mw(limit.groups, loads), short.get(limit.promise, 0.0)) for limit in limits]


def _load_mw(groups: tuple[str, ...], loads: dict[str, float] | None) -> float | None:
    return None if loads is None else sum(loads[name] for name in groups)


def _limit(limit: LoadLimit, load_mw: float | None, short_mw: float) -> StandingLimit:
    margins = [] if load_mw is None else [limit.cap_mw - load_mw, *([load_mw - limit.floor_mw] if limit.floor_mw > 0 else [])]
    margin = min(margins, default=math.inf)
    return {
        "promise": limit.promise,
        "why": limit.why,
        "groups": list(limit.groups),
        "firm": limit.firm,
        "floor_mw": limit.floor_mw if limit.floor_mw > 0 else None,
        "cap_mw": limit.cap_mw if math.isfinite(limit.cap_mw) else None,
        "load_mw": load_mw,
        "margin_mw": round(margin, 6) if math.isfinite(margin) else None,
        "short_mw": short_mw,
    }


def _contracts(context: ApiContext, state: State, now: datetime, loads: dict[str, float] | None) -> list[ContractPromise]:
    calls, proof = calls_document(context.view, now, shown=(IN_FORCE, UPCOMING)), context.proof()
    shortfalls = state.plan["shortfalls"] if state.plan else []
    return [
        {
            "name": contract.name,
            "type": contract.type,
            "groups": list(groups := contract.scope.names(state.site)),
            "load_mw": _load_mw(tuple(groups), loads),
            "calls_in_force": [c["id"] for c in calls if c["obligation"] == contract.name and c["status"] == IN_FORCE],
            "calls_to_come": [c["id"] for c in calls if c["obligation"] == contract.name and c["status"] == UPCOMING],
            "proved_mw": _proved(proof, tuple(groups)),
            "planned_shortfalls": [{**short} for short in shortfalls if short["promise"] == contract.name],
        }
        for contract in state.setup.book
    ]


def _proved(proof: Proof, groups: tuple[str, ...]) -> float | None:
    found = proof.mw_within(groups, RESPONSE_S)
    return None if found is None else round(found, 6)


def _settled(context: ApiContext) -> tuple[str | None, list[PromiseRow]]:
    """How promises were kept on the newest settled day."""
    market, engine = context.view.state.site.market.value, context.ledger.engine
    versions = context.statements.versions(engine, market)
    if not versions:
        return None, []
    day = max(versions)
    return day.isoformat(), context.statements.statement(engine, day, market, versions[day][-1])["promises"]
