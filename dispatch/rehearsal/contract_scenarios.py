"""The scenarios of a contract that is called: how long its calls last and by when they are answered comes from its own terms."""

from __future__ import annotations

from collections.abc import Iterator

from dispatch.rehearsal.load_range import LoadRange
from dispatch.rehearsal.scenarios import EVENTS, SET_POINTS, CallScenario, Expected, Message, deploy, set_points
from optimizer.domain.call_terms import CallTerms

# Minutes that a call lasts beyond its response in the shorter scenarios, and the most that is played of a long one.
HELD_MIN, LONGEST_MIN = 20.0, 240.0
# Minutes within which the load must be back where no rule says, and the most that is played of a rule that gives longer.
BACK_WITHIN_MIN = 60.0


def contract_scenarios(contract: str, terms: CallTerms, promised_mw: float, loads: LoadRange) -> Iterator[CallScenario]:
    """The scenarios of one contract whose rigs have the range `loads`. What it promises is called in full, or as far as its rigs reach."""
    full = loads.share(terms.stays_mw if terms.stays_mw is not None else loads.highest_mw - promised_mw)
    due, half = terms.respond_min, (1.0 + full) / 2.0
    short, long = due + HELD_MIN, due + min(LONGEST_MIN, max(HELD_MIN, terms.sustain_h * 60.0))
    back = min(BACK_WITHIN_MIN, (terms.restore_h or 1.0) * 60.0)

    def scenario(name: str, what: str, messages: tuple[Message, ...], expected: tuple[Expected, ...], speaks: str = EVENTS) -> CallScenario:
        lasts_min = max(e.end_min for e in expected) + 5.0
        return CallScenario(f"{contract}: {name}", what, messages, expected, lasts_min, speaks, contract=contract)

    yield scenario("sustained", f"all that is promised, for {long - due:g} min", (deploy(0, full, 0, long),), (Expected(0, long, full),))
    yield scenario(
        "recalled",
        "called in full until the recall, and back after it",
        (deploy(0, full, 0, None), Message(short, "recall")),
        (Expected(0, short, full), Expected(short, short + back + 10.0, back_within_min=back)),
    )
    yield scenario("test", "a test is answered like a call", (Message(0, "test", full, 0, short),), (Expected(0, short, full),))
    yield scenario("half", "half of what is promised", (deploy(0, half, 0, short),), (Expected(0, short, half),))
    yield scenario(
        "changed",
        "all that is promised, once half of it was called",
        (deploy(0, half, 0, 2 * short, version=1), deploy(short, full, 0, 2 * short, version=2)),
        (Expected(0, short, half), Expected(short, 2 * short, full)),
    )
    if terms.set_points:
        steps = [1.0 - (1.0 - full) * n / 4.0 for n in range(1, 5)]
        sent, seen = set_points(*steps, every_min=max(10.0, due + 5.0))
        yield scenario("set-points", "set points down to all that is promised", sent, seen, SET_POINTS)
