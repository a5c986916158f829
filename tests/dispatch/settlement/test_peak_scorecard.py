"""The scorecard of coincident peaks: from the statements of a month's days and the journal's system loads; a backtest stands apart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch.entries import Planned, Seen
from dispatch.settlement.day_peaks import peak_interval
from dispatch.settlement.peak_scorecard import LiveScorecards, kept_backtest
from dispatch.settlement.tenant_statement import tenant_statement
from markets.facts import SystemLoad
from markets.grid import Interval, Market, OperatingDay
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 6, 30)
PEAK, ALARM, UNSEEN = 66, 64, 68  # quarter hours: the peak, one that was taken for it, one in which the site ran
FOUR_CP = '[[obligations]]\ntype = "transmission"\nmethod = "4cp"\nusd_per_kw_year = 70.0\n'
FULL_MW = 10 * 0.003 + 5 * 0.0033
USD_PER_MW = 70.0 * 1000 / 4


def plan_with(chances: dict[int, float], made: HandMadeDay) -> dict[str, Any]:
    """A plan of the whole day that gives some quarter hours a chance of being the peak."""
    groups = {g: {"load_mw": 0.03, "hashrate_ph": 1.5, "modes": {"sleep": 0.0, "normal": 10.0}} for g in ("a", "b")}
    return {
        "intervals": [
            {
                "start": over.start.isoformat(),
                "end": over.end.isoformat(),
                "load_mw": 0.0465,
                "groups": groups,
                "offers": {},
                "peak_share": {"15": chances.get(n, 0.0)},
                "price_usd_per_mwh": {"LZ_WEST": 20.0},
                "hashprice_usd_per_ph_day": 45.0,
            }
            for n, over in enumerate(made.grid.intervals)
        ]
    }


def a_june_day(folder: Path, *, asleep: tuple[int, ...] = (ALARM, PEAK), loads: bool = True) -> HandMadeDay:
    """The last day of June at 20 $/MWh: rigs sleep in some quarter hours, and the system's highest load of the month is in PEAK."""
    made = HandMadeDay.of(folder, ON, extra=FOUR_CP)
    made.prices(lambda n: 20.0)
    made.journal.append(
        Planned(at=made.day.start - timedelta(minutes=1), as_of=1, plan=plan_with({PEAK: 0.3, ALARM: 0.1, UNSEEN: 1e-6}, made))
    )
    for n, over in enumerate(made.grid.intervals):
        awake = n not in asleep
        made.read(over.start, "a", range(10), [3000.0 * awake] * 10, [150.0 * awake] * 10)
        made.read(over.start, "b", range(5), [3300.0 * awake] * 5, [110.0 * awake] * 5)
    if loads:
        made.facts += system_loads(made)
    made.seen()
    return made


def system_loads(made: HandMadeDay) -> list[SystemLoad]:
    """Of June, the highest in PEAK of its last day."""
    month = [OperatingDay(Market.ERCOT, ON - timedelta(days=d)) for d in range(30)]
    loads = [(over, 60_000.0) for day in month[1:] for over in hours_of(day)]
    loads += [(over, 70_000.0 + (9_000.0 if n == PEAK else 0.0)) for n, over in enumerate(made.grid.intervals)]
    return [SystemLoad(source="hand", known_at=over.end + timedelta(minutes=2), over=over, load_mw=load_mw) for over, load_mw in loads]


def hours_of(day: OperatingDay) -> list[Interval]:
    return [Interval(day.start + timedelta(hours=h), day.start + timedelta(hours=h + 1)) for h in range(24)]


