"""The statement as PDF: the page to read first, then tables and pictures. The same version is the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, LongTable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from dispatch.reports.charts import LOSS, RULE, SOFT, WIDTH, pictures
from dispatch.reports.labels import flags, footing, heading, rigs, span_flags, usd, words

MARGIN = 44.0
ROOM = A4[0] - 2 * MARGIN
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


def as_pdf(document: Mapping[str, Any]) -> bytes:
    """The day's statement on A4."""
    drawn = pictures(document)
    story: list[Flowable] = [*_first_page(document), PageBreak()]
    for name in ("load", "waterfall", "promises"):
        if name in drawn:
            caption, drawing = drawn[name]
            story.append(KeepTogether([_fitted(drawing), Paragraph(escape(caption), SMALL), Spacer(1, 8)]))
    story += [*_others(document), *_promises(document), *_standing(document), *_intervals(document), *_footer(document)]
    return printed(story, f"Settlement {document['date']} {document['site']}", f"{heading(document)} · {document['date']}")


def span_as_pdf(d: Mapping[str, Any]) -> bytes:
    """A roll-up of days (span.py) on A4."""
    charges = [*([words(n), usd(v)] for n, v in d["totals"].items()), ["Net", usd(d["net_usd"])]]
    figures = [[f[k] for k in ("name", "value", "unit", "how")] for f in d["figures"]]
    story: list[Flowable] = [
        Paragraph(escape(f"{d['from']} to {d['to']}"), TITLE),
        Paragraph(f"{usd(d['net_usd'])} $", NET),
        *(Paragraph(escape(text), FLAG) for text in span_flags(d)),
        Paragraph("What was earned", SECTION),
        table(["Charge", "$"], charges, (4, 1)),
        Paragraph("Figures", SECTION),
        table(["Figure", "Value", "Unit", "What it counts"], figures, FIGURES, wrap=(3,)),
        *bullets("What needs a person", d["person"]),
    ]
    pairs = (("Other ways of running the same days", "counterfactuals"), ("Against perfect foresight, by cause", "gap"))
    for title, key in pairs:
        if d[key]:
            story += [Paragraph(title, SECTION), table(["", "$"], [[words(n), usd(v)] for n, v in d[key].items()], (4, 1))]
    if d["promises"]:
        kept = [[p["obligation"], str(p["days"]), str(p["broken_days"]), usd(p["payable_usd"]), usd(p["lost_usd"])] for p in d["promises"]]
        story += [Paragraph("Promises", SECTION), table(["Contract", "Days", "Broken on", "Payable $", "Lost $"], kept, (3, 1, 1, 2, 2))]
    days = [
        [x["date"] + (" (part)" if x["partial"] else ""), str(x["version"]), usd(x["net_usd"]), x["journal_head"][:20]] for x in d["days"]
    ]
    story += [Paragraph("Day by day", SECTION), table(["Day", "Version", "Net $", "Journal"], days, (2, 1, 2, 3))]
    return printed(
        story, f"Settlement {d['from']} to {d['to']} {d['site']}", f"{d['site']} · {d['market'].upper()} · {len(d['days'])} days"
    )


def printed(story: Sequence[Flowable], title: str, head: str) -> bytes:
    """Pages with a running head and their number. No clock and no chance goes into the file: the same story is the same bytes."""
    out = BytesIO()

    def frame(canvas: Canvas, page: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.setFillColor(SOFT)
        canvas.drawString(MARGIN, A4[1] - 26, head)
        canvas.drawRightString(A4[0] - MARGIN, 24, f"page {page.page}")

    paper = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN, title=title, invariant=1
    )
    paper.build(list(story), onFirstPage=frame, onLaterPages=frame)
    return out.getvalue()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float], wrap: Sequence[int] = ()) -> LongTable:
    """Figures to the right, the first column to the left; a long table breaks over pages under its head. Columns in `wrap` break lines."""
    cells = [[Paragraph(escape(c), TEXT) if k in wrap else c for k, c in enumerate(row)] for row in rows]
    return LongTable([list(head), *cells], colWidths=[ROOM * s / sum(shares) for s in shares], repeatRows=1, style=BANDS, hAlign="LEFT")


def bullets(title: str, texts: Sequence[str]) -> list[Flowable]:
    return [Paragraph(escape(title), SECTION), *(Paragraph(escape(t), TEXT, bulletText="•") for t in texts)]


