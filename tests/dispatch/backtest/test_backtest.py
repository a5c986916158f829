"""The backtest from the command line down: what it prints, that it goes on where it was cut off, and what it says of bad archives."""

import json
import pickle
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from distributed import LocalCluster
from typer.testing import CliRunner

from dispatch import ConfigError
from dispatch.backtest.cluster import ClusterUnreachable, dask_workers
from dispatch.backtest.document import document_of, worst_days
from dispatch.backtest.part import run_part
from dispatch.backtest.run import Backtest, KeptParts, process_pool, run_parts
from dispatch.cli import app
from dispatch.commands import Ended
from dispatch.reports.backtest_report import backtest_as_html
from optimizer.domain.money import usd_text
from tests.dispatch.backtest.archives import archive_of, site_file, spiky_prices

START = datetime(2024, 8, 6, 5, tzinfo=UTC)  # two operating days before the end of a week of the month
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Three days in two parts."""
    folder = tmp_path_factory.mktemp("backtest")
    archive = archive_of(folder / "archive", START - DAY, spiky_prices(5))
    return Backtest(site_file(folder), archive, START, START + 3 * DAY)


@pytest.fixture(scope="module")
def parts(asked):
    with ThreadPoolExecutor(1) as executor:
        return run_parts(asked.jobs(), executor)


class Refusing(Executor):
    """Fails when anything is run."""

    def submit(self, fn, /, *args, **kwargs):
        raise AssertionError("a finished part was run again")


def command(asked, *options):
    span = ["--from", asked.start.isoformat(), "--to", asked.end.isoformat()]
    return CliRunner().invoke(app, ["backtest", "--config", str(asked.config), "--archive", str(asked.archive), *span, *options])


def test_strategies_stand_beside_each_other_with_and_without_physics(parts):
    found = document_of(parts)
    assert found["span"] == {"from": START.isoformat(), "to": (START + 3 * DAY).isoformat(), "intervals": 288, "missing": 0}
    strategies = found["strategies"]
    for of in strategies.values():
        assert sum(of["lines"].values()) == pytest.approx(of["net_usd"], abs=1e-6)
        assert sum(of["ideal_lines"].values()) == pytest.approx(of["ideal_usd"], abs=1e-6)
    best = strategies["perfect_foresight"]
    assert all(of["ideal_usd"] <= best["ideal_usd"] + 0.01 for of in strategies.values())
    assert all(of["net_usd"] <= best["net_usd"] + 0.01 for of in strategies.values())
    assert strategies["always_on"]["net_usd"] < strategies["loadstone"]["net_usd"] < strategies["loadstone"]["ideal_usd"]
    assert strategies["always_on"]["starts"] == 0 < strategies["loadstone"]["starts"]


def test_the_page_holds_every_strategy_and_the_days_furthest_behind_and_asks_for_nothing(parts, tmp_path):
    found = document_of(parts, ["contract 'x' <b> is left out"])
    text = backtest_as_html(found)
    assert text == backtest_as_html(found)
    for name, of in found["strategies"].items():
        assert name.replace("_", " ") in text and usd_text(of["net_usd"]) in text
    on, behind = worst_days(found, 1)[0]
    assert f"<td>{on}</td>" in text and usd_text(-behind) in text
    assert "x&#39; &lt;b&gt;" in text and "<svg" in text and "src=" not in text and "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/", "")


def test_causes_add_up_to_the_gap_on_the_fleet_and_without_physics(parts):
    found = document_of(parts)
    ours, best = (found["strategies"][name] for name in ("loadstone", "perfect_foresight"))
    assert sum(found["causes"].values()) == pytest.approx(ours["net_usd"] - best["net_usd"], abs=1e-6)
    assert sum(found["ideal_causes"].values()) == pytest.approx(ours["ideal_usd"] - best["ideal_usd"], abs=1e-6)
    assert found["causes"]["forecast"] < 0 and found["causes"]["ramp and wake"] < 0


def test_results_on_a_dask_cluster_are_the_same_to_the_bit(asked, parts):
    """A scheduler and two workers in processes of their own, on loopback."""
    with (
        LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        dask_workers(cluster.scheduler_address) as executor,
    ):
        assert json.dumps(run_parts(asked.jobs(), executor)) == json.dumps(parts)


def test_a_scheduler_that_does_not_answer_is_named():
    with (
        pytest.raises(ClusterUnreachable, match="no Dask scheduler answers at tcp://127.0.0.1:9"),
        dask_workers("tcp://127.0.0.1:9", connect_s=1.0),
    ):
        pass


def test_results_are_the_same_whatever_the_number_of_workers(asked, parts):
    assert len(parts) == 2
    with process_pool(2) as executor:
        assert json.dumps(run_parts(asked.jobs(), executor)) == json.dumps(parts)


def test_finished_parts_are_not_run_again_until_the_inputs_change(asked, parts, tmp_path):
    jobs, kept = asked.jobs(), KeptParts(tmp_path, asked.fingerprint())
    for job, part in zip(jobs, parts, strict=True):
        kept.write(job, part)
    assert json.dumps(run_parts(jobs, Refusing(), kept)) == json.dumps(parts)
    other = KeptParts(tmp_path, "of another archive")
    with pytest.raises(AssertionError, match="run again"):
        run_parts(jobs, Refusing(), other)
    assert other.changed == 2


def test_the_fingerprint_follows_site_file_archive_and_risk(asked, tmp_path):
    archive = archive_of(tmp_path / "archive", START - DAY, spiky_prices(2, seed=9))
    changed = Backtest(asked.config, archive, asked.start, asked.end)
    prints = {asked.fingerprint(), changed.fingerprint(), Backtest(asked.config, asked.archive, START, START, 0.2).fingerprint()}
    assert len(prints) == 3


def test_a_worker_that_lives_on_reads_an_edited_site_file_again(tmp_path):
    """Both calls are in one process, as on a worker of a cluster."""
    asked = Backtest(site_file(tmp_path), archive_of(tmp_path / "archive", START - DAY, spiky_prices(2)), START, START + DAY)
    (before,) = asked.jobs()
    hashed = {"before": run_part(before)["strategies"]["always_on"]["lines"]}
    site_file(tmp_path, hash={"source": "fixed", "usd_per_ph_day": 90.0, "pool_fee": 0.0})
    (after,) = asked.jobs()
    hashed["after"] = run_part(after)["strategies"]["always_on"]["lines"]
    assert float(hashed["after"]["hashing/hash_revenue"]) == pytest.approx(2 * float(hashed["before"]["hashing/hash_revenue"]))
    with pytest.raises(ConfigError, match=r"site.toml: this worker reads another site file") as raised:
        run_part(replace(after, setup_id="of another file"))
    assert pickle.loads(pickle.dumps(raised.value)).faults == raised.value.faults, "it comes back from a worker whole"


def test_a_hole_is_counted_and_named_and_nothing_is_valued_in_it(tmp_path):
    prices = [None if 130 <= n < 140 else p for n, p in enumerate(spiky_prices(2))]
    asked = Backtest(site_file(tmp_path), archive_of(tmp_path / "archive", START - DAY, prices), START, START + DAY)
    options = ("--out", str(tmp_path / "out"), "--json", "--workers", "1", "--html", str(tmp_path / "page.html"))
    result = command(asked, *options)
    assert isinstance(result.exception, Ended) and result.exception.status == 1
    found = json.loads(result.stdout)
    assert found["span"]["missing"] == 10
    assert "10 of 96 intervals have no final price" in (tmp_path / "page.html").read_text("utf-8")
    assert found["findings"] == ["10 of 96 intervals have no final price: nothing is valued in them"]


def test_a_part_without_any_price_is_counted_and_named_and_nothing_is_valued_in_it(tmp_path):
    begins = START + 8 * DAY  # a part ends with the day of it
    prices = [p if n < 96 * 2 else None for n, p in enumerate(spiky_prices(3))]
    asked = Backtest(site_file(tmp_path), archive_of(tmp_path / "archive", begins - DAY, prices), begins, begins + 2 * DAY)
    with ThreadPoolExecutor(1) as executor:
        parts = run_parts(asked.jobs(), executor)
    found, first = document_of(parts), document_of(parts[:1])
    assert [part["missing"] for part in parts] == [0, 96]
    assert found["findings"] == ["96 of 192 intervals have no final price: nothing is valued in them"]
    for name, strategy in found["strategies"].items():
        assert strategy["net_usd"] == first["strategies"][name]["net_usd"]
        assert strategy["ideal_usd"] == first["strategies"][name]["ideal_usd"]


def test_values_that_disagree_are_a_finding(tmp_path):
    archive = archive_of(tmp_path / "archive", START - DAY, spiky_prices(2))
    archive_of(tmp_path / "archive", START, [99.0], name="other")
    asked = Backtest(site_file(tmp_path), archive, START, START + DAY)
    with ThreadPoolExecutor(1) as executor:
        found = document_of(run_parts(asked.jobs(), executor))
    assert found["findings"] == ["prices of 1 interval disagree with those used: see `archive show`"]


@pytest.mark.parametrize(
    ("end", "says"), [(START + DAY / 2, "a span of at least one day"), (START + DAY + timedelta(minutes=7), "not the edge of a settlement")]
)
def test_a_span_that_cannot_be_run_is_refused(asked, end, says):
    with pytest.raises(ConfigError, match=says):
        Backtest(asked.config, asked.archive, START, end).jobs()


def test_a_settlement_point_without_prices_is_named(asked, tmp_path):
    elsewhere = site_file(tmp_path, site={"name": "Other", "market": "ercot", "settlement_point": "LZ_NORTH", "interconnect_mw": 1.0})
    asked = Backtest(elsewhere, asked.archive, START, START + DAY)
    result = command(asked, "--out", str(tmp_path / "out"), "--workers", "1")
    assert isinstance(result.exception, Ended) and result.exception.status == 2
    assert "no real-time price at LZ_NORTH from 2024-08-06T05:00Z" in str(result.exception)
