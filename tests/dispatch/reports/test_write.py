"""Statements in files: escaped, written completely or not at all, one file a version, always the same bytes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from dispatch.reports.charts import as_svg, charts
from dispatch.reports.write import as_csv, as_html, as_pdf, as_xlsx, write_day
from optimizer.domain.money import cents
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)


class Page(HTMLParser):
    """The tags of a page, those not closed, and what it loads."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [v or "" for k, v in attrs if k in ("src", "href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def settled(folder: Path, **figures: object) -> tuple[HandMadeDay, dict]:
    site_day = HandMadeDay.of(folder, ON, **figures)
    site_day.prices(lambda n: 20.0)
    site_day.run_all()
    site_day.seen()
    return site_day, site_day.settle()


def test_the_page_is_well_formed_and_self_contained_with_every_section_in_order(tmp_path: Path) -> None:
    page = Page(as_html(settled(tmp_path)[1]))
    assert page.open == [] and page.loads == [] and not {"script", "link", "img", "iframe"} & set(page.tags)
    for words in (
        "Earnings",
        "Why",
        "Issues",
        "$62.15",
        "Interval by interval",
        "power: energy",
        "-22.32",
        "HE24 23:45-00:00",
    ):
        assert words in page.text
    order = [page.text.index(h) for h in ("Earnings", "Why", "Issues", "Compared with the plans", "Interval by interval")]
    assert order == sorted(order)


def test_the_pdf_has_the_same_content_and_is_the_same_bytes(tmp_path: Path) -> None:
    document = settled(tmp_path, name="<b>Söhne</b> & Co")[1]
    paper = as_pdf(document)
    assert as_pdf(json.loads(json.dumps(document))) == paper
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(paper)).pages]
    for words in (
        "Operating day 2026-07-01",
        "$62.15",
        "Earnings",
        "Why",
        "Issues",
        "Actions",
        "-22.32",
        "Söhne</b> & Co",
    ):
        assert words in pages[0], "the page to read first"
    rest = " ".join(pages[1:])
    assert "HE24 23:45-00:00" in rest and "perfect foresight" in rest and document["journal_head"] in rest.replace("\n", "")
    assert "Planned" in rest and "Actual" in rest, "the causes lead from one to the other"
    assert f"page {len(pages)}" in pages[-1]


def test_the_workbook_adds_up_and_is_the_same_bytes(tmp_path: Path) -> None:
    document = settled(tmp_path, name="=HYPERLINK(1)")[1]
    book = as_xlsx(document)
    assert as_xlsx(json.loads(json.dumps(document))) == book
    sheets = load_workbook(io.BytesIO(book))
    assert sheets.sheetnames == [
        "Summary",
        "Lines",
        "Intervals",
        "Groups",
        "Strategies",
        "Promises",
        "Contract progress",
        "Forecast",
        "Notes",
    ]
    lines = list(sheets["Lines"].values)
    assert len(lines) == 1 + len(document["lines"])
    assert sum(row[lines[0].index("amount_usd")] for row in lines[1:]) == pytest.approx(float(document["net_exact_usd"]), abs=1e-6)
    assert len(list(sheets["Intervals"].values)) == 97
    shown = load_workbook(io.BytesIO(book), data_only=True)
    assert any(row[:2] == ("net", float(document["net_usd"])) for row in shown["Summary"].values)
    cells = [cell for sheet in sheets for row in sheet for cell in row if cell.data_type == "f"]
    assert {cell.parent.title for cell in cells} == {"Summary"}
    formulas = {cell.value: shown["Summary"][cell.coordinate].value for cell in cells}
    assert all(re.fullmatch(r"=ROUND\(SUM\((Lines!)?[A-Z]+\d+:[A-Z]+\d+\),2\)", text) for text in formulas), "a name is never a formula"
    for text, total in formulas.items():
        if found := re.search(r"Lines!H(\d+):H(\d+)", text):
            span = lines[int(found[1]) - 1 : int(found[2])]
            assert total == pytest.approx(sum(row[lines[0].index("amount_usd")] for row in span), abs=0.005001)
            assert len({row[:2] for row in span}) == 1
    assert sorted(v for t, v in formulas.items() if "Lines!" in t) == sorted(float(usd) for usd in document["totals"].values())


