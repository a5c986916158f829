"""Routes for what-ifs and sweeps. They work on copies of what is known now and cannot change the live plan."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from dispatch.signals.documents import DocumentFault, InvalidDocument, joined_path
from dispatch.web.context import Context
from dispatch.web.errors import Refusal, responses
from dispatch.what_if.answer import BreakEvenAnswer, SweepAnswer
from dispatch.what_if.break_even import BreakEvenDocument, break_even
from dispatch.what_if.compare import what_if
from dispatch.what_if.scenario import Scenario
from dispatch.what_if.sweep import SweepDocument, sweep

router = APIRouter(prefix="/api/v1", tags=["what-if"], responses=responses(400, 401, 403, 405, 413, 415, 422, 429, 500, 503))


@router.post("/what-if", summary="Plan the site as it is and with a scenario; the difference in money and promises")
async def post_what_if(context: Context, scenario: Scenario) -> dict[str, Any]:
    bases = context.base_plans()
    return {**await context.run_what_if(lambda: what_if(bases, scenario))}


@router.post("/what-if/sweep", summary="A what-if at every point of a grid of values")
async def post_sweep(context: Context, document: SweepDocument) -> dict[str, Any]:
    bases = context.base_plans()

    def run() -> SweepAnswer:
        try:
            return sweep(bases, document.scenario, document.sweep)
        except InvalidDocument as faults:
            raise InvalidDocument(
                f if f.path.startswith("sweep") else DocumentFault(joined_path("scenario", f.path), f.text) for f in faults.faults
            ) from None

    return {**await context.run_what_if(run)}


@router.post("/what-if/break-even", summary="The value of a key of a scenario at which rigs come back, or go")
async def post_break_even(context: Context, document: BreakEvenDocument) -> dict[str, Any]:
    bases = context.base_plans()

    def run() -> BreakEvenAnswer:
        return break_even(bases, document)

    return {**await context.run_what_if(run)}


@router.post("/offers", summary="Offers for the QSE: not built in this version", status_code=501, responses=responses(501))
def post_offers() -> None:
    raise Refusal(501, "Energy bid curves and ancillary-service offers are not built in this version")
