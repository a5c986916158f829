"""The scorecard of coincident peaks as the API and its page show it: what happened and what a backtest would have done, never added up."""

from __future__ import annotations

from typing_extensions import TypedDict

from dispatch.settlement.peak_scorecard import PeakScorecard, kept_backtest
from dispatch.web.context import ApiContext


class PeaksDocument(TypedDict):
    """`live` from the statements of finished months, `backtest` from the result kept in the data folder; null, and `backtest_note` says
    why, where there is none."""

    live: PeakScorecard
    backtest: PeakScorecard | None
    backtest_note: str


def peaks_document(context: ApiContext) -> PeaksDocument:
    """The document. Raises Refusal, LedgerUnavailable, JournalBroken."""
    live = context.scorecards.scorecard(context.ledger.engine, context.view.state.setup, context.now())
    backtest, note = kept_backtest(context.data_dir / "backtest" / "result.json")
    return {"live": live, "backtest": backtest, "backtest_note": note}