def test_charts_in_the_page_have_element_ids_of_their_own(tmp_path: Path) -> None:
    site_day, document = settled(tmp_path)
    html = as_html(document)
    assert html.count("<svg") == 2 and "clip-load" in html and "clip-waterfall" in html and 'id="clip"' not in html
    assert "<?xml" not in html and "DOCTYPE svg" not in html
    gap = json.loads(json.dumps(document))
    for row in gap["intervals"][40:44]:
        row["price_usd_per_mwh"] = dict.fromkeys(row["price_usd_per_mwh"])
    assert as_svg(charts(gap)["load"][1], "x").count("<polyline") == as_svg(charts(document)["load"][1], "x").count("<polyline") + 1


def test_a_name_is_text_never_markup(tmp_path: Path) -> None:
    document = settled(tmp_path, name="<script>alert(1)</script> & Söhne")[1]
    document["notes"].append("<img src=x onerror=alert(2)>")
    document["narrative"]["issues"].append('"><b>bold</b>')
    html = as_html(document)
    assert not {"script", "img", "b"} & set(Page(html).tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in html


def test_a_spreadsheet_gets_no_formula(tmp_path: Path) -> None:
    document = settled(tmp_path)[1]
    document["lines"][0]["obligation"] = '=HYPERLINK("x")'
    rows = list(csv.reader(io.StringIO(as_csv(document))))
    assert rows[1][0] == '\'=HYPERLINK("x")'
    amount = rows[0].index("amount_usd")
    assert rows[1][amount] == document["lines"][0]["amount_usd"], "a figure stays one, its minus too"


def test_the_csv_adds_up(tmp_path: Path) -> None:
    document = settled(tmp_path)[1]
    rows = list(csv.DictReader(io.StringIO(as_csv(document))))
    totals: dict[str, Decimal] = {}
    for row in rows:
        name = f"{row['obligation']}/{row['charge_type']}"
        totals[name] = totals.get(name, Decimal(0)) + Decimal(row["amount_usd"])
    assert len(rows) == 384 and all(row["interval_start"] for row in rows), "lines and nothing else"
    assert {name: f"{cents(usd):.2f}" for name, usd in totals.items()} == document["totals"]
    assert sum(map(cents, totals.values())) == Decimal(document["net_usd"])
    assert sum(Decimal(row["amount_usd"]) for row in rows) == Decimal(document["net_exact_usd"])


def test_files_of_versions_are_kept_side_by_side(tmp_path: Path) -> None:
    site_day, first = settled(tmp_path)
    folder = tmp_path / "settlements"
    files = write_day(first, folder)
    assert [f.name for f in files] == [f"settlement-v1.{f}" for f in ("html", "pdf", "xlsx", "csv", "json")]
    assert {f.parent for f in files} == {folder / "2026-07-01"}
    before = [f.read_bytes() for f in files]
    corrected = site_day.price(site_day.grid.intervals[40], 25.0, site_day.day.end + timedelta(days=1))
    site_day.seen(site_day.day.end + timedelta(days=1, minutes=1), corrected)
    second = write_day(site_day.settle(), folder)
    assert [f.name for f in second] == [f.name.replace("v1", "v2") for f in files]
    assert "Changed since version 1" in second[0].read_text("utf-8")
    write_day(site_day.settle(version=1), folder)
    assert [f.read_bytes() for f in files] == before
    assert json.loads(before[-1]) == first
    assert sorted(p.name for p in (folder / "2026-07-01").iterdir()) == sorted(f.name for f in (*files, *second)), "nothing half-written"


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    _, document = settled(tmp_path)
    folder = tmp_path / "settlements"
    (file,) = write_day(document, folder, ["csv"])
    before = file.read_bytes()
    (file.parent / f".{file.name}.{os.getpid()}.tmp").mkdir()  # no file can be made under that name
    with pytest.raises(OSError):
        write_day({**document, "totals": {}}, folder, ["csv"])
    assert file.read_bytes() == before


def test_an_unknown_format_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_day(settled(tmp_path)[1], tmp_path / "settlements", ["csv", "docx"])
    assert not (tmp_path / "settlements").exists()
