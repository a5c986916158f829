"""Received statements compared with ours: planted differences are found with their cause, unreadable parts are findings."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from dispatch.imports import UnreadableDocument
from dispatch.imports.detect import read_meter_file, read_statement_file
from dispatch.settlement.reconciliation import reconcile
from dispatch.settlement.statement_comparison import compare_statement
from dispatch.store.received import DocumentKind, ReceivedDocument, keep_document
from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.money import Line, cents
from optimizer.settlement.reconcile import Alternative, Claim, compare
from tests.dispatch.imports.ercot_documents import extract_csv, statement_xml
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 8, 20)
LATER = datetime(2026, 9, 1, tzinfo=UTC)
LOSS = D("1.0178")
# Where something is planted, by interval of the day.
PRICE, METERED, BOTH, LOSSES, GONE, SIGN, ODD = 10, 20, 25, range(30, 34), 40, 50, 60


class Settled:
    """A day with a corrected price, a meter file and losses, and what each interval would be worth otherwise."""

    def __init__(self, folder: Path, on: date = ON, flat: bool = False, extra: str = "") -> None:
        self.site_day = HandMadeDay.of(folder, on, extra=extra, loss="1.0178")
        grid = self.site_day.grid
        self.first = [D("39.6") if flat else D(40 + n) for n in range(len(grid))]
        self.final = [usd + (D("17.5") if n in (PRICE, BOTH) else 0) for n, usd in enumerate(self.first)]
        for over, was, now in zip(grid.intervals, self.first, self.final, strict=True):
            self.site_day.facts.append(self.site_day.price(over, float(was)))
            if was != now:
                self.site_day.facts.append(self.site_day.price(over, float(now), known_at=self.site_day.day.end + timedelta(minutes=3)))
        self.site_day.run_all()
        self.site_day.seen()
        self.meter = [D("0.0125") if flat else D(12000 + 37 * n % 700) / 1_000_000 for n in range(len(grid))]
        self.telemetry = [D("0.011625")] * len(grid)
        rows = [f"{o.start.isoformat()},{o.end.isoformat()},{m}" for o, m in zip(grid.intervals, self.meter, strict=True)]
        content = "\n".join(["start,end,MWh", *rows]).encode()
        read = read_meter_file(content, "", self.site_day.setup.site)
        keep_document(self.site_day.engine, ReceivedDocument(DocumentKind.METER, "meter.csv", content, LATER, "", on, on), read.readings)
        self.site_day.telemetry.flush()

    def charges(self) -> list[D]:
        """What the other side would charge, in its view, if it did as we do: a cost is positive."""
        return [m * LOSS * p for m, p in zip(self.meter, self.final, strict=True)]

    def compare(self, document: str | bytes, map_text: str = "") -> dict[str, Any]:
        content = document.encode() if isinstance(document, str) else document
        received, how = read_statement_file(content, map_text, self.site_day.setup.site.market)
        return compare_statement(self.site_day.engine, self.site_day.telemetry, self.site_day.setup, received, how)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    return Settled(tmp_path_factory.mktemp("day"))


def causes(row: Mapping[str, Any]) -> dict[str, tuple[D, int]]:
    return {c["cause"]: (D(c["usd"]), c["intervals"]) for c in row["causes"]}


def test_a_statement_made_the_same_way_agrees(day: Settled) -> None:
    (row,) = day.compare(statement_xml(ON, {"RTEIAMT": day.charges()}))["differences"]
    assert row["agrees"] and row["causes"] == [] and row["ours"] == ["power/energy"]
    assert D(row["ours_usd"]) == -cents(sum(day.charges(), D(0)))


def planted(day: Settled) -> list[D | None]:
    charges: list[D | None] = list(day.charges())
    charges[PRICE] = day.meter[PRICE] * LOSS * day.first[PRICE]
    charges[METERED] = day.telemetry[METERED] * LOSS * day.final[METERED]
    charges[BOTH] = day.telemetry[BOTH] * LOSS * day.first[BOTH]
    for n in LOSSES:
        charges[n] = day.meter[n] * day.final[n]
    charges[GONE] = None
    charges[SIGN] = -(charges[SIGN] or D(0))
    charges[ODD] = (charges[ODD] or D(0)) + D("5.55")
    return charges


def test_planted_differences_are_found_and_named(day: Settled) -> None:
    document = day.compare(statement_xml(ON, {"RTEIAMT": planted(day)}))
    (row,) = document["differences"]
    right = day.charges()
    found = causes(row)

    def usd(*at: int) -> D:
        return cents(sum((right[n] - (planted(day)[n] or D(0)) for n in at), D(0)))

    assert found["price version"] == (usd(PRICE), 1)
    assert found["meter"] == (usd(METERED), 1)
    assert found["price version and meter"] == (usd(BOTH), 1)
    assert found["losses"] == (usd(*LOSSES), 4)
    assert found["missing line"] == (usd(GONE), 1)
    assert found["rule"] == (usd(SIGN), 1)
    assert D(row["unexplained_usd"]) == D("-5.55") and not row["agrees"]
    parts = sum((usd for usd, _ in found.values()), D(row["unexplained_usd"]))
    assert abs(parts - D(row["difference_usd"])) <= D("0.04")  # each is printed to the cent
    texts = {c["cause"]: c["text"] for c in row["causes"]}
    assert "the price as first published, corrected since" in texts["price version"]
    assert "telemetry in place of meter main" in texts["meter"] and "1.0178" in texts["losses"]
    assert "the sign is reversed" in texts["rule"]
    assert [f["kind"] for f in document["findings"]] == ["missing"]


def test_totals_alone_show_one_cause(day: Settled) -> None:
    right = day.charges()

    def cause(total: D) -> str:
        (row,) = day.compare(statement_xml(ON, {"RTEIAMT": total}))["differences"]
        assert not row["agrees"]
        return ",".join(causes(row)) or f"unexplained {row['unexplained_usd']}"

    before = sum((m * LOSS * p for m, p in zip(day.meter, day.first, strict=True)), D(0))
    assert cause(cents(before)) == "price version"
    assert cause(cents(sum((m * p for m, p in zip(day.meter, day.final, strict=True)), D(0)))) == "losses"
    assert cause(cents(sum((m * LOSS * p for m, p in zip(day.telemetry, day.final, strict=True)), D(0)))) == "meter"
    assert cause(-sum(right, D(0))) == "rule"
    assert cause(sum(right, D(0)) + 1).startswith("unexplained -1.0")


def test_rounding_of_each_interval_is_named(tmp_path: Path) -> None:
    settled = Settled(tmp_path, flat=True)
    rounded = [cents(usd) for usd in settled.charges()]
    assert abs(sum(rounded, D(0)) - sum(settled.charges(), D(0))) > D("0.3")
    for said in (rounded, sum(rounded, D(0))):
        (row,) = settled.compare(statement_xml(ON, {"RTEIAMT": said}))["differences"]
        assert causes(row).keys() == {"rounding"} and D(row["unexplained_usd"]) == 0 and not row["agrees"]


def test_a_constant_factor_is_losses(day: Settled) -> None:
    (row,) = day.compare(statement_xml(ON, {"RTEIAMT": [usd * D("1.0021") for usd in day.charges()]}))["differences"]
    assert causes(row).keys() == {"losses"} and "1.0021" in row["causes"][0]["text"]


@pytest.mark.parametrize("terms", ["", "sell_back = { haircut_usd_per_mwh = 3.0 }\n"], ids=["full price", "haircut"])
def test_another_loss_factor_beside_a_block_is_losses(tmp_path: Path, terms: str) -> None:
    """Block less load is no multiple of ours when the losses of the load are others: the common factor is found all the same."""
    block = f'[[obligations]]\ntype = "block"\nmw = 0.03\nusd_per_mwh = 30.0\n{terms}'
    with_block = Settled(tmp_path, extra=block)
    price, other = with_block.final, D("1.0235")
    ours, theirs = ([(m * f - D("0.0075")) * p for m, p in zip(with_block.meter, price, strict=True)] for f in (LOSS, other))
    (row,) = [r for r in with_block.compare(statement_xml(ON, {"RTEIAMT": theirs}))["differences"] if r["charge"] == "RTEIAMT"]
    assert row["causes"] == [
        {
            "cause": "losses",
            "usd": f"{cents(sum(ours, D(0)) - sum(theirs, D(0))):.2f}",
            "intervals": 96,
            "text": "as with a loss factor of 1.0235, where ours is 1.0178",
        }
    ]


def test_another_loss_factor_in_a_total_is_found_where_it_has_four_decimals() -> None:
    over = Interval(datetime(2026, 8, 20, tzinfo=UTC), datetime(2026, 8, 20, 1, tzinfo=UTC))

    def lines(losses: D) -> tuple[Line, ...]:
        return (Line("block", "block_settlement", over, 60 - 100 * losses, "mwh", D(900), (60 - 100 * losses) * 900),)

    other = Alternative("losses", "as with a loss factor", lines(LOSS * D("1.01")), D("1.01"), LOSS)
    for received, texts in ((lines(D("1.0235")), ["as with a loss factor of 1.0235, where ours is 1.0178"]), (lines(D("1.02356")), [])):
        claim = Claim("RTEIAMT", received[0].amount_usd, ("*/block_settlement",))
        found = compare(claim, lines(LOSS), lines(LOSS)[0].amount_usd, [other])
        assert [part.text for part in found.parts] == texts


def test_the_energy_weighted_zone_is_a_rule(tmp_path: Path) -> None:
    settled = Settled(tmp_path)
    site_day = settled.site_day
    for n, over in enumerate(site_day.grid.intervals):
        site_day.facts.append(site_day.price(over, float(settled.final[n] + D("1.25")), point="LZ_WEST_EW"))
    site_day.seen(site_day.day.end + timedelta(minutes=10), *site_day.facts)
    charges = [m * LOSS * (p + D("1.25")) for m, p in zip(settled.meter, settled.final, strict=True)]
    (row,) = settled.compare(statement_xml(ON, {"RTEIAMT": charges}))["differences"]
    assert causes(row).keys() == {"rule"} and "settled at LZ_WEST_EW, not at LZ_WEST" in row["causes"][0]["text"]


def zipped(*files: tuple[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files:
            archive.writestr(name, text)
    return out.getvalue()


def test_an_extract_names_price_and_meter_by_its_determinants(day: Settled) -> None:
    """Quantities and prices that are not in the ledger: only the extract's own RTAML and RTSPP show where the difference is from."""
    load = [m * LOSS for m in day.meter]
    price = list(day.final)
    load[METERED] += D("0.003")
    price[PRICE] += D("3.33")
    amounts = [q * p for q, p in zip(load, price, strict=True)]
    header, interval = extract_csv(ON, {("RTEIAMT", "LZ_WEST"): amounts, ("RTAML", "LZ_WEST"): load, ("RTSPP", "LZ_WEST"): price})
    both = zipped(("RTMOUTPUTHEADER.csv", header), ("RTMOUTPUTINTERVAL.csv", interval))
    document = day.compare(both, 'points = { LZ_WEST = "LZ_WEST" }')
    (row,) = document["differences"]
    assert document["findings"] == [] and document["kind"] == "ercot extract"
    assert causes(row) == {
        "meter": (cents(-D("0.003") * price[METERED]), 1),
        "price version": (cents(-D("3.33") * load[PRICE]), 1),
    }
    assert D(row["unexplained_usd"]) == 0
    texts = " ".join(c["text"] for c in row["causes"])
    assert "the statement's own metered load (RTAML)" in texts and "the statement's own RTSPP" in texts


