"""The day's settlement: golden figures by hand, days of every length, versions that never change."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dispatch.entries import Done, Planned, PriceBasisChanged, Result, RunStarted
from dispatch.reports.write import as_csv, as_html, as_json, write_day
from dispatch.site_file.load import load_site_file
from dispatch.store import statements
from dispatch.store.telemetry import Telemetry
from markets.archive.archive import Archive
from markets.facts import Call, CallKind, PriceMarket, Temperature
from markets.grid import Interval, Market
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)


def ordinary(folder: Path, **figures: object) -> HandMadeDay:
    """All rigs all day at 20 $/MWh."""
    site_day = HandMadeDay.of(folder, ON, **figures)
    site_day.prices(lambda n: 20.0)
    site_day.run_all()
    site_day.seen()
    return site_day


def test_a_day_by_hand(tmp_path: Path) -> None:
    """10 x 3,000 W and 5 x 3,300 W for 24 h are 1.116 MWh; 10 x 150 and 5 x 110 TH/s are 2.05 PH/s-days.

    hash 2.05 x 45 = 92.25; fee 1 % = 0.9225 -> 0.92; energy 1.116 x 20 = 22.32; adders 1.116 x 6.15 = 6.8634 -> 6.86
    net of the printed figures 62.15, unrounded 62.1441
    """
    document = ordinary(tmp_path).settle()
    assert document["totals"] == {
        "hashing/hash_revenue": "92.25",
        "hashing/pool_fee": "-0.92",
        "power/energy": "-22.32",
        "power/adders": "-6.86",
    }
    assert document["net_usd"] == "62.15"
    assert abs(Decimal(document["net_exact_usd"]) - Decimal("62.1441")) < Decimal("1e-8"), "roll-ups are kept to 1e-12"
    assert (document["version"], document["partial"], document["synthetic"], document["findings"]) == (1, False, False, [])
    assert len(document["lines"]) == 4 * 96 and len(document["intervals"]) == 96
    line = next(x for x in document["lines"] if x["charge_type"] == "energy")
    assert (line["interval_start"], line["quantity"], line["unit"], line["rate"], line["amount_usd"]) == (
        "2026-07-01T05:00:00+00:00",
        "0.011625",
        "mwh",
        "-20",
        "-0.2325",
    )
    assert document["intervals"][0]["label"] == "HE01 00:00-00:15"
    assert document["intervals"][0]["load_mw"] == "0.046500"
    assert document["narrative"]["issues"] == []
    seq, _, head = document["journal_head"].partition(":")
    assert int(seq) == 28 and len(head) == 64


def test_losses_and_overhead_by_temperature(tmp_path: Path) -> None:
    """35 C makes an overhead of 3 % + 10 x 0.2 % = 5 %, also from noon on, when it is the last known: 1.116 x 1.05 x 1.0178 MWh."""
    site_day = HandMadeDay.of(tmp_path, ON, loss="1.0178", share="0.03")
    over = Interval(site_day.day.start, site_day.day.start + timedelta(hours=12))
    site_day.facts.append(Temperature(source="hand", known_at=site_day.day.start, over=over, celsius=35.0))
    site_day.prices(lambda n: 100.0)
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    assert document["totals"]["power/energy"] == "-119.27"
    assert sum(Decimal(x["quantity"]) for x in document["lines"] if x["charge_type"] == "energy") == Decimal("1.19265804")


@pytest.mark.parametrize(
    ("market", "on", "intervals", "hours"),
    [
        (Market.ERCOT, date(2026, 3, 8), 92, 23),
        (Market.ERCOT, date(2026, 7, 1), 96, 24),
        (Market.ERCOT, date(2026, 11, 1), 100, 25),
        (Market.MISO, date(2026, 3, 8), 288, 24),
        (Market.MISO, date(2026, 11, 1), 288, 24),
    ],
)
def test_days_of_every_length(tmp_path: Path, market: Market, on: date, intervals: int, hours: int) -> None:
    site_day = HandMadeDay.of(tmp_path, on, market)
    site_day.prices(lambda n: 20.0)
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    assert len(document["intervals"]) == intervals
    assert len({row["label"] for row in document["intervals"]}) == intervals, "the repeated hour has labels of its own"
    mwh = Decimal("0.0465") * hours
    assert document["totals"]["power/energy"] == f"{-mwh * 20:.2f}"
    assert not document["partial"]


def test_the_repeated_hour_has_prices_of_its_own(tmp_path: Path) -> None:
    """1 November at 20 $/MWh, the second HE02 at 60: 25 x 0.0465 x 20 + 0.0465 x 40."""
    site_day = HandMadeDay.of(tmp_path, date(2026, 11, 1))
    second = Interval(datetime(2026, 11, 1, 7, tzinfo=UTC), datetime(2026, 11, 1, 8, tzinfo=UTC))
    site_day.prices(lambda n: 60.0 if site_day.grid.intervals[n].start in second else 20.0)
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    assert Decimal(document["totals"]["power/energy"]) == -Decimal("0.0465") * (25 * 20 + 40)
    assert [r["label"][:5] for r in document["intervals"] if r["price_usd_per_mwh"]["LZ_WEST"] == "60"] == ["HE02*"] * 4


def test_hourly_prices_fill_in_for_missing_five_minute_prices(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, ON, Market.MISO)
    hours = {over.start.replace(minute=0) for over in site_day.grid.intervals}
    for n, start in enumerate(sorted(hours)):
        over = Interval(start, start + timedelta(hours=1))
        site_day.facts.append(site_day.price(over, float(n), market=PriceMarket.REAL_TIME_HOURLY))
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    assert document["totals"]["power/energy"] == f"{-Decimal('0.0465') * sum(range(24)):.2f}"
    assert document["findings"] == []


def test_the_same_inputs_are_the_same_version_and_the_same_bytes(tmp_path: Path) -> None:
    site_day = ordinary(tmp_path)
    first = site_day.settle()
    site_day.journal.append(PriceBasisChanged(at=site_day.day.end + timedelta(hours=1), price_basis="real-time", why="the journal goes on"))
    again = site_day.settle()
    assert again == first and again["version"] == 1
    kept = statements.kept_statement(site_day.engine, ON, "ercot", 1)
    assert kept is not None and json.loads(kept.document) == first == site_day.settle(version=1)
    for make in (as_html, as_csv, as_json):
        assert make(first) == make(site_day.settle(version=1))


def test_a_corrected_price_makes_a_version_with_its_delta(tmp_path: Path) -> None:
    site_day = ordinary(tmp_path)
    first = site_day.settle()
    corrected = site_day.price(site_day.grid.intervals[40], 820.0, site_day.day.end + timedelta(days=1))
    site_day.seen(site_day.day.end + timedelta(days=1, minutes=1), corrected)
    second = site_day.settle()
    # 0.011625 MWh x 800 $/MWh more
    assert second["version"] == 2
    assert second["delta"] == {"version": 1, "net_usd": "-9.30", "totals": {"power/energy": "-9.30"}}
    assert site_day.settle()["version"] == 2
    assert site_day.settle(version=1) == first
    assert site_day.settle(known_at=site_day.day.end + timedelta(hours=2)) == first
    assert site_day.settle(known_at=site_day.day.end + timedelta(days=2)) == second
    assert statements.kept_statement_days(site_day.engine) == [(ON, "ercot", 1), (ON, "ercot", 2)]


def test_what_was_known_at_an_instant_without_a_version_is_not_kept(tmp_path: Path) -> None:
    site_day = ordinary(tmp_path)
    early = site_day.settle(known_at=site_day.day.start + timedelta(hours=6))
    assert early["version"] == 0 and [f["kind"] for f in early["findings"]] == ["missing-data"]
    assert statements.kept_statement_days(site_day.engine) == []
    assert write_day(early, tmp_path / "out", ["json"])[0].name.startswith("settlement-as-of-2026-07-01T")


def test_a_later_correction_of_the_hour_before_the_day_does_not_change_an_earlier_version(tmp_path: Path) -> None:
    """The strike strategies start on the last price before the day: 20 $/MWh then, 900 since."""
    site_day = ordinary(tmp_path)
    start = site_day.day.start
    before = Interval(start - timedelta(minutes=15), start)
    site_day.seen(start + timedelta(minutes=3), site_day.price(before, 20.0))
    first = site_day.settle()
    corrected = site_day.price(before, 900.0, site_day.day.end + timedelta(days=1))
    site_day.seen(site_day.day.end + timedelta(days=1, minutes=1), corrected)
    second = site_day.settle()
    assert second["counterfactuals"]["one_strike"] != first["counterfactuals"]["one_strike"]
    assert site_day.settle(known_at=site_day.day.end + timedelta(hours=2)) == first


def test_more_telemetry_makes_a_new_version(tmp_path: Path) -> None:
    site_day = ordinary(tmp_path)
    site_day.settle()
    at = site_day.day.start + timedelta(hours=5, minutes=10)
    part = site_day.folder / "telemetry"
    late = Telemetry(part, site_day.setup.site)  # what another leader had read
    late.record(at.timestamp(), "a", [0], [0.0], [0.0], "poll")
    late.flush()
    second = site_day.settle()
    # one rig of 3 kW for 50 minutes less, until its next row in the hour: 0.0025 MWh
    assert second["version"] == 2 and second["delta"]["totals"]["power/energy"] == "0.05"


def test_a_day_is_settled_by_the_site_file_it_was_run_under(tmp_path: Path) -> None:
    site_day = ordinary(tmp_path)
    first = site_day.settle()
    path = tmp_path / "site.toml"
    path.write_text(path.read_text().replace("6.15", "99.0").replace('name = "b"', 'name = "renamed"'))
    later = load_site_file(path)
    start = site_day.day.end + timedelta(hours=3)
    run = RunStarted(at=start, world="live", version="test", config_hash=later.hash_id, token=1, config=later.document)
    site_day.journal.append(run)
    site_day.setup, site_day.telemetry = later, Telemetry(tmp_path / "telemetry", later.site)
    assert site_day.settle() == first


def test_a_correction_in_the_archive_counts(tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    facts.mkdir()
    site_day = ordinary(tmp_path, prices="archive", more_prices='path = "facts"')
    assert site_day.settle()["net_usd"] == "62.15"
    table = tmp_path / "corrections.csv"
    over = site_day.grid.intervals[40]
    published = site_day.day.end + timedelta(days=1)
    table.write_text(
        "Price Correction Time,Interval Start,Interval End,Location,SPP Original,SPP Corrected\n"
        f"{published.isoformat()},{over.start.isoformat()},{over.end.isoformat()},LZ_WEST,20.00,820.00\n"
    )
    assert Archive(facts).import_file(table).facts
    second = site_day.settle()
    assert second["version"] == 2 and second["delta"]["net_usd"] == "-9.30"


def test_an_interval_without_a_price_is_a_finding_and_not_billed(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, ON)
    site_day.prices(lambda n: None if n in (10, 11) else 20.0)
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    assert [f["kind"] for f in document["findings"]] == ["missing-data"] and "2 of 96" in document["findings"][0]["text"]
    assert document["totals"]["power/energy"] == f"{-Decimal('0.011625') * 94 * 20:.2f}"
    assert document["intervals"][10]["price_usd_per_mwh"]["LZ_WEST"] is None
    assert document["counterfactuals"] == {} and any("price of the day is missing" in n for n in document["notes"])


def test_part_of_a_day_is_marked(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, ON)
    site_day.prices(lambda n: 20.0)
    for minute in range(0, 181, 30):
        at = site_day.day.start + timedelta(hours=10, minutes=minute)
        site_day.read(at, "a", range(10), [3000.0] * 10, [150.0] * 10)
        site_day.read(at, "b", range(5), [10.0] * 5, [0.0] * 5)
    site_day.observed(Interval(site_day.day.start + timedelta(hours=10), site_day.day.start + timedelta(hours=13)))
    site_day.seen(site_day.day.start + timedelta(hours=13, minutes=4), *site_day.facts)
    document = site_day.settle()
    assert document["partial"] and "PART OF THE DAY" in as_html(document)
    assert (document["from"], document["to"]) == ("2026-07-01T15:00:00+00:00", "2026-07-01T18:00:00+00:00")
    # three hours of 30 kW and 50 W
    assert document["totals"]["power/energy"] == f"{-Decimal('0.09015') * 20:.2f}"


def test_a_day_that_was_not_run_and_a_version_there_is_not_are_errors(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, ON)
    site_day.prices(lambda n: 20.0)
    site_day.seen()
    with pytest.raises(LookupError, match="nothing was run on 2026-07-01"):
        site_day.settle()
    with pytest.raises(LookupError, match="There is no version 7 of this statement."):
        site_day.settle(version=7)


def test_rigs_that_are_not_read_settle_on_their_last_reading_as_an_estimate(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, ON)
    site_day.prices(lambda n: 20.0)
    site_day.read(site_day.day.start, "a", range(10), [3000.0] * 10, [150.0] * 10)
    site_day.read(site_day.day.start, "b", range(5), [3300.0] * 5, [110.0] * 5)
    gone = site_day.day.start + timedelta(hours=12)
    nan = float("nan")
    site_day.read(gone, "b", range(5), [nan] * 5, [nan] * 5)
    for half in range(1, 49):
        site_day.read(site_day.day.start + timedelta(minutes=30 * half), "a", range(10), [3000.0] * 10, [150.0] * 10)
    site_day.seen()
    document = site_day.settle()
    assert document["totals"]["power/energy"] == "-22.32"
    assert any("settle on estimates" in n for n in document["notes"])
    assert document["intervals"][60]["unread"] > 0.3 and document["findings"] == []


def test_differences_from_the_plans_in_force_add_up(tmp_path: Path) -> None:
    """Planned at 30 $/MWh with group b asleep, from 06:00 market time on with b running; it ran all day at 20, a call stood 12:00-14:00."""
    site_day = HandMadeDay.of(tmp_path, ON)
    site_day.prices(lambda n: 20.0)
    site_day.run_all()
    start = site_day.day.start
    site_day.planned(start - timedelta(hours=1), {"a": 0.03, "b": 0.00005}, {"a": 1.5, "b": 0.0}, 30.0)
    site_day.planned(start + timedelta(hours=6), {"a": 0.03, "b": 0.0165}, {"a": 1.6, "b": 0.55}, 30.0)
    call = Call(
        source="QSE",
        known_at=start + timedelta(hours=11),
        id="c1",
        version=1,
        obligation="plant",
        kind=CallKind.DEPLOY,
        notice_at=start + timedelta(hours=11),
        start_at=start + timedelta(hours=12),
        end_at=start + timedelta(hours=14),
        mw_cap=0.03,
    )
    site_day.facts.append(call)
    site_day.seen()
    document = site_day.settle()
    causes = {row["cause"]: Decimal(row["exact_usd"]) for row in document["differences"]}
    assert Decimal(document["planned_net_exact_usd"]) + sum(causes.values()) == Decimal(document["net_exact_usd"])
    planned_mwh = Decimal("0.03005") * 6 + Decimal("0.0465") * 18
    assert causes["price"] == 10 * planned_mwh
    # where the call stood a hashed 1.5 in place of 1.6 PH/s for two hours
    assert abs(causes["call"] + Decimal("0.1") * 2 / 24 * 45 * Decimal("0.99")) < Decimal("1e-8")
    more_mwh, more_ph_days = Decimal("0.01645") * 6, Decimal("0.55") * 6 / 24 - Decimal("0.1") * 16 / 24
    assert abs(causes["device"] - (more_ph_days * 45 * Decimal("0.99") - more_mwh * Decimal("26.15"))) < Decimal("1e-8")
    assert [f["kind"] for f in document["findings"]] == ["call-not-kept"], "0.0465 MW stood where 0.03 was allowed"
    assert any("Call c1 of QSE was in force on plant" in text for text in document["narrative"]["issues"])
    (promise,) = document["promises"]
    assert (promise["obligation"], promise["kept"], len(promise["broken"])) == ("plant", False, 7), "the first quarter hour is not judged"
    assert {b["mw"] for b in promise["broken"]} == {"0.016500"}
    assert [(s["kind"], s["what"], s["mw"]) for s in promise["spans"]] == [("deploy", "c1", 0.03)]
    assert any("why the instruction was not kept" in text for text in document["narrative"]["actions"])
    gap = sum(Decimal(row["exact_usd"]) for row in document["foresight_gap"])
    best = Decimal(document["counterfactuals"]["perfect_foresight"]["net_usd"])
    assert abs(best + gap - Decimal(document["net_exact_usd"])) <= Decimal("0.01")
    assert not any("no plan was in force" in n for n in document["notes"])


def test_without_a_plan_there_are_no_differences_and_a_note(tmp_path: Path) -> None:
    document = ordinary(tmp_path).settle()
    assert document["planned_net_usd"] == document["differences"][0]["usd"].replace("0.00", "62.14")
    assert all(row["exact_usd"] == "0" for row in document["differences"])
    assert any("In 96 of 96 intervals no plan was in force" in n for n in document["notes"])


def test_other_strategies_on_the_day(tmp_path: Path) -> None:
    """a breaks even at 45 x 0.99 x 1.5 x 1000 / 24 / 30 - 6.15 = 86.66 $/MWh, b at about 55.7; the noon hour is at 200."""
    site_day = HandMadeDay.of(tmp_path, ON)
    site_day.prices(lambda n: 200.0 if 48 <= n < 52 else 20.0)
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    others = {name: Decimal(v["net_usd"]) for name, v in document["counterfactuals"].items()}
    assert set(others) == {"always_on", "one_strike", "model_strike", "perfect_foresight"}
    assert others["always_on"] == Decimal(document["net_usd"])
    # asleep for the hour: no energy but 50 W, no hashing
    saved = Decimal("0.0465") * Decimal("206.15") - Decimal("0.00005") * Decimal("206.15") - Decimal("2.05") / 24 * 45 * Decimal("0.99")
    assert abs(others["perfect_foresight"] - others["always_on"] - saved) <= Decimal("0.02")
    assert others["perfect_foresight"] >= others["model_strike"] >= others["always_on"]
    assert any(text.startswith("Perfect foresight of prices would have earned") for text in document["narrative"]["why"])
    gap = {row["cause"]: Decimal(row["exact_usd"]) for row in document["foresight_gap"]}
    assert abs(gap.pop("link and feed") + saved) < Decimal("1e-6"), "no plan was in force: all of it is the link's"
    assert set(gap.values()) == {0} and document["promises"] == [] and document["narrative"]["actions"] == []


def test_issues_of_a_day(tmp_path: Path) -> None:
    site_day = ordinary(tmp_path / "quiet")
    noisy = HandMadeDay.of(tmp_path / "noisy", ON)
    noisy.prices(lambda n: 20.0)
    noisy.run_all()
    noon = noisy.day.start + timedelta(hours=12)
    noisy.seen(noon, alerts={"ercot": "no answer within 60 s"}, sources_asked=("ercot",))
    noisy.journal.append(PriceBasisChanged(at=noon, price_basis="day-ahead", why="No price for 20 minutes."))
    noisy.journal.append(Planned(at=noon, as_of=2, plan=None, failed="the planner died or overran"))
    results = (Result(order="1", rigs_by_outcome={"reached": "0-6", "unreachable": "7,8", "no_effect": "9"}),)
    noisy.journal.append(Done(at=noon, results=results))
    noisy.seen()
    issues = " ".join(noisy.settle()["narrative"]["issues"])
    for text in (
        "day-ahead",
        "ercot: 1 failed reading, first at 17:00 UTC",
        "1 plan failed",
        "3 of 10 rig commands failed: 1 no effect, 2 unreachable",
    ):
        assert text in issues
    assert noisy.settle()["net_usd"] == site_day.settle()["net_usd"]


def test_a_price_below_the_floor_is_billed_as_published_and_a_finding(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, ON)
    site_day.prices(lambda n: -300.0 if n == 3 else 20.0)
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    assert [f["kind"] for f in document["findings"]] == ["price-below-floor"]
    assert next(x for x in document["lines"] if x["rate"] == "300")["amount_usd"] == "3.4875"


def test_a_block_of_power(tmp_path: Path) -> None:
    """40 kW at 32.50 all day, sold back at the real-time price: 0.96 MWh x -32.50 = -31.20, and (0.96 - 1.116) MWh at 20 = -3.12."""
    block = '[[obligations]]\ntype = "block"\nmw = 0.04\nusd_per_mwh = 32.50\n'
    site_day = HandMadeDay.of(tmp_path, ON, extra=block)
    site_day.prices(lambda n: 20.0)
    site_day.run_all()
    site_day.seen()
    totals = site_day.settle()["totals"]
    assert (totals["block/block_cost"], totals["block/block_settlement"], totals["power/adders"]) == ("-31.20", "-3.12", "-6.86")
    assert totals.get("power/energy", "0.00") == "0.00"


def test_every_format_says_that_a_market_is_synthetic(tmp_path: Path) -> None:
    site_day = ordinary(tmp_path, prices="synthetic")
    document = site_day.settle()
    assert document["synthetic"] and document["notes"][0].startswith("The market is SYNTHETIC")
    assert "SYNTHETIC MARKET" in as_html(document) and "(synthetic market)" in as_csv(document)
    assert "SYNTHETIC" not in as_html(ordinary(tmp_path / "real").settle())
