"""rehearse: a built-in dispatch desk plays call scenarios against a simulated site, and each passes or fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch.commands import FINDINGS, WRONG, Config, Ended, Json, note, out, table

if TYPE_CHECKING:
    from dispatch.rehearsal.verdict import Verdict

# The names of dispatch.rehearsal.rehearsal.PROTOCOLS, which takes too long to import for a help text.
OVER = "Only over webhook, OpenADR 3, OpenADR 2.0b or Modbus; may be repeated."


def rehearse(
    config: Config,
    scenario: Annotated[list[str] | None, typer.Option("--scenario", metavar="NAME", help="Only this scenario; may be repeated.")] = None,
    protocol: Annotated[list[str] | None, typer.Option("--protocol", metavar="NAME", help=OVER)] = None,
    every_protocol: Annotated[bool, typer.Option("--every-protocol", help="Each scenario over each protocol, not by turns.")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="Send no order; judge what the rigs would have drawn.")] = False,
    report: Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Write the report here as JSON, HTML and PDF.")] = None,
    as_json: Json = False,
) -> None:
    """Play call scenarios against the site with simulated rigs, over the protocols by turns; each passes or fails.

    Exit status 1 when one fails. Nothing outside this machine is reached.
    """
    import asyncio

    from dispatch.rehearsal.rehearsal import Rehearsal
    from dispatch.reports.rehearsal import write_report
    from dispatch.site_file.load import load_site_file

    rehearsal = Rehearsal(load_site_file(config))
    try:
        pairs = rehearsal.pairs(scenario or (), protocol or (), every_protocol)
    except LookupError as fault:
        raise Ended(WRONG, str(fault.args[0])) from None
    if not pairs:
        raise Ended(WRONG, f"--protocol: none of these scenarios can be sent over {' or '.join(protocol or ())}")
    rigs = sum(group.rigs for group in rehearsal.setup.site.groups)
    note(f"loadstone: {len(pairs)} plays against {rehearsal.setup.site.name}, {rigs} simulated rigs")
    result = asyncio.run(rehearsal.run(pairs, shadow=shadow))
    document = result.document()
    for file in write_report(document, report) if report is not None else ():
        note(f"wrote {file}")
    closing = f"{len(pairs) - result.failed} of {len(pairs)} passed"
    if shadow:
        closing += f"; {result.rigs_moved} rigs were moved, none may be" if result.rigs_moved else "; no rig was moved"
    rows = [_row(v) for v in result.verdicts]
    out(document, as_json, [*table(rows, ("scenario", "protocol", "verdict", "due after", "reached after", "")), closing])
    if not result.passed:
        raise Ended(FINDINGS)


def _row(verdict: Verdict) -> dict[str, str]:
    return {
        "scenario": verdict.scenario,
        "protocol": verdict.protocol,
        "verdict": "pass" if verdict.passed else "FAIL",
        "due after": _seconds(verdict.due_after_s),
        "reached after": _seconds(verdict.reached_after_s),
        "": "; ".join(verdict.faults) or verdict.what,
    }


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s"