def test_an_extract_as_xml_and_with_numbers_for_names(day: Settled) -> None:
    rows = "".join(f"<INT{n:03d}>{usd}</INT{n:03d}>" for n, usd in enumerate(day.charges(), 1))
    xml = (
        "<EXTRACT><RTMOUTPUTHEADER_DATA><RTMOUTPUTHEADER><UIDRTMOUTPUTHEADER>7</UIDRTMOUTPUTHEADER><SAVERECORDER></SAVERECORDER>"
        "<SAVECHANNEL>2</SAVECHANNEL><UIDBILLDETERMINANT>4711</UIDBILLDETERMINANT></RTMOUTPUTHEADER></RTMOUTPUTHEADER_DATA>"
        "<RTMOUTPUTINTERVAL_DATA><RTMOUTPUTINTERVAL><UIDRTMOUTPUTINTERVAL>1</UIDRTMOUTPUTINTERVAL><UIDRTMOUTPUTHEADER>7</UIDRTMOUTPUTHEADER>"
        f"<STARTTIME>2026-08-20T00:00:00</STARTTIME><SPI>900</SPI><TOTAL>{sum(day.charges(), D(0))}</TOTAL>"
        f"<INTERVALCOUNT>96</INTERVALCOUNT>{rows}</RTMOUTPUTINTERVAL></RTMOUTPUTINTERVAL_DATA></EXTRACT>"
    )
    with pytest.raises(UnreadableDocument, match="bill determinant 4711 has no name"):
        day.compare(xml)
    (row,) = day.compare(xml, 'determinants = { 4711 = "RTEIAMT" }')["differences"]
    assert row["agrees"]


