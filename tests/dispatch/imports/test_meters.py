"""Meter files: every unit, offset and flag reads to the same energy; every bad row is named with its place, the rest stands."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.imports import UnreadableDocument
from dispatch.imports.detect import read_meter_file
from dispatch.imports.meter_readings import ESTIMATED, ImportedReadings
from markets.grid import Market, OperatingDay
from optimizer.domain.site import Meter, Site
from tests.dispatch.imports.espi_feed import feed
from tests.optimizer.fixtures import group, site

AT = datetime(2026, 8, 20, 5, tzinfo=UTC)
CENTRAL = ZoneInfo("America/Chicago")
HEADER = "Interval Start,Interval End,Energy (kWh)"


def quarters(n: int, start: datetime = AT) -> list[tuple[datetime, datetime]]:
    return [(start + timedelta(minutes=15 * k), start + timedelta(minutes=15 * (k + 1))) for k in range(n)]


def read(text: str, map_text: str = "", where: Site | None = None) -> ImportedReadings:
    return read_meter_file(text.encode(), map_text, where or site(group("g", rigs=2000)))


def energies(file: ImportedReadings) -> list[D]:
    return [r.mwh for r in file.readings]


def rows(values: list[str], start: datetime = AT) -> list[str]:
    return [f"{b.isoformat()},{e.isoformat()},{v}" for (b, e), v in zip(quarters(len(values), start), values, strict=True)]


KWH = ["1250", "1000.5", "0", "999.25"]
MWH = [D("1.25"), D("1.0005"), D(0), D("0.99925")]
PATTERN = "%m/%d/%Y %H:%M"
ENDING = 'label = "end"'
OWN_NAMES = 'unit = "kWh"\ntimezone = "America/Chicago"\ncolumns = { start = "when", value = "what" }'
PORTAL = "ESIID,USAGE_DATE,REVISION_DATE,USAGE_START_TIME,USAGE_END_TIME,USAGE_KWH,ESTIMATED_ACTUAL,CONSUMPTION_SURPLUSGENERATION"
PORTAL_METERS = """meters = { "'10089" = "main" }"""
LOCAL = [(b.astimezone(CENTRAL), e.astimezone(CENTRAL)) for b, e in quarters(4)]


@pytest.mark.parametrize(
    ("text", "map_text"),
    [
        ("\n".join([HEADER, *rows(KWH)]), ""),
        ("\n".join(["start;end;mwh", *(r.replace(",", ";") for r in rows([str(m) for m in MWH]))]), ""),
        ("\n".join(["interval_start,load_mw", *(f"{b.isoformat()},{m * 4}" for (b, _), m in zip(quarters(4), MWH, strict=True))]), ""),
        ("\n".join(["Interval Ending,kW", *(f"{e.isoformat()},{k * 4000}" for (_, e), k in zip(quarters(4), MWH, strict=True))]), ENDING),
        ("\n".join(["Start,Value,Unit", *(f"{b.isoformat()},{k},KWH" for (b, _), k in zip(quarters(4), KWH, strict=True))]), ""),
        ("\n".join(["when,what", *(f"{b:{PATTERN}},{k}" for (b, _), k in zip(LOCAL, KWH, strict=True))]), OWN_NAMES),
        ("\n".join([PORTAL, *(f"'10089,{b:%m/%d/%Y},, {b:%H:%M}, {e:%H:%M},{k},A," for (b, e), k in zip(LOCAL, KWH, strict=True))]),
         PORTAL_METERS),
        (feed([1250, 1001, 0, 999], int(AT.timestamp())), ""),
    ],
    ids=["kWh and offsets", "semicolons", "megawatts", "interval ending", "a column of units", "a map", "a meter portal", "Green Button"],
)  # fmt: skip
def test_units_offsets_and_columns_read_the_same(text: str, map_text: str) -> None:
    file = read(text, map_text)
    assert not file.findings
    assert [(r.over.start, r.over.end) for r in file.readings] == quarters(4)
    # Green Button counts whole kilowatt-hours here.
    assert energies(file) == (MWH if "naesb" not in text else [D("1.25"), D("1.001"), D(0), D("0.999")])
    assert {r.meter for r in file.readings} == {"main"} and {r.quality for r in file.readings} == {"actual"}


@pytest.mark.parametrize(
    ("planted", "kind", "words", "left"),
    [
        (lambda r: [*r, r[3]], "duplicate", "row 10: .* is in row 5 already: the same again", 8),
        (lambda r: [*r, r[3].replace("1003", "77")], "duplicate", "row 10: .* 77 against 1003: neither", 7),
        (lambda r: r[:3] + r[4:], "missing", "nothing for 2026-08-20T05:45Z to 2026-08-20T06:00Z", 7),
        (lambda r: r[:3] + [r[3].rpartition(",")[0] + ","] + r[4:], "value", "row 5: '' is not a number", 7),
        (lambda r: r[:3] + [r[3].rpartition(",")[0] + ",n/a"] + r[4:], "value", "row 5: 'n/a' is not a number", 7),
        (lambda r: r + [f"{AT.isoformat()},{(AT + timedelta(hours=1)).isoformat()},4006"], "overlap", "overlaps .* of row .*: neither", 4),
        (lambda r: r[:3] + [r[3].replace("1003", "1.003")] + r[4:], "unit-mixed", "row 5: 1.003 kwh beside", 7),
        (lambda r: r[:3] + [r[3].replace("1003", "1003000")] + r[4:], "implausible", "row 5: 4012.000 MW at a line of", 7),
        (lambda r: r[:3] + [r[3].replace("T05:45", "T25:45")] + r[4:], "time", "row 5: .* is not a time", 7),
        (lambda r: r[:3] + [r[3].replace("T06:00", "T05:45")] + r[4:], "time", "row 5: ends 0 minutes", 7),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_and_the_rest_is_used(planted, kind, words, left) -> None:
    good = rows([str(1000 + n) for n in range(8)])
    file = read("\n".join([HEADER, *planted(good)]))
    named = [f.text for f in file.findings if f.kind == kind]
    assert len(named) == (4 if kind == "overlap" else 1)
    assert re.search(words, named[0])
    assert len(file.readings) == left
    whole = {r.over: r.mwh for r in read("\n".join([HEADER, *good])).readings}
    assert all(whole[r.over] == r.mwh for r in file.readings)


def test_rows_of_another_unit_flag_or_meter_are_named() -> None:
    head = "Start,Value,Unit,Quality,Meter"
    lines = [f"{b.isoformat()},{1000 + n},kWh,A,main" for n, (b, _) in enumerate(quarters(8))]
    lines[2] = lines[2].replace("1002,kWh", "1.002,MWh")
    lines[4] = lines[4].replace(",A,", ",E,")
    lines[5] = lines[5].replace(",A,", ",Q7,")
    lines[6] = lines[6].replace(",main", ",other")
    lines[7] = lines[7].replace("kWh", "therm")
    file = read("\n".join([head, *lines]))
    told = {f.kind: f.text for f in file.findings if f.kind != "missing"}
    assert told.keys() == {"unit-mixed", "quality", "meter", "unit"}
    assert told["unit-mixed"].startswith("row 4: in mwh") and told["meter"].startswith("row 8: 'other'")
    assert told["unit"].startswith("row 9: 'therm'") and "'Q7'" in told["quality"]
    assert [r.row for r in file.readings] == [2, 3, 5, 6, 7]
    assert [r.row for r in file.readings if r.quality == ESTIMATED] == [6, 7]


def local_day(on: date, skip_second_pass: bool = False) -> tuple[str, list[datetime]]:
    """A file of a day in local time without offsets, as a utility writes it."""
    starts = [o.start for o in OperatingDay(Market.ERCOT, on).grid().intervals]
    if skip_second_pass:
        starts = [s for s in starts if s.astimezone(CENTRAL).fold == 0]
    lines = [f"{s.astimezone(CENTRAL):%m/%d/%Y %H:%M},{1000 + n}" for n, s in enumerate(starts)]
    return "\n".join(["Start,kWh", *lines]), starts


@pytest.mark.parametrize(("on", "n"), [(date(2026, 3, 8), 92), (date(2026, 3, 9), 96), (date(2026, 11, 1), 100)])
def test_days_of_daylight_saving_without_offsets(on: date, n: int) -> None:
    text, starts = local_day(on)
    file = read(text)
    assert len(starts) == n and not file.findings
    assert [r.over.start for r in file.readings] == starts
    assert energies(file) == [D(1000 + k) / 1000 for k in range(n)]


def test_a_single_row_of_a_repeated_hour_is_not_used() -> None:
    text, starts = local_day(date(2026, 11, 1), skip_second_pass=True)
    file = read(text)
    assert len(starts) == 96 and len(file.readings) == 92
    doubled = [f.text for f in file.findings if f.kind == "daylight-saving"]
    assert len(doubled) == 4 and "2026-11-01 01:00 occurs twice that day and is in the file once" in doubled[0]
    assert [f.text for f in file.findings if f.kind == "missing"] == ["meter main: nothing for 2026-11-01T06:00Z to 2026-11-01T08:00Z"]


def test_a_time_skipped_in_spring_is_refused() -> None:
    text, _ = local_day(date(2026, 3, 8))
    file = read(text + "\n03/08/2026 02:15,1000")
    (found,) = file.findings
    assert found.kind == "daylight-saving" and "row 94: 2026-03-08 02:15 does not exist" in found.text and len(file.readings) == 92


def test_miso_local_times_need_a_zone() -> None:
    where = site(group("g", rigs=2000), market=Market.MISO)
    with pytest.raises(UnreadableDocument, match="has no offset"):
        read("Start,kWh\n2026-08-20 00:00,1\n2026-08-20 01:00,1", where=where)
    file = read("Start,kWh\n2026-08-20 00:00,1\n2026-08-20 01:00,1", 'timezone = "-05:00"', where)
    assert file.readings[0].over.start == AT and file.readings[0].over.hours == 1


@pytest.mark.parametrize(
    ("text", "map_text", "words"),
    [
        ("", "", "is empty"),
        ("a,b\n1,2", "", "known to hold energy"),
        ("kWh,kWh\n1,2", "", "is in the header twice"),
        ("Start,Value\n2026-08-20T00:00Z,1\n2026-08-20T00:15Z,1", "", "does not say its unit"),
        ("Start,kWh\n2026-08-20T00:00Z,1", "", "length of an interval is not known"),
        ("x,kWh\n1,1", "", "known to hold times"),
        ("Start,kWh\n2026-08-20T00:00Z,1", 'columns = { value = "MWh" }', "columns.value: there is no column 'MWh'"),
        ("Start,kWh\n2026-08-20T00:00Z,1", 'meter = "west"', "'west' is not a meter of the site; there are main"),
        ("Start,kWh\n2026-08-20T00:00Z,1", 'unit = "therm"\nlable = "end"', "map: lable:"),
        ("Start,kWh\n2026-08-20T00:00Z,1", "unit = ", "is not TOML"),
        ("PK\0\1\2", "", "is not text"),
        ("<feed><entry>", "", "line 1, column 13: is broken XML"),
        ("<html/>", "", None),
    ],
)
def test_a_file_that_is_not_a_meter_file_is_refused(text: str, map_text: str, words: str | None) -> None:
    if words is None:
        assert read(text, map_text).readings == ()
        return
    with pytest.raises(UnreadableDocument, match=words):
        read(text, map_text)


BOMB = "<!DOCTYPE feed [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
OUTSIDE = "<!DOCTYPE feed [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>"


@pytest.mark.parametrize("head", [BOMB, OUTSIDE])
def test_entities_are_refused(head: str) -> None:
    with pytest.raises(UnreadableDocument, match="declares entities"):
        read(feed([1], int(AT.timestamp()), head=head))


def test_green_button_channels_net_and_flags_estimate() -> None:
    file = read(feed([100, 200, 300, 400], int(AT.timestamp()), returned=[1, 2, 3], quality={1: 8, 2: 19}))
    assert energies(file) == [D("0.099"), D("0.198"), D("0.297")]
    assert [r.quality for r in file.readings] == ["actual", "estimated", "actual"]
    assert [f.text for f in file.findings] == ["row 4: 2026-08-20T05:45Z to 2026-08-20T06:00Z has no row of what flowed out: not used"]


def test_green_button_of_another_unit_is_named() -> None:
    file = read(feed([100, 200], int(AT.timestamp()), uom=169))
    assert not file.readings and len(file.findings) == 2 and "unit of measure 169 is neither Wh" in file.findings[0].text


def test_a_usage_point_finds_its_meter_by_title() -> None:
    where = site(group("g", rigs=2000))
    two = where.model_copy(update={"meters": (*where.meters, Meter(id="clr", settlement_point="LZ_WEST", esi_id="10089"))})
    assert {r.meter for r in read(feed([1, 2], int(AT.timestamp()), title="10089"), where=two).readings} == {"clr"}
    lost = read(feed([1, 2], int(AT.timestamp()), title="nobody"), where=two)
    assert not lost.readings and "not a meter of the site" in lost.findings[0].text
    with pytest.raises(UnreadableDocument, match="the site has several"):
        read("\n".join([HEADER, *rows(KWH)]), where=two)


@given(st.lists(st.integers(0, 2_000_000), min_size=2, max_size=40), st.sampled_from([5, 15, 60]), st.randoms())
def test_any_order_of_rows_reads_the_same(watthours: list[int], minutes: int, random) -> None:
    starts = [AT + timedelta(minutes=minutes * n) for n in range(len(watthours))]
    lines = [
        f"{s.isoformat()},{(s + timedelta(minutes=minutes)).isoformat()},{D(v) / 1000}" for s, v in zip(starts, watthours, strict=True)
    ]
    shuffled = random.sample(lines, len(lines))
    once, again = read("\n".join([HEADER, *lines])), read("\n".join([HEADER, *shuffled]))
    assert [(r.over, r.mwh) for r in once.readings] == [(r.over, r.mwh) for r in again.readings]
    used = {r.over.start for r in once.readings}
    named = sum(f.kind in ("unit-mixed", "implausible") for f in once.findings)
    assert len(used) + named == len(watthours)


@pytest.mark.parametrize(("was", "now", "words"), [
    ("<value>100</value>", "<value>NaN</value>", "'NaN' is not a number"),
    ("<value>100</value>", "<value>1e400</value>", "larger than 1e15"),
    ("<start>1787202000</start>", "<start>99999999999999999</start>", "reading 1: "),
    ("<powerOfTenMultiplier>3</powerOfTenMultiplier>", "<powerOfTenMultiplier>99999999</powerOfTenMultiplier>", "not a small whole number"),
    ("<uom>72</uom>", "<uom></uom>", "unit of measure none"),
    ("<accumulationBehaviour>4<", "<accumulationBehaviour>3<", "running total"),
])  # fmt: skip
def test_impossible_green_button_figures_are_refused(was: str, now: str, words: str) -> None:
    text = feed([100, 200], int(AT.timestamp()))
    assert was in text
    file = read(text.replace(was, now))
    assert words in file.findings[0].text and len(file.readings) < 2
