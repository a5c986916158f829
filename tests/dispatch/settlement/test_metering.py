"""A day settles on its revenue meter where it is read: a new vintage, the old one kept, no gap counted as zero."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest

from dispatch.imports.detect import read_meter_file
from dispatch.reports.write import as_html
from dispatch.store.document_import import import_meter_data
from dispatch.store.received import DocumentKind, ReceivedDocument, keep_document, meter_vintages, received_documents
from dispatch.store.rollups import Rollup, write_rollups
from markets.grid import Grid, Interval, Market
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 8, 20)
LATER = datetime(2026, 9, 1, tzinfo=UTC)
# The fifteen rigs of a HandMadeDay draw 46.5 kW: 11.625 kWh a quarter hour.
QUARTER = D("0.011625")


def site_day(folder: Path, market: Market = Market.ERCOT, **more) -> HandMadeDay:
    made = HandMadeDay.of(folder, ON, market, **more)
    made.prices(lambda n: 20.0 + n)
    made.run_all()
    made.seen()
    return made


def imported(made: HandMadeDay, lines: list[str], at: datetime = LATER, head: str = "start,end,kWh,quality", name: str = "m.csv") -> bool:
    content = "\n".join([head, *lines]).encode()
    read = read_meter_file(content, "", made.setup.site)
    return keep_document(made.engine, ReceivedDocument(DocumentKind.METER, name, content, at, "", ON, ON), read.readings)


def rows(made: HandMadeDay, minutes: int, kwh: D, quality: str = "A", skip: range = range(0)) -> list[str]:
    over = made.day.grid(minutes).intervals
    return [f"{o.start.isoformat()},{o.end.isoformat()},{kwh + n % 3},{quality}" for n, o in enumerate(over) if n not in skip]


def usd(document: dict, name: str = "power/energy") -> D:
    return D(document["totals"][name])


def test_a_meter_reading_replaces_telemetry_in_the_next_version(tmp_path: Path) -> None:
    made = site_day(tmp_path)
    first = made.settle()
    assert first["meters"] == {} and {row["source"] for row in first["intervals"]} == {"telemetry"}
    lines = rows(made, 15, D(12))
    assert imported(made, lines)
    second = made.settle()
    kwh = [D(line.split(",")[2]) for line in lines]
    exact = -sum((k / 1000 * (20 + n) for n, k in enumerate(kwh)), D(0))
    assert usd(second) == exact.quantize(D("0.01"))
    assert (first["version"], second["version"]) == (1, 2)
    assert D(second["delta"]["totals"]["power/energy"]) == usd(second) - usd(first)
    meter = second["meters"]["main"]
    assert (meter["intervals"], meter["of"], meter["estimated"]) == (96, 96, 0)
    assert D(meter["mwh"]) == sum(kwh) / 1000 and D(meter["telemetry_mwh"]) == QUARTER * 96
    assert D(meter["delta_mwh"]) == D(meter["mwh"]) - D(meter["telemetry_mwh"])
    assert meter["files"][0]["name"] == "m.csv" and second["known_at"] == LATER.isoformat()
    page = as_html(second)
    assert "MWh in 96 of 96 intervals, from m.csv; telemetry has" in page
    assert "settlement before the market&#39;s first statement, version 2" in page
    assert {row["source"] for row in second["intervals"]} == {"meter"}
    # what was known before the file came is the first version again, byte for byte; so is asking for it
    assert made.settle(known_at=LATER - timedelta(days=1)) == first == made.settle(version=1)
    assert made.settle() == second
    assert not imported(made, lines), "the same file again is no news"


def test_far_from_telemetry_is_a_finding(tmp_path: Path) -> None:
    made = site_day(tmp_path)
    imported(made, rows(made, 15, D(20)))
    (found,) = [f for f in made.settle()["findings"] if f["kind"] == "meter-telemetry"]
    assert "meter main reads 2.016 MWh where telemetry has 1.116 MWh: more than 3% apart" in found["text"]


def test_a_later_file_corrects_a_part_and_missing_readings_settle_on_telemetry(tmp_path: Path) -> None:
    made = site_day(tmp_path)
    imported(made, rows(made, 15, D(12), skip=range(90, 96)))
    first = {o.start: n for n, o in enumerate(made.grid.intervals)}
    fixed = [line for n, line in enumerate(rows(made, 15, D(14), quality="E")) if 4 <= n < 8]
    imported(made, fixed, LATER + timedelta(days=3), name="corrected.csv")
    document = made.settle()
    energy = [D(row["energy_mwh"]) * 1000 for row in document["intervals"]]
    assert energy[:4] == [12, 13, 14, 12] and energy[4:8] == [15, 16, 14, 15] and energy[8:10] == [14, 12]
    assert energy[90:] == [QUARTER * 1000] * 6 and len(first) == 96
    source = [row["source"] for row in document["intervals"]]
    assert source[:4] == ["meter"] * 4 and source[4:8] == ["estimated"] * 4 and source[90:] == ["telemetry"] * 6
    assert [f["name"] for f in document["meters"]["main"]["files"]] == ["corrected.csv", "m.csv"]
    (gap,) = [f["text"] for f in document["findings"] if f["kind"] == "meter-gap"]
    assert gap.startswith("meter main has no reading for 6 of 96 intervals, first 2026-08-21T03:30:00+00:00")


@pytest.mark.parametrize(("minutes", "estimated"), [(5, 0), (15, 0), (60, 288)])
def test_any_length_of_reading_settles_on_the_markets_intervals(tmp_path: Path, minutes: int, estimated: int) -> None:
    """MISO spreads a longer reading evenly by its own rule (EX-6's flat hour); ERCOT's quarter hours do not know an hour's shape."""
    kwh = QUARTER * 1000 * minutes / 15
    miso = site_day(tmp_path / "miso", Market.MISO)
    imported(miso, [line.replace(f",{kwh + n % 3},", f",{kwh},") for n, line in enumerate(rows(miso, minutes, kwh))])
    document = miso.settle()
    assert len(document["intervals"]) == 288 and {D(row["energy_mwh"]) for row in document["intervals"]} == {D("0.003875")}
    assert {row["source"] for row in document["intervals"]} == {"meter"}
    ercot = site_day(tmp_path / "ercot")
    imported(ercot, [line.replace(f",{kwh + n % 3},", f",{kwh},") for n, line in enumerate(rows(ercot, minutes, kwh))])
    document = ercot.settle()
    assert {D(row["energy_mwh"]) for row in document["intervals"]} == {QUARTER}
    assert sum(row["source"] == "estimated" for row in document["intervals"]) == estimated / 3


def test_groups_share_a_meter_exactly_and_by_nameplate_when_nothing_runs(tmp_path: Path) -> None:
    made = HandMadeDay.of(tmp_path, ON)
    made.prices(lambda n: 25.0)
    made.run_all(watts_a=0.0, ths_a=0.0, watts_b=0.0, ths_b=0.0)
    made.seen()
    imported(made, rows(made, 15, D(1)))
    document = made.settle()
    assert D(document["intervals"][0]["energy_mwh"]) == D("0.001")
    by = document["intervals"][0]["groups_mw"]
    assert float(by["a"]) / float(by["b"]) == pytest.approx(10 * 3000 / (5 * 3300), rel=1e-3)
    lines = [line for line in document["lines"] if line["charge_type"] == "energy"]
    assert sum(D(line["quantity"]) for line in lines) == sum(D(1 + n % 3) / 1000 for n in range(96))


def test_an_imported_file_is_kept_as_it_is(tmp_path: Path) -> None:
    made = site_day(tmp_path)
    lines = rows(made, 15, D(12))
    imported(made, lines)
    (kept,) = received_documents(made.engine, DocumentKind.METER, ON, ON)
    assert kept.content.decode().splitlines()[1:] == lines and kept.known_at == LATER
    assert received_documents(made.engine, DocumentKind.METER, ON + timedelta(days=1), ON + timedelta(days=2)) == []
    (vintage,) = meter_vintages(made.engine, made.day.over)
    assert len(vintage.readings) == 96 and vintage.readings[0].row == 2 and vintage.sha256 == kept.sha256
    assert meter_vintages(made.engine, made.day.over, LATER - timedelta(seconds=1)) == []


def test_a_metered_interval_without_telemetry_has_no_sum_of_it(tmp_path: Path) -> None:
    made = HandMadeDay.of(tmp_path, ON)
    made.prices(lambda n: 20.0 + n)
    for half_hours in range(49):
        at = made.day.start + half_hours * timedelta(minutes=30)
        made.read(at, "a", range(10), [3000.0] * 10, [150.0] * 10)
        if half_hours >= 24:
            made.read(at, "b", range(5), [3300.0] * 5, [110.0] * 5)
    made.seen()
    imported(made, rows(made, 15, D(12)))
    said = ["rigs_mwh" in row for row in made.settle()["intervals"]]
    assert not any(said[:48]) and all(said[48:]), "b was not read before noon"


def test_the_monthly_peak_comes_from_the_meter(tmp_path: Path) -> None:
    """Telemetry had 46.5 kW all of yesterday, the meter 60 kW in one quarter hour: today at 50 kW raises no peak."""
    extra = '\n[[obligations]]\ntype = "transmission"\nmethod = "ncp"\nusd_per_kw_year = 120.0\n'
    made = HandMadeDay.of(tmp_path, ON, extra=extra)
    made.prices(lambda n: 20.0)
    made.run_all()
    made.ran_before(1)
    made.seen()
    yesterday = made.day.start - timedelta(hours=20), made.day.start - timedelta(hours=19, minutes=45)
    over = Grid.regular(made.day.start - timedelta(days=1), made.day.start, 15)
    write_rollups(made.engine, [Rollup(g, o, QUARTER / 2, D(0), 1, 0.0) for g in "ab" for o in over.intervals])
    demand = [line for line in made.settle()["lines"] if line["charge_type"] == "demand"]
    assert not demand, "yesterday was as high"
    imported(made, rows(made, 15, D("12.5")))
    raised = [line for line in made.settle()["lines"] if line["charge_type"] == "demand"]
    assert sum(D(line["quantity"]) for line in raised) == (D("14.5") - QUARTER * 1000) * 4 / 1000
    start, end = (at.isoformat() for at in yesterday)
    assert imported(made, [f"{start},{end},15,A"], name="yesterday.csv")
    assert not [line for line in made.settle()["lines"] if line["charge_type"] == "demand"]


def trip(made: HandMadeDay, at: range) -> list[str]:
    """The meter of a day at 12 kWh and more, and in some quarter hours at a thousandth of it."""
    lines = rows(made, 15, D(12))
    for n in at:
        start, end, kwh, quality = lines[n].split(",")
        lines[n] = f"{start},{end},{D(kwh) / 1000},{quality}"
    return lines


def import_file(made: HandMadeDay, folder: Path, lines: list[str]) -> list[str]:
    file = folder / "meter.csv"
    file.write_text("\n".join(["start,end,kWh,quality", *lines]))
    return [f.kind for f in import_meter_data(made.engine, made.setup.site, file, None, LATER).content.findings]


@pytest.mark.parametrize("silent", [False, True], ids=["rigs draw nothing", "rigs silent"])
@pytest.mark.parametrize("at", [range(40, 41), range(40, 42), range(40, 56)], ids=["one", "two", "many"])
def test_a_real_trip_is_settled_as_the_meter_read_it(tmp_path: Path, at: range, silent: bool) -> None:
    made = HandMadeDay.of(tmp_path, ON)
    made.prices(lambda n: 20.0)
    start = made.day.start
    down = Interval(start + timedelta(minutes=15 * at.start), start + timedelta(minutes=15 * at.stop))
    for minute in range(0, 24 * 60 + 1, 5):
        moment = start + timedelta(minutes=minute)
        off = down.start <= moment < down.end
        for name, number, watts, ths in (("a", 10, 3000.0, 150.0), ("b", 5, 3300.0, 110.0)):
            read_w, read_ths = (watts, ths) if not off else (float("nan"), float("nan")) if silent else (0.0, 0.0)
            made.read(moment, name, range(number), [read_w] * number, [read_ths] * number)
    made.seen()
    kinds = import_file(made, tmp_path, trip(made, at))
    energy = [D(row["energy_mwh"]) * 1000 for row in made.settle()["intervals"]]
    assert kinds.count("unit-mixed") <= len(at) + 1
    assert [energy[n] for n in at] == [D(12 + n % 3) / 1000 for n in at]
    assert energy[at.start - 1] == 12 + (at.start - 1) % 3 and energy[at.stop] == 12 + at.stop % 3


def test_a_reading_in_another_unit_settles_on_telemetry(tmp_path: Path) -> None:
    made = site_day(tmp_path)
    assert import_file(made, tmp_path, trip(made, range(40, 41))) == ["unit-mixed"]
    document = made.settle()
    assert D(document["intervals"][40]["energy_mwh"]) == QUARTER and document["intervals"][40]["source"] == "telemetry"
    assert "meter-gap" in [f["kind"] for f in document["findings"]]


def test_energy_flowing_out_where_none_can_is_a_finding_and_no_receipt(tmp_path: Path) -> None:
    made = site_day(tmp_path)
    lines = rows(made, 15, D(12))
    for n in (30, 31):
        lines[n] = lines[n].replace(f",{12 + n % 3},", f",-{12 + n % 3},")
    imported(made, lines)
    document = made.settle()
    (found,) = [f["text"] for f in document["findings"] if f["kind"] == "meter-export"]
    assert found.startswith("meter main reads energy flowing out in 2 of 96 intervals, first 2026-08-20T12:30:00+00:00")
    assert any("export_mw" in action for action in document["narrative"]["actions"])
    assert all(D(line["amount_usd"]) < 0 for line in document["lines"] if line["charge_type"] == "energy")
    assert [D(document["intervals"][n]["energy_mwh"]) for n in (30, 31)] == [QUARTER] * 2
