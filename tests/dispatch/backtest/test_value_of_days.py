"""What this product earns on made-up days of different kinds may not fall. A change that earns more raises the figures here."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from dispatch.backtest.part import run_part
from dispatch.backtest.run import Backtest
from tests.dispatch.backtest.archives import archive_of, site_file

START = datetime(2024, 8, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = np.arange(96) / 4.0


def days():
    """By name, $/MWh in quarter hours of an operating day. The rigs break even at 62.50 and 107.14."""
    rng = np.random.default_rng(11)
    evening = (HOUR >= 17) & (HOUR < 21)
    return {
        "calm": 30.0 + 5.0 * np.sin(HOUR / 24.0 * 2 * np.pi),
        "steps": np.where((HOUR >= 8) & (HOUR < 14), 85.0, np.where(HOUR >= 18, 140.0, 40.0)),
        "evening peak": 40.0 + np.where(evening, 60.0 * np.sin((HOUR - 17.0) / 4.0 * np.pi) ** 2 * 8.0, 0.0),
        "one-interval spikes": np.where(rng.random(96) < 0.08, 700.0, 45.0),
        "around the breakeven": 62.5 + rng.normal(0.0, 12.0, 96),
        "negative noon": np.where((HOUR >= 10) & (HOUR < 15), -15.0, 55.0),
    }


# Dollars by day on the simulated fleet and, last, over all days without physics and delay.
LEAST_USD = {
    "calm": 351.82,
    "steps": 155.19,
    "evening peak": 235.57,
    "one-interval spikes": -224.69,
    "around the breakeven": 140.58,
    "negative noon": 286.69,
}
LEAST_IDEAL_USD = 989.11


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    prices = np.round(np.concatenate([np.full(96, 40.0), *days().values()]), 2).tolist()
    archive = archive_of(folder / "archive", START - DAY, prices)
    (job,) = Backtest(site_file(folder), archive, START, START + len(days()) * DAY).jobs()
    return run_part(job)


@pytest.mark.parametrize("name", list(days()))
def test_no_day_earns_less_than_before(part, name):
    on = (START + list(days()).index(name) * DAY).date().isoformat()
    assert float(part["strategies"]["loadstone"]["by_day"][on]) >= LEAST_USD[name] - 0.005


def test_all_days_earn_no_less_than_before_without_physics(part):
    assert sum(float(usd) for usd in part["strategies"]["loadstone"]["ideal_lines"].values()) >= LEAST_IDEAL_USD - 0.005
