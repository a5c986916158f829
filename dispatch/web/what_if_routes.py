"""Imagining: what-if and sweeps. They work on copies of what is known now; the live plan is out of their reach."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from dispatch.signals.documents import DocumentFault, InvalidDocument, joined
from dispatch.web.context import ApiContext, desk
from dispatch.web.errors import Refusal, responses
from dispatch.what_if.compare import what_if
from dispatch.what_if.scenario import Scenario
from dispatch.what_if.sweep import SweepDocument, sweep

At = Annotated[ApiContext, Depends(desk)]

router = APIRouter(prefix="/api/v1", tags=["what-if"], responses=responses(400, 401, 403, 405, 413, 415, 422, 429, 500, 503))


@router.post("/what-if", summary="The plan as it is and as it would be, with the difference in money and promises")
async def post_what_if(at: At, scenario: Scenario) -> dict[str, Any]:
    ground = at.ground()
    return await at.imagine(lambda: what_if(ground, scenario))


@router.post("/what-if/sweep", summary="A what-if over a grid of values")
async def post_sweep(at: At, document: SweepDocument) -> dict[str, Any]:
    ground = at.ground()

    def swept() -> dict[str, Any]:
        try:
            return sweep(ground, document.scenario, document.sweep)
        except InvalidDocument as faults:
            raise InvalidDocument(
                f if f.path.startswith("sweep") else DocumentFault(joined("scenario", f.path), f.text) for f in faults.faults
            ) from None

    return await at.imagine(swept)


@router.post("/offers", summary="Offers for the QSE: not built in this version", status_code=501, responses=responses(501))
def post_offers() -> None:
    raise Refusal(501, "Energy bid curves and ancillary-service offers are not built in this version")
