"""What the sender of calls is authorized to ask for: [[envelopes]] of a site file, one for an API key or a link."""

from __future__ import annotations

from typing import Literal

from optimizer.domain.site import NotNegative, Positive, Written

CallWord = Literal["deploy", "recall", "cancel", "set_point", "test"]


class Envelope(Written):
    """A call outside it is refused. What is left out is not limited.

    key             whose calls: the name of an API key, "link NAME", "watched folder" or "command line"
    obligations     the contracts that may be called
    kinds           the kinds of calls; recalls and cancels are always allowed
    least_mw        the lowest load that may be asked for, MW
    most_delta_mw   the largest reduction that may be asked for, MW
    longest_h       hours; a call without an end is refused then
    calls_per_day   calls in any 24 hours, changes of a call not counted
    """

    key: str
    obligations: tuple[str, ...] = ()
    kinds: tuple[CallWord, ...] = ()
    least_mw: NotNegative | None = None
    most_delta_mw: NotNegative | None = None
    longest_h: Positive | None = None
    calls_per_day: Positive | None = None
