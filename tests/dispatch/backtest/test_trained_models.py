"""Price models in a backtest: trained on what was known, used as the control loop uses them, and by no other strategy."""

import asyncio
import json
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from dispatch.backtest.market_facts import market_facts, without_delay
from dispatch.backtest.model_forecasts import with_forecasts
from dispatch.backtest.part import PartJob, run_part, setup_id_of, setup_of
from dispatch.backtest.run import Backtest, KeptParts
from dispatch.backtest.trained_models import KeptModels, TrainingJob, run_training, trained_by
from dispatch.cli import app
from dispatch.entries import Commanded, Seen
from dispatch.service.replay import replay
from dispatch.sim.strategies import Loadstone
from dispatch.sim.strategy_run import run_strategy
from dispatch.store.journal import SqlJournal
from dispatch.store.price_models import KeptPriceModel, keep_price_model
from dispatch.store.tables import open_ledger
from dispatch.training.archive_history import archived_history
from markets.archive.archive import Archive
from markets.facts import PriceForecast
from markets.grid import Interval
from tests.dispatch.backtest.archives import POINT, archive_of, site_file, spiky_prices
from tests.dispatch.backtest.test_strategies import as_bytes, scrambled_price
from tests.markets.forecasting.test_price_model import model

START = datetime(2024, 8, 6, 5, tzinfo=UTC)
DAY = timedelta(days=1)
# It runs a little above the break-even that the last price gives, so that it decides otherwise than without.
MADE = model(0.4, point=POINT, about={"label": f"{POINT} version 1"})
KEPT = KeptPriceModel(POINT, 1, START - DAY, MADE.to_json())


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return setup_of(site_file(folder), archive_of(folder / "archive", START - DAY, spiky_prices(4)))


@pytest.fixture(scope="module")
def long_archive(tmp_path_factory):
    """Enough days to train on before START, and two after it."""
    folder = tmp_path_factory.mktemp("long")
    return archive_of(folder / "archive", START - 31 * DAY, spiky_prices(33))


def forecasts(facts):
    return [fact for fact in facts if isinstance(fact, PriceForecast)]


def test_a_model_knows_only_what_was_published_when_it_was_trained(long_archive, tmp_path):
    known_by = START - timedelta(hours=3)
    prices = np.array(spiky_prices(33))
    prices[31 * 96 - 12 :] = 999.0
    other = archive_of(tmp_path / "archive", START - 31 * DAY, prices.tolist())
    (known, _), (same, _) = (archived_history(Archive(folder), POINT, known_by) for folder in (long_archive, other))
    assert known.start_s + known.step_s * len(known.real_time) < known_by.timestamp(), "the price that just ended is published later"
    np.testing.assert_array_equal(known.real_time, same.real_time)
    assert not run_training(TrainingJob(long_archive, POINT, START - 10 * DAY)), "too few days were known"


def test_no_decision_with_a_model_changes_when_every_later_fact_is_scrambled(setup):
    known = market_facts(setup, Interval(START + timedelta(hours=14), START + DAY))
    as_it_was = with_forecasts(setup, known, [KEPT])
    assert len(forecasts(as_it_was.facts)) > 45
    decided = run_strategy(setup, known.grid, as_it_was.facts, Loadstone()).decisions
    rng = np.random.default_rng(3)
    for hour in (13, 19.5):
        now = START + timedelta(hours=hour)
        scrambled = tuple(scrambled_price(f, rng) if f.known_at > now else f for f in known.facts)
        seen = with_forecasts(setup, replace(known, facts=scrambled), [KEPT])
        assert [f for f in forecasts(seen.facts) if f.known_at <= now] == [f for f in forecasts(as_it_was.facts) if f.known_at <= now]
        decisions = run_strategy(setup, known.grid, seen.facts, Loadstone()).decisions
        assert as_bytes(decisions, now) == as_bytes(decided, now)
        assert hour > 19 or as_bytes(decisions, known.grid.end) != as_bytes(decided, known.grid.end)


def test_the_backtest_uses_a_model_as_the_control_loop_does(setup, tmp_path):
    """The same forecasts, and every order the same, to the second and to the rig."""
    known = market_facts(setup, Interval(START + timedelta(hours=18), START + timedelta(hours=21)))
    engine = open_ledger(tmp_path)
    keep_price_model(engine, KEPT, "ercot", accepted=True)
    asyncio.run(replay(setup, tmp_path, known.grid.start, known.grid.end))
    journal = [entry for _, entry in SqlJournal(engine, 0).read(0)]
    during = with_forecasts(setup, known, [KEPT]).facts
    recorded = [f for e in journal if isinstance(e, Seen) and e.at < known.grid.end for f in forecasts(e.facts)]
    assert recorded == forecasts(during)
    ordered = [(e.at, [(o.group, o.mode, o.rigs) for o in e.orders]) for e in journal if isinstance(e, Commanded) and e.orders]
    decided = run_strategy(setup, known.grid, during, Loadstone()).decisions
    assert [(d.at, [(o.group, o.mode, o.rigs) for o in d.orders]) for d in decided if d.orders] == ordered


