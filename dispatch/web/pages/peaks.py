"""The texts and figures of the page of coincident peaks, made from the API's document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.reports.peak_tables import CALIBRATION_COLUMNS, PEAK_CAPTION, PEAK_COLUMNS, calibration_rows, peak_rows
from dispatch.web.context import ApiContext
from dispatch.web.peaks_document import peaks_document
from markets.grid import Market


def peak_values(context: ApiContext) -> dict[str, Any]:
    """Every value that the page's template shows."""
    document, market = peaks_document(context), context.view.state.site.market
    tested = document["backtest"]
    return {
        "caption": PEAK_CAPTION,
        "columns": PEAK_COLUMNS,
        "calibration_columns": CALIBRATION_COLUMNS,
        "cards": (
            ("live", "What happened", _card(document["live"], market), ""),
            ("backtest", "A backtest", None if tested is None else _card(tested, market), document["backtest_note"]),
        ),
    }


def _card(scorecard: Mapping[str, Any], market: Market) -> dict[str, Any]:
    """A scorecard's rows; the months with their times on the market's clock."""
    return {
        "notes": scorecard["notes"],
        "rows": peak_rows(scorecard["periods"], market),
        "calibration": calibration_rows(scorecard["calibration"]),
    }
