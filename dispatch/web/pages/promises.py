"""The texts and figures of the page of promises, made from the API's document."""

from __future__ import annotations

from typing import Any

from dispatch.web.context import ApiContext
from dispatch.web.promises_document import StandingLimit, promises_document


def promise_values(context: ApiContext) -> dict[str, Any]:
    """Every value that the page's template shows; the limits from the strongest to the weakest."""
    document = promises_document(context)
    return {"promises": document, "limits": [(limit, how_it_stands(limit)) for limit in reversed(document["limits"])]}


def how_it_stands(limit: StandingLimit) -> str:
    """How a limit stands, in a word or two."""
    if limit["short_mw"] > 0:
        return "short"
    if limit["margin_mw"] is None:
        return "not known yet"
    return "kept" if limit["margin_mw"] >= 0 else "load on its way"