def test_a_month_is_scored_by_hand(tmp_path: Path) -> None:
    made = a_june_day(tmp_path)
    document = made.settle()
    rows = [peak_interval(row) for row in document["coincident_peaks"]]
    assert len(rows) == 96 and rows[UNSEEN].load_mw == pytest.approx(FULL_MW) and rows[UNSEEN].curtailed_hours == 0
    assert rows[PEAK].charge_usd == 0.0 and rows[PEAK].full_charge_usd == pytest.approx(FULL_MW * USD_PER_MW)
    cards = LiveScorecards()
    found = cards.scorecard(made.engine, made.setup, made.day.end + timedelta(days=2))
    (score,) = found["periods"]
    assert (score["contract"], score["period"], score["caught"], score["missed"]) == ("transmission", "2026-06", 1, 0)
    assert score["start"] == made.grid.intervals[PEAK].start.isoformat() and score["chance"] == 0.3
    assert score["saved_usd"] == pytest.approx(FULL_MW * USD_PER_MW) and score["not_drawn_mwh"] == pytest.approx(FULL_MW / 4)
    assert (score["curtailed_hours"], score["curtailed_days"], score["false_alarm_days"]) == (0.5, 1, 0)
    hashed_usd = 45.0 * (10 * 0.15 + 5 * 0.11) * 0.5 / 24
    assert score["hash_usd"] == pytest.approx(hashed_usd)
    assert score["margin_usd"] == pytest.approx(hashed_usd * 0.99 - (20.0 + 6.15) * FULL_MW * 0.5, rel=2e-3)
    assert score["brier"] == pytest.approx((0.7**2 + 0.1**2) / 96, rel=1e-4)
    assert found["notes"] == ["2026-06: 29 days without a statement that records how coincident peaks were met: the scores lack them."]
    assert cards.scorecard(made.engine, made.setup, made.day.end + timedelta(days=2)) == found
    assert made.settle(version=1) == document
    running = cards.scorecard(made.engine, made.setup, made.day.end - timedelta(hours=1))
    assert running["periods"] == [] and "has ended" in running["notes"][0]


def test_a_load_that_ran_missed_the_peak_and_without_system_load_nobody_knows(tmp_path: Path) -> None:
    ran, blind = a_june_day(tmp_path / "ran", asleep=()), a_june_day(tmp_path / "blind", loads=False)
    after = ran.day.end + timedelta(days=2)
    for made in (ran, blind):
        made.settle()
    (missed,) = LiveScorecards().scorecard(ran.engine, ran.setup, after)["periods"]
    assert (missed["caught"], missed["missed"], missed["saved_usd"], missed["curtailed_hours"]) == (0, 1, pytest.approx(0.0), 0.0)
    (unknown,) = LiveScorecards().scorecard(blind.engine, blind.setup, after)["periods"]
    assert (unknown["unknown"], unknown["start"], unknown["saved_usd"], unknown["brier"]) == (1, None, None, None)


def test_system_loads_that_come_after_the_month_are_taken_in(tmp_path: Path) -> None:
    made = a_june_day(tmp_path, loads=False)
    made.settle()
    cards, after = LiveScorecards(), made.day.end + timedelta(hours=30)
    assert [score["unknown"] for score in cards.scorecard(made.engine, made.setup, after)["periods"]] == [1]
    made.journal.append(Seen(at=made.day.end + timedelta(hours=26), facts=tuple(system_loads(made))))
    (score,) = cards.scorecard(made.engine, made.setup, after)["periods"]
    assert (score["caught"], score["unknown"]) == (1, 0)


def test_a_tenant_sees_none_of_it_and_a_site_without_peaks_has_none(tmp_path: Path) -> None:
    made = a_june_day(tmp_path / "peaks")
    site = made.setup.site.model_copy(update={"groups": tuple(g.model_copy(update={"tenant": "acme"}) for g in made.setup.site.groups)})
    assert tenant_statement(made.settle(), replace(made.setup, site=site), "acme")["coincident_peaks"] == []
    plain = HandMadeDay.of(tmp_path / "plain", ON)
    plain.prices(lambda n: 20.0)
    plain.run_all()
    plain.seen()
    assert "coincident_peaks" not in plain.settle()


def test_the_kept_result_of_a_backtest_stands_apart(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    assert kept_backtest(file)[0] is None and "No backtest is kept" in kept_backtest(file)[1]
    file.write_text("{}")
    assert kept_backtest(file)[0] is None and "run loadstone backtest again" in kept_backtest(file)[1]
    file.write_text(json.dumps({"span": {"from": "2024-06-01", "to": "2024-07-01"}, "peaks": [], "peak_calibration": []}))
    assert kept_backtest(file) == ({"periods": [], "calibration": [], "notes": ["Backtest from 2024-06-01 to 2024-07-01."]}, "")
