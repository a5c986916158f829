"""The result of a backtest as one JSON document: its parts added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from typing_extensions import TypedDict

from dispatch.backtest.coincident_peaks import peak_scores, peak_tallies_of
from dispatch.backtest.part import STRATEGIES
from markets import counted
from optimizer.domain.money import ZERO, cents
from optimizer.settlement.peak_score import PeakScore, calibration


class SpanDocument(TypedDict):
    """What was run: instants (ISO 8601), settlement intervals, and those without a final price, in which nothing is valued. `from` too."""

    to: str
    intervals: int
    missing: int


class StrategyDocument(TypedDict):
    """What a strategy earned. `net_usd` is through the simulated fleet, `ideal_usd` without physics and delay; the lines add up to each."""

    net_usd: float
    ideal_usd: float
    lines: dict[str, float]
    ideal_lines: dict[str, float]
    energy_mwh: float
    hash_ph_days: float
    starts: float


class PromiseDocument(TypedDict):
    """A contract with something to keep: in how many intervals, in how many of them it was kept, and what the breaches cost."""

    name: str
    promised: int
    kept: int
    shortfall_usd: float


class BacktestDocument(TypedDict):
    """A backtest.

    causes  add up to loadstone's net less that of perfect foresight; `ideal_causes` to the same without physics
    shares  (x - always_on) / (perfect_foresight - always_on), null where these are equal
    days    dollars by strategy and operating day
    stops   MWh that perfect foresight did not draw and loadstone neither (caught) or did (missed); and that only loadstone did not
    peaks   loadstone's score of each month (or season) with a coincident peak, of the part of it that lies in the span;
            `peak_calibration` is that of all of them
    """

    span: dict[str, Any]
    strategies: dict[str, StrategyDocument]
    shares: dict[str, dict[str, float | None]]
    promises: list[PromiseDocument]
    causes: dict[str, float]
    ideal_causes: dict[str, float]
    days: dict[str, dict[str, float]]
    stops: dict[str, float]
    peaks: list[PeakScore]
    peak_calibration: list[dict[str, float]]
    notes: list[str]
    findings: list[str]


def document_of(parts: Sequence[Mapping[str, Any]], notes: Iterable[str] = ()) -> BacktestDocument:
    """The parts of a backtest, in order, as one document. Every amount is rounded to the cent once, at its total."""
    peaks = peak_tallies_of(parts)
    strategies = {name: _strategy([part["strategies"][name] for part in parts]) for name in STRATEGIES}
    ours, best = strategies["loadstone"], strategies["perfect_foresight"]
    missing = sum(part["missing"] for part in parts)
    intervals = sum(part["intervals"] for part in parts)
    disputed = sum(part["disputed"] for part in parts)
    findings = [f"{missing} of {intervals} intervals have no final price: nothing is valued in them"] if missing else []
    findings += _unknown(parts)
    findings += [f"prices of {counted(disputed, 'interval')} disagree with those used: see `archive show`"] if disputed else []
    return {
        "span": {"from": parts[0]["from"], "to": parts[-1]["to"], "intervals": intervals, "missing": missing},
        "strategies": strategies,
        "shares": {key: {name: _share(strategies, name, key) for name in STRATEGIES} for key in ("net_usd", "ideal_usd")},
        "promises": _promises(parts),
        "causes": _causes([part["causes"] for part in parts], ours["net_usd"], best["net_usd"]),
        "ideal_causes": _causes([part["ideal_causes"] for part in parts], ours["ideal_usd"], best["ideal_usd"]),
        "days": _days(parts),
        "stops": {name: sum(part["stops"][name] for part in parts) for name in parts[0]["stops"]},
        "peaks": peak_scores(peaks),
        "peak_calibration": calibration(peaks),
        "notes": list(notes),
        "findings": findings,
    }


def share(x: float, always_on: float, perfect_foresight: float) -> float | None:
    """How much of what perfect foresight earns over always-on a strategy earns; None where the two are equal."""
    gain = perfect_foresight - always_on
    return (x - always_on) / gain if gain else None


def _share(strategies: Mapping[str, Any], name: str, key: str) -> float | None:
    return share(strategies[name][key], strategies["always_on"][key], strategies["perfect_foresight"][key])


def _strategy(parts: Sequence[Mapping[str, Any]]) -> StrategyDocument:
    lines, ideal = (_added(part[key] for part in parts) for key in ("lines", "ideal_lines"))
    return {
        "net_usd": float(sum(lines.values(), ZERO)),
        "ideal_usd": float(sum(ideal.values(), ZERO)),
        "lines": {name: float(usd) for name, usd in lines.items()},
        "ideal_lines": {name: float(usd) for name, usd in ideal.items()},
        "energy_mwh": sum(part["energy_mwh"] for part in parts),
        "hash_ph_days": sum(part["hash_ph_days"] for part in parts),
        "starts": sum(part["starts"] for part in parts),
    }


def _added(parts: Iterable[Mapping[str, str]]) -> dict[str, Decimal]:
    """Exact amounts by name, added up and rounded to the cent."""
    totals: dict[str, Decimal] = {}
    for part in parts:
        for name, usd in part.items():
            totals[name] = totals.get(name, ZERO) + Decimal(usd)
    return {name: cents(usd) for name, usd in totals.items()}


def _causes(parts: Sequence[Mapping[str, str]], ours: float, best: float) -> dict[str, float]:
    """Causes to the cent, adding up to the gap: the largest takes the cents that rounding leaves."""
    causes = _added(parts)
    left = cents(Decimal(repr(ours))) - cents(Decimal(repr(best))) - sum(causes.values(), ZERO)
    largest = max(causes, key=lambda name: abs(causes[name]))
    causes[largest] += left
    return {name: float(usd) for name, usd in causes.items()}


def _promises(parts: Sequence[Mapping[str, Any]]) -> list[PromiseDocument]:
    found: dict[str, tuple[int, int, Decimal]] = {}
    for part in parts:
        for name, promised, kept, usd in part["promises"]:
            had = found.get(name, (0, 0, ZERO))
            found[name] = (had[0] + promised, had[1] + kept, had[2] + Decimal(usd))
    return [{"name": n, "promised": p, "kept": k, "shortfall_usd": float(cents(usd))} for n, (p, k, usd) in found.items()]


def _unknown(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    found: dict[tuple[str, str], int] = {}
    for part in parts:
        for name, why, intervals in part["unknown"]:
            found[name, why] = found.get((name, why), 0) + intervals
    return [
        f"the amount of {name} is unknown for {counted(number, 'interval')}: {why}; the net does not cover it"
        for (name, why), number in found.items()
    ]


def _days(parts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Dollars by strategy and operating day."""
    found = {}
    for name in STRATEGIES:
        by_day = _added(part["strategies"][name]["by_day"] for part in parts)
        found[name] = {on: float(by_day[on]) for on in sorted(by_day)}
    return found


def worst_days(document: BacktestDocument, number: int) -> list[tuple[str, float]]:
    """The operating days on which this product stayed furthest behind perfect foresight on the same fleet, with the dollars."""
    ours, best = document["days"]["loadstone"], document["days"]["perfect_foresight"]
    behind = {on: best.get(on, 0.0) - ours.get(on, 0.0) for on in {*ours, *best}}
    return sorted(behind.items(), key=lambda day: (-day[1], day[0]))[:number]