@pytest.mark.parametrize(("on", "n"), [(date(2026, 3, 8), 92), (date(2026, 11, 1), 100)])
def test_days_of_daylight_saving_compare_by_number(tmp_path: Path, on: date, n: int) -> None:
    settled = Settled(tmp_path, on)
    charges = settled.charges()
    assert len(charges) == n
    (row,) = settled.compare(statement_xml(on, {"RTEIAMT": charges}))["differences"]
    assert row["agrees"]
    document = settled.compare(statement_xml(on, {"RTEIAMT": [*charges, *charges[:3]]}))
    assert "intervals" in [f["kind"] for f in document["findings"]]


def test_missing_and_unknown_charges(day: Settled) -> None:
    document = day.compare(statement_xml(ON, {"LARTRUAMT": D("3.21"), "MISCDAMT": D("1")}))
    (row,) = document["differences"]
    assert row["charge"] == "RTEIAMT" and D(row["received_usd"]) == 0 and causes(row).keys() == {"missing line"}
    assert [f["kind"] for f in document["findings"]] == ["unknown-charge"] * 2
    assert "LARTRUAMT -$3.21 is not a known charge" in document["findings"][0]["text"]
    left = day.compare(statement_xml(ON, {"LARTRUAMT": D("3.21"), "RTEIAMT": day.charges()}), 'leave = ["LARTRUAMT"]')
    assert left["findings"] == [] and [d["agrees"] for d in left["differences"]] == [True]
    twisted = day.compare(statement_xml(ON, {"RTRUIMBAMT": D("12"), "RTEIAMT": day.charges()}))
    assert causes(twisted["differences"][0]) == {"missing line": (D("-12.00"), 0)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<Statement><AccountSection>", "is broken XML"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><Statement/>", "declares entities"),
        ("<Statement/>", "has no AccountSection"),
        ("<Statement><AccountSection><OperatingDay>never</OperatingDay></AccountSection></Statement>", "'never' is not a date"),
        ("<Invoice/>", "its root is 'Invoice'"),
        ("PK\3\4nonsense", "broken zip"),
        ("a,b\n1,2", "no column is known to hold charges"),
    ],
)
def test_a_document_that_is_not_a_statement_is_refused(text: str, words: str) -> None:
    with pytest.raises(UnreadableDocument, match=words):
        read_statement_file(text.encode(), "", Market.ERCOT)


