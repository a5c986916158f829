"""Compare: a received statement against ours, charge by charge, and why they differ where that can be shown.

A cause is shown by settling again with one thing changed (another vintage of a price, another reading, no losses): where that gives the
received figure, in an interval or in total, that is what the other side did. What nothing explains is left unexplained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from markets.grid import Interval
from optimizer.domain.money import CENT, ZERO, Line, cents

RELATIVE = Decimal("1e-6")
# Intervals of the other side are rounded to the cent, or they are exact but for the floats they were written as.
HALF_CENT, FINE = Decimal("0.005"), Decimal("1e-6")
# Ratios of many intervals are one ratio when they are no further apart than this.
ONE_RATIO = Decimal("1e-4")


@dataclass(frozen=True, slots=True)
class Claim:
    """What the other side says of one charge, site view. `ours` are the charge types it stands for, as OBLIGATION/CHARGE_TYPE; * is any."""

    code: str
    amount_usd: Decimal
    ours: tuple[str, ...]
    by_interval: Mapping[Interval, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alternative:
    """The same days settled with one thing changed: the cause it would show, and that thing in words."""

    cause: str
    text: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a difference with its cause; `intervals` is 0 where only totals could be compared."""

    cause: str
    usd: Decimal
    intervals: int
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A charge on both sides: `difference_usd` is received less ours, the sum of `parts` and `unexplained_usd`."""

    code: str
    ours: tuple[str, ...]
    ours_usd: Decimal
    received_usd: Decimal
    parts: tuple[Part, ...] = ()

    @property
    def difference_usd(self) -> Decimal:
        return self.received_usd - self.ours_usd

    @property
    def agrees(self) -> bool:
        return abs(self.difference_usd) <= tolerance(self.received_usd) and not self.parts

    @property
    def unexplained_usd(self) -> Decimal:
        left = self.difference_usd - sum((p.usd for p in self.parts), ZERO)
        return left if abs(left) > tolerance(self.received_usd) else ZERO


def tolerance(usd: Decimal) -> Decimal:
    """How far two figures may be apart and agree: amounts are floats on the other side."""
    return max(CENT, RELATIVE * abs(usd))


def compare(claim: Claim, lines: Sequence[Line], ours_usd: Decimal, alternatives: Sequence[Alternative]) -> Difference:
    """A claim against our lines of the same days, which print as `ours_usd`."""
    own = [line for line in lines if stands_for(claim.ours, line.name)]
    plain = Difference(claim.code, claim.ours, ours_usd, claim.amount_usd)
    others = [(a, tuple(line for line in a.lines if stands_for(claim.ours, line.name))) for a in alternatives]
    if claim.by_interval:
        coarse = HALF_CENT if all(usd == cents(usd) for usd in claim.by_interval.values()) else FINE
        parts = _by_interval(claim, _amounts(own), [(a, _amounts(of)) for a, of in others], coarse)
        rest = plain.difference_usd - sum((p.usd for p in parts), ZERO)
        if coarse == HALF_CENT and tolerance(claim.amount_usd) < abs(rest) <= HALF_CENT * (len(claim.by_interval) + 1):
            parts.append(Part("rounding", rest, 0, "each interval is rounded to the cent, not the day once"))
        return Difference(claim.code, claim.ours, ours_usd, claim.amount_usd, tuple(parts))
    if plain.agrees:
        return plain
    part = _by_total(claim, own, ours_usd, others)
    return Difference(claim.code, claim.ours, ours_usd, claim.amount_usd, (part,) if part else ())


def stands_for(patterns: Iterable[str], name: str) -> bool:
    """Whether a charge type, OBLIGATION/CHARGE_TYPE, is one of these."""
    _, _, charge = name.rpartition("/")
    return any(p == name or p == f"*/{charge}" for p in patterns)


def _amounts(lines: Iterable[Line]) -> dict[Interval, Decimal]:
    out: dict[Interval, Decimal] = {}
    for line in lines:
        out[line.over] = out.get(line.over, ZERO) + line.amount_usd
    return out


Others = Sequence[tuple[Alternative, Mapping[Interval, Decimal]]]


def _by_interval(claim: Claim, own: Mapping[Interval, Decimal], others: Others, coarse: Decimal) -> list[Part]:
    """Parts by cause, each interval in one of them. Intervals of the claim may be longer than ours: ours are added up. What is no further
    apart than `coarse` is the same."""
    spans = sorted({*claim.by_interval, *(i for i in own if not any(_inside(i, c) for c in claim.by_interval))})
    found: dict[tuple[str, str], list[tuple[Interval, Decimal]]] = {}
    left: list[tuple[Interval, Decimal, Decimal]] = []
    for over in spans:
        ours, said = _over(own, over), claim.by_interval.get(over)
        received = said if said is not None else ZERO
        if _same(received, ours, coarse):
            continue
        shown = ((a.cause, a.text) for a, of in others if _has(of, over) and _same(received, _over(of, over), coarse))
        cause = _missing(said, ours, coarse) or next(shown, None)
        if cause is None:
            left.append((over, ours, received))
        else:
            found.setdefault(cause, []).append((over, received - ours))
    parts = [Part(cause, sum((usd for _, usd in of), ZERO), len(of), _where(text, of)) for (cause, text), of in found.items()]
    return [*parts, *_ratio(left, coarse)]


def _inside(inner: Interval, outer: Interval) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _over(amounts: Mapping[Interval, Decimal], over: Interval) -> Decimal:
    if over in amounts:
        return amounts[over]
    return sum((usd for i, usd in amounts.items() if _inside(i, over)), ZERO)


def _has(amounts: Mapping[Interval, Decimal], over: Interval) -> bool:
    return over in amounts or any(_inside(i, over) for i in amounts)


def _same(received: Decimal, ours: Decimal, coarse: Decimal) -> bool:
    return abs(received - ours) <= coarse + RELATIVE * abs(received)


def _missing(said: Decimal | None, ours: Decimal, coarse: Decimal) -> tuple[str, str] | None:
    if said is None or (not said and abs(ours) > CENT):
        return "missing line", "the statement has nothing there"
    if not ours and abs(said) > CENT:
        return "missing line", "we have nothing there"
    return ("rule", "the sign is the other way round") if _same(-said, ours, coarse) else None


def _where(text: str, of: Sequence[tuple[Interval, Decimal]]) -> str:
    first = of[0][0].start.isoformat()
    return f"{text}: {len(of)} intervals from {first}" if len(of) > 1 else f"{text}: {first}"


def _ratio(left: Sequence[tuple[Interval, Decimal, Decimal]], coarse: Decimal) -> list[Part]:
    """Intervals that are all the same multiple of ours settle on other losses; one alone shows nothing."""
    ratios = sorted(received / ours for _, ours, received in left if ours)
    if len(ratios) < 2 or len(ratios) < len(left) or ratios[0] <= 0:
        return []
    # The smallest amounts are the coarsest once rounded: the one ratio is that of the sums.
    ratio = sum((r for _, _, r in left), ZERO) / sum((o for _, o, _ in left), ZERO)
    if any(abs(o * ratio - r) > coarse + ONE_RATIO * abs(r) for _, o, r in left):
        return []
    usd = sum((r - o for _, o, r in left), ZERO)
    text = (
        f"every interval is {ratio:.6f} times ours, as with that much more loss"
        if ratio > 1
        else f"every interval is {ratio:.6f} times ours, as with less loss"
    )
    return [Part("losses", usd, len(left), text)]


def _by_total(claim: Claim, own: Sequence[Line], ours_usd: Decimal, others: Sequence[tuple[Alternative, tuple[Line, ...]]]) -> Part | None:
    """The one cause that gives the received total, if any does."""
    difference = claim.amount_usd - ours_usd

    def gives(usd: Decimal) -> bool:
        return abs(usd - claim.amount_usd) <= tolerance(claim.amount_usd)

    if not claim.amount_usd or not own:
        return Part("missing line", difference, 0, "the statement has nothing of it" if own else "we have nothing of it")
    if gives(sum((cents(line.amount_usd) for line in own), ZERO)):
        return Part("rounding", difference, 0, "each interval is rounded to the cent, not the day once")
    for alternative, lines in others:
        if gives(sum((line.amount_usd for line in lines), ZERO)):
            return Part(alternative.cause, difference, 0, alternative.text)
    if gives(-ours_usd):
        return Part("rule", difference, 0, "the sign is the other way round")
    for name in sorted({line.name for line in own}):
        without = sum((line.amount_usd for line in own if line.name != name), ZERO)
        if gives(without):
            return Part("missing line", difference, 0, f"the statement leaves {name} out")
    return None
