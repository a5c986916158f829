"""Compares the plan of a baseline with the plan of a scenario. It works on copies: the live plan cannot change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Any

from dispatch.decide.plan_inputs import PlanInputs
from dispatch.signals.documents import DocumentFault, InvalidDocument, parse_document
from dispatch.what_if.answer import BindingLimit, ForecastErrorResult, PromiseComparison, PromiseResult, Totals, WhatIfAnswer
from dispatch.what_if.apply import case_inputs
from dispatch.what_if.base_plans import BasePlans, MakePlan
from dispatch.what_if.baseline import Baseline, prices
from dispatch.what_if.rule_changes import rule_changes, sentence
from dispatch.what_if.scenario import ForecastError, Scenario
from markets.grid import OperatingDay, parse_instant
from optimizer.domain.calls import calls_in_force
from optimizer.domain.money import usd_text
from optimizer.planning.plan import plan
from optimizer.planning.plan_json import WEAR, PlanDocument, planned_interval
from optimizer.planning.revalue import lines_at

SMALL_USD = 0.005
SMALL_MW = 1e-6


def what_if(bases: BasePlans, scenario: Mapping[str, Any] | Scenario) -> WhatIfAnswer:
    """Plan the baseline and the scenario, and compare: money, energy, promises, binding limits, and reasons in sentences.

    Raises InvalidDocument with the path of each fault of the scenario.
    """
    requested = scenario if isinstance(scenario, Scenario) else parse_document(Scenario, scenario)
    baseline, make_plan = bases.baseline, bases.make_plan
    unchanged = bases.of(requested)
    before, base = unchanged.inputs, unchanged.plan
    after = case_inputs(baseline, requested, before)
    after = with_loads_at_notice(after, before, base)
    case = make_plan(after)
    answer: WhatIfAnswer = {
        "base": base,
        "case": case,
        "difference": difference(base, case),
        "promises": promises(before, after, base, case),
        "binding": binding(base, case),
        "reasons": [*_headline(base, case, baseline), *case.get("reasons", ())],
    }
    if requested.rules_on is not None:
        here = OperatingDay.of(before.site.market, before.outlook.grid.start).on
        answer["rules"] = rule_changes(after.book, baseline.setup.rules, here, requested.rules_on)
        answer["reasons"] += map(sentence, answer["rules"])
    if requested.forecast_error is not None:
        found = forecast_error(after, requested.forecast_error, baseline, totals(case), make_plan)
        answer["forecast_error"] = found
        answer["reasons"].insert(0, _cost_of_error(found))
    return answer


def forecast_error(case: PlanInputs, error: ForecastError, baseline: Baseline, planned: Totals, make_plan: MakePlan) -> ForecastErrorResult:
    """What the case's plan, whose sums are `planned`, earns when other prices come than it foresaw. Raises InvalidDocument."""
    faults: list[DocumentFault] = []
    outlook = prices(case.outlook, error.prices, baseline, faults, "forecast_error.prices")
    if faults:
        raise InvalidDocument(faults)
    made = plan(case.site, case.book, case.outlook, case.so_far, case.availability)
    lines = {f"{obligation}/{charge}": float(usd.sum()) for (obligation, charge), usd in lines_at(made, outlook).items()}
    wear = {name: usd for name, usd in planned["lines"].items() if name == WEAR}
    foreseen = make_plan(replace(case, outlook=outlook))
    accrued = set(foreseen.get("accrued", ()))
    paid = summed(lines | wear, accrued, planned["energy_mwh"], planned["hash_ph_days"])
    knew = totals(foreseen)
    return {"paid": paid, "foreseen": knew, "cost_usd": knew["net_usd"] - paid["net_usd"]}


def _cost_of_error(found: ForecastErrorResult) -> str:
    paid, knew = found["paid"]["net_usd"], found["foreseen"]["net_usd"]
    return f"At the prices that come the plan earns {usd_text(paid)}; one that foresaw them earns {usd_text(knew)}."


