"""A statement's own sections: what settles now and what is accrued, what each charge was made from, what each group mined."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest

from dispatch.imports.calendar import statement_type
from dispatch.reports.write import as_html
from dispatch.settlement.month import add_up
from dispatch.site_file.sections import MempoolHash
from markets.facts import Award, HashEconomics, SystemLoad
from markets.grid import Interval, Market
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)
FOUR_CP = '[[obligations]]\ntype = "transmission"\nmethod = "4cp"\nusd_per_kw_year = 70.0\n'


def test_a_quarter_of_next_years_peaks_is_accrued_and_the_days_cash_is_settled(tmp_path: Path) -> None:
    """The highest system load of the month so far is in interval 66; the rigs draw 0.0465 MW, at 17,500 $ a coincident MW."""
    made = HandMadeDay.of(tmp_path, ON, extra=FOUR_CP)
    made.prices(lambda n: 20.0)
    made.run_all()
    made.facts += [
        SystemLoad(source="hand", known_at=over.end + timedelta(minutes=2), over=over, load_mw=60_000.0 + (9_000.0 if n == 66 else n))
        for n, over in enumerate(made.grid.intervals)
    ]
    made.seen()
    document = made.settle()
    accrued = {f"{r['obligation']}/{r['charge_type']}" for r in document["charges"] if r["accrued"]}
    assert accrued == {"transmission/coincident_peak"}
    assert accrued == {f"{line['obligation']}/{line['charge_type']}" for line in document["lines"] if line["accrued"]}
    assert D(document["accrued_usd"]) == D(document["totals"]["transmission/coincident_peak"]) == D("-813.75")
    assert D(document["settled_usd"]) + D(document["accrued_usd"]) == D(document["net_usd"])
    month = add_up([document], ON, ON)
    assert (month["settled_usd"], month["accrued_usd"]) == (document["settled_usd"], document["accrued_usd"])
    assert month["accrued"] == ["transmission/coincident_peak"]
    page = as_html(document)
    assert "Accrued $" in page and "-813.75" in page


def test_a_season_of_capacity_is_accrued(tmp_path: Path) -> None:
    peak = '{ from = "2026-07-01T21:00:00Z", to = "2026-07-01T22:00:00Z" }'
    extra = f'[[obligations]]\ntype = "pra"\nzone = 2\npeaks = [{peak}]\nusd_per_mw_day = {{ summer = 100.0 }}\n'
    made = HandMadeDay.of(tmp_path, ON, Market.MISO, extra=extra)
    made.prices(lambda n: 20.0)
    made.run_all()
    made.seen()
    document = made.settle()
    assert D(document["accrued_usd"]) == D(document["totals"]["pra/capacity_cost"]) < 0


def test_lines_and_charges_have_their_determinants(tmp_path: Path) -> None:
    made = HandMadeDay.of(tmp_path, ON, loss="1.02")
    made.prices(lambda n: 20.0 + n)
    made.run_all()
    first = made.grid.intervals[0]
    hour = Interval(first.start, first.start + timedelta(hours=1))
    bought = {"obligation": "power", "product": "ENERGY", "market": "DAM", "over": hour, "mw": 0.04, "mcpc_usd_per_mw_h": 25.0}
    made.seen(made.day.start + timedelta(minutes=5), Award(source="hand", known_at=made.day.start - timedelta(hours=10), **bought))
    made.seen()
    document = made.settle()
    line = next(r for r in document["lines"] if r["charge_type"] == "energy" and r["interval_start"] == first.start.isoformat())
    assert (line["iso_code"], line["meter"], line["metered_mwh"], line["loss_factor"]) == ("RTEIAMT", "main", "0.011625", "1.02")
    assert line["day_ahead_mw"] == "0.04"
    (energy,) = [r for r in document["charges"] if r["charge_type"] == "energy"]
    assert energy["unit"] == "mwh" and energy["meters"] == ["main"] and energy["amount_usd"] == document["totals"]["power/energy"]
    lines = [r for r in document["lines"] if r["charge_type"] == "energy"]
    quantity, usd = (sum(D(r[key]) for r in lines) for key in ("quantity", "amount_usd"))
    assert D(energy["quantity"]) == quantity and D(energy["average_rate"]) == (usd / quantity).quantize(D("0.000001"))


def test_groups_show_bitcoin_at_its_price(tmp_path: Path) -> None:
    """EX-8: 0.0004070777 BTC/PH/day at 86,500 $; ten rigs of 150 TH/s are 1.5 PH/s."""
    made = HandMadeDay.of(tmp_path, ON)
    made.prices(lambda n: 20.0)
    made.run_all()
    made.setup = replace(made.setup, hash=MempoolHash(source="mempool", url="http://127.0.0.1:9"))
    figures = {"difficulty": 155.97e12, "btc_usd": 86_500.0, "fees_btc_per_block": 0.0312, "subsidy_btc": 3.125}
    for day in (ON, ON + timedelta(days=1)):
        made.facts.append(HashEconomics(source="hand", known_at=datetime(2026, 7, 1, tzinfo=UTC), on=day, **figures))
    made.seen()
    by = {row["group"]: row for row in made.settle()["groups"]}
    assert D(by["a"]["btc_mined"]) == pytest.approx(D("1.5") * D("0.0004070777"), rel=D("1e-4"))
    assert D(by["a"]["btc_usd"]) == pytest.approx(D(86_500), rel=D("1e-9"))
    assert D(by["a"]["energy_mwh"]) == D("0.72") and by["b"]["tenant"] == "own"


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("unposted", "unposted"), ("RTM_INITIAL", "initial"), ("DAM Final", "final"), ("RTM_TRUE-UP", "true-up"), ("RTM_TRUEUP", "true-up"),
     ("RTM_RESETTLEMENT", "resettlement"), ("S7", "initial"), ("S55", "resettlement"), ("S105", "final"), ("odd", "other")],
)  # fmt: skip
def test_a_markets_statement_has_a_kind(stage: str, kind: str) -> None:
    assert statement_type(stage) == kind


def test_rounding_is_once_or_each_interval_as_the_site_file_says(tmp_path: Path) -> None:
    """15 rigs draw 11.625 kWh a quarter hour at 33.30 $/MWh: 0.3871125 $, 96 times 0.39 or 37.16 in one."""
    by = {}
    for rounding in ("total", "interval"):
        made = HandMadeDay.of(tmp_path / rounding, ON, extra=f'[reports]\nrounding = "{rounding}"\n')
        made.prices(lambda n: 33.3)
        made.run_all()
        made.seen()
        by[rounding] = made.settle()
    assert D(by["total"]["totals"]["power/energy"]) == D("-37.16")
    assert D(by["interval"]["totals"]["power/energy"]) == 96 * D("-0.39")
    assert by["total"]["net_exact_usd"] == by["interval"]["net_exact_usd"]
