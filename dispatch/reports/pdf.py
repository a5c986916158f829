"""The statement as PDF: a first page in words, then charts and tables. The same version is the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, LongTable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from dispatch.reports.charts import LOSS, RULE, SOFT, WIDTH, charts
from dispatch.reports.labels import (
    FORECAST_COLUMNS,
    amount,
    flags,
    footing,
    forecast_rows,
    forecast_texts,
    heading,
    listed,
    month_flags,
    nets,
    price,
    quantity,
    rate,
    rigs,
    title,
)
from dispatch.reports.labels import charges as charges_of
from dispatch.settlement.document import CauseRow, DayStatement, MonthStatement
from markets import counted
from optimizer.domain.money import usd_text

MARGIN = 44.0
TEXT_WIDTH = A4[0] - 2 * MARGIN
# Widths of the columns of a table of figures, relative.
FIGURES = (3, 1.5, 1.2, 4.5)
_SHEET = getSampleStyleSheet()
TEXT = ParagraphStyle("text", _SHEET["BodyText"], fontSize=9, leading=12, spaceBefore=2)
SMALL = ParagraphStyle("small", TEXT, fontSize=7, leading=9, textColor=SOFT)
TITLE = ParagraphStyle("title", _SHEET["Title"], alignment=0, fontSize=17, leading=21, spaceAfter=2)
NET = ParagraphStyle("net", TITLE, fontSize=24, leading=30)
SECTION = ParagraphStyle("section", _SHEET["Heading2"], fontSize=11, leading=14, spaceBefore=10, spaceAfter=3)
FLAG = ParagraphStyle(
    "flag", TEXT, textColor=LOSS, fontName="Helvetica-Bold", borderColor=LOSS, borderWidth=0.8, borderPadding=4, spaceBefore=8
)
BANDS = TableStyle(
    [
        ("FONTSIZE", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ("TEXTCOLOR", (0, 0), (-1, 0), SOFT),
        ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE),
        ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [HexColor("#ffffff"), HexColor("#f6f8fa")]),
    ]
)


def as_pdf(statement: DayStatement) -> bytes:
    """The day's statement on A4."""
    drawn = {} if "tenant" in statement else charts(statement)
    story: list[Flowable] = [*_first_page(statement), PageBreak()]
    for name in ("load", "waterfall", "promises"):
        if name in drawn:
            caption, drawing = drawn[name]
            story.append(KeepTogether([_fitted(drawing), Paragraph(escape(caption), SMALL), Spacer(1, 8)]))
    story += [
        *_groups(statement),
        *_comparisons(statement),
        *_promises(statement),
        *_progress(statement),
        *_forecasts(statement),
        *_intervals(statement),
        *_footer(statement),
    ]
    return printed(story, f"Settlement {statement['date']} {statement['site']}", f"{heading(statement)} · {statement['date']}")


def month_as_pdf(d: MonthStatement) -> bytes:
    """Several days added up, on A4."""
    charges = [*([title(n), amount(v)] for n, v in d["totals"].items()), *([name, amount(usd)] for name, usd in nets(d))]
    figures = [[f["name"], f["value"], f["unit"], f["how"]] for f in d["figures"]]
    story: list[Flowable] = [
        Paragraph(escape(f"{d['from']} to {d['to']}"), TITLE),
        Paragraph(usd_text(d["net_usd"]), NET),
        *(Paragraph(escape(text), FLAG) for text in month_flags(d)),
        Paragraph("Earnings", SECTION),
        table(["Charge", "$"], charges, (4, 1)),
        Paragraph("Figures", SECTION),
        table(["Figure", "Value", "Unit", "What it counts"], figures, FIGURES, wrap=(3,)),
        *bullets("Actions", d["actions"]),
    ]
    sums = (
        ("Other strategies on the same days", ("Strategy", "Net $"), d["counterfactuals"]),
        ("Compared with perfect foresight, by cause", ("Cause", "$"), d["foresight_gap"]),
    )
    for section, head, usd_by_name in sums:
        if usd_by_name:
            rows = [[title(name), amount(usd)] for name, usd in usd_by_name.items()]
            story += [Paragraph(section, SECTION), table(head, rows, (4, 1))]
    if d["promises"]:
        kept = [
            [p["obligation"], str(p["days"]), str(p["broken_days"]), amount(p["payable_usd"]), amount(p["lost_usd"])] for p in d["promises"]
        ]
        story += [Paragraph("Promises", SECTION), table(["Contract", "Days", "Broken on", "Payable $", "Lost $"], kept, (3, 1, 1, 2, 2))]
    days = [
        [x["date"] + (" (part)" if x["partial"] else ""), str(x["version"]), amount(x["net_usd"]), x["journal_head"][:20]]
        for x in d["days"]
    ]
    story += [Paragraph("Day by day", SECTION), table(["Day", "Version", "Net $", "Journal"], days, (2, 1, 2, 3))]
    running_head = f"{d['site']} · {d['market'].upper()} · {counted(len(d['days']), 'day')}"
    return printed(story, f"Settlement {d['from']} to {d['to']} {d['site']}", running_head)


