"""peaks: how the site met the coincident peaks that its contracts charge by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dispatch.commands import Data, Json, ledger, out, setup_of_ledger


def peaks(
    data: Data = Path("data"),
    backtest: Annotated[
        Path | None, typer.Option("--backtest", metavar="FILE", help="Kept result of a backtest. Default: DATA/backtest/result.json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score each finished month or season with a coincident peak: caught or missed, hours curtailed, dollars, chances.

    What happened and what a backtest would have done stand apart and are never added up.
    """
    from dispatch.clock import wall_now
    from dispatch.reports.peak_tables import peak_lines
    from dispatch.settlement.peak_scorecard import LiveScorecards, kept_backtest

    engine = ledger(data)
    setup = setup_of_ledger(engine)
    live = LiveScorecards().scorecard(engine, setup, wall_now())
    tested, note = kept_backtest(backtest or data / "backtest" / "result.json")
    market = setup.site.market
    lines = ["live:", *peak_lines(live["periods"], market), *live["notes"], "backtest:"]
    lines += [*peak_lines(tested["periods"], market), *tested["notes"]] if tested else [note]
    out({"live": live, "backtest": tested, "backtest_note": note}, as_json, lines)