def test_only_this_product_decides_with_a_model(setup):
    evening = Interval(START + timedelta(hours=16), START + timedelta(hours=22))
    job = PartJob(setup.path, setup.path.parent / "archive", setup_id_of(setup), evening)
    eager = KeptPriceModel(POINT, 2, START - DAY, model(3.0, point=POINT).to_json())
    without, with_it = (run_part(each)["strategies"] for each in (job, replace(job, models=(eager,))))
    assert {name for name in without if without[name] != with_it[name]} == {"loadstone"}
    for lines in ("lines", "ideal_lines"):
        assert without["loadstone"][lines] != with_it["loadstone"][lines], lines


def test_without_delay_a_forecast_is_known_with_the_price_it_was_made_from(setup):
    known = with_forecasts(setup, market_facts(setup, Interval(START + timedelta(hours=20), START + DAY)), [KEPT])
    assert all(f.known_at > f.over.start for f in forecasts(known.facts))
    assert all(f.known_at == f.over.start for f in forecasts(without_delay(known.facts)))


def test_models_are_trained_before_the_parts_that_use_them_and_again_on_schedule(long_archive, tmp_path):
    asked = Backtest(site_file(tmp_path), long_archive, START - 28 * DAY, START + 2 * DAY)
    jobs = asked.jobs()
    for days in (7, 14, 60):
        instants = trained_by(jobs, timedelta(days=days))
        assert all(at < job.over.start for at, job in zip(instants, jobs, strict=True))
        again = sorted(set(instants))
        assert all(later - earlier >= timedelta(days=days) for earlier, later in zip(again, again[1:], strict=False))
    assert len(set(trained_by(jobs, timedelta(days=60)))) == 1


class Refusing(Executor):
    """Fails when anything is trained."""

    def map(self, fn, *iterables, **kwargs):
        assert not any(list(each) for each in iterables), "a finished training was made again"
        return iter(())


def test_models_are_kept_and_not_trained_again_until_the_inputs_change(long_archive, tmp_path):
    asked = Backtest(site_file(tmp_path), long_archive, START, START + DAY, train_every=7 * DAY)
    kept = KeptModels(tmp_path / "out", asked.fingerprint())
    with ThreadPoolExecutor(1) as executor:
        jobs, notes = asked.with_models(asked.jobs(), executor, kept)
    assert notes == [
        f"price model of {POINT}: trained 1 time on what was known by then, first at 2024-08-06T02:00Z; "
        "1 did no worse than the last price on its held-out part and could be used"
    ]
    assert [m.trained_at for m in jobs[0].models] == [START - timedelta(hours=3)]
    assert asked.with_models(asked.jobs(), Refusing(), kept) == (jobs, notes)
    with pytest.raises(AssertionError, match="made again"):
        asked.with_models(asked.jobs(), Refusing(), KeptModels(tmp_path / "out", "of other inputs"))
    assert asked.fingerprint() != replace(asked, train_every=None).fingerprint()
    assert replace(asked, train_every=None).with_models(asked.jobs(), Refusing()) == (asked.jobs(), [])


def test_a_kept_part_is_run_again_when_its_models_are_others(setup, tmp_path):
    """A longer span of the same inputs begins its schedule of trainings elsewhere."""
    job = PartJob(setup.path, setup.path.parent / "archive", "", Interval(START, START + DAY), models=(KEPT,))
    kept = KeptParts(tmp_path, "the same inputs")
    kept.write(job, {"intervals": 96})
    assert kept.read(job) == {"intervals": 96} and kept.read(replace(job, models=(replace(KEPT, version=7),))) == {"intervals": 96}
    retrained = replace(KEPT, text=model(0.5, point=POINT).to_json())
    for models in ((), (replace(KEPT, trained_at=START - 2 * DAY),), (retrained,), (replace(KEPT, point="LZ_NORTH"),)):
        assert kept.read(replace(job, models=models)) is None
    assert kept.changed == 4


def test_the_command_says_what_was_trained_and_decides_by_the_last_price_where_nothing_could_be(setup, tmp_path):
    span = ("--from", START.isoformat(), "--to", (START + DAY).isoformat(), "--train", "7", "--workers", "1", "--json")
    given = ("--config", str(setup.path), "--archive", str(setup.path.parent / "archive"), "--out", str(tmp_path / "out"))
    result = CliRunner().invoke(app, ["backtest", *given, *span])
    assert result.exit_code == 0, result.output
    (note,) = json.loads(result.stdout)["notes"]
    assert note.startswith(f"price model of {POINT}: trained 1 time") and "; 0 did no worse than the last price" in note
