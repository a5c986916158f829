"""rehearse: a built-in dispatch desk plays call scenarios against a simulated site, and each passes or fails."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch.commands import FINDINGS, WRONG, Config, Ended, Json, note, out, table

if TYPE_CHECKING:
    from dispatch.rehearsal.verdict import Verdict


def rehearse(
    config: Config,
    scenario: Annotated[list[str] | None, typer.Option("--scenario", metavar="NAME", help="Only this scenario; may be repeated.")] = None,
    every_protocol: Annotated[bool, typer.Option("--every-protocol", help="Each scenario over each protocol, not by turns.")] = False,
    as_json: Json = False,
) -> None:
    """Play call scenarios against the site with simulated rigs, over the protocols by turns; each passes or fails.

    Exit status 1 when one fails. Nothing outside this process is reached.
    """
    import asyncio

    from dispatch.rehearsal.rehearsal import Rehearsal
    from dispatch.site_file.load import load_site_file

    rehearsal = Rehearsal(load_site_file(config))
    try:
        pairs = rehearsal.pairs(scenario or (), every_protocol)
    except LookupError as fault:
        raise Ended(WRONG, f"--scenario: {fault.args[0]}") from None
    note(f"loadstone: {len(pairs)} plays against {rehearsal.setup.site.name}, {rehearsal.loads.highest_mw:.3f} MW of simulated rigs")
    verdicts = asyncio.run(rehearsal.run(pairs))
    failed = [v for v in verdicts if not v.passed]
    document = {
        "site": rehearsal.setup.site.name,
        "played": len(verdicts),
        "failed": len(failed),
        "protocols": sorted({v.protocol for v in verdicts}),
        "scenarios": [{**asdict(v), "passed": v.passed, "faults": list(v.faults)} for v in verdicts],
    }
    rows = [_row(v) for v in verdicts]
    closing = f"{len(verdicts) - len(failed)} of {len(verdicts)} passed"
    out(document, as_json, [*table(rows, ("scenario", "protocol", "verdict", "below after", "")), closing])
    if failed:
        raise Ended(FINDINGS)


def _row(verdict: Verdict) -> dict[str, str]:
    return {
        "scenario": verdict.scenario,
        "protocol": verdict.protocol,
        "verdict": "pass" if verdict.passed else "FAIL",
        "below after": "" if verdict.reached_after_s is None else f"{verdict.reached_after_s:.0f} s",
        "": "; ".join(verdict.faults) or verdict.what,
    }
