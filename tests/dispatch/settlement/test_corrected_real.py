"""A price the market corrected in 2024: the day is settled again, the delta is what the correction is worth, the first version stays."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP
from decimal import Decimal as D
from pathlib import Path

import pytest

from markets.archive.archive import Archive
from tests.dispatch.settlement.fixtures import HandMadeDay
from tests.realdata import real

NAME = "ercot_rt_spp_two_vintages_2024.csv.gz"
MAP = Path(__file__).parents[2] / "maps" / "ercot_rt_spp_two_vintages_2024.toml"
POINT = "HB_WEST"
MWH = D("0.0465") / 4
CENT = D("0.01")


def two_vintages() -> dict[datetime, tuple[D, D]]:
    """Both prices of the point, by start, straight from the file."""
    with gzip.open(real(NAME), "rt") as file:
        rows = [r for r in csv.DictReader(file) if r["location"] == POINT]
    return {
        datetime.fromisoformat(r["interval_start_utc"]).astimezone(UTC): (
            D(r["spp_vintage1"]).quantize(CENT, ROUND_HALF_UP),
            D(r["spp_vintage2"]).quantize(CENT, ROUND_HALF_UP),
        )
        for r in rows
    }


@pytest.mark.parametrize("on", [date(2024, 8, 20), date(2024, 8, 10)], ids=["one interval", "half a day"])
def test_a_corrected_price_is_a_new_version_with_its_delta(tmp_path: Path, on: date) -> None:
    published = two_vintages()
    (tmp_path / "archive").mkdir()
    site_day = HandMadeDay.of(tmp_path, on, point=POINT, prices="archive", more_prices='path = "archive"')
    here = {o: published[o.start] for o in site_day.grid.intervals if o.start in published}
    moved = [o for o, (first, second) in here.items() if first != second]
    assert moved
    for over in site_day.grid.intervals:
        site_day.facts.append(site_day.price(over, float(here[over][0]) if over in here else 25.0, point=POINT))
    site_day.run_all()
    site_day.seen()
    first = site_day.settle()
    assert first["version"] == 1 and first["delta"] is None

    Archive(tmp_path / "archive").import_file(real(NAME), MAP)
    second = site_day.settle()
    before, after = (
        -sum((MWH * (here[o][k] if o in here else D(25)) for o in site_day.grid.intervals), D(0)).quantize(CENT, ROUND_HALF_UP)
        for k in (0, 1)
    )
    assert (D(first["totals"]["power/energy"]), D(second["totals"]["power/energy"])) == (before, after)
    assert second["version"] == 2 and second["delta"]["totals"] == {"power/energy": f"{after - before:.2f}"}
    assert D(second["delta"]["net_usd"]) == after - before != 0
    corrected = [line["interval_start"] for line in second["lines"] if line["price_version"] == "corrected"]
    assert corrected == [o.start.isoformat() for o in site_day.grid.intervals if o in moved]

    # the same version is the same for ever, and so is what was known before the correction
    assert site_day.settle(version=1) == first == site_day.settle(known_at=site_day.day.end + timedelta(days=1))
    assert site_day.settle() == second == site_day.settle(version=2)
