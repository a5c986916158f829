"""What a plan says a contract earns is never more than the bill pays: every contract on offer, on markets drawn by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimizer.domain.contract import Contract
from optimizer.domain.formula import Bounds
from optimizer.domain.site import SoFar
from tests.conformance import obligation_kit as kit
from tests.optimizer import random_cases
from tests.optimizer.contracts import DRAWN, INTERVAL, OFFERED, TOTAL, Terms

MARKETS = 500


def test_every_contract_that_is_offered_is_held_to_the_law():
    assert set(OFFERED) <= set(DRAWN)


def drawn(kind: str, seed: int) -> tuple[np.random.Generator, random_cases.Case, Terms]:
    """A market, a site without limits, and one contract of a kind with all it must know; calls under its name in every third."""
    rng = np.random.default_rng([seed, OFFERED.index(kind)])
    over = random_cases.span(rng, int(rng.integers(8, 24)))
    terms = DRAWN[kind](rng, random_cases.site(rng, tight=False), over)
    where = random_cases.site(rng, tight=False, where=terms.market)
    told, _, before = random_cases.calls(rng, where, (terms.contract,), over, most=2) if seed % 3 == 0 else ((), (), {})
    memory = {terms.contract.name: terms.remembered(before.get(terms.contract.name))}
    state = SoFar(over.start, calls=(*terms.calls, *told), awards=terms.awards, memory=memory)
    return rng, random_cases.Case(where, (*terms.beside, terms.contract), random_cases.market(rng, over, gaps=True), state), terms


def unbound(contract: Contract) -> Contract:
    """The same money, and nothing insisted on: then a load may break its instructions as often as not."""

    class Unbound(type(contract)):
        def bounds(self, site, memory, calls, over):
            return Bounds()

    free = Unbound.model_validate(contract.model_dump(by_alias=True))
    free._rules = contract._rules
    return free


def law_holds(kind: str, seed: int) -> None:
    rng, case, terms = drawn(kind, seed)
    contract = unbound(terms.contract) if seed % 6 == 0 else terms.contract
    beside = (*terms.beside, *(DRAWN[k](rng, case.site, case.outlook.grid).contract for k in ("hashing", "power") if not terms.beside))
    others = tuple(b for b in beside if b.type != terms.contract.type)
    if seed % 2:
        others = terms.beside
    kit.keeps_the_law(
        contract, case.site, case.outlook, rng, linear=terms.exact == INTERVAL, exact=terms.exact == TOTAL, beside=others,
        state=case.so_far,
    )  # fmt: skip


@pytest.mark.parametrize("kind", OFFERED)
def test_promise_is_at_most_pay(kind):
    random_cases.each(range(6), lambda seed: law_holds(kind, seed))


@pytest.mark.parametrize(("kind", "seed"), [("ers", 411), ("ers", 483), ("transmission", 105)])
def test_markets_that_broke_the_law_before(kind, seed):
    """Deployments that use up the hours of an ERS term; and costs that are small beside the weight of a broken instruction."""
    law_holds(kind, seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", OFFERED)
def test_promise_is_at_most_pay_in_five_hundred_markets(kind):
    random_cases.each(range(MARKETS), lambda seed: law_holds(kind, seed))


@pytest.mark.parametrize("kind", OFFERED)
def test_lines_are_its_own_and_calls_are_heard(kind):
    def holds(seed: int) -> None:
        rng, case, terms = drawn(kind, seed)
        if terms.beside:  # what stands only beside others has a law of its own below
            return
        whole = replace(case.outlook, energy={p: s.with_values(np.nan_to_num(s.values, nan=20.0)) for p, s in case.outlook.energy.items()})
        kit.speaks_for_itself(terms.contract, case.site, whole, rng)
        kit.honours_calls(terms.contract, case.site, whole)

    random_cases.each(range(2), holds)
