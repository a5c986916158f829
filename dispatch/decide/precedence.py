"""Who may ask for a load, the weakest first: each outweighs those before it. Decisions follow these tuples, and docs/arbitration.md is made
by deciding between any two of them."""

from __future__ import annotations

from enum import StrEnum


class Asker(StrEnum):
    """Who, or what, wants the site to draw more or less."""

    PLAN = "price response"
    SAFE_STATE = "safe state"
    MODE_HOLD = "hold on a mode"
    WISH = "wish of a contract"
    INSTRUCTION = "instruction"
    LOAD_HOLD = "hold on megawatts"
    SITE = "limit of the site"
    STOP = "global stop"


# What the rigs would do without any limit: the plan, where a price is known, and the modes that people hold groups in.
BASE = (Asker.PLAN, Asker.SAFE_STATE, Asker.MODE_HOLD)
# Limits of the load in MW. Floors are raised first, then caps cut, each in this order: of two that contradict each other the cap counts.
LIMITS = (Asker.WISH, Asker.INSTRUCTION, Asker.LOAD_HOLD, Asker.SITE)
PRECEDENCE = (*BASE, *LIMITS, Asker.STOP)
# Askers that may want more than another, and so appear on the other side of every comparison. The rest only ever ask for less.
ASK_MORE = (*BASE, Asker.WISH, Asker.INSTRUCTION)


def winner(less: Asker, more: Asker) -> Asker:
    """Who gets the load they ask for, of one that asks for less and one that asks for more: the later in `PRECEDENCE`. Of two of one kind
    the one that asks for less."""
    return max(less, more, key=PRECEDENCE.index)
