"""The page on who wins is what the code decides, between any two and any three; and random mixes keep every cap and floor."""

from __future__ import annotations

from itertools import combinations, product

from dispatch.decide.precedence import ASK_MORE, BASE, Asker, winner
from tests import arbitration as mixes
from tests.docs.arbitration import ASK_LESS, PAGE, Ask, less_wins, parts
from tests.docs.generated import stale


def test_the_page_is_what_the_code_decides() -> None:
    assert not stale(PAGE, parts()), "run python -m tests.docs.arbitration"


def test_the_rule_that_the_page_shows_is_what_the_code_decides() -> None:
    for less, more in product(ASK_LESS, ASK_MORE):
        assert less_wins(((less, False), (more, True))) is (winner(less, more) is less) or less is more, (less, more)


def test_between_three_the_pairs_decide() -> None:
    asks: list[Ask] = [*((asker, False) for asker in ASK_LESS), *((asker, True) for asker in ASK_MORE)]
    pairs = {(less, more): less_wins(((less, False), (more, True))) for less, more in product(ASK_LESS, ASK_MORE) if less is not more}
    tried = 0
    for three in combinations(asks, 3):
        less, more = [a for a, m in three if not m], [a for a, m in three if m]
        if len({asker for asker, _ in three}) < 3 or not less or not more or {Asker.PLAN, Asker.SAFE_STATE} <= {a for a, _ in three}:
            continue  # a plan is not followed where no price is known
        expected = any(all(pairs[each, other] for other in more) for each in less)
        assert less_wins(three) is expected, three
        tried += 1
    assert tried > 100


def test_what_is_no_limit_yields_to_every_limit_on_the_other_side() -> None:
    for base in BASE:
        assert less_wins(((Asker.WISH, False), (base, True)))
        assert not less_wins(((base, False), (Asker.WISH, True)))


def test_random_mixes_keep_every_cap_and_floor_or_name_what_they_miss() -> None:
    assert mixes.tried(6_000, seed=1) == []
