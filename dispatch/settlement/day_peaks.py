"""How the site met a day's metered intervals under contracts that charge by coincident peaks: rows of its statement, and back."""

from __future__ import annotations

import math

from dispatch.decide.full_load import full_load
from dispatch.settlement.counterfactuals import final_outlook
from dispatch.settlement.document_rows import PeakIntervalRow
from dispatch.settlement.measured_day import MeasuredDay
from markets.grid import Interval, parse_instant
from markets.outlook import PeakWindow
from optimizer.domain.book import peak_windows
from optimizer.settlement.peak_record import PeakInterval, peak_intervals


def coincident_peaks(measured: MeasuredDay) -> list[PeakIntervalRow]:
    """A row for each metered interval of each contract that charges by a coincident peak on the day. The peak itself is not known yet."""
    if not peak_windows(measured.setup.book):
        return []
    full = full_load(measured.setup.site, measured.setup.book, final_outlook(measured.actuals, measured.temperature_c))
    found = peak_intervals(measured.setup.book, measured.actuals, full, measured.record.plans)
    return [_row(interval) for interval in found]


def _row(of: PeakInterval) -> PeakIntervalRow:
    row: PeakIntervalRow = {
        "obligation": of.contract,
        "metered": list(of.window) if isinstance(of.window, tuple) else [of.window, 1],
        "start": of.over.start.isoformat(),
        "end": of.over.end.isoformat(),
        "chance": _text(of.chance),
        "load_mw": _text(of.load_mw),
        "full_load_mw": _text(of.full_load_mw),
        "usd_if_peak": _text(of.charge_usd),
        "full_usd_if_peak": _text(of.full_charge_usd),
    }
    if of.curtailed_hours:
        row["curtailed_hours"], row["curtailed_mwh"] = f"{of.curtailed_hours:.6f}", f"{of.curtailed_mwh:.6f}"
        row["hash_usd"], row["margin_usd"] = f"{of.hash_usd:.6f}", f"{of.margin_usd:.6f}"
    return row


def peak_interval(row: PeakIntervalRow) -> PeakInterval:
    """The interval of a row."""
    minutes, months = row["metered"]
    window: PeakWindow = minutes if months == 1 else (minutes, months)
    return PeakInterval(
        row["obligation"],
        window,
        Interval(parse_instant(row["start"]), parse_instant(row["end"])),
        *(_number(row[key]) for key in ("chance", "load_mw", "full_load_mw", "usd_if_peak", "full_usd_if_peak")),
        *(float(row.get(key, "0")) for key in ("curtailed_hours", "curtailed_mwh", "hash_usd", "margin_usd")),  # type: ignore[arg-type]
    )


def _text(value: float) -> str | None:
    return None if math.isnan(value) else f"{value:.6f}"


def _number(text: str | None) -> float:
    return float("nan") if text is None else float(text)
