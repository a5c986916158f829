"""Who outweighs whom among limits of the load: two rules that random mixes found broken."""

from __future__ import annotations

import random

from dispatch.decide.fit_to_limit import LoadLimit
from dispatch.decide.precedence import LIMITS, PRECEDENCE, Asker
from dispatch.decide.reflex import Wanted, within_limits
from tests.arbitration import Fleet, load_of, mixed_site

INFINITE = float("inf")


class Obedient(random.Random):
    """Dice that always fall on the first choice: every rig obeys and answers."""

    def random(self) -> float:
        return 0.0

    def choice(self, seq: object) -> object:
        return seq[0]  # type: ignore[index]


def fleet() -> Fleet:
    return Fleet(mixed_site(), Obedient(0))


def limit(asker: Asker, floor_mw: float = 0.0, cap_mw: float = INFINITE) -> LoadLimit:
    names = ("old", "new", "mid")
    return LoadLimit(asker, names, floor_mw, cap_mw, asker is not Asker.WISH, f"{asker} asks", of_site=asker is Asker.SITE)


def test_a_floor_is_met_by_rigs_awake_in_a_lower_mode() -> None:
    all_low = {"old": [0, 10], "new": [0, 10, 0], "mid": [0, 6, 0]}
    made = fleet()
    want = within_limits(Wanted(all_low), made, [limit(Asker.INSTRUCTION, floor_mw=0.080)])
    assert load_of(made, want.counts, all_low) > 0.078e6 and not want.short
    assert want.counts["new"][2] + want.counts["mid"][2] > 0


def test_a_wishs_cap_yields_to_an_instructions_floor_and_is_named() -> None:
    everything = {"old": [0, 10], "new": [0, 0, 10], "mid": [0, 0, 6]}
    made = fleet()
    want = within_limits(Wanted(everything), made, [limit(Asker.WISH, cap_mw=0.02), limit(Asker.INSTRUCTION, floor_mw=0.06)])
    assert load_of(made, want.counts, everything) > 0.057e6
    assert set(want.short) == {Asker.WISH}


def test_a_hold_on_megawatts_does_not_yield() -> None:
    everything = {"old": [0, 10], "new": [0, 0, 10], "mid": [0, 0, 6]}
    made = fleet()
    want = within_limits(Wanted(everything), made, [limit(Asker.INSTRUCTION, floor_mw=0.06), limit(Asker.LOAD_HOLD, cap_mw=0.02)])
    assert load_of(made, want.counts, everything) <= 0.02e6
    assert set(want.short) == {Asker.INSTRUCTION}


def test_limits_are_a_part_of_the_order() -> None:
    assert [asker for asker in PRECEDENCE if asker in LIMITS] == list(LIMITS)
    assert set(PRECEDENCE) == set(Asker)
