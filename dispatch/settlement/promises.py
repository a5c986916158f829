"""What each contract had to keep on a day, what it paid, and what a breach cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from dispatch.settlement.document import PromiseRow, Span
from dispatch.signals.book_checks import asks_for_nothing
from markets import counted
from markets.facts import CallKind
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import active, calls_in_force
from optimizer.domain.money import Finding, cents
from optimizer.domain.obligation import Obligation
from optimizer.settlement.performance import Promise, promises


def promises_kept(book: Sequence[Obligation], actuals: Actuals) -> tuple[list[PromiseRow], list[Finding]]:
    """A row for each contract with something to keep, and a finding for each reason a bound was broken."""
    rows: list[PromiseRow] = []
    breaches: list[Finding] = []
    for promise in promises(book, actuals):
        contract = next(o for o in book if o.name == promise.obligation)
        breaches += [*_breaches(promise), *_not_judged(contract, actuals), *_asking_for_nothing(contract, actuals)]
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
    return rows, breaches


def _breaches(promise: Promise) -> Iterable[Finding]:
    by_reason: dict[str, list[Decimal]] = {}
    for _, mw, reason in promise.broken:
        by_reason.setdefault(reason or promise.obligation, []).append(mw)
    for reason, off_mw in by_reason.items():
        most = max(off_mw, key=abs)
        side = "above" if most > 0 else "below"
        yield Finding("call-not-kept", f"{reason}: the load was up to {abs(most):.3f} MW {side} that in {counted(len(off_mw), 'interval')}")


def _not_judged(obligation: Obligation, actuals: Actuals) -> Iterable[Finding]:
    """Called reductions from a load that nobody metered: they bind nothing, so that no interval can break them."""
    memory = obligation.memory_from(actuals.memory)
    for call in calls_in_force(actuals.calls, obligation.name):
        if call.kind is not CallKind.DEPLOY or call.mw_delta is None or call.id in memory.load_before_mw:
            continue
        here = [over for over in actuals.grid.intervals if active(call, over)]
        if here and all(obligation.bounds(actuals.site, memory, [call], over).cap_mw == float("inf") for over in here):
            what = f"call {call.id} of {call.source}: the load before its notice is not known"
            yield Finding("call-not-judged", f"{what}, so that its reduction of {abs(call.mw_delta):.3f} MW is not judged")


def _asking_for_nothing(obligation: Obligation, actuals: Actuals) -> Iterable[Finding]:
    """Calls whose cap is above what the rigs can draw: they cannot be broken, and hardly are what their sender meant."""
    for call in calls_in_force(actuals.calls, obligation.name):
        text = asks_for_nothing(call, actuals.site, (obligation,)) if active(call, actuals.grid.over) else ""
        if text:
            yield Finding("call-asks-nothing", f"call {call.id} of {call.source}: {text}")


def _spans(actuals: Actuals, obligation: str) -> list[Span]:
    """The calls and awards of a contract within the statement, by start and id, for its timeline."""
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