def totals(plan: PlanDocument) -> Totals:
    """The sums of a plan: net and lines in dollars, energy in MWh, hashing in PH/s-days."""
    energy = hashes = 0.0
    for interval in plan["intervals"]:
        hours = (parse_instant(interval["end"]) - parse_instant(interval["start"])).total_seconds() / 3600
        energy += interval["load_mw"] * hours
        hashes += sum(g["hashrate_ph"] for g in interval["groups"].values()) * hours / 24
    lines = {name: float(usd) for name, usd in plan["lines"].items()}
    return summed(lines, set(plan.get("accrued", ())), energy, hashes)


def summed(lines: dict[str, float], accrued: Set[str], energy_mwh: float, hash_ph_days: float) -> Totals:
    """The sums of lines, of which those named in `accrued` are owed in a later period."""
    later = sum(usd for name, usd in lines.items() if name in accrued)
    net = sum(lines.values())
    return {
        "net_usd": net,
        "settled_usd": net - later,
        "accrued_usd": later,
        "lines": lines,
        "energy_mwh": energy_mwh,
        "hash_ph_days": hash_ph_days,
    }


def difference(base: PlanDocument, case: PlanDocument) -> Totals:
    """Case minus base; positive dollars are a gain of the case."""
    b, c = totals(base), totals(case)
    names = dict.fromkeys([*b["lines"], *c["lines"]])
    lines = {n: c["lines"].get(n, 0.0) - b["lines"].get(n, 0.0) for n in names}
    accrued = {*base.get("accrued", ()), *case.get("accrued", ())}
    return {
        **summed(lines, accrued, c["energy_mwh"] - b["energy_mwh"], c["hash_ph_days"] - b["hash_ph_days"]),
        "net_usd": c["net_usd"] - b["net_usd"],
    }


def promises(before: PlanInputs, after: PlanInputs, base: PlanDocument, case: PlanDocument) -> list[PromiseComparison]:
    """Every promise of either plan (calls in its span, and whatever falls short), and whether each plan keeps it."""
    called_in = _called(before), _called(after)
    missed_in = _missed(base, called_in[0]), _missed(case, called_in[1])
    names = dict.fromkeys([*called_in[0], *called_in[1], *missed_in[0], *missed_in[1]])
    return [
        {
            "name": name,
            "base": _promise_result(name, called_in[0], missed_in[0]),
            "case": _promise_result(name, called_in[1], missed_in[1]),
        }
        for name in names
    ]


def _promise_result(name: str, called: Sequence[str], missed: Mapping[str, tuple[float, float]]) -> PromiseResult:
    mw, usd = missed.get(name, (0.0, 0.0))
    return {"made": name in called or name in missed, "kept": name not in missed, "shortfall_mw": mw, "shortfall_usd": usd}


def binding(base: PlanDocument, case: PlanDocument) -> list[BindingLimit]:
    """The limits that cost money in either plan, the costliest of the case first: $ gained by one more MW over the whole span."""
    b, c = _worth(base), _worth(case)
    worth = {n: (b.get(n, 0.0), c.get(n, 0.0)) for n in dict.fromkeys([*c, *b])}
    costly = [n for n, usd in worth.items() if max(map(abs, usd)) >= SMALL_USD]
    rows = sorted(costly, key=lambda n: -abs(worth[n][1]))
    return [{"limit": n, "base_usd_per_mw": worth[n][0], "case_usd_per_mw": worth[n][1]} for n in rows]


def _worth(plan: PlanDocument) -> dict[str, float]:
    return {name: _sum(value) for name, value in plan.get("shadow_prices", {}).items()}


def _sum(value: Any) -> float:
    if isinstance(value, Mapping):
        return sum(map(_sum, value.values()))
    return sum(map(_sum, value)) if isinstance(value, list) else float(value or 0.0)


def shortfalls(plan: PlanDocument) -> dict[str, tuple[float, float]]:
    """By promise: MW short in the worst interval, and dollars over all intervals."""
    out: dict[str, tuple[float, float]] = {}
    for row in plan.get("shortfalls", ()):
        mw, usd = out.get(row["promise"], (0.0, 0.0))
        out[row["promise"]] = (max(mw, float(row["mw"])), usd + float(row["usd"] or 0.0))
    return out


