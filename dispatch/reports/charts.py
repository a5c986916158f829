"""The day's charts, for page and PDF alike: price against load, what made the net, promises over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from math import asinh

from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing, Group, Line, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor

from dispatch.reports import labels
from dispatch.settlement.document import Breach, DayStatement, IntervalRow, Span, known_totals
from markets.grid import Market, parse_instant

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720.0, 58.0, 58.0, 14.0, 22.0
INK, SOFT, RULE = HexColor("#1c1f23"), HexColor("#5b636c"), HexColor("#d5dade")
PRICE, LOAD, GAIN, LOSS = HexColor("#c2570c"), HexColor("#2f6fdf"), HexColor("#2e7d4f"), HexColor("#b3261e")
WASH = HexColor("#c9dbf8")
# Prices run from -251 to 5,000 $/MWh: the axis is linear up to about this price and logarithmic beyond, with its figures written.
LINEAR_TO_USD = 40.0
PRICE_TICKS = (-250, -50, 0, 25, 50, 100, 250, 1000, 5000)
TICK_EVERY_H = 3
ROW = 20.0


def as_svg(drawing: Drawing, name: str) -> str:
    """The chart as an element of a page; `name` keeps its element ids different from those of other charts."""
    text = str(renderSVG.drawToString(drawing))
    element = text[text.index("<svg") :]
    return (
        element.replace('id="clip"', f'id="clip-{name}"').replace("url(#clip)", f"url(#clip-{name})").replace('id="group"', f'id="{name}"')
    )


def charts(statement: DayStatement) -> dict[str, tuple[str, Drawing]]:
    """Caption and drawing by name; without promises there is no chart of them."""
    drawn = {
        "load": (
            "Load (blue, left) and price (orange, right; linear near zero, logarithmic beyond)",
            price_and_load(statement),
        ),
        "waterfall": ("What made the net: receipts up, costs down", waterfall(statement)),
    }
    if statement["promises"]:
        drawn["promises"] = ("Promises over time; red where the load was outside its bounds", timeline(statement))
    return drawn


def price_and_load(statement: DayStatement) -> Drawing:
    """Megawatts as an area, the first settlement point's price as a line."""
    rows, height = statement["intervals"], 220.0
    drawing, floor, ceiling = Drawing(WIDTH, height), BOTTOM, height - TOP
    across = _across(rows[0]["start"], rows[-1]["end"])
    loads = [float(row["load_mw"]) for row in rows]
    top_mw = max([*loads, 1e-6]) * 1.08
    up_mw = _up(0.0, top_mw, floor, ceiling)
    area = [(across(row[edge]), up_mw(mw)) for row, mw in zip(rows, loads, strict=True) for edge in ("start", "end")]
    outline = [(across(rows[0]["start"]), floor), *area, (across(rows[-1]["end"]), floor)]
    drawing.add(Polygon(_flat(outline), fillColor=WASH, strokeColor=None))
    drawing.add(PolyLine(_flat(area), strokeColor=LOAD, strokeWidth=1.2))
    point = next(iter(rows[0]["price_usd_per_mwh"]))
    prices = [row["price_usd_per_mwh"][point] for row in rows]
    known = [float(p) for p in prices if p is not None] or [0.0]
    up_usd = _up(asinh(min(*known, 0.0) / LINEAR_TO_USD), asinh(max(*known, 25.0) * 1.1 / LINEAR_TO_USD), floor, ceiling)
    highest = round(max(known))
    for tick in {*(t for t in PRICE_TICKS if min(*known, 0.0) <= t <= max(highest * 0.6, 25.0)), max(highest, 0)}:
        drawing.add(String(WIDTH - RIGHT + 6, up_usd(asinh(tick / LINEAR_TO_USD)) - 3, f"{tick:,}", fontSize=8, fillColor=PRICE))
    for run in _runs(rows, prices):
        steps = [(across(row[edge]), up_usd(asinh(float(p) / LINEAR_TO_USD))) for row, p in run for edge in ("start", "end")]
        drawing.add(PolyLine(_flat(steps), strokeColor=PRICE, strokeWidth=1.2))
    for mw in (0.0, max(loads) / 2, max(loads)):
        drawing.add(String(LEFT - 6, up_mw(mw) - 3, f"{mw:,.3g}", fontSize=8, fillColor=LOAD, textAnchor="end"))
    drawing.add(String(LEFT - 6, ceiling + 4, "MW", fontSize=8, fillColor=LOAD, textAnchor="end"))
    drawing.add(String(WIDTH - RIGHT + 6, ceiling + 4, f"{point} $/MWh", fontSize=8, fillColor=PRICE, textAnchor="middle"))
    drawing.add(_hours(statement, across, floor))
    return drawing