def test_bad_parts_of_a_statement_are_findings(day: Settled) -> None:
    text = statement_xml(ON, {"RTEIAMT": day.charges()})
    broken = text.replace("<Interval NUM='3'>", "<Interval NUM='2'>").replace("<Interval NUM='5'>", "<Interval NUM='200'>")
    broken = broken.replace("<StatementTotal>", "<StatementTotal>9")
    kinds = [f["kind"] for f in day.compare(broken)["findings"]]
    assert kinds == ["duplicate", "value", "missing", "does-not-foot", "does-not-foot"]


INVOICE = """Description,Service From,Service To,Quantity,Amount
Energy,2026-08-20,2026-08-20,{q},"{energy}"
Supplier fee,2026-08-20,2026-08-20,{q},{adders}
Gross receipts tax,2026-08-20,2026-08-20,,12.00
Mystery,2026-08-20,2026-08-20,,(4.00)
Broken,2026-08-20,2026-08-20,,n/a
"""
INVOICE_MAP = """
kind = "invoice"
leave = ["Gross receipts tax"]
[charges]
"Energy" = "power/energy"
"Supplier fee" = "power/adders"
"""


def test_a_suppliers_invoice_by_its_map(day: Settled) -> None:
    energy, mwh = sum(day.charges(), D(0)), sum(day.meter, D(0)) * LOSS
    text = INVOICE.format(q=mwh, energy=f"${cents(energy):,}", adders=cents(sum(day.meter, D(0)) * D("6.15")))
    document = day.compare(text, INVOICE_MAP)
    first, second = document["differences"]
    assert first["charge"] == "Energy" and first["agrees"]
    assert second["charge"] == "Supplier fee" and causes(second).keys() == {"losses"} and "without losses" in second["causes"][0]["text"]
    assert [f["kind"] for f in document["findings"]] == ["value", "unknown-charge"]
    assert "row 6: Broken: 'n/a' is not a number" in document["findings"][0]["text"]
    assert "row 5: Mystery $4.00 is not a known charge" in document["findings"][1]["text"]


