"""plan, what-if, check: nothing is moved, nothing is kept."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Config, Ended, Json, instant, note, out, read_json, table

DAYS_BACK = 7  # of prices that scenarios are drawn from; a snapshot looks back little further
SCENARIOS, SEED = 100, 7

Archive = Annotated[Path | None, typer.Option("--archive", help="Facts from this archive.")]
At = Annotated[str | None, typer.Option("--at", help="As of this instant (ISO 8601); now unless told.")]


def plan(
    config: Config,
    archive: Archive = None,
    at: At = None,
    risk: Annotated[float | None, typer.Option("--risk", help="Weight of the worst of the price scenarios, 0 to 1.")] = None,
    lp: Annotated[Path | None, typer.Option("--lp", help="Write the model, named, as LP or MPS (by the file's ending).")] = None,
    check_: Annotated[bool, typer.Option("--check", help="Solve it again with other solvers and compare.")] = False,
    as_json: Json = False,
) -> None:
    """One plan, with reasons and shadow prices."""
    from dispatch.runtime.planner import make_plan
    from dispatch.runtime.snapshot import snapshot

    if risk is not None and not 0 <= risk <= 1:
        raise Ended(WRONG, f"--risk: {risk:g} is not between 0 and 1")
    found = snapshot(config, archive, instant(at, "--at") if at else None)
    document: dict[str, Any] = {**make_plan(found.inputs, risk=None if risk is None else _weighed(found, risk))}
    if lp is not None:
        _write_model(found.inputs, lp)
        note(f"{lp}: the model, rows and columns named")
    if check_:
        document["check"] = _checked(found.inputs)
    document["unverified"] = _unverified(found)
    out(document, as_json, _plan_lines(document))
    broken = [f for f in document["findings"] if f["kind"] in ("obligation", "solver")]
    if document["shortfalls"] or broken or not document.get("check", {}).get("agree", True):
        raise Ended(FINDINGS)


def what_if(
    scenario: Annotated[Path, typer.Argument(help="SCENARIO.json (CONTRACT, Appendix B).")],
    config: Config,
    archive: Archive = None,
    at: At = None,
    sweep: Annotated[list[str] | None, typer.Option("--sweep", help="KEY=FIRST:LAST:COUNT; once or twice.")] = None,
    as_json: Json = False,
) -> None:
    """An imagined run beside the base: plan, money, promises, differences."""
    from dispatch.runtime.snapshot import snapshot
    from dispatch.signals.documents import InvalidDocument
    from dispatch.what_if.baseline import Baseline
    from dispatch.what_if.compare import what_if as imagined
    from dispatch.what_if.reference_day import ReferenceDayPrices
    from dispatch.what_if.sweep import sweep as swept

    document = read_json(scenario)
    found = snapshot(config, archive, instant(at, "--at") if at else None)
    ground = Baseline.of(found.state, found.at, ReferenceDayPrices(found.state))
    try:
        answer = swept(ground, document, sweep) if sweep else imagined(ground, document)
    except InvalidDocument as faults:
        raise Ended(WRONG, *(f"{scenario}: {fault}" for fault in faults.faults)) from None
    out(answer, as_json, _what_if_lines(answer))


def check(
    file: Annotated[Path | None, typer.Argument(help="The site file; the demonstration's without one.")] = None, as_json: Json = False
) -> None:
    """Every fault in a config at once; what is unverified in the rules it uses."""
    from dispatch.site_file.defaults import DEMO_SITE, default_file
    from dispatch.site_file.load import check_site_file

    path = file or default_file(DEMO_SITE)
    checked = check_site_file(path)
    if checked.faults:
        if as_json:
            out({"faults": list(checked.faults)}, True)
        raise Ended(WRONG, *checked.faults)
    lines = [f"{path}: no faults"]
    lines += [f"  {k}: {v}" for k, v in checked.summary.items() if not isinstance(v, list | dict)]
    lines += [f"  note: {n}" for n in checked.summary["notes"]]
    lines += [f"  unverified: {u}" for u in checked.summary["unverified"]]
    out({"faults": [], **checked.summary}, as_json, lines)


def _plan_lines(document: dict[str, Any]) -> list[str]:
    lines = [f"objective {document['objective_usd']:,.2f} $ over {len(document['intervals'])} intervals ({document['solve']['status']})"]
    for interval in document["intervals"]:
        start = datetime.fromisoformat(interval["start"])
        groups = "  ".join(f"{name} {g['load_mw']:.3f}" for name, g in interval["groups"].items())
        lines.append(f"{start:%Y-%m-%d %H:%MZ}  {interval['load_mw']:9.3f} MW  {groups}")
    lines += [f"short: {s['promise']}: {s['mw']:.3f} MW, {s['usd']:.2f} $; {s['repair']}" for s in document["shortfalls"]]
    lines += document["reasons"]
    lines += _check_lines(document["check"]) if "check" in document else []
    return [*lines, *(f"unverified: {text}" for text in document["unverified"])]


def _check_lines(checked: dict[str, Any]) -> list[str]:
    """What each solver found, how far that is from the first, and our own sums."""
    said = [f"check: {name} {usd:,.6f} ({checked['differences'][name]:.1e} apart)" for name, usd in checked["objectives"].items()]
    ends = "all agree" if checked["agree"] else "THEY DO NOT AGREE"
    return [*said, f"check: gap of our own sums {checked['gap']:.1e}; {ends}"]


def _unverified(found: Any) -> list[str]:
    """The rules in force then, of the market and of the book's contracts, that nobody has checked against their text."""
    from markets.grid import OperatingDay

    setup = found.setup
    on = OperatingDay.of(setup.site.market, found.at).on
    return list(setup.rules.unverified(setup.site.market, on, [o.type for o in setup.book]))