def waterfall(statement: DayStatement) -> Drawing:
    """A bar for each charge type, from where the one before it ended; the net is last."""
    steps = [(labels.title(name), float(usd)) for name, usd in known_totals(statement).items() if usd]
    net = float(statement["net_usd"])
    height = TOP + BOTTOM + ROW * (len(steps) + 1)
    drawing, left = Drawing(WIDTH, height), 230.0
    ends, total = [0.0], 0.0
    for _, usd in steps:
        total += usd
        ends.append(total)
    low, high = min(*ends, net, 0.0), max(*ends, net, 0.0) or 1.0
    x = _up(low, high if high > low else low + 1.0, left, WIDTH - 96.0)
    drawing.add(Line(x(0.0), BOTTOM, x(0.0), height - TOP, strokeColor=RULE))
    ended, y = 0.0, height - TOP - ROW
    for name, usd in [*steps, ("net", net)]:
        start = 0.0 if name == "net" else ended
        ended = start + usd
        colour = INK if name == "net" else GAIN if usd > 0 else LOSS
        drawing.add(Rect(min(x(start), x(ended)), y + 4, max(abs(x(ended) - x(start)), 0.8), ROW - 8, fillColor=colour, strokeColor=None))
        drawing.add(String(left - 16, y + 7, name, fontSize=9, fillColor=INK, textAnchor="end"))
        drawing.add(String(max(x(start), x(ended)) + 6, y + 7, f"{usd:,.2f}", fontSize=9, fillColor=colour))
        y -= ROW
    return drawing


def timeline(statement: DayStatement) -> Drawing:
    """A row for each contract: its calls and awards as bars, breaches over them."""
    promises = statement["promises"]
    height = TOP + BOTTOM + ROW * len(promises)
    drawing = Drawing(WIDTH, height)
    across = _across(statement["intervals"][0]["start"], statement["intervals"][-1]["end"], left=130.0)
    y = height - TOP - ROW
    for promise in promises:
        drawing.add(String(122, y + 6, promise["obligation"], fontSize=9, fillColor=INK, textAnchor="end"))
        drawing.add(Line(130, y, WIDTH - RIGHT, y, strokeColor=RULE))
        for span in promise["spans"]:
            colour = WASH if span["kind"] == "award" else LOAD
            drawing.add(_bar(across, span, y, colour))
        for breach in promise["broken"]:
            drawing.add(_bar(across, breach, y, LOSS))
        y -= ROW
    drawing.add(_hours(statement, across, BOTTOM))
    return drawing


def _bar(across: Callable[[str], float], span: Span | Breach, y: float, colour: Color) -> Rect:
    x, end = across(span["start"]), across(span["end"])
    return Rect(x, y + 4, max(end - x, 1.0), ROW - 8, fillColor=colour, strokeColor=None)


def _hours(statement: DayStatement, across: Callable[[str], float], floor: float) -> Group:
    """A tick every three hours of the market's clock; a repeated hour has its tick twice."""
    zone, axis = Market(statement["market"]).tz, Group()
    end = statement["intervals"][-1]["end"]
    axis.add(Line(across(statement["intervals"][0]["start"]), floor, across(end), floor, strokeColor=SOFT))
    for at in [*(row["start"] for row in statement["intervals"]), end]:
        local = parse_instant(at).astimezone(zone)
        if local.minute == 0 and local.hour % TICK_EVERY_H == 0:
            axis.add(Line(across(at), floor, across(at), floor - 3, strokeColor=SOFT))
            axis.add(String(across(at), floor - 13, f"{local:%H:%M}", fontSize=8, fillColor=SOFT, textAnchor="middle"))
    return axis


def _runs(rows: Sequence[IntervalRow], prices: Sequence[str | None]) -> list[list[tuple[IntervalRow, str]]]:
    """Consecutive intervals with a price: a gap is drawn as a gap."""
    runs: list[list[tuple[IntervalRow, str]]] = [[]]
    for row, price in zip(rows, prices, strict=True):
        if price is None:
            runs.append([])
        else:
            runs[-1].append((row, price))
    return [run for run in runs if run]


def _across(start: str, end: str, left: float = LEFT) -> Callable[[str], float]:
    first, last = _seconds(start), _seconds(end)
    return lambda at: left + (WIDTH - RIGHT - left) * (_seconds(at) - first) / (last - first)


def _up(low: float, high: float, floor: float, ceiling: float) -> Callable[[float], float]:
    return lambda value: floor + (ceiling - floor) * (value - low) / (high - low)


def _seconds(at: str) -> float:
    instant: datetime = parse_instant(at)
    return instant.timestamp()


def _flat(points: Sequence[tuple[float, float]]) -> list[float]:
    return [round(v, 2) for point in points for v in point]
