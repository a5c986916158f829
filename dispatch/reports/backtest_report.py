"""The result of a backtest for people: one self-contained page with cumulative value, causes, the worst days, stops and promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reportlab.graphics.shapes import Drawing, Line, PolyLine, String
from reportlab.lib.colors import Color, HexColor

from dispatch.reports.charts import INK, RULE, SOFT, WIDTH, as_svg
from dispatch.reports.peak_tables import CALIBRATION_COLUMNS, PEAK_CAPTION, PEAK_COLUMNS, calibration_rows, peak_rows
from dispatch.reports.write import page
from markets import counted
from optimizer.domain.money import usd_text

WORST_DAYS = 10
HEIGHT, LEFT, RIGHT, FLOOR, CEILING = 260.0, 84.0, 130.0, 24.0, 246.0
COLOURS = ("#c2570c", "#5b636c", "#7a4fbf", "#2e7d4f", "#2f6fdf")  # one for each strategy, the product's own first
Section = tuple[str, str, tuple[str, ...], list[list[str]]]


def backtest_as_html(document: Mapping[str, Any]) -> str:
    """The page. The same document is the same text."""
    from markupsafe import Markup

    span = document["span"]
    return page(
        "backtest.html",
        heading=f"Backtest, {span['from']} to {span['to']}",
        summary=f"{counted(span['intervals'], 'settlement interval')}, {span['missing']} without a final price",
        flags=document["findings"],
        drawn=Markup(as_svg(cumulative_value(document["days"]), "value")),
        sections=_sections(document),
        notes=document["notes"],
    )


def cumulative_value(days: Mapping[str, Mapping[str, float]]) -> Drawing:
    """What each strategy earned more than always-on, added up day by day, $; the names stand at the lines' ends."""
    ahead = {name: _ahead(by_day, days["always_on"]) for name, by_day in days.items()}
    ends = [usd for line in ahead.values() for usd in line]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    high = high if high > low else low + 1.0
    drawing = Drawing(WIDTH, HEIGHT)
    number = max(len(line) for line in ahead.values()) - 1

    def at(n: int, usd: float) -> tuple[float, float]:
        return round(LEFT + (WIDTH - RIGHT - LEFT) * n / number, 2), round(FLOOR + (CEILING - FLOOR) * (usd - low) / (high - low), 2)

    for usd in sorted({low, 0.0, high}):
        (x, y), (end, _) = at(0, usd), at(number, usd)
        drawing.add(Line(x, y, end, y, strokeColor=RULE))
        drawing.add(String(x - 6, y - 3, usd_text(usd), fontSize=8, fillColor=SOFT, textAnchor="end"))
    ordered = sorted(days[next(iter(days))])
    for n, on in ((0, ordered[0]), (number, ordered[-1])):
        drawing.add(String(at(n, low)[0], FLOOR - 14, on, fontSize=8, fillColor=SOFT, textAnchor="middle"))
    last_label = CEILING + 20.0
    drawn = sorted(zip(ahead.items(), COLOURS, strict=False), key=lambda line: -line[0][1][-1])
    for (name, line), colour in drawn:
        drawing.add(PolyLine([v for n, usd in enumerate(line) for v in at(n, usd)], strokeColor=HexColor(colour), strokeWidth=1.4))
        x, y = at(number, line[-1])
        last_label = min(y - 3, last_label - 11)
        drawing.add(_label(x + 6, last_label, name, HexColor(colour)))
    drawing.add(_label(LEFT, CEILING + 6, "$ more than always-on, on the same simulated fleet", INK))
    return drawing


def _label(x: float, y: float, text: str, colour: Color) -> String:
    return String(x, y, text.replace("_", " "), fontSize=9, fillColor=colour)


def _ahead(by_day: Mapping[str, float], always_on: Mapping[str, float]) -> list[float]:
    """The sums so far of what a strategy earned beyond always-on, from zero on."""
    sums = [0.0]
    for on in sorted({*by_day, *always_on}):
        sums.append(sums[-1] + by_day.get(on, 0.0) - always_on.get(on, 0.0))
    return sums


def _sections(document: Mapping[str, Any]) -> list[Section]:
    strategies, shares = document["strategies"], document["shares"]
    gaps = {"on the fleet": document["causes"], "without physics": document["ideal_causes"]}
    stops = document["stops"]
    return [
        (
            "Strategies",
            "Share: of perfect foresight's gain over always-on. Ideal: without wake times and ramps, prices known at an interval's end.",
            ("Strategy", "Net $", "Share", "Ideal $", "Ideal share", "MWh", "PH/s-days", "Starts"),
            [_strategy(name, of, shares) for name, of in strategies.items()],
        ),
        (
            "Behind perfect foresight, by cause",
            "Each column's causes add up to the whole gap.",
            ("Measured", "Cause", "$"),
            [[where, name, usd_text(usd)] for where, by in gaps.items() for name, usd in by.items()],
        ),
        (
            "Worst days",
            "The operating days on which the product stayed furthest behind perfect foresight.",
            ("Day", "Product $", "Perfect foresight $", "Behind $"),
            _worst(document["days"]),
        ),
        (
            "Stops",
            "MWh that perfect foresight did not draw: caught where the product did not either, missed where it did. A false alarm: only "
            "the product stopped.",
            ("", "MWh"),
            [[name, f"{stops[key]:,.1f}"] for name, key in _STOPS],
        ),
        *_peak_sections(document),
        (
            "Promises",
            "",
            ("Contract", "Intervals promised", "Kept", "Lost $"),
            [[p["name"], f"{p['promised']:,}", f"{p['kept']:,}", usd_text(p["shortfall_usd"])] for p in document["promises"]],
        ),
    ]


def _peak_sections(document: Mapping[str, Any]) -> list[Section]:
    chances, alike = "Chances of coincident peaks against what came", "Well calibrated: the last two columns are alike."
    return [
        ("Coincident peaks", PEAK_CAPTION, PEAK_COLUMNS, peak_rows(document["peaks"])),
        (chances, alike, CALIBRATION_COLUMNS, calibration_rows(document["peak_calibration"])),
    ]


_STOPS = (("Caught", "caught_mwh"), ("Missed", "missed_mwh"), ("False alarm", "false_alarm_mwh"))


def _strategy(name: str, of: Mapping[str, Any], shares: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    share, ideal = ("" if (x := shares[key][name]) is None else f"{x:.1%}" for key in ("net_usd", "ideal_usd"))
    figures = [f"{of['energy_mwh']:,.1f}", f"{of['hash_ph_days']:,.1f}", f"{of['starts']:,.0f}"]
    return [name.replace("_", " "), usd_text(of["net_usd"]), share, usd_text(of["ideal_usd"]), ideal, *figures]


def _worst(days: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    ours, best = days["loadstone"], days["perfect_foresight"]
    behind: Sequence[tuple[float, str]] = sorted((ours.get(on, 0.0) - best.get(on, 0.0), on) for on in {*ours, *best})
    return [[on, usd_text(ours.get(on, 0.0)), usd_text(best.get(on, 0.0)), usd_text(usd)] for usd, on in behind[:WORST_DAYS]]