def _what_if_lines(answer: dict[str, Any]) -> list[str]:
    if "axes" in answer:
        return _sweep_lines(answer)
    d = answer["difference"]
    lines = [f"net {d['net_usd']:+,.2f} $, energy {d['energy_mwh']:+,.3f} MWh, hashing {d['hash_ph_days']:+,.3f} PH days"]
    return [*lines, *(f"  {name}: {usd:+,.2f} $" for name, usd in d["lines"].items()), *answer["reasons"]]


def _sweep_lines(answer: dict[str, Any]) -> list[str]:
    """A line a point of the grid: its keys, what it earns, how that differs from the base, energy, and what promises cost."""
    keys = [axis["key"] for axis in answer["axes"]]
    rows = [
        {
            **dict(zip(keys, (f"{at:g}" for at in row["at"]), strict=True)),
            "net $": f"{row['net_usd']:,.2f}",
            "difference $": f"{row['difference_usd']:+,.2f}",
            "MWh": f"{row['energy_mwh']:,.3f}",
            "shortfalls $": f"{row['shortfall_usd']:,.2f}",
        }
        for row in answer["rows"]
    ]
    return table(rows, rows[0])


def _weighed(found: Any, weight: float) -> Any:
    """Scenarios by the real-time days the snapshot knows beside their day-ahead prices."""
    from markets.forecasting.scenarios import residual_days, scenarios
    from optimizer.planning.result import Risk

    ahead = found.inputs.outlook
    known = {point: residual_days(found.state.facts, point, found.at, DAYS_BACK) for point in ahead.energy}
    if not any(len(days) for days in known.values()):
        raise Ended(WRONG, "--risk: no whole day of real-time and day-ahead prices is known to draw scenarios from")
    return Risk(weight, scenarios(ahead, known, SEED, SCENARIOS))


def _write_model(made_from: Any, path: Path) -> None:
    from optimizer.planning.plan import program_of
    from optimizer.solve import write_model

    if path.suffix.lower() not in (".lp", ".mps"):
        raise Ended(WRONG, f"--lp: {path}: the name must end in .lp or .mps")
    i = made_from
    write_model(program_of(i.site, i.book, i.outlook, i.so_far, i.availability), str(path))


def _checked(made_from: Any) -> dict[str, Any]:
    from optimizer.planning.plan import program_of
    from optimizer.solve import check as checked

    i = made_from
    document: dict[str, Any] = checked(program_of(i.site, i.book, i.outlook, i.so_far, i.availability))
    return document
