"""plan, what-if, check: answers about a site that change nothing and keep nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Config, Ended, Json, instant, ledger_folder, note, out, read_json, table, usd
from markets import counted

if TYPE_CHECKING:
    from dispatch.what_if.answer import SweepAnswer, WhatIfAnswer
    from dispatch.what_if.break_even import BreakEvenDocument
    from optimizer.domain.site import Site

Archive = Annotated[
    Path | None,
    typer.Option("--archive", metavar="DIR", help="Use prices and other facts of this archive, not the site's sources."),
]
Remembered = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Data folder of the site's runs: contracts remember what its ledger says (a month's peak so far)."
    ),
]
At = Annotated[str | None, typer.Option("--at", metavar="INSTANT", help="Use what was known at this instant (ISO 8601). Default: now.")]
Sweep = Annotated[
    list[str] | None,
    typer.Option("--sweep", metavar="KEY=FIRST:LAST:COUNT", help="Vary this key of the scenario; give it twice to vary two."),
]
BreakEven = Annotated[
    str | None, typer.Option("--break-even", metavar="KEY=LOW:HIGH", help="Find the value of this key at which rigs come back, or go.")
]
Watched = Annotated[str | None, typer.Option("--of", metavar="GROUP or HALL", help="The rigs that --break-even watches; default: all.")]


def plan(
    config: Config,
    archive: Archive = None,
    at: At = None,
    data: Remembered = None,
    risk: Annotated[
        float | None, typer.Option("--risk", metavar="WEIGHT", help="Weight of the worst price scenarios, 0 (ignore) to 1 (nothing else).")
    ] = None,
    lp: Annotated[
        Path | None, typer.Option("--lp", metavar="FILE", help="Write the model with named rows and columns; FILE ends in .lp or .mps.")
    ] = None,
    check_: Annotated[bool, typer.Option("--check", help="Solve the model again with other solvers and compare the results.")] = False,
    as_json: Json = False,
) -> None:
    """Make one plan and print it with its reasons and shadow prices."""
    from dispatch.runtime.gathered_inputs import gather_inputs
    from dispatch.runtime.offline_plan import scenario_risk, solve_with_other_solvers, unverified_rules, write_plan_model
    from dispatch.runtime.planner import make_plan

    if risk is not None and not 0 <= risk <= 1:
        raise Ended(WRONG, f"--risk: {risk:g} is not between 0 and 1")
    found = gather_inputs(config, archive, instant(at, "--at") if at else None, ledger_folder(data))
    try:
        document: dict[str, Any] = {**make_plan(found.inputs, risk=None if risk is None else scenario_risk(found, risk))}
        if lp is not None:
            write_plan_model(found.inputs, lp)
            note(f"wrote {lp}")
    except LookupError as error:
        raise Ended(WRONG, f"--risk: {error.args[0]}") from None
    except ValueError as error:
        raise Ended(WRONG, f"--lp: {error}") from None
    if check_:
        document["check"] = solve_with_other_solvers(found.inputs)
    document["unverified"] = unverified_rules(found)
    out(document, as_json, _plan_lines(document))
    broken = [f for f in document["findings"] if f["kind"] in ("obligation", "solver")]
    if document["shortfalls"] or broken or not document.get("check", {}).get("agree", True):
        raise Ended(FINDINGS)


def what_if(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (JSON) with the changes to plan for.")],
    config: Config,
    archive: Archive = None,
    at: At = None,
    data: Remembered = None,
    sweep: Sweep = None,
    break_even: BreakEven = None,
    of: Watched = None,
    as_json: Json = False,
) -> None:
    """Compare the plan of a scenario with the plan without it: money, promises, load."""
    from dispatch.runtime.gathered_inputs import gather_inputs
    from dispatch.signals.documents import InvalidDocument
    from dispatch.what_if.base_plans import BasePlans
    from dispatch.what_if.baseline import Baseline
    from dispatch.what_if.break_even import break_even as solve
    from dispatch.what_if.compare import what_if as compare
    from dispatch.what_if.reference_day import ReferenceDayPrices
    from dispatch.what_if.sweep import sweep as run_sweep

    document = read_json(scenario)
    found = gather_inputs(config, archive, instant(at, "--at") if at else None, ledger_folder(data))
    bases = BasePlans(Baseline.of(found.state, found.at, ReferenceDayPrices(found.state)))
    try:
        if break_even is not None:
            solved = solve(bases, _break_even(document, break_even, of, found.setup.site))
            out(solved, as_json, solved["reasons"])
        elif sweep:
            grid = run_sweep(bases, document, sweep)
            out(grid, as_json, _sweep_lines(grid))
        else:
            answer = compare(bases, document)
            out(answer, as_json, _what_if_lines(answer))
    except InvalidDocument as invalid:
        raise Ended(WRONG, *(f"{scenario}: {fault}" for fault in invalid.faults)) from None


def _break_even(scenario: Any, text: str, of: str | None, site: Site) -> BreakEvenDocument:
    """The break-even that is asked for on the command line. Raises Ended with status 2, InvalidDocument."""
    from dispatch.signals.documents import parse_document
    from dispatch.what_if.break_even import BreakEvenDocument

    key, _, span = text.partition("=")
    try:
        low, high = map(float, span.split(":"))
    except ValueError:
        raise Ended(WRONG, f"--break-even: {text!r} is not KEY=LOW:HIGH such as hash.usd_per_ph_day=20:80") from None
    watched = {} if of is None else {"hall" if of in {h.name for h in site.halls} else "group": of}
    return parse_document(BreakEvenDocument, {"scenario": scenario, "key": key, "low": low, "high": high, **watched})


def check(
    file: Annotated[Path | None, typer.Argument(help="Site file (TOML). Default: the demonstration's.")] = None,
    as_json: Json = False,
) -> None:
    """Check a site file: list every fault, or a summary of the site and its unverified market rules."""
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
    lines = [
        f"objective {usd(document['objective_usd'])} over {counted(len(document['intervals']), 'interval')} ({document['solve']['status']})"
    ]
    for interval in document["intervals"]:
        start = datetime.fromisoformat(interval["start"])
        groups = "  ".join(f"{name} {g['load_mw']:.3f}" for name, g in interval["groups"].items())
        lines.append(f"{start:%Y-%m-%d %H:%MZ}  {interval['load_mw']:9.3f} MW  {groups}")
    lines += [f"short: {s['promise']}: {s['mw']:.3f} MW, {usd(s['usd'])}; {s['repair']}" for s in document["shortfalls"]]
    lines += document["reasons"]
    lines += _check_lines(document["check"]) if "check" in document else []
    return [*lines, *(f"unverified: {text}" for text in document["unverified"])]


def _check_lines(checked: dict[str, Any]) -> list[str]:
    """The objective of each solver, its difference from the first, and the check of the sums."""
    solvers = [
        f"check: {name} {value:,.6f} (difference {checked['differences'][name]:.1e}, allowed {checked['allowed'][name]:.1e})"
        for name, value in checked["objectives"].items()
    ]
    solvers += [f"check: {name} found no answer and is not compared: {why}" for name, why in checked["errors"].items()]
    verdict = "all agree" if checked["agree"] else "THEY DO NOT AGREE"
    return [*solvers, f"check: difference between the plan's sums and its objective {checked['optimality_gap']:.1e}; {verdict}"]


def _what_if_lines(answer: WhatIfAnswer) -> list[str]:
    d = answer["difference"]
    lines = [f"net {usd(d['net_usd'], change=True)}, energy {d['energy_mwh']:+,.3f} MWh, hashing {d['hash_ph_days']:+,.3f} PH/s-days"]
    return [*lines, *(f"  {name}: {usd(amount, change=True)}" for name, amount in d["lines"].items()), *answer["reasons"]]


def _sweep_lines(answer: SweepAnswer) -> list[str]:
    """One row for each point of the grid: its values, the net, its difference from the base, energy, and the cost of broken promises."""
    keys = [axis["key"] for axis in answer["axes"]]
    rows = [
        {
            **dict(zip(keys, (f"{value:g}" for value in row["values"]), strict=True)),
            "net": usd(row["net_usd"]),
            "difference": usd(row["difference_usd"], change=True),
            "MWh": f"{row['energy_mwh']:,.3f}",
            "shortfalls": usd(row["shortfall_usd"]),
        }
        for row in answer["rows"]
    ]
    return table(rows, rows[0])