def _fitted(drawing: Any) -> Any:
    scale = ROOM / WIDTH
    drawing.width, drawing.height = drawing.width * scale, drawing.height * scale
    drawing.scale(scale, scale)
    return drawing


def _first_page(d: Mapping[str, Any]) -> list[Flowable]:
    page: list[Flowable] = [
        Paragraph(f"Operating day {escape(d['date'])}", TITLE),
        Paragraph(f"{usd(d['net_usd'])} $", NET),
        Paragraph(escape(f"{d['from']} to {d['to']}"), SMALL),
        *(Paragraph(escape(text), FLAG) for text in flags(d)),
        Paragraph("What was earned", SECTION),
        *(Paragraph(escape(text), TEXT) for text in d["story"]["earned"]),
        Spacer(1, 4),
        table(["Charge", "$"], [*([words(n), usd(v)] for n, v in d["totals"].items()), ["Net", usd(d["net_usd"])]], (4, 1)),
        Paragraph(escape(f"Positive is to the site. Each charge is rounded once; unrounded net {d['net_exact_usd']}."), SMALL),
    ]
    if d["delta"]:
        rows = [*([words(n), usd(v)] for n, v in d["delta"]["totals"].items()), ["Net", usd(d["delta"]["net_usd"])]]
        page += [Paragraph(f"Changed since version {d['delta']['version']}", SECTION), table(["Charge", "$"], rows, (4, 1))]
    for title, key in (("Why", "why"), ("What went wrong", "wrong"), ("What needs a person", "person")):
        page += bullets(title, d["story"][key])
    return page


def _others(d: Mapping[str, Any]) -> list[Flowable]:
    out: list[Flowable] = []
    if d["counterfactuals"]:
        rows = [
            [words(name), usd(v["net_usd"]), f"{v['energy_mwh']:,.3f}", f"{v['hash_ph_days']:,.3f}", rigs(v["starts"])]
            for name, v in d["counterfactuals"].items()
        ]
        out += [
            Paragraph("Other ways of running the same day", SECTION),
            table(["Way", "Net $", "MWh", "PH/s-days", "Rig starts"], rows, (3, 2, 2, 2, 2)),
        ]
    for title, key in (("Against perfect foresight, by cause", "gap"), ("Against the plans in force, by cause", "differences")):
        if d[key]:
            rows = [[f"{row['cause']}: {row['text']}", usd(row["usd"])] for row in d[key]]
            out += [Paragraph(title, SECTION), table(["Cause", "$"], rows, (5, 1), wrap=(0,))]
    return out


def _promises(d: Mapping[str, Any]) -> list[Flowable]:
    if not d["promises"]:
        return []
    rows = [[p["obligation"], "kept" if p["kept"] else "broken", usd(p["payable_usd"]), usd(p["lost_usd"])] for p in d["promises"]]
    return [Paragraph("Promises", SECTION), table(["Contract", "", "Payable $", "Lost $"], rows, (3, 1, 2, 2))]


def _standing(d: Mapping[str, Any]) -> list[Flowable]:
    rows = [[f[k] for k in ("name", "value", "unit", "how")] for f in d.get("standing", ())]
    if not rows:
        return []
    return [
        Paragraph("How contracts stand so far", SECTION),
        table(["Figure", "Value", "Unit", "What it counts"], rows, FIGURES, wrap=(3,)),
    ]


def _intervals(d: Mapping[str, Any]) -> list[Flowable]:
    points = list(d["intervals"][0]["price_usd_per_mwh"])
    rows = [
        [row["label"], f"{float(row['load_mw']):,.3f}", *(row["price_usd_per_mwh"][p] or "none" for p in points), row["hash_ph_days"],
         usd(row["net_usd"]), f"{100 * row['unread']:.1f} %"]
        for row in d["intervals"]
    ]  # fmt: skip
    head = ["Interval", "MW", *(f"{p} $/MWh" for p in points), "PH/s-days", "Net $", "Not read"]
    return [Paragraph("Interval by interval", SECTION), table(head, rows, (2.4, 1.3, *(1.6 for _ in points), 1.5, 1.4, 1))]


def _footer(d: Mapping[str, Any]) -> list[Flowable]:
    return [Spacer(1, 10), *(Paragraph(escape(text), SMALL) for text in footing(d))]
