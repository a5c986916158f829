"""What kept parts of a backtest are made from: a change of any of it makes them run again."""

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dispatch
from dispatch.backtest.run import RUN_BY, Backtest
from tests.dispatch.backtest.archives import site_file

START = datetime(2024, 8, 6, 5, tzinfo=UTC)
DAY = timedelta(days=1)
SITE = {"name": "Small", "market": "tariff", "settlement_point": "main", "interconnect_mw": 1.0}


def test_a_changed_tariff_file_changes_the_fingerprint(tmp_path):
    prices = tmp_path / "prices.csv"
    prices.write_text("start,usd_per_mwh\n2024-08-06T05:00Z,40.0\n")
    archive = tmp_path / "archive"
    archive.mkdir()
    site = site_file(tmp_path, site=SITE, prices={"source": "tariff", "file": "prices.csv"})
    asked = Backtest(site, archive, START, START + DAY)
    before = asked.fingerprint()
    assert asked.fingerprint() == before
    prices.write_text(prices.read_text().replace("40.0", "80.0"))
    assert asked.fingerprint() != before


def test_the_fingerprint_follows_every_module_that_running_a_part_reads():
    root = Path(str(dispatch.__file__)).parent
    covered = [(root / part) for package, part in RUN_BY if package is dispatch]
    around = {"run.py", "document.py", "cluster.py"}  # they start parts and add them up
    for file in (file for file in (root / "backtest").glob("*.py") if file.name not in around):
        tree = ast.parse(file.read_text("utf-8"))
        read = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        for module in (m for m in read if m.startswith("dispatch.")):
            place = root.joinpath(*module.split(".")[1:])
            assert any(place.is_relative_to(part) or place.with_suffix(".py") == part for part in covered), f"{file.name}: {module}"