def _missed(plan: PlanDocument, called: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Shortfalls by promise. A plan has one cap and one floor for all calls of an obligation: each call gets the larger one."""
    out = shortfalls(plan)
    for obligation in dict.fromkeys(name.partition(": call ")[0] for name in called):
        rows = [out.pop(row) for row in (f"call {obligation}", f"floor {obligation}") if row in out]
        if rows:
            out |= {name: max(rows) for name in called if name.startswith(f"{obligation}: call ")}
    return out


def _called(inputs: PlanInputs) -> list[str]:
    over = inputs.outlook.grid.over
    calls = [c for o in inputs.book for c in calls_in_force(inputs.so_far.calls, o.name)]
    return [f"{c.obligation}: call {c.id}" for c in calls if c.start_at < over.end and (c.end_at is None or c.end_at > over.start)]


def with_loads_at_notice(after: PlanInputs, before: PlanInputs, base: PlanDocument) -> PlanInputs:
    """The case with the load from which its own calls are reduced: the load of their scope in the base plan when they begin, MW."""
    old = {id(c) for c in before.so_far.calls}
    new = [c for c in after.so_far.calls if id(c) not in old and c.mw_delta is not None]
    if not new:
        return after
    memory = dict(after.so_far.memory)
    contracts = {o.name: o for o in after.book}
    for call in new:
        loads = {call.id: _load(base, call.start_at, contracts[call.obligation].scope.names(before.site))}
        own = contracts[call.obligation].memory_from(memory)
        memory[call.obligation] = replace(own, load_before_mw={**own.load_before_mw, **loads})
    return replace(after, so_far=replace(after.so_far, memory=memory))


def _load(plan: PlanDocument, at: datetime, groups: tuple[str, ...]) -> float:
    interval = planned_interval(plan, at) or plan["intervals"][0]
    return sum(float(interval["groups"][g]["load_mw"]) for g in groups if g in interval["groups"])


def _headline(base: PlanDocument, case: PlanDocument, baseline: Baseline) -> list[str]:
    """The difference in a few sentences."""
    d = difference(base, case)
    if abs(d["net_usd"]) < SMALL_USD and abs(d["energy_mwh"]) < SMALL_MW:
        return ["Nothing changes: the same rigs run and the site earns the same."]
    more = "more" if d["net_usd"] >= 0 else "less"
    now, then = totals(base)["net_usd"], totals(case)["net_usd"]
    out = [f"The site would earn {usd_text(abs(d['net_usd']))} {more}: {usd_text(then)} instead of {usd_text(now)}."]
    if abs(d["energy_mwh"]) >= SMALL_MW:
        out.append(f"It would use {abs(d['energy_mwh']):,.3f} MWh {'more' if d['energy_mwh'] > 0 else 'less'}.")
    big = sorted(((usd, n) for n, usd in d["lines"].items() if abs(usd) >= SMALL_USD), key=lambda x: -abs(x[0]))[:3]
    if big:
        out.append("Largest differences: " + ", ".join(f"{_line_label(n)} {'+' if usd > 0 else ''}{usd_text(usd)}" for usd, n in big) + ".")
    if (first := _first_change(base, case)) is not None:
        out.append(f"The load first differs at {first.astimezone(baseline.setup.site.market.tz):%a %H:%M} market time.")
    return out


def _line_label(name: str) -> str:
    """A line's OBLIGATION/CHARGE_TYPE as people read it: "hashing: pool fee"."""
    return name.replace("/", ": ").replace("_", " ")


def _first_change(base: PlanDocument, case: PlanDocument) -> datetime | None:
    for b, c in zip(base["intervals"], case["intervals"], strict=False):
        if abs(b["load_mw"] - c["load_mw"]) > SMALL_MW:
            return parse_instant(b["start"])
    return None