def test_miso_statements_by_hour(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, ON, Market.MISO)
    site_day.prices(lambda n: 20.0 + n // 12)
    site_day.run_all()
    site_day.seen()
    site_day.telemetry.flush()
    hourly = [D("0.0465") * (20 + h) for h in range(24)]
    hourly[7] += 3
    rows = [f"2026-08-20,S7,Real Time Asset Energy,{h},{usd}" for h, usd in enumerate(hourly, 1)]
    text = "\n".join(["Operating Date,Statement Type,Charge Type,Hour Ending,Amount", *rows])
    received, how = read_statement_file(text.encode(), "", Market.MISO)
    document = compare_statement(site_day.engine, site_day.telemetry, site_day.setup, received, how)
    (row,) = document["differences"]
    assert document["statement_type"] == "S7" and D(row["difference_usd"]) == D("-3.00") and D(row["unexplained_usd"]) == D("-3.00")


CALENDAR_CSV = """SETTLEMENTTYPE,OPERATINGDATE,BATCHDATE,VERSION,INVOICEDATE,INVOICEDUEDATE,INVOICEPAYOUTDATE,POSTDATE,DISPUTEDATE
RTM_INITIAL,08/20/2026,08/24/2026,1,08/26/2026,08/28/2026,08/31/2026,08/25/2026,01/27/2027
RTM_FINAL,08/20/2026,10/13/2026,1,,,,10/14/2026,01/27/2027
RTM_TRUEUP,08/20/2026,02/15/2027,1,,,,02/16/2027,
RTM_FINAL,08/32/2026,,1,,,,,
"""


def test_the_calendar_gives_due_statements_and_the_stage_of_a_version(tmp_path: Path) -> None:
    settled = Settled(tmp_path)
    site_day = settled.site_day
    assert site_day.settle()["stage"] == "unposted"
    keep_document(site_day.engine, ReceivedDocument(DocumentKind.CALENDAR, "calendar.csv", CALENDAR_CSV.encode(), LATER, "", ON, ON))
    text = statement_xml(ON, {"RTEIAMT": settled.charges()}).encode()
    keep_document(site_day.engine, ReceivedDocument(DocumentKind.STATEMENT, "initial.xml", text, LATER, "", ON, ON))
    after = ON + timedelta(days=60)
    document = reconcile(site_day.engine, site_day.telemetry, site_day.setup, (ON, ON + timedelta(days=1)), after)
    assert document["disagree"] == 0 and [s["file"] for s in document["statements"]] == ["initial.xml"]
    first, second = document["days"]
    assert first["due"] == ["RTM_FINAL"] and first["received"] == ["initial.xml INITIAL"] and first["version"] == 1
    assert [p["posted"] for p in first["calendar"]] == ["2026-08-25", "2026-10-14", "2027-02-16"] and second["calendar"] == []
    # a price corrected when the final was out already
    late = site_day.price(site_day.grid.intervals[5], 99.0, known_at=datetime(2026, 11, 2, tzinfo=UTC))
    site_day.seen(site_day.day.end + timedelta(minutes=20), late)
    assert site_day.settle()["stage"] == "RTM_FINAL"
    assert site_day.settle(version=1)["stage"] == "unposted"


def test_an_invoice_of_days_shows_a_cause_that_is_in_some_of_them(tmp_path: Path) -> None:
    """Two days, the second without a correction and without a meter file: on its own prices and telemetry both times."""
    settled = Settled(tmp_path)
    site_day = settled.site_day
    second = OperatingDay(Market.ERCOT, ON + timedelta(days=1))
    for n in range(49):
        for name, rigs, watts, ths in (("a", 10, 3000.0, 150.0), ("b", 5, 3300.0, 110.0)):
            site_day.read(second.start + timedelta(minutes=30 * n, seconds=1), name, range(rigs), [watts] * rigs, [ths] * rigs)
    site_day.observed(second.over)
    site_day.seen(second.end + timedelta(minutes=6), *(site_day.price(o, 50.0) for o in second.grid().intervals))
    site_day.telemetry.flush()
    other = D("0.0465") * 24 * LOSS * 50
    text = "Charge,Amount,From,To\nEnergy,{},2026-08-20,2026-08-21\n"
    as_published = sum((m * LOSS * p for m, p in zip(settled.meter, settled.first, strict=True)), D(0)) + other
    bare = sum((m * p for m, p in zip(settled.meter, settled.final, strict=True)), D(0)) + other / LOSS
    for total, cause in ((as_published, "price version"), (bare, "losses"), (sum(settled.charges(), D(0)) + other, None)):
        (row,) = settled.compare(text.format(cents(total)), INVOICE_MAP.replace('"Supplier fee" = "power/adders"', ""))["differences"]
        assert row["days"] == "2026-08-20..2026-08-21"
        assert (row["agrees"], set(causes(row))) == ((True, set()) if cause is None else (False, {cause}))
    apart = settled.compare(text.format(cents(as_published)).replace("21\n", "22\n"), INVOICE_MAP)
    assert "not-run" in [f["kind"] for f in apart["findings"]]
