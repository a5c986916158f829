"""`python -m tests.docs.arbitration`: who wins between any two who ask for different loads, decided by the code and written as a table into
docs/arbitration.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dispatch.decide.fit_to_limit import LoadLimit, LoadsNow
from dispatch.decide.precedence import ASK_MORE, LIMITS, PRECEDENCE, Asker
from dispatch.decide.reflex import STOP_ID, wanted
from dispatch.decide.state import State
from dispatch.entries import Hold, Seen
from dispatch.site_file.setup import Setup
from markets.outlook import PriceBasis
from optimizer.domain.site import SafeState
from tests.dispatch.decide.test_decide import folded, look, planned
from tests.docs.generated import write
from tests.fakes import NOON
from tests.sites import document, small

PAGE = "arbitration.md"
LOW_MW, HIGH_MW = 0.05, 0.2  # what those who ask for less and for more ask for; the site draws 0.002 to 0.26
ASK_LESS = PRECEDENCE
Ask = tuple[Asker, bool]  # who asks, and whether for more


def load_mw(asks: Iterable[Ask]) -> float:
    """The load that is decided on when these ask, MW; where no plan and no safe state does, the rigs run."""
    by = dict(asks)
    safe = SafeState.RUN if by.get(Asker.SAFE_STATE, True) else SafeState.SLEEP
    setup = small(site={**document()["site"], "safe_state": safe.value})
    state = _base(setup, by)
    now = LoadsNow(state, NOON)
    want = wanted(state, NOON, now, [_limit(state, asker, by[asker]) for asker in LIMITS if asker in by])
    return now.wanted(want.counts, tuple(want.counts)) / 1e6


def _base(setup: Setup, by: dict[Asker, bool]) -> State:
    """The site with a plan, a safe state, holds on a mode and a stop, as far as these ask."""
    mode = "normal" if by.get(Asker.PLAN, True) else "sleep"
    rigs = {"a_old": {mode: 40.0}, "b_new": {mode: 40.0}}
    state = folded(setup, Seen(at=NOON, fleet=look(setup)), planned(setup, NOON, 1, **rigs))
    holds = {}
    if Asker.MODE_HOLD in by:
        holds["h"] = Hold(id="h", group=None, mode="normal" if by[Asker.MODE_HOLD] else "sleep", mw_cap=None, until=None, by="anna")
    if Asker.STOP in by:
        holds[STOP_ID] = Hold(id=STOP_ID, group=None, mode="sleep", mw_cap=None, until=None, by="anna")
    basis = PriceBasis.SAFE_STATE if Asker.SAFE_STATE in by else PriceBasis.REAL_TIME
    return replace(state, holds=holds, price_basis=basis)


def _limit(state: State, asker: Asker, more: bool) -> LoadLimit:
    groups = tuple(g.name for g in state.site.groups)
    floor, cap = (HIGH_MW, float("inf")) if more else (0.0, LOW_MW)
    return LoadLimit(asker, groups, floor, cap, asker is not Asker.WISH, f"{asker} asks", of_site=asker is Asker.SITE)


def less_wins(asks: Iterable[Ask]) -> bool:
    """Whether those who ask for less get it."""
    return load_mw(asks) < (LOW_MW + HIGH_MW) / 2


def table() -> str:
    """Rows ask for less, columns for more; a cell says who gets it."""
    lines = [f"| asks for less | {' | '.join(ASK_MORE)} |", "|---|" + "---|" * len(ASK_MORE)]
    for less in ASK_LESS:
        cells = ["" if less is more else str(less if less_wins(((less, False), (more, True))) else more) for more in ASK_MORE]
        lines.append(f"| **{less}** | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def order() -> str:
    return "\n".join(f"{n}. {asker}" for n, asker in enumerate(PRECEDENCE, start=1)) + "\n"


def parts() -> dict[str, str]:
    return {"order": order(), "table": table()}


if __name__ == "__main__":
    write(PAGE, parts())
