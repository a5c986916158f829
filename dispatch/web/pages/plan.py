"""The texts and figures of the page of the plan in force, made from the API's document."""

from __future__ import annotations

from typing import Any

from dispatch.web import documents
from dispatch.web.context import ApiContext
from dispatch.web.pages.labels import clock
from dispatch.web.pages.plan_rows import LEVELS, plan_rows, runs_of
from dispatch.what_if.compare import totals
from markets.grid import parse_instant


def plan_values(context: ApiContext) -> dict[str, Any]:
    """Every value that the page's template shows; `plan` is None before the first plan."""
    view, state = context.view, context.state()
    plan, market = documents.plan_document(view, context.now()), view.state.site.market
    shown = {"plan": plan, "why_none": state["plan_failed"], "groups": [g.name for g in view.state.site.groups]}
    if plan is None or view.state.plan is None:
        return shown
    rows = plan_rows(plan, view.state)
    return shown | {
        "rows": rows,
        "runs": runs_of(rows, market),
        "levels": LEVELS,
        "totals": totals(view.state.plan),
        "accrued": set(plan.get("accrued", ())),
        "made": clock(market, parse_instant(plan["made_at"])),
        "age_s": state["plan_age_s"],
        "failed": state["plan_failed"],
        "with_offers": any(row["offers"] for row in rows),
        "with_peaks": any(row["peak_share"] is not None for row in rows),
    }
