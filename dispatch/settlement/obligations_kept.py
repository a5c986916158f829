"""Promises of the day as the statement says them: what each had to keep, what it paid, what a breach cost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from dispatch.settlement.actuals import Measured
from dispatch.site_file.setup import Setup
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import calls_in_force
from optimizer.domain.money import Finding, cents
from optimizer.settlement.performance import Promise, promises


def promised(setup: Setup, measured: Measured) -> tuple[list[dict[str, Any]], list[Finding]]:
    """What each contract had to keep, what it paid and what a breach cost, as JSON values; and a finding for each breach."""
    actuals = measured.actuals
    rows: list[dict[str, Any]] = []
    found: list[Finding] = []
    for promise in promises(setup.book, actuals):
        found += _breaches(promise)
        rows.append(
            {
                "obligation": promise.obligation,
                "kept": promise.kept,
                "payable_usd": f"{cents(promise.payable_usd):.2f}",
                "lost_usd": f"{cents(promise.lost_usd):.2f}",
                "broken": [
                    {"start": over.start.isoformat(), "end": over.end.isoformat(), "mw": f"{mw:.6f}"} for over, mw, _ in promise.broken
                ],
                "spans": _spans(actuals, promise.obligation),
            }
        )
    return rows, found


def _breaches(promise: Promise) -> Iterable[Finding]:
    by_why: dict[str, list[Decimal]] = {}
    for _, mw, why in promise.broken:
        by_why.setdefault(why or promise.obligation, []).append(mw)
    for why, off_mw in by_why.items():
        most = max(off_mw, key=abs)
        side = "above" if most > 0 else "below"
        yield Finding("call-not-kept", f"{why}: the load stood {abs(most):.3f} MW {side} it, in {len(off_mw)} intervals")


def _spans(actuals: Actuals, obligation: str) -> list[dict[str, Any]]:
    """The calls and awards of a contract inside the statement: what a timeline draws."""
    grid = actuals.grid
    spans: list[tuple[datetime, datetime, str, str, float | None]] = []
    for call in calls_in_force(actuals.calls, obligation):
        mw = next((m for m in (call.mw_cap, call.mw_target, call.mw_delta) if m is not None), None)
        spans.append((max(call.start_at, grid.start), min(call.end_at or grid.end, grid.end), call.kind.value, call.id, mw))
    for award in actuals.awards:
        if award.obligation == obligation:
            spans.append((award.over.start, award.over.end, "award", award.product, award.mw))
    return [
        {"kind": kind, "what": what, "start": start.isoformat(), "end": end.isoformat(), "mw": mw}
        for start, end, kind, what, mw in sorted(spans, key=lambda s: (s[0], s[3]))
    ]
