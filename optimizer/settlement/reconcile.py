"""Reconciliation: a received statement compared with ours, charge by charge, and the causes of differences where they can be shown.

A cause is shown by settling again with one thing changed (another vintage of a price, another reading, no losses). Where that gives the
received figure, in an interval or in total, it is what the other side did. A difference that nothing explains is left unexplained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from markets import counted
from markets.grid import Interval
from optimizer.domain.money import CENT, ZERO, Line, cents

RELATIVE = Decimal("1e-6")
# Interval amounts of the other side are either rounded to the cent or exact up to floating point.
HALF_CENT, FINE = Decimal("0.005"), Decimal("1e-6")
# Ratios of many intervals count as one ratio when they are no further apart than this.
ONE_RATIO = Decimal("1e-4")
# How far another figure may be from ours to be the same figure of another time; loss factors are within a few percent.
PLAUSIBLE = (Decimal("0.8"), Decimal("1.25"))
# A step of the last of four decimals must change the total by this many tolerances, or the total proves nothing.
FOUR_DECIMALS, SURE = Decimal("0.0001"), 20


@dataclass(frozen=True, slots=True)
class Claim:
    """One charge of a received statement, positive to the site. `ours` are the charge types it corresponds to, as OBLIGATION/CHARGE_TYPE;
    * matches any obligation."""

    code: str
    amount_usd: Decimal
    ours: tuple[str, ...]
    by_interval: Mapping[Interval, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alternative:
    """The same days settled with one thing changed: the cause that a match would show, and what was changed in words.

    times  what the changed figure was multiplied by: amounts follow it in a straight line, so any other multiple is tried as well
    ours   our own figure, where it is one; a total alone shows another figure only if that has four decimals, as published ones have
    """

    cause: str
    text: str
    lines: tuple[Line, ...]
    times: Decimal | None = None
    ours: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a difference with its cause; `intervals` is 0 where only totals could be compared."""

    cause: str
    usd: Decimal
    intervals: int
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A charge on both statements. `difference_usd` is received less ours: the sum of `parts` and `unexplained_usd`."""

    code: str
    ours: tuple[str, ...]
    ours_usd: Decimal
    received_usd: Decimal
    parts: tuple[Part, ...] = ()

    @property
    def difference_usd(self) -> Decimal:
        """Received less ours."""
        return self.received_usd - self.ours_usd

    @property
    def agrees(self) -> bool:
        """Whether both amounts are the same within the tolerance and no interval differs."""
        return abs(self.difference_usd) <= tolerance(self.received_usd) and not self.parts

    @property
    def unexplained_usd(self) -> Decimal:
        """What is left of the difference after its parts; zero within the tolerance."""
        left = self.difference_usd - sum((p.usd for p in self.parts), ZERO)
        return left if abs(left) > tolerance(self.received_usd) else ZERO


def tolerance(usd: Decimal) -> Decimal:
    """How far two figures may be apart and agree: amounts are floats on the other side."""
    return max(CENT, RELATIVE * abs(usd))


def compare(claim: Claim, lines: Sequence[Line], ours_usd: Decimal, alternatives: Sequence[Alternative]) -> Difference:
    """Compares a claim with our lines of the same days, whose printed total is `ours_usd`."""
    own = [line for line in lines if stands_for(claim.ours, line.name)]
    plain = Difference(claim.code, claim.ours, ours_usd, claim.amount_usd)
    others = [(a, tuple(line for line in a.lines if stands_for(claim.ours, line.name))) for a in alternatives]
    if claim.by_interval:
        coarse = HALF_CENT if all(usd == cents(usd) for usd in claim.by_interval.values()) else FINE
        parts = _by_interval(claim, _amounts(own), [(a, _amounts(of)) for a, of in others], coarse)
        rest = plain.difference_usd - sum((p.usd for p in parts), ZERO)
        if coarse == HALF_CENT and tolerance(claim.amount_usd) < abs(rest) <= HALF_CENT * (len(claim.by_interval) + 1):
            parts.append(Part("rounding", rest, 0, "each interval is rounded to the cent instead of the total"))
        return Difference(claim.code, claim.ours, ours_usd, claim.amount_usd, tuple(parts))
    if plain.agrees:
        return plain
    part = _by_total(claim, own, ours_usd, others)
    return Difference(claim.code, claim.ours, ours_usd, claim.amount_usd, (part,) if part else ())


def stands_for(patterns: Iterable[str], name: str) -> bool:
    """Whether a charge type, OBLIGATION/CHARGE_TYPE, matches one of the patterns."""
    _, _, charge = name.rpartition("/")
    return any(p == name or p == f"*/{charge}" for p in patterns)


def _amounts(lines: Iterable[Line]) -> dict[Interval, Decimal]:
    out: dict[Interval, Decimal] = {}
    for line in lines:
        out[line.over] = out.get(line.over, ZERO) + line.amount_usd
    return out


Others = Sequence[tuple[Alternative, Mapping[Interval, Decimal]]]


def _by_interval(claim: Claim, own: Mapping[Interval, Decimal], others: Others, coarse: Decimal) -> list[Part]:
    """Parts by cause; each interval is in one of them. Where intervals of the claim are longer than ours, ours are added up. Amounts no
    further apart than `coarse` are the same."""
    spans = sorted({*claim.by_interval, *(i for i in own if not any(_inside(i, c) for c in claim.by_interval))})
    found: dict[tuple[str, str], list[tuple[Interval, Decimal]]] = {}
    left: list[tuple[Interval, Decimal, Decimal]] = []
    for over in spans:
        ours, claimed = _over(own, over), claim.by_interval.get(over)
        received = claimed if claimed is not None else ZERO
        if _same(received, ours, coarse):
            continue
        shown = ((a.cause, a.text) for a, of in others if _has(of, over) and _same(received, _over(of, over), coarse))
        cause = _missing(claimed, ours, coarse) or next(shown, None)
        if cause is None:
            left.append((over, ours, received))
        else:
            found.setdefault(cause, []).append((over, received - ours))
    parts = [Part(cause, sum((usd for _, usd in of), ZERO), len(of), _where(text, of)) for (cause, text), of in found.items()]
    return [*parts, *(_ratio(left, coarse) or _multiple(left, others, coarse))]


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


def _missing(claimed: Decimal | None, ours: Decimal, coarse: Decimal) -> tuple[str, str] | None:
    if claimed is None or (not claimed and abs(ours) > CENT):
        return "missing line", "the statement has no amount there"
    if not ours and abs(claimed) > CENT:
        return "missing line", "ours has no amount there"
    return ("rule", "the sign is reversed") if _same(-claimed, ours, coarse) else None


def _where(text: str, of: Sequence[tuple[Interval, Decimal]]) -> str:
    first = of[0][0].start.isoformat()
    return f"{text}: {counted(len(of), 'interval')} from {first}" if len(of) > 1 else f"{text}: {first}"


def _ratio(left: Sequence[tuple[Interval, Decimal, Decimal]], coarse: Decimal) -> list[Part]:
    """Intervals that are all the same multiple of ours were settled with other losses; a single interval shows nothing."""
    ratios = sorted(received / ours for _, ours, received in left if ours)
    if len(ratios) < 2 or len(ratios) < len(left) or ratios[0] <= 0:
        return []
    # Rounding distorts small amounts most, so the common ratio is that of the sums.
    ratio = sum((r for _, _, r in left), ZERO) / sum((o for _, o, _ in left), ZERO)
    if any(abs(o * ratio - r) > coarse + ONE_RATIO * abs(r) for _, o, r in left):
        return []
    usd = sum((r - o for _, o, r in left), ZERO)
    text = (
        f"every interval is {ratio:.6f} times ours, as with higher losses"
        if ratio > 1
        else f"every interval is {ratio:.6f} times ours, as with lower losses"
    )
    return [Part("losses", usd, len(left), text)]


def _multiple(left: Sequence[tuple[Interval, Decimal, Decimal]], others: Others, coarse: Decimal) -> list[Part]:
    """Intervals that are all ours with one figure multiplied by the same number, where the amount is not a multiple itself (a block less
    its load)."""
    for alternative, amounts in others:
        if alternative.times is None or len(left) < 2:
            continue
        steps = [_over(amounts, over) - ours for over, ours, _ in left]
        weight = sum((step * step for step in steps), ZERO)
        if not weight:
            continue
        many = sum((step * (received - ours) for step, (_, ours, received) in zip(steps, left, strict=True)), ZERO) / weight
        times = 1 + many * (alternative.times - 1)
        apart = (abs(ours + many * step - received) for step, (_, ours, received) in zip(steps, left, strict=True))
        fits = all(gap <= coarse + ONE_RATIO * abs(received) for gap, (_, _, received) in zip(apart, left, strict=True))
        if fits and PLAUSIBLE[0] < times < PLAUSIBLE[1]:
            usd = sum((received - ours for _, ours, received in left), ZERO)
            return [Part(alternative.cause, usd, len(left), _multiplied(alternative, times))]
    return []


def _multiplied(alternative: Alternative, times: Decimal) -> str:
    if alternative.ours is None:
        return f"{alternative.text} multiplied by {times:.6f}"
    return f"{alternative.text} of {alternative.ours * times:.4f}, where ours is {alternative.ours}"


def _published(alternative: Alternative, lines: Sequence[Line], ours_usd: Decimal, claimed_usd: Decimal) -> str | None:
    """The other figure, of four decimals, with which our total is the received one; None where there is none."""
    step = sum((line.amount_usd for line in lines), ZERO) - ours_usd
    if alternative.times is None or alternative.ours is None or not step:
        return None
    unit = step / (alternative.times - 1) / alternative.ours  # dollars for a whole of the figure
    if abs(unit) * FOUR_DECIMALS < SURE * tolerance(claimed_usd):
        return None  # one figure of four decimals or other would fit any total
    figure = (alternative.ours + (claimed_usd - ours_usd) / unit).quantize(FOUR_DECIMALS)
    times = figure / alternative.ours
    fits = abs(ours_usd + (figure - alternative.ours) * unit - claimed_usd) <= tolerance(claimed_usd)
    return _multiplied(alternative, times) if fits and PLAUSIBLE[0] < times < PLAUSIBLE[1] else None


def _by_total(claim: Claim, own: Sequence[Line], ours_usd: Decimal, others: Sequence[tuple[Alternative, tuple[Line, ...]]]) -> Part | None:
    """The cause that gives the received total, if one does."""
    difference = claim.amount_usd - ours_usd

    def gives(usd: Decimal) -> bool:
        return abs(usd - claim.amount_usd) <= tolerance(claim.amount_usd)

    if not claim.amount_usd or not own:
        return Part("missing line", difference, 0, "the statement has no such line" if own else "ours has no such line")
    if gives(sum((cents(line.amount_usd) for line in own), ZERO)):
        return Part("rounding", difference, 0, "each interval is rounded to the cent instead of the total")
    for alternative, lines in others:
        if gives(sum((line.amount_usd for line in lines), ZERO)):
            return Part(alternative.cause, difference, 0, alternative.text)
    exact_usd = sum((line.amount_usd for line in own), ZERO)
    for alternative, lines in others:
        if text := _published(alternative, lines, exact_usd, claim.amount_usd):
            return Part(alternative.cause, difference, 0, text)
    if gives(-ours_usd):
        return Part("rule", difference, 0, "the sign is reversed")
    for name in sorted({line.name for line in own}):
        without = sum((line.amount_usd for line in own if line.name != name), ZERO)
        if gives(without):
            return Part("missing line", difference, 0, f"the statement leaves {name} out")
    return None
