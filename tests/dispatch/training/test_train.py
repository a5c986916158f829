"""Training: trees as LightGBM has them, the same for a seed, better than the last price where prices can be foreseen, and the command."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dispatch.training.boosting import TrainingRows, boosted
from dispatch.training.train import TooLittleData, train
from markets.forecasting.price_features import PriceHistory
from markets.forecasting.price_model import PriceModel
from markets.grid import Market

START = datetime(2026, 1, 1, tzinfo=UTC)


def history(days: int) -> PriceHistory:
    """Quarter hours at 30 $/MWh with noise, and 200 in the first quarter hour of each, which the last price never sees coming."""
    rng = np.random.default_rng(1)
    n = days * 96
    ahead = np.repeat(30.0 + 5.0 * rng.standard_normal(n // 4), 4)
    real = ahead + 8.0 * rng.standard_normal(n)
    real[::4] += 170.0
    return PriceHistory.of(int(START.timestamp()), 900, real, ahead, Market.ERCOT)


def test_trees_add_up_as_lightgbm_adds_them() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((3000, 4))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    rows[:, 3] = rng.standard_normal(3000)  # a column that always has a value
    target = (np.nan_to_num(rows[:, 0]) + rows[:, 3] > 0.2).astype(np.float64)
    settings = {"objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20, "seed": 3}
    trees = boosted(TrainingRows(rows, target), 20, settings)
    from dispatch.training import boosting

    data = lightgbm.Dataset(rows.astype(np.float32), target, params={"max_bin": 127, "verbose": -1})
    booster = lightgbm.train({**boosting._COMMON, **settings, "boost_from_average": False}, data, 20)
    asked = rng.standard_normal((500, 4))
    asked[rng.random(asked.shape) < 0.2] = np.nan
    np.testing.assert_allclose(trees.sums(asked), booster.predict(asked.astype(np.float32), raw_score=True), atol=1e-9)


def test_a_model_foresees_what_the_last_price_cannot_and_is_the_same_for_a_seed() -> None:
    model = train(history(45), "HB_WEST", Market.ERCOT, seed=4)
    scores = model.about["scores"]
    assert model.about["accepted"] and scores["regret_usd_per_mwh"]["model"] < 0.3 * scores["regret_usd_per_mwh"]["last_price"]
    for level, share in scores["coverage"].items():
        assert share == pytest.approx(float(level), abs=0.06)
    assert train(history(45), "HB_WEST", Market.ERCOT, seed=4).to_json() == model.to_json()


def test_too_few_prices_are_refused() -> None:
    with pytest.raises(TooLittleData, match=r"HB_WEST: 1\.0 days of real-time prices are too few"):
        train(history(1), "HB_WEST", Market.ERCOT)


def _archive(tmp_path: Path, days: int) -> Path:
    from dispatch.commands.integrity import import_

    made = history(days)
    lines = ["Interval Start,Interval End,Location,Market,SPP"]
    for name, values, step in (("REAL_TIME_15_MIN", made.real_time, 15), ("DAY_AHEAD_HOURLY", made.day_ahead[::4], 60)):
        for k, usd in enumerate(values):
            start = START + k * timedelta(minutes=step)
            end = start + timedelta(minutes=step)
            lines.append(f"{start.isoformat()},{end.isoformat()},HB_WEST,{name},{usd:.2f}")
    table, archive = tmp_path / "prices.csv", tmp_path / "archive"
    table.write_text("\n".join(lines) + "\n")
    import_([table], archive)
    return archive


def test_the_command_trains_stores_versions_and_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dispatch.commands import Ended
    from dispatch.commands.train import train as command
    from dispatch.store.price_models import newest_accepted
    from dispatch.store.tables import open_ledger

    archive = _archive(tmp_path, 40)
    capsys.readouterr()
    command(archive, "HB_WEST", tmp_path / "data", 0, True)
    command(archive, "HB_WEST", tmp_path / "data", 0, False)
    first, *_, last = capsys.readouterr().out.splitlines()
    document = json.loads(first)
    assert (document["version"], document["accepted"], document["intervals"]) == (1, True, 40 * 96 - 1)
    assert document["from"] == (START + timedelta(minutes=15)).isoformat()
    assert last == "The control loop uses it from its next day on."
    kept = newest_accepted(open_ledger(tmp_path / "data"), "HB_WEST", "ercot")
    assert kept is not None and kept.version == 2 and PriceModel.from_json(kept.text).about["version"] == 2
    with pytest.raises(Ended, match="no real-time price of HB_EAST; it has HB_WEST"):
        command(archive, "HB_EAST", tmp_path / "data", 0, True)
    with pytest.raises(Ended, match="there is no folder"):
        command(tmp_path / "none", "HB_WEST", tmp_path / "data", 0, True)


def test_holes_and_corrections_of_an_archive_are_holes_and_newest_values_in_training(tmp_path: Path) -> None:
    """A quarter hour without a price has none, and one with two vintages counts once, with the later value."""
    from dispatch.training.archive_history import archived_history
    from markets.archive.archive import Archive

    archive = Archive(tmp_path / "archive")
    quarters = [(START + n * timedelta(minutes=15)).isoformat() for n in range(9)]
    table = tmp_path / "prices.csv"
    kept = [f"{quarters[n]},{quarters[n + 1]},HB_WEST,REAL_TIME_15_MIN,{10 + n}" for n in range(8) if n not in (3, 4)]
    table.write_text("\n".join(["Interval Start,Interval End,Location,Market,SPP", *kept, *kept[:2]]) + "\n")
    archive.import_file(table)
    corrected = tmp_path / "corrections.csv"
    columns = "Price Correction Time,Interval Start,Interval End,Location,SPP Original,SPP Corrected"
    corrected.write_text(f"{columns}\n{(START + timedelta(days=3)).isoformat()},{quarters[1]},{quarters[2]},HB_WEST,11,99\n")
    archive.import_file(corrected)
    found, market = archived_history(archive, "HB_WEST")
    assert market is Market.ERCOT
    np.testing.assert_array_equal(found.real_time, [10, 99, 12, np.nan, np.nan, 15, 16, 17])
