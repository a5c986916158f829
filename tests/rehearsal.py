"""Rehearses the five example sites in full: over the webhook, over the other protocols by turns, and in shadow.

    python -m tests.rehearsal [SITE ...]

About two CPU minutes for each of the fifteen runs; exit status 1 when one fails.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from dispatch.clock import wall_s
from dispatch.rehearsal.rehearsal import PROTOCOLS, Rehearsal
from dispatch.site_file.load import load_site_file

CONFIG = Path(__file__).parents[1] / "config"
SITES = ("ercot-miner", "ercot-site", "hosting-site", "miso-site", "tariff-site")
WEBHOOK = ("webhook",)
OTHERS = tuple(protocol.name for protocol in PROTOCOLS if protocol.name not in WEBHOOK)
RUNS: tuple[tuple[tuple[str, ...], bool], ...] = ((WEBHOOK, False), (OTHERS, False), ((), True))


def rehearsed(site: str, protocols: Sequence[str], shadow: bool) -> bool:
    """Play every scenario of a site that these protocols can say, and print the verdict; whether all passed."""
    began, rehearsal = wall_s(), Rehearsal(load_site_file(CONFIG / f"{site}.toml"))
    result = asyncio.run(rehearsal.run(rehearsal.pairs((), protocols), shadow=shadow))
    over = ", ".join(sorted({v.protocol for v in result.verdicts}))
    passed = len(result.verdicts) - result.failed
    print(f"{site}{', shadow' if shadow else ''}: {passed} of {len(result.verdicts)} over {over}, {wall_s() - began:.0f} s", flush=True)
    for verdict in result.verdicts:
        if not verdict.passed:
            print(f"  {verdict.scenario} over {verdict.protocol}: {'; '.join(verdict.faults)}", flush=True)
    return result.passed


if __name__ == "__main__":
    outcomes = [rehearsed(site, protocols, shadow) for site in sys.argv[1:] or SITES for protocols, shadow in RUNS]
    sys.exit(0 if all(outcomes) else 1)
