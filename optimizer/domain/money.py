"""Money: lines, statements and findings in Decimal, and the only place where amounts are rounded.

Market rules: docs/rules.md#rounding-and-statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from markets import usd_text as usd_text  # the one money formatter, offered beside the amounts it writes
from markets.grid import Interval

CENT = Decimal("0.01")
ZERO = Decimal(0)


def decimal(value: float | int | str | Decimal) -> Decimal:
    """The shortest decimal that reads as this number: 35.96 is 35.96, not its binary neighbour."""
    return value if isinstance(value, Decimal) else Decimal(repr(float(value)) if not isinstance(value, str) else value)


def decimals(values: Iterable[float]) -> list[Decimal]:
    """Floats to nine decimals, exact; NaN as NaN."""
    return [decimal(round(float(v), 9)) for v in values]


def cents(amount: Decimal) -> Decimal:
    """Rounded half up to the cent."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def plain(value: Decimal) -> str:
    """A Decimal without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Line:
    """One charge over one interval, from the site's side: positive is a receipt. amount = quantity x rate, exact. `price_at` is the
    settlement point of the rate and `meter` the id of the meter of the quantity, where there is one. `accrued`: owed in a later period."""

    obligation: str
    charge_type: str
    over: Interval
    quantity: Decimal
    unit: str
    rate: Decimal
    amount_usd: Decimal
    rule: str = ""
    price_at: str = ""
    accrued: bool = False
    meter: str = ""

    @property
    def name(self) -> str:
        """OBLIGATION/CHARGE_TYPE, as totals go by."""
        return f"{self.obligation}/{self.charge_type}"


@dataclass(frozen=True, slots=True)
class UnknownCharge:
    """A charge of an interval that is owed or paid and cannot be computed, because `why`: its amount is unknown, never zero.
    `accrued` as in Line."""

    obligation: str
    charge_type: str
    over: Interval
    unit: str
    why: str
    rule: str = ""
    accrued: bool = False

    @property
    def name(self) -> str:
        """OBLIGATION/CHARGE_TYPE, as totals go by."""
        return f"{self.obligation}/{self.charge_type}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should look at; the rest goes on. `kind` is a stable word, `text` says it in the user's words."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """The lines of a span and their totals. Amounts are rounded once, at the total of a charge type; `net_usd` is the sum of the
    printed totals, so a statement foots; `net_exact_usd` is the unrounded net beside it. `unknown` is what neither totals nor net hold."""

    lines: tuple[Line, ...]
    findings: tuple[Finding, ...] = ()
    round_each_interval: bool = field(default=False)
    unknown: tuple[UnknownCharge, ...] = ()

    @property
    def unknown_names(self) -> tuple[str, ...]:
        """OBLIGATION/CHARGE_TYPE of every charge of which a part is unknown, once each."""
        return tuple(dict.fromkeys(charge.name for charge in self.unknown))

    @property
    def totals(self) -> dict[tuple[str, str], Decimal]:
        """By (obligation, charge type), to the cent."""
        exact: dict[tuple[str, str], Decimal] = {}
        for line in self.lines:
            key = (line.obligation, line.charge_type)
            amount = cents(line.amount_usd) if self.round_each_interval else line.amount_usd
            exact[key] = exact.get(key, ZERO) + amount
        return {key: cents(amount) for key, amount in exact.items()}

    @property
    def net_usd(self) -> Decimal:
        return sum(self.totals.values(), ZERO)

    @property
    def accrued_usd(self) -> Decimal:
        """The part of the net that is owed, or due, in a later period."""
        accrued = {(line.obligation, line.charge_type) for line in self.lines if line.accrued}
        return sum((usd for key, usd in self.totals.items() if key in accrued), ZERO)

    @property
    def settled_usd(self) -> Decimal:
        """The part of the net that settles with the day."""
        return self.net_usd - self.accrued_usd

    @property
    def net_exact_usd(self) -> Decimal:
        return sum((line.amount_usd for line in self.lines), ZERO)

    def of(self, obligation: str) -> Iterable[Line]:
        return (line for line in self.lines if line.obligation == obligation)
