"""Routes for what-ifs, sweeps and offers. They work on copies of what is known now and cannot change the live plan."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from dispatch.offers.document import OffersDocument
from dispatch.offers.make import offers
from dispatch.signals.documents import DocumentFault, InvalidDocument, SignalDocument, joined_path
from dispatch.web.context import Context
from dispatch.web.described import answer, described
from dispatch.web.errors import responses
from dispatch.what_if.answer import BreakEvenAnswer, SweepAnswer, WhatIfAnswer
from dispatch.what_if.break_even import BreakEvenDocument, break_even
from dispatch.what_if.compare import what_if
from dispatch.what_if.scenario import Day, Scenario
from dispatch.what_if.sweep import SweepDocument, sweep

router = APIRouter(prefix="/api/v1", tags=["what-if"], responses=responses(400, 401, 403, 405, 408, 413, 415, 422, 429, 500, 503))


@router.post(
    "/what-if", summary="Plan the site as it is and with a scenario; the difference in money and promises", **described(WhatIfAnswer)
)
async def post_what_if(context: Context, scenario: Scenario) -> Response:
    bases = context.base_plans()
    return answer(await context.run_what_if(lambda: what_if(bases, scenario)))


@router.post("/what-if/sweep", summary="A what-if at every point of a grid of values", **described(SweepAnswer))
async def post_sweep(context: Context, document: SweepDocument) -> Response:
    bases = context.base_plans()

    def run() -> SweepAnswer:
        try:
            return sweep(bases, document.scenario, document.sweep)
        except InvalidDocument as faults:
            raise InvalidDocument(
                f if f.path.startswith("sweep") else DocumentFault(joined_path("scenario", f.path), f.text) for f in faults.faults
            ) from None

    return answer(await context.run_what_if(run))


@router.post("/what-if/break-even", summary="The value of a key of a scenario at which rigs come back, or go", **described(BreakEvenAnswer))
async def post_break_even(context: Context, document: BreakEvenDocument) -> Response:
    bases = context.base_plans()

    def run() -> BreakEvenAnswer:
        return break_even(bases, document)

    return answer(await context.run_what_if(run))


class OffersRequest(SignalDocument):
    """An operating day, and the weight of the worst price scenarios, 0 (ignore) to 1 (nothing else)."""

    on: Day = Field(alias="for", description="Operating day of the market")
    risk: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)] = 0.0


@router.post(
    "/offers",
    summary="Offers of reserve, bids for energy and season quantities of an operating day, for the QSE",
    **described(OffersDocument),
)
async def post_offers(context: Context, request: OffersRequest) -> Response:
    offering = context.offering(request.on, request.risk)
    return answer(await context.run_what_if(lambda: offers(offering)))
