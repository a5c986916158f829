"""The scores of coincident peaks as tables: the same in a backtest's page, on the site's page and on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markets.grid import Market, parse_instant
from optimizer.domain.money import usd_text

UNKNOWN = "unknown"
PEAK_COLUMNS = (
    "Contract", "Month or season", "Peak", "", "Chance before", "MW at the peak", "of MW", "MWh not drawn", "Saved $", "Hours curtailed",
    "Days", "False alarms", "MWh curtailed", "Hash revenue given up $", "Margin given up $", "Brier score", "of equal chances",
)  # fmt: skip
PEAK_CAPTION = (
    "Caught: at most half of what every rig would have drawn was on at the peak. Saved: what the load at the peak took off the charge, "
    "against every rig running; it is owed in a later period. Hours curtailed: rigs slept for the peak that the energy price alone would "
    "have run. False alarms: days with such hours and without the peak. Hash revenue is before the pool's fee; margin is what of it energy "
    "and other charges would have left. Brier score: the mean squared difference between the chance that the plan in force gave and what "
    "came, 0 at best."
)
CALIBRATION_COLUMNS = ("Chance that plans gave", "Intervals", "Mean chance", "Share that was the peak")


def peak_rows(scores: Sequence[Mapping[str, Any]], market: Market | None = None) -> list[list[str]]:
    """A row for each month (or season) of a contract; times on the market's clock, in UTC where no market is given."""
    return [_row(score, market) for score in scores]


def peak_lines(scores: Sequence[Mapping[str, Any]], market: Market | None = None) -> list[str]:
    """The same in sentences, for a terminal."""
    found = []
    for row in peak_rows(scores, market):
        of = dict(zip(PEAK_COLUMNS, row, strict=True))
        found.append(
            f"peak of {of['Contract']} in {of['Month or season']}: {of['']} ({of['Peak']}, {of['MW at the peak']} of {of['of MW']} MW, "
            f"chance before {of['Chance before']}), saved {of['Saved $']}; "
            f"curtailed {of['Hours curtailed']} h on {of['Days']} days, of them "
            f"{of['False alarms']} false alarms, giving up {of['Margin given up $']} ({of['Hash revenue given up $']} of hash revenue); "
            f"Brier score {of['Brier score']}, {of['of equal chances']} of equal chances"
        )
    return found


def _row(score: Mapping[str, Any], market: Market | None) -> list[str]:
    outcome = "caught" if score["caught"] else "missed" if score["missed"] else UNKNOWN
    return [
        score["contract"],
        score["period"],
        _when(score["start"], market),
        outcome,
        _percent(score["chance"]),
        _number(score["load_mw"], 3),
        _number(score["full_load_mw"], 3),
        _number(score["not_drawn_mwh"], 3),
        _dollars(score["saved_usd"]),
        _number(score["curtailed_hours"], 2),
        str(score["curtailed_days"]),
        str(score["false_alarm_days"]),
        _number(score["curtailed_mwh"], 3),
        _dollars(score["hash_usd"]),
        _dollars(score["margin_usd"]),
        _number(score["brier"], 6),
        _number(score["brier_of_equal_chances"], 6),
    ]


def calibration_rows(classes: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """A row for each class of chances."""
    return [
        [f"{100 * c['from']:g} to {100 * c['to']:g} %", f"{c['intervals']:,.0f}", _percent(c["mean_chance"]), _percent(c["share"])]
        for c in classes
    ]


def _when(start: str | None, market: Market | None) -> str:
    if start is None:
        return UNKNOWN
    at = parse_instant(start)
    return at.astimezone(market.tz).strftime("%Y-%m-%d %H:%M") if market else at.strftime("%Y-%m-%dT%H:%MZ")


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def _dollars(value: float | None) -> str:
    return UNKNOWN if value is None else usd_text(round(value, 2))


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.2f} %"
