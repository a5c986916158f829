"""The scorecard of coincident peaks as a running site met them: the newest statements of each finished month (or season), against the
system loads that the journal has."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from typing_extensions import TypedDict

from dispatch.settlement.contract_memory import PUBLISHED_WITHIN, known_peak_share, system_loads
from dispatch.settlement.day_peaks import peak_interval
from dispatch.settlement.document import DayStatement, from_json
from dispatch.site_file.setup import Setup
from dispatch.store.statements import kept_statement, kept_statement_days
from markets import counted
from markets.facts import SystemLoad
from markets.grid import Interval, Market, OperatingDay
from markets.outlook import PeakWindow
from optimizer.domain.book import peak_windows
from optimizer.planning.plan_json import window_name
from optimizer.settlement.peak_record import PeakInterval
from optimizer.settlement.peak_score import PeakScore, PeakTally, calibration, period_of

PERIODS = 13  # the newest of each kind: a year and the month before


class PeakScorecard(TypedDict):
    """Scores of months (or seasons), oldest first, the calibration of all their chances, and what a reader must know beside them."""

    periods: list[PeakScore]
    calibration: list[dict[str, float]]
    notes: list[str]


def backtest_scorecard(document: Mapping[str, Any]) -> PeakScorecard:
    """The scorecard of the kept result of a backtest. Raises KeyError where it has none."""
    span = document["span"]
    note = f"Backtest from {span['from']} to {span['to']}."
    return {"periods": document["peaks"], "calibration": document["peak_calibration"], "notes": [note]}


def kept_backtest(file: Path) -> tuple[PeakScorecard | None, str]:
    """The scorecard of the result that a backtest kept in a file; None, and why, where there is none."""
    try:
        return backtest_scorecard(json.loads(file.read_text("utf-8"))), ""
    except FileNotFoundError:
        return None, "No backtest is kept here: run loadstone backtest with --out set to the folder `backtest` of the data folder."
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"{file.name} is not the result of a backtest that scores coincident peaks: run loadstone backtest again."


class LiveScorecards:
    """Scorecards of a ledger. A finished month whose system loads are all published is read again only when one of its days has another
    version."""

    def __init__(self) -> None:
        self._read: dict[tuple[Any, ...], tuple[list[PeakTally], list[str]]] = {}

    def scorecard(self, engine: Engine, setup: Setup, now: datetime) -> PeakScorecard:
        """Of the months and seasons that ended before `now` and in which a day was settled. Raises LedgerUnavailable, JournalBroken."""
        market, tallies, notes = setup.site.market, list[PeakTally](), list[str]()
        newest = {on: version for on, kept_market, version in kept_statement_days(engine) if kept_market == market.value}
        for window in peak_windows(setup.book):
            spans = dict(period_of(market, OperatingDay(market, on).over, window) for on in newest)
            for name, span in [(name, span) for name, span in spans.items() if span.end <= now][-PERIODS:]:
                days = {on: v for on, v in newest.items() if span.start <= OperatingDay(market, on).start < span.end}
                key = (window, name, tuple(days.items()))
                found = self._read.get(key) or _period(engine, market, window, name, span, list(days))
                if now > span.end + PUBLISHED_WITHIN:  # until then system loads may still come
                    self._read[key] = found
                tallies += found[0]
                notes += found[1]
        if not tallies:
            notes.append("No month or season with a coincident peak that a contract charges by has ended since the first settled day.")
        scores = sorted((tally.score() for tally in tallies), key=lambda score: (score["contract"], score["period"]))
        return {"periods": scores, "calibration": calibration(tallies), "notes": notes}


def _period(
    engine: Engine, market: Market, window: PeakWindow, name: str, span: Interval, days: Sequence[date]
) -> tuple[list[PeakTally], list[str]]:
    """The sums of a finished month (or season) by contract, and which of its days are not in them."""
    loads = system_loads(engine, span, None)
    tallies: dict[str, PeakTally] = {}
    without = []
    for on in days:
        kept = kept_statement(engine, on, market.value)
        rows = _rows(from_json(kept.document), window) if kept else None
        if rows is None:
            without.append(on)
            continue
        for interval, share in _with_shares(rows, loads, OperatingDay(market, on), window):
            tally = tallies.setdefault(interval.contract, PeakTally(interval.contract, window_name(window), name))
            tally.add(interval, share, on.isoformat())
    missing = round(span.hours / 24) - len(days) + len(without)
    note = f"{name}: {counted(missing, 'day')} without a statement that records how coincident peaks were met: the scores lack them."
    return list(tallies.values()), [note] if missing and tallies else []


def _rows(statement: DayStatement, window: PeakWindow) -> list[PeakInterval] | None:
    """The intervals of a statement; None where it was kept before statements recorded them, or nothing was charged by peaks."""
    rows = statement.get("coincident_peaks")
    return None if rows is None else [found for found in map(peak_interval, rows) if found.window == window]


def _with_shares(
    rows: Sequence[PeakInterval], loads: Sequence[SystemLoad], day: OperatingDay, window: PeakWindow
) -> list[tuple[PeakInterval, float]]:
    """Each interval with the share of the peak that lies in it, NaN where the system's load is not known and may be the highest."""
    grid = day.grid()
    by_start: dict[datetime, float] = defaultdict(float)
    minutes = window[0] if isinstance(window, tuple) else window
    for over, share in zip(grid.intervals, known_peak_share(loads, grid, day.market, window), strict=True):
        since = over.start.timestamp() // (60 * minutes) * 60 * minutes
        by_start[over.start - timedelta(seconds=over.start.timestamp() - since)] += float(share)
    return [(interval, by_start[interval.over.start]) for interval in rows]
