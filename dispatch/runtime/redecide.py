"""Redecide: every recorded decision made again from the journal alone; the first difference of each kind is named."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from dispatch.decide.decide import decide
from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import Commanded, Entry, Planned, RunStarted, canonical_json, entry_to_json
from dispatch.runtime.planner import make_plan, rule_based
from dispatch.site_file.load import setup_from_document
from optimizer.domain.money import Finding
from optimizer.planning.plan_json import PlanDocument
from optimizer.planning.result import RULE_BASED
from optimizer.solve.lexicographic import FEASIBLE

KEPT_STATES = 400  # a plan's inputs are never further back than this many rows
MW_TOLERANCE = 1e-6
OBJECTIVE_TOLERANCE = 1e-9


@dataclass(slots=True)
class Redecided:
    """How many decisions were made again, and what came out differently."""

    commands: int = 0
    plans: int = 0
    findings: list[Finding] = field(default_factory=list)


def redecide(rows: Iterator[tuple[int, Entry]]) -> Redecided:
    """Fold the rows and make each command and plan anew. Plans are solved cold: the same MW, the objective within 1e-9; timings and
    duals, which need not be unique, are not compared. A plan that was made by merit order, the solver or its process having failed, is
    made so again; one that time ended may be bettered."""
    result = Redecided()
    state: State | None = None
    states: OrderedDict[int, State] = OrderedDict()
    for seq, entry in rows:
        if state is None:
            if not isinstance(entry, RunStarted):
                result.findings.append(Finding("journal", f"row {seq}: the journal begins with {type(entry).__name__}, not with a run"))
                return result
            state = State.start(setup_from_document(entry.config), setup_from_document)
        if isinstance(entry, Commanded):
            result.commands += 1
            _check_command(result, seq, entry, state)
        elif isinstance(entry, Planned) and entry.plan is not None:
            result.plans += 1
            _check_plan(result, seq, entry, states.get(entry.as_of))
        state = state.after(entry, seq)
        states[seq] = state
        if len(states) > KEPT_STATES:
            states.popitem(last=False)
    return result


def _check_command(result: Redecided, seq: int, entry: Commanded, state: State) -> None:
    again = decide(state, entry.at, entry.round)
    if again is None or canonical_json(entry_to_json(again)) != canonical_json(entry_to_json(entry)):
        what = "no command at all" if again is None else _first_difference(entry_to_json(entry), entry_to_json(again))
        result.findings.append(Finding("command", f"row {seq}, {entry.at.isoformat()}: decided again: {what}"))


def _check_plan(result: Redecided, seq: int, entry: Planned, state: State | None) -> None:
    if state is None or state.seen_at is None:
        result.findings.append(Finding("plan", f"row {seq}: its inputs, row {entry.as_of}, are not in the journal"))
        return
    assert entry.plan is not None
    was = cast(PlanDocument, entry.plan)
    made_from, how = inputs(state, state.seen_at), was["solve"]["status"]
    again = rule_based(made_from, "as it was") if how == RULE_BASED else make_plan(made_from)
    if how == FEASIBLE and again["objective_usd"] >= was["objective_usd"]:
        return
    if difference := _plan_difference(was, again):
        result.findings.append(Finding("plan", f"row {seq}, {entry.at.isoformat()}: planned again: {difference}"))


def _plan_difference(was: PlanDocument, now: PlanDocument) -> str:
    if len(was["intervals"]) != len(now["intervals"]):
        return f"{len(now['intervals'])} intervals, not {len(was['intervals'])}"
    for a, b in zip(was["intervals"], now["intervals"], strict=True):
        for name, group in a["groups"].items():
            if abs(group["load_mw"] - b["groups"][name]["load_mw"]) > MW_TOLERANCE:
                return f"{name} at {a['start']}: {b['groups'][name]['load_mw']} MW, not {group['load_mw']}"
    gap = abs(was["objective_usd"] - now["objective_usd"])
    if gap > OBJECTIVE_TOLERANCE * max(1.0, abs(was["objective_usd"])):
        return f"objective {now['objective_usd']}, not {was['objective_usd']}"
    return ""


def _first_difference(was: Any, now: Any, path: str = "") -> str:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            if was.get(key) != now.get(key):
                return _first_difference(was.get(key), now.get(key), f"{path}.{key}" if path else key)
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for k, (a, b) in enumerate(zip(was, now, strict=True)):
            if a != b:
                return _first_difference(a, b, f"{path}[{k}]")
    return f"{path}: {now!r}, not {was!r}"
