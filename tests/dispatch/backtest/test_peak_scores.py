"""The scores of coincident peaks: worked out by hand, added up over parts, and in the result and the page of a backtest."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatch.backtest.document import document_of
from dispatch.backtest.part import run_part
from dispatch.backtest.run import Backtest
from dispatch.reports.backtest_report import backtest_as_html
from markets.grid import Interval, Market
from optimizer.settlement.peak_record import PeakInterval
from optimizer.settlement.peak_score import PeakTally, added, period_of
from tests.dispatch.backtest.archives import archive_with_loads, site_file

START, QUARTER = datetime(2024, 7, 30, 5, tzinfo=UTC), timedelta(minutes=15)
NAN = float("nan")


def interval(n: int, chance: float, load_mw: float, curtailed_hours: float = 0.0) -> PeakInterval:
    """Of 10 MW, 1,000 $ a MW at the peak; a curtailed quarter hour gives up 25 $ of 100 $ of hash revenue."""
    over = Interval(START + n * QUARTER, START + (n + 1) * QUARTER)
    idle, hash_usd, margin_usd = (curtailed_hours * x for x in (10.0, 400.0, 100.0))
    return PeakInterval("4cp", 15, over, chance, load_mw, 10.0, 1000.0 * load_mw, 10_000.0, curtailed_hours, idle, hash_usd, margin_usd)


def test_a_month_by_hand_and_in_parts() -> None:
    rows = [(interval(0, 0.1, 10.0), 0.0, "a"), (interval(1, 0.4, 0.0, 0.25), 0.0, "a"), (interval(2, 0.5, 2.0, 0.25), 1.0, "b")]
    whole, parts = PeakTally("4cp", "15", "2024-07"), []
    for row in rows:
        whole.add(*row)
        parts.append(PeakTally("4cp", "15", "2024-07"))
        parts[-1].add(*row)
    score = whole.score()
    (together,) = added(PeakTally(**json.loads(json.dumps(asdict(part)))) for part in parts)
    assert together.score() == score
    assert (score["caught"], score["missed"], score["unknown"]) == (1, 0, 0)
    assert (score["load_mw"], score["full_load_mw"], score["not_drawn_mwh"], score["saved_usd"]) == (2.0, 10.0, 2.0, 8000.0)
    assert (score["curtailed_hours"], score["curtailed_days"], score["false_alarm_days"]) == (0.5, 2, 1)
    assert (score["curtailed_mwh"], score["hash_usd"], score["margin_usd"]) == (5.0, 200.0, 50.0)
    assert score["brier"] == pytest.approx((0.01 + 0.16 + 0.25) / 3)
    assert score["brier_of_equal_chances"] == pytest.approx(((1 / 3) ** 2 * 2 + (2 / 3) ** 2) / 3)
    assert [(c["from"], c["intervals"], c["share"]) for c in score["calibration"]] == [(0.05, 1, 0.0), (0.2, 1, 0.0), (0.5, 1, 1.0)]


def test_what_is_not_known_is_not_scored() -> None:
    tally = PeakTally("4cp", "15", "2024-07")
    tally.add(interval(0, NAN, 10.0), 0.0, "a")
    tally.add(interval(1, 0.2, 10.0), NAN, "a")
    score = tally.score()
    assert (score["unknown"], score["load_mw"], score["saved_usd"], score["brier"], score["scored"]) == (1, None, None, None, 0)
    tally.add(interval(2, 0.2, NAN), 1.0, "a")
    assert (tally.score()["unknown"], tally.score()["saved_usd"], tally.score()["scored"]) == (1, None, 1)


def test_a_peak_is_caught_only_where_no_higher_load_can_be_unread() -> None:
    tally = PeakTally("4cp", "15", "2024-07")
    tally.add(interval(0, 0.5, 0.0, 0.25), 1.0, "a")
    assert tally.score()["caught"] == 1
    tally.add(interval(1, 0.5, 10.0), NAN, "a")
    score = tally.score()
    assert (score["caught"], score["unknown"], score["saved_usd"], score["brier"], score["calibration"]) == (0, 1, None, None, [])


def test_chances_are_graded_only_where_the_peak_had_one() -> None:
    tally = PeakTally("4cp", "15", "2024-07")
    for n in range(3):
        tally.add(interval(n, 0.1, 10.0), 0.0, "a")
    assert tally.score()["calibration"] == []  # a part of a month: the peak came on another day
    tally.add(interval(3, NAN, 0.0), 1.0, "a")
    score = tally.score()
    assert (score["caught"], score["brier"], score["brier_of_equal_chances"], score["calibration"]) == (1, None, None, [])


def test_months_and_seasons_are_named() -> None:
    over = Interval(START, START + QUARTER)
    assert period_of(Market.ERCOT, over, 15)[0] == "2024-07"
    assert period_of(Market.MISO, over, (60, 3))[0] == "2024-06 to 2024-08"


def test_a_backtest_scores_the_peaks_it_met(tmp_path: Path) -> None:
    """Two days at a month's end, hot afternoons: 1 MW of the peak costs 60,000 $ / 4, energy 30 $ a MWh."""
    shape = [40_000.0 + 2_000.0 * min(h, 34 - h) for h in range(24)]
    loads = [mw * (1.0 if day < 29 else 1.05) for day in range(32) for mw in shape]
    archive = archive_with_loads(tmp_path / "archive", Market.ERCOT, "HB_WEST", START - timedelta(days=29), loads)
    site = {"name": "Small", "market": "ercot", "settlement_point": "HB_WEST", "interconnect_mw": 1.0}
    four_cp = {"type": "transmission", "method": "4cp", "usd_per_kw_year": 60.0}
    config = site_file(tmp_path, site=site, obligations=[{"type": "power"}, four_cp])
    document = document_of([run_part(job) for job in Backtest(config, archive, START, START + timedelta(days=2)).jobs()])
    (score,) = document["peaks"]
    assert (score["contract"], score["period"], score["peaks"], score["intervals"]) == ("transmission", "2024-07", 1, 192)
    assert score["start"] is not None and score["chance"] is not None and score["chance"] > 0.005
    assert score["brier"] is not None and score["brier_of_equal_chances"] is not None
    charged = -document["strategies"]["loadstone"]["lines"]["transmission/coincident_peak"]
    at_full = -document["strategies"]["always_on"]["lines"]["transmission/coincident_peak"]
    assert score["saved_usd"] == pytest.approx(at_full - charged, abs=at_full * 0.02)
    assert sum(c["intervals"] for c in document["peak_calibration"]) == score["scored"] == 192
    text = backtest_as_html(document)
    assert "Coincident peaks" in text and "Chances of coincident peaks against what came" in text
    assert (score["caught"], score["curtailed_days"], score["false_alarm_days"]) == (1, 2, 1)
    assert score["curtailed_hours"] > 0 and score["margin_usd"] > 0 and score["hash_usd"] > score["margin_usd"]