def printed(story: Sequence[Flowable], name: str, head: str) -> bytes:
    """Pages with a running head and their number. Nothing of the moment goes into the file: the same content is the same bytes."""
    out = BytesIO()

    def frame(canvas: Canvas, page: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.setFillColor(SOFT)
        canvas.drawString(MARGIN, A4[1] - 26, head)
        canvas.drawRightString(A4[0] - MARGIN, 24, f"page {page.page}")

    paper = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN, title=name, invariant=1
    )
    paper.build(list(story), onFirstPage=frame, onLaterPages=frame)
    return out.getvalue()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float], wrap: Sequence[int] = ()) -> LongTable:
    """The first column is aligned left, the others right; the head is repeated on every page. Columns in `wrap` break lines."""
    cells = [[Paragraph(escape(c), TEXT) if k in wrap else c for k, c in enumerate(row)] for row in rows]
    return LongTable(
        [list(head), *cells], colWidths=[TEXT_WIDTH * s / sum(shares) for s in shares], repeatRows=1, style=BANDS, hAlign="LEFT"
    )


def bullets(section: str, texts: Sequence[str]) -> list[Flowable]:
    return [Paragraph(escape(section), SECTION), *(Paragraph(escape(t), TEXT, bulletText="•") for t in listed(texts))]


def _fitted(drawing: Any) -> Any:
    scale = TEXT_WIDTH / WIDTH
    drawing.width, drawing.height = drawing.width * scale, drawing.height * scale
    drawing.scale(scale, scale)
    return drawing


def _first_page(d: DayStatement) -> list[Flowable]:
    page: list[Flowable] = [
        Paragraph(f"Operating day {escape(d['date'])}", TITLE),
        Paragraph(usd_text(d["net_usd"]), NET),
        Paragraph(escape(f"{d['from']} to {d['to']}"), SMALL),
        *(Paragraph(escape(text), FLAG) for text in flags(d)),
        Paragraph("Earnings", SECTION),
        *(Paragraph(escape(text), TEXT) for text in d["narrative"]["earned"]),
        Spacer(1, 4),
        _charges(d),
        Paragraph(escape(f"Positive is money to the site. Each charge is rounded once; the unrounded net is {d['net_exact_usd']}."), SMALL),
    ]
    if d["delta"]:
        rows = [*([title(n), amount(v)] for n, v in d["delta"]["totals"].items()), ["Net", amount(d["delta"]["net_usd"])]]
        page += [Paragraph(f"Changed since version {d['delta']['version']}", SECTION), table(["Charge", "$"], rows, (4, 1))]
    texts = d["narrative"]
    return [*page, *bullets("Why", texts["why"]), *bullets("Issues", texts["issues"]), *bullets("Actions", texts["actions"])]


def _charges(d: DayStatement) -> Flowable:
    rows = [
        [title(f"{c['obligation']}/{c['charge_type']}"), c["iso_code"], ", ".join(c["meters"]), quantity(c["quantity"]), c["unit"],
         rate(c["average_rate"]), "" if c["accrued"] else amount(c["amount_usd"]), amount(c["amount_usd"]) if c["accrued"] else ""]
        for c in charges_of(d)
    ]  # fmt: skip
    sums = [[name, "", "", "", "", "", amount(usd), ""] for name, usd in nets(d)]
    head = ["Charge", "Code", "Meter", "Quantity", "Unit", "Average rate", "Settled $", "Accrued $"]
    return table(head, [*rows, *sums], (3.4, 1.6, 1.2, 1.6, 1, 1.5, 1.6, 1.6), wrap=(0, 1, 2))


