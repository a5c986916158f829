"""Holds on a statement: an open one is to be released, a released one is not."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from dispatch.entries import Hold
from tests.dispatch.settlement.fixtures import HandMadeDay

HOUR = timedelta(hours=1)


def test_only_holds_that_are_still_open_are_asked_to_be_released(tmp_path: Path) -> None:
    """A release names its hold by the id alone; the other hold on the same group stays."""
    here = HandMadeDay.of(tmp_path, date(2026, 8, 20))
    here.prices(lambda n: 30.0)
    here.run_all()
    for id_, by in (("h1", "ann"), ("h2", "bob")):
        hold = Hold(id=id_, group="a", mode="sleep", mw_cap=None, until=None, by=by)
        here.seen(here.day.start + HOUR, holds=(hold,))
    release = Hold(id="h1", group=None, mode=None, mw_cap=None, until=None, by="ann", released=True)
    here.seen(here.day.start + 2 * HOUR, holds=(release,))
    here.seen()
    told = here.settle()["narrative"]
    assert [text for text in told["actions"] if text.startswith("Release")] == ["Release the hold on a when it is no longer needed (bob)."]
    assert any("ann released the hold on a." in text for text in told["issues"])
