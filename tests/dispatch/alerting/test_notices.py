"""What is wrong becomes few messages: each condition once, and its end once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dispatch.alerting.conditions import AlertCondition, conditions
from dispatch.alerting.notices import KnownCondition, Notice, after_sending, notice_due, watched_now
from dispatch.site_file.setup import AlertSettings

START = datetime(2026, 8, 20, 17, 0, tzinfo=UTC)
SETTINGS = AlertSettings(after_s=60, clear_s=120, quiet_hours="22:00-06:00")
HEALTHY = {"ledger": "ok", "leader": "ok", "loop": "ok", "plan": "ok", "prices": "ok", "ready": True}
LOOK_S = 5


def played(looks: list[dict[str, AlertCondition]], start: datetime = START, settings: AlertSettings = SETTINGS) -> list[tuple[int, Notice]]:
    """The notices of a series of looks five seconds apart, each with the number of its look; every message is taken."""
    watched: dict[str, KnownCondition] = {}
    sent = []
    for n, found in enumerate(looks):
        at = start + timedelta(seconds=LOOK_S * n)
        watched = watched_now(watched, found, at)
        if notice := notice_due(watched, at, at, settings):
            sent.append((n, notice))
            watched = after_sending(watched, notice)
    return sent


def state(**changes: Any) -> dict[str, Any]:
    health = HEALTHY | {k: v for k, v in changes.items() if k in HEALTHY}
    return {"alerts": [{"source": s, "message": m} for s, m in changes.get("alerts", {}).items()], "health": health}


def test_conditions_are_the_alerts_and_what_is_not_ok() -> None:
    assert conditions(state()) == {}
    found = conditions(
        state(loop="last heard of 300 s ago", plan="by merit order: the solver timed out", alerts={"shortfall of ers": "missed by 1 MW"})
    )
    assert {source: c.urgent for source, c in found.items()} == {"shortfall of ers": True, "loop": True, "plan": False}


def test_a_condition_is_sent_once_after_it_has_lasted_and_its_end_once() -> None:
    """60 s are 12 looks; its text changes at each of them. 120 s without it are 24 more."""
    looks = [{"rigs": AlertCondition(f"{n} rigs do not respond")} for n in range(40)] + [{}] * 40
    (first, began), (last, ended) = played(looks)
    assert (first, dict(began.began), dict(began.ended)) == (12, {"rigs": "12 rigs do not respond"}, {})
    assert (last, dict(ended.ended)) == (40 + 24, {"rigs": "39 rigs do not respond"})
    assert began.title("Pecos 1") == "Pecos 1: 1 alert" and ended.title("Pecos 1") == "Pecos 1: 1 ended"
    assert ended.body() == "ended: rigs (was: 39 rigs do not respond)"


def test_what_flickers_is_never_sent_or_sent_once() -> None:
    here, gone = {"feed": AlertCondition("silent")}, dict[str, AlertCondition]()
    assert played(([here] * 10 + [gone]) * 20) == []
    began = played([here] * 13 + ([gone] * 10 + [here]) * 20)
    assert len(began) == 1, "gone for less than its time has not ended"


def test_in_quiet_hours_only_urgent_conditions_are_sent_and_the_others_follow() -> None:
    night = datetime(2026, 8, 20, 5, 55, tzinfo=UTC)
    looks = [{"feed": AlertCondition("silent"), "shortfall of ers": AlertCondition("missed", urgent=True)}] * 80
    (_, first), (late, second) = played(looks, night)
    assert list(first.began) == ["shortfall of ers"] and list(second.began) == ["feed"]
    assert night + timedelta(seconds=LOOK_S * late) == datetime(2026, 8, 20, 6, 0, tzinfo=UTC)


CONDITIONS = st.dictionaries(st.sampled_from("abc"), st.builds(AlertCondition, st.text(max_size=3), st.booleans()))


@given(looks=st.lists(CONDITIONS, max_size=120), after_s=st.integers(0, 60), clear_s=st.integers(0, 60))
def test_begins_and_ends_alternate_by_source_whatever_comes(looks: list[dict[str, AlertCondition]], after_s: int, clear_s: int) -> None:
    open_: set[str] = set()
    for _, notice in played(looks, settings=AlertSettings(after_s=after_s, clear_s=clear_s)):
        assert open_.isdisjoint(notice.began) and open_ >= set(notice.ended)
        open_ = (open_ | set(notice.began)) - set(notice.ended)


@given(looks=st.lists(CONDITIONS, min_size=1, max_size=60), after_s=st.integers(0, 60))
def test_what_has_lasted_is_always_sent(looks: list[dict[str, AlertCondition]], after_s: int) -> None:
    lasting = {"d": AlertCondition("lasts")}
    sent = played([look | lasting for look in looks] + [lasting] * 13, settings=AlertSettings(after_s=after_s, clear_s=60))
    assert sum("d" in notice.began for _, notice in sent) == 1