def _groups(d: DayStatement) -> list[Flowable]:
    rows = [
        [g["group"], g["tenant"], quantity(g["energy_mwh"]), quantity(g["hash_ph_days"]), g["btc_mined"], rate(g["btc_usd"]),
         amount(g["hash_usd"])]
        for g in d.get("groups", ())
    ]  # fmt: skip
    head = ["Group", "Tenant", "MWh", "PH/s-days", "BTC", "$/BTC", "Hashing $"]
    return [Paragraph("Rig groups", SECTION), table(head, rows, (2, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5), wrap=(0, 1))] if rows else []


def _comparisons(d: DayStatement) -> list[Flowable]:
    out: list[Flowable] = []
    if d["counterfactuals"]:
        rows = [
            [title(name), amount(v["net_usd"]), f"{v['energy_mwh']:,.3f}", f"{v['hash_ph_days']:,.3f}", rigs(v["starts"])]
            for name, v in d["counterfactuals"].items()
        ]
        out += [
            Paragraph("Other strategies on the same day", SECTION),
            table(["Strategy", "Net $", "MWh", "PH/s-days", "Rig starts"], rows, (3, 2, 2, 2, 2)),
        ]
    gap = _by_cause(d["foresight_gap"])
    if gap:
        out += [Paragraph("Compared with perfect foresight, by cause", SECTION), table(["Cause", "$"], gap, (5, 1), wrap=(0,))]
    if "tenant" in d:
        return out
    rows = [["Planned", amount(d["planned_net_usd"])], *_by_cause(d["differences"]), ["Actual", amount(d["net_usd"])]]
    return [*out, Paragraph("Compared with the plans in force, by cause", SECTION), table(["Cause", "$"], rows, (5, 1), wrap=(0,))]


def _by_cause(causes: Sequence[CauseRow]) -> list[list[str]]:
    return [[f"{row['cause']}: {row['text']}", amount(row["usd"])] for row in causes]


def _promises(d: DayStatement) -> list[Flowable]:
    if not d["promises"]:
        return []
    rows = []
    for p in d["promises"]:
        state = "kept" if p["kept"] else f"broken in {counted(len(p['broken']), 'interval')}"
        rows.append([p["obligation"], state, amount(p["payable_usd"]), amount(p["lost_usd"])])
    return [Paragraph("Promises", SECTION), table(["Contract", "", "Payable $", "Lost $"], rows, (3, 2, 2, 2))]


def _progress(d: DayStatement) -> list[Flowable]:
    rows = [[f["name"], f["value"], f["unit"], f["how"]] for f in d["contract_progress"]]
    if not rows:
        return []
    return [
        Paragraph("Contract progress", SECTION),
        table(["Figure", "Value", "Unit", "What it counts"], rows, FIGURES, wrap=(3,)),
    ]


def _forecasts(d: DayStatement) -> list[Flowable]:
    texts, rows = forecast_texts(d), forecast_rows(d)
    if not texts:
        return []
    scores = [table(FORECAST_COLUMNS, rows, (2, 3, 1.5, 1.5), wrap=(1,))] if rows else []
    return [Paragraph("Price forecast against the last price", SECTION), *(Paragraph(escape(text), TEXT) for text in texts), *scores]


def _intervals(d: DayStatement) -> list[Flowable]:
    points = list(d["intervals"][0]["price_usd_per_mwh"])
    rows = [
        [row["label"], f"{float(row['load_mw']):,.3f}", *(price(row["price_usd_per_mwh"][p]) for p in points), row["hash_ph_days"],
         amount(row["net_usd"]), f"{100 * row['unread']:.1f} %"]
        for row in d["intervals"]
    ]  # fmt: skip
    head = ["Interval", "MW", *(f"{p} $/MWh" for p in points), "PH/s-days", "Net $", "Not read"]
    return [Paragraph("Interval by interval", SECTION), table(head, rows, (2.4, 1.3, *(1.6 for _ in points), 1.5, 1.4, 1))]


def _footer(d: DayStatement) -> list[Flowable]:
    return [Spacer(1, 10), *(Paragraph(escape(text), SMALL) for text in footing(d))]
