"""A line cites what it was made from: quantity, rate, the price's vintage, formula, rule and its date."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path

from dispatch.reports.write import as_csv
from dispatch.settlement.statement_lines import COLUMNS
from tests.dispatch.settlement.fixtures import HandMadeDay
from tests.docs.pages import page

ECRS = """
[[meters]]
id = "clr"
[[halls]]
name = "c"
meter = "clr"
limit_mw = 2.0
[[groups]]
name = "c"
hall = "c"
model = "hand-made-20"
rigs = 50
modes = [{ name = "sleep", watts = 0, ths = 0 }, { name = "normal", watts = 3000, ths = 150 }]
"""


def test_each_column_is_explained() -> None:
    assert [c for c in COLUMNS if f"`{c}`" not in page("reference/settlement.md")] == []


def test_a_line_cites_vintage_label_source_and_rule(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, date(2026, 11, 1))
    site_day.prices(lambda n: 20.0 + n)
    corrected = site_day.day.end + timedelta(minutes=4)
    site_day.facts.append(site_day.price(site_day.grid.intervals[9], 99.0, known_at=corrected))
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    energy = [line for line in document["lines"] if line["charge_type"] == "energy"]
    assert all(list(line) == list(COLUMNS) for line in document["lines"]) and len(energy) == 100
    ninth = energy[9]
    assert (ninth["price_version"], ninth["price_vintage"], ninth["rate"]) == ("corrected", corrected.isoformat(), "-99")
    assert energy[8]["price_version"] == "published"
    ends = datetime.fromisoformat(energy[8]["interval_end"])
    assert datetime.fromisoformat(energy[8]["price_vintage"]) == ends + timedelta(minutes=2)
    assert {line["settlement_point"] for line in energy} == {"LZ_WEST"} and {line["formula"] for line in energy} == {"power.energy"}
    # the hour that comes twice: HE02, then HE02* with its flag
    assert [line["dst_flag"] for line in energy[4:12]] == ["N"] * 4 + ["Y"] * 4
    assert energy[4]["label"] == "HE02 01:00-01:15" and energy[8]["label"] == "HE02* 01:00-01:15"
    assert {line["source"] for line in document["lines"]} == {"telemetry"}
    revenue = next(line for line in document["lines"] if line["charge_type"] == "hash_revenue")
    assert (revenue["settlement_point"], revenue["price_version"], revenue["formula"]) == ("", "", "hashing.hash_revenue")
    assert all(D(line["quantity"]) * D(line["rate"]) == D(line["amount_usd"]) for line in document["lines"])
    rows = list(csv.DictReader(io.StringIO(as_csv(document))))
    assert rows[0] == {k: str(v) for k, v in document["lines"][0].items()}
    assert len(rows) == len(document["lines"]) and all(r["interval_start"] for r in rows), "no totals among the lines"


def test_a_dated_rule_says_since_when_it_holds(tmp_path: Path) -> None:
    extra = ECRS + '\n[[obligations]]\ntype = "ers"\nscope = { meter = "clr" }\nproduct = "ERS-30"\nmw = 0.1\nmax_base_load_mw = 0.01\n'
    extra += 'usd_per_mw_hour = 7.25\nperiods = [{ name = "TP8", months = [6, 7, 8, 9], weekdays = true, hours = [9, 10] }]\n'
    site_day = HandMadeDay.of(tmp_path, date(2026, 8, 20), extra=extra)
    site_day.prices(lambda n: 20.0)
    site_day.run_all()
    for n in range(49):
        site_day.read(site_day.day.start + timedelta(minutes=30 * n), "c", range(50), [3000.0] * 50, [150.0] * 50)
    site_day.seen()
    paid = [line for line in site_day.settle()["lines"] if line["charge_type"] == "ers_capacity"]
    assert paid and {line["source"] for line in paid} == {"award"} and {line["formula"] for line in paid} == {"ers.ers_capacity"}
    rule = site_day.setup.rules.in_force("ercot.ers.terms", date(2026, 8, 20))
    assert {line["rule_from"] for line in paid} == {rule.from_.isoformat()} and rule.cited in paid[0]["rule"]
