"""What the market says: facts with source and vintage, and forecasts of what is not published yet.

The package itself holds what every room and both packages above need to report a problem: the errors of sources, and how dollars and counts
are written in messages.
"""

from decimal import ROUND_HALF_UP, Context, Decimal

_ANY_SIZE = Context(prec=400)  # digits of the largest float and its cents


class SourceError(Exception):
    """A source could not give what it was asked for. Log the failure once and the recovery once."""


class Stale(SourceError):
    """The newest fact is older than the market allows."""


class NotPublished(SourceError):
    """The market has not published this yet."""


class Unreachable(SourceError):
    """The source did not answer, or answered with something that is not its document."""


class UnknownPrice(SourceError):
    """No price at a settlement point, or no hashprice, is known in any interval: no plan is made on it."""


class Refused(SourceError):
    """A frame was refused as a whole: a value or its shape cannot be true."""


def usd_text(amount: float | str | Decimal) -> str:
    """Dollars for people: "$1,234.50", "-$3.20". A rate puts its unit after: f"{usd_text(price)}/MWh" is "$5.00/MWh"."""
    rounded = Decimal(str(amount)).quantize(Decimal("0.01"), ROUND_HALF_UP, _ANY_SIZE)
    return f"{'-' if rounded < 0 else ''}${rounded.copy_abs():,}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A count with its noun, for messages: "1 plan", "3 plans", "1,200 rigs", "0 entries". `plural` where English is irregular."""
    if number != 1:
        noun = plural or _plural(noun)
    return f"{number:,} {noun}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")
