"""A source whose answer holds a figure that is not a number: the whole answer is refused and said, and the loop goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.runtime import loop
from dispatch.runtime.polling import PolledSource, poll
from dispatch.service.replay import run_started
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import MemoryJournal
from markets.facts import Fact, Price
from tests.dispatch.worlds import world
from tests.fakes import NOON, FixedSource, hashprice, price, prices
from tests.sites import small

HOUR = timedelta(hours=1)


class Garbled(FixedSource):
    """A source whose prices are not numbers for an hour."""

    wrong: float = float("nan")

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        facts = await super().fetch(since, until)
        if not NOON + HOUR <= until < NOON + 2 * HOUR:
            return facts
        return [replace(f, usd_per_mwh=self.wrong) if isinstance(f, Price) else f for f in facts]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
async def test_an_answer_with_a_figure_that_is_not_a_number_is_refused_whole_and_asked_for_again(wrong: float) -> None:
    source = Garbled([price(20.0, NOON), price(30.0, NOON + HOUR)], "garbled")
    source.wrong = wrong
    polled = PolledSource(source)
    assert await poll(polled, NOON + HOUR / 2, None) and not polled.failure
    assert await poll(polled, NOON + 1.5 * HOUR, None) == () and "is not a number" in polled.failure
    brought: Any = await poll(polled, NOON + 2 * HOUR, None)
    assert [fact.usd_per_mwh for fact in brought] == [30.0] and not polled.failure


async def test_the_loop_goes_on_while_a_source_answers_with_nan() -> None:
    setup, journal = small(), MemoryJournal()
    source = Garbled([*prices([20.0] * 24, NOON - 2 * HOUR), hashprice(45.0, NOON)], "garbled")
    made = world(setup, NOON, sources=[source])
    await loop.run(made, journal, State.start(setup, setup_from_document), run_started("replay", setup, NOON, 1), NOON + 2.5 * HOUR)
    seen = [entry for _, entry in journal.read() if isinstance(entry, Seen)]
    assert any("is not a number" in entry.alerts.get("garbled", "") for entry in seen)
    known = [fact for entry in seen for fact in entry.facts if isinstance(fact, Price)]
    assert max(fact.over.end for fact in known) > NOON + 2 * HOUR, "what was refused was asked for again"
