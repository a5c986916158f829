"""More of what is good never hurts: a higher price never raises load and a higher hashprice never lowers it where nothing couples the
hours; one more megawatt of any limit never earns less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from markets.facts import Call
from markets.grid import Market
from markets.outlook import Outlook
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Meter, SoFar
from optimizer.lp.mode_columns import TIE_USD_PER_MWH
from optimizer.planning.plan import plan, program_of
from optimizer.solve import Session
from optimizer.solve.integer_rounding import GAP
from optimizer.solve.lexicographic import solve_in_stages
from tests.optimizer import random_cases
from tests.optimizer.contracts import DRAWN, OFFERED, Terms

ALWAYS = ("hashing", "power", "plant")
# Contracts that count over a day, a month or a term, and what remembers the hour before.
COUPLES = {"ers", "transition"}


def couples(terms: Terms) -> bool:
    """Whether what a contract earns in one hour depends on another."""
    contract = terms.contract
    return (
        contract.type in COUPLES
        or getattr(contract, "method", "") in ("ncp", "mbd")
        or (contract.type == "ancillary" and contract.block is not None)
        or getattr(contract, "delivery", "") in ("daily", "hourly")
        or getattr(contract, "uptime", 0.0) > 0
        or getattr(contract, "min_mw", 0.0) > 0
        or getattr(contract, "min_down_min", 0.0) > 0
    )


def uncoupled(seed: int) -> random_cases.Case:
    """Halls and an interconnect that bind, calls, and contracts that look at each hour by itself."""
    rng = np.random.default_rng([seed, 11])
    over = random_cases.span(rng, int(rng.integers(5, 11)), days=False)
    where = random_cases.site(rng, tight=True, where=Market.MISO if rng.random() < 0.3 else Market.ERCOT)
    still = {"min_on_min": 0.0, "min_off_min": 0.0, "wear_usd_per_start": 0.0, "wake_min": 0.0}
    groups = tuple(g.model_copy(update=still) for g in where.groups)
    halls = tuple(h.model_copy(update={"max_starts_per_min": None}) for h in where.halls)
    free = {"groups": groups, "halls": halls, "max_ramp_up_mw_per_min": None, "max_ramp_down_mw_per_min": None}
    where = where.model_copy(update=free)
    drawn = [DRAWN[k](rng, where, over) for k in OFFERED if k in ALWAYS or rng.random() < 0.5]
    terms = [t for t in drawn if not couples(t) and (t.market is where.market or t.contract.type in ALWAYS)]
    book = tuple(t.contract for t in terms)
    told: list[Call] = random_cases.calls(rng, where, book, over, most=2)[0] if seed % 2 else []
    caps = tuple(c for c in told if c.mw_cap is not None)
    state = SoFar(
        over.start, calls=caps, awards=tuple(a for t in terms for a in t.awards), memory={t.contract.name: t.remembered() for t in terms}
    )
    return random_cases.Case(where, book, random_cases.market(rng, over), state)


def dearer(ahead: Outlook, rng: np.random.Generator, t: int) -> Outlook:
    """Energy at one point or both costs more in one interval."""
    points = random_cases.POINTS if rng.random() < 0.5 else (random_cases.POINTS[int(rng.integers(2))],)
    more = round(float(rng.exponential(60)) + 1.0, 2)
    step = np.where(np.arange(len(ahead.grid)) == t, more, 0.0)
    return replace(ahead, energy={p: s.with_values(s.values + step * (p in points)) for p, s in ahead.energy.items()})


def richer(ahead: Outlook, rng: np.random.Generator, t: int) -> Outlook:
    step = np.where(np.arange(len(ahead.grid)) == t, round(float(rng.exponential(30)) + 0.5, 2), 0.0)
    return replace(ahead, hashprice=ahead.hashprice.with_values(ahead.hashprice.values + step))


def moves_one_way(seed: int, change, sign: float) -> None:
    case, rng = uncoupled(seed), np.random.default_rng([seed, 12])
    t = int(rng.integers(len(case.outlook.grid)))
    before = plan(*case.inputs).load_mw
    after = plan(*replace(case, outlook=change(case.outlook, rng, t)).inputs).load_mw
    assert (after - before)[t] * sign >= -1e-5, f"load goes from {before[t]:.5f} to {after[t]:.5f} MW"
    others = np.arange(len(before)) != t
    np.testing.assert_allclose(after[others], before[others], atol=1e-5, err_msg="another hour moved")


# --- limits -------------------------------------------------------------------------------------------------------------------------------


def coupled(seed: int) -> random_cases.Case:
    """Everything that couples hours, and no instructions: a promise that can be kept only where there is more room costs money."""
    rng = np.random.default_rng([seed, 13])
    over = random_cases.span(rng, int(rng.integers(5, 13)), days=False)
    where = random_cases.site(rng, tight=True, where=Market.MISO if rng.random() < 0.3 else Market.ERCOT)
    meters = tuple(m.model_copy(update={"import_mw": 3.0}) if m.id == "far" else m for m in where.meters)
    where = where.model_copy(update={"meters": meters})
    drawn = [DRAWN[k](rng, where, over) for k in OFFERED if k in ALWAYS or rng.random() < 0.5]
    terms = [t for t in drawn if t.market is where.market or t.contract.type in ALWAYS]
    memory = {t.contract.name: t.remembered() for t in terms}
    state = SoFar(over.start, random_cases.doing(rng, where, over.start), (), tuple(a for t in terms for a in t.awards), memory)
    return random_cases.Case(where, tuple(t.contract for t in terms), random_cases.market(rng, over), state)


def with_more(case: random_cases.Case, mw: float) -> Iterator[tuple[str, random_cases.Case]]:
    """The same with one more of each limit."""
    where = case.site

    def site(**changed: object) -> random_cases.Case:
        return replace(case, site=where.model_copy(update=changed))

    yield "interconnect_mw", site(interconnect_mw=where.interconnect_mw + mw)
    for ramp in ("max_ramp_up_mw_per_min", "max_ramp_down_mw_per_min"):
        if getattr(where, ramp) is not None:
            yield ramp, site(**{ramp: getattr(where, ramp) + mw / 15})
    for k, hall in enumerate(where.halls):
        for limit, more in (("limit_mw", mw), ("max_starts_per_min", 20.0)):
            if getattr(hall, limit) is not None:
                roomy = hall.model_copy(update={limit: getattr(hall, limit) + more})
                yield f"{limit} of hall {hall.name}", site(halls=(*where.halls[:k], roomy, *where.halls[k + 1 :]))
    lines: tuple[Meter, ...] = tuple(m.model_copy(update={"import_mw": m.import_mw + mw}) if m.import_mw else m for m in where.meters)
    yield "import_mw", site(meters=lines)
    yield from _of_contracts(case, mw)


def _of_contracts(case: random_cases.Case, mw: float) -> Iterator[tuple[str, random_cases.Case]]:
    def book(k: int, **changed: object) -> random_cases.Case:
        contract: Obligation = case.book[k]
        return replace(case, book=(*case.book[:k], contract.model_copy(update=changed), *case.book[k + 1 :]))

    for k, contract in enumerate(case.book):
        qualified = getattr(contract, "qualified_mw", {})
        if qualified:
            yield f"qualified_mw of {contract.type}", book(k, qualified_mw={p: most + mw for p, most in qualified.items()})
        for limit in ("ramp_mw_per_min", "mpc_mw"):
            if getattr(contract, limit, None) is not None:
                yield f"{limit} of {contract.type}", book(k, **{limit: getattr(contract, limit) + mw})
        if getattr(contract, "lpc_mw", 0.0):
            yield "lpc_mw", book(k, lpc_mw=0.0)
        terms = getattr(contract, "sell_back", None)
        if terms is not None and terms.haircut_usd_per_mwh:
            yield "cap_mw of sell_back", book(k, sell_back=terms.model_copy(update={"cap_mw": terms.cap_mw + mw}))


def earns(case: random_cases.Case) -> tuple[float, bool]:
    """Dollars of the program's own objective, and whether something had to give way."""
    found = solve_in_stages(program_of(*case.inputs), Session())
    return -found.objective, bool(found.broken)


def room_never_hurts(seed: int) -> None:
    case = coupled(seed)
    base, gave_way = earns(case)
    if gave_way:
        return
    size = sum(float(case.most_mw([g.name]).max()) for g in case.site.groups) * float(sum(case.outlook.grid.hours))
    slack = TIE_USD_PER_MWH * size + 2 * GAP * (1 + abs(base))
    variants, rng = list(with_more(case, 0.25)), np.random.default_rng([seed, 14])
    for what, roomier in (variants[k] for k in rng.permutation(len(variants))[:3]):
        now, gives_way = earns(roomier)
        assert not gives_way, f"more {what}, and something gives way"
        assert now >= base - slack, f"more {what}: {base:.4f} becomes {now:.4f}"


LAWS = {
    "a higher price never raises load": lambda seed: moves_one_way(seed, dearer, -1.0),
    "a higher hashprice never lowers load": lambda seed: moves_one_way(seed, richer, 1.0),
    "one more megawatt never earns less": room_never_hurts,
}


@pytest.mark.parametrize("law", LAWS)
def test_monotone(law):
    random_cases.each(range(12), LAWS[law])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("law", LAWS)
def test_monotone_five_hundred_times(law):
    random_cases.each(range(500), LAWS[law])
