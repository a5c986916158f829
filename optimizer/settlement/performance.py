"""Performance: for each contract over a span, whether its promise was kept, what it pays, and what a breach cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from markets.grid import Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import with_settling_contracts
from optimizer.domain.calls import calls_in_force
from optimizer.domain.formula import Bounds
from optimizer.domain.money import ZERO, decimal
from optimizer.domain.obligation import Obligation

# Meters are not exact: a load within 1 % of a bound counts as keeping it.
TOLERANCE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Promise:
    """A contract that had a promise to keep in a span.

    payable_usd  the sum of its lines on what happened
    lost_usd     how much more that sum would be if its bounds had been kept in every interval
    broken       intervals with load outside its bounds: by how many MW (positive: too much), and the reason for the bound
    intervals    of known load in which a call, an award or a minimum load held, or a bound was broken
    """

    obligation: str
    payable_usd: Decimal
    lost_usd: Decimal
    broken: tuple[tuple[Interval, Decimal, str], ...]
    intervals: int

    @property
    def kept(self) -> bool:
        """Whether load stayed within the bounds in every interval."""
        return not self.broken


def promises(book: Sequence[Obligation], actuals: Actuals) -> tuple[Promise, ...]:
    """One Promise for each contract with a call, an award or a minimum load in the span, in the book's order. A plain limit of the site is
    no promise."""
    ready = with_settling_contracts(book, actuals)
    return tuple(_promise(o, ready) for o in book if _has_promise(o, actuals))


def _has_promise(obligation: Obligation, actuals: Actuals) -> bool:
    if calls_in_force(actuals.calls, obligation.name) or any(a.obligation == obligation.name for a in actuals.awards):
        return True
    return any(b.floor_mw > 0 for _, b, _ in _bounds(obligation, actuals))


def _bounds(obligation: Obligation, actuals: Actuals) -> Iterator[tuple[Interval, Bounds, bool]]:
    """The contract's bounds in each interval, and whether a call, an award or a minimum load holds there. An interval that began less than
    a tick after a call is not judged by it, because rigs move a tick after an instruction."""
    memory = obligation.memory_from(actuals.memory)
    late = timedelta(seconds=actuals.site.tick_s)
    calls = calls_in_force(actuals.calls, obligation.name)
    sold = [award.over for award in actuals.awards if award.obligation == obligation.name]
    for over in actuals.grid.intervals:
        judged = [c for c in calls if c.start_at + late <= over.start and (c.end_at is None or c.end_at >= over.end)]
        bounds = obligation.bounds(actuals.site, memory, judged, over)
        yield over, bounds, bool(judged) or bounds.floor_mw > 0 or any(over.overlaps(span) for span in sold)


def _promise(obligation: Obligation, actuals: Actuals) -> Promise:
    names = [n for n in obligation.scope.names(actuals.site) if n in actuals.energy_mwh]
    share: list[Decimal] = []
    broken: list[tuple[Interval, Decimal, str]] = []
    promised = 0
    for i, (over, bounds, holds) in enumerate(_bounds(obligation, actuals)):
        load_mw = sum((actuals.energy_mwh[n][i] for n in names), ZERO) / decimal(over.hours)
        allowed_mw = _inside(load_mw, bounds)
        is_kept = load_mw.is_nan() or abs(allowed_mw - load_mw) <= TOLERANCE * max(allowed_mw, load_mw)
        promised += (holds and not load_mw.is_nan()) or not is_kept
        if is_kept:
            share.append(Decimal(1))
            continue
        broken.append((over, load_mw - allowed_mw, bounds.why))
        share.append(allowed_mw / load_mw if load_mw else Decimal(1))
    paid = _net(obligation, actuals)
    lost = _net(obligation, _scaled(actuals, names, share)) - paid if broken else ZERO
    return Promise(obligation.name, paid, lost, tuple(broken), promised)


def _inside(load_mw: Decimal, bounds: Bounds) -> Decimal:
    if load_mw.is_nan():
        return load_mw
    cap = load_mw if bounds.cap_mw == float("inf") else decimal(bounds.cap_mw)
    return max(min(load_mw, cap), decimal(bounds.floor_mw))


def _scaled(actuals: Actuals, names: Sequence[str], share: Sequence[Decimal]) -> Actuals:
    def scaled(by: Mapping[str, Sequence[Decimal]]) -> dict[str, Sequence[Decimal]]:
        return {n: [v * s for v, s in zip(values, share, strict=True)] if n in names else values for n, values in by.items()}

    return replace(actuals, energy_mwh=scaled(actuals.energy_mwh), hash_ph_days=scaled(actuals.hash_ph_days))


def _net(obligation: Obligation, actuals: Actuals) -> Decimal:
    return sum((line.amount_usd for line in obligation.settle(actuals)), ZERO)
