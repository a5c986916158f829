"""`python -m tests.simulation --seeds A:B [--days N]`: runs the seeds that the results file does not have yet, adds up what fired, and
shrinks the first that failed. `--scenario FILE` runs one scenario again; `--minutes M` takes fresh seeds for so long and only reports."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.simulation.faults import ROWS, Scenario, drawn
from tests.simulation.run import Outcome, simulate
from tests.simulation.seeds import KeptResults, Month, Result, run_fresh_seeds, run_seeds
from tests.simulation.shrink import shrunk

RESULTS = Path("build/simulation")


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    month = Month(options.days, options.density)
    if options.scenario:
        return _run_again(options.scenario)
    if options.minutes:
        _report(list(run_fresh_seeds(month, options.minutes)), month)
        return 0
    first, last = map(int, options.seeds.split(":"))
    kept = KeptResults(options.results / f"days-{month.days:g}-density-{month.density:g}.jsonl")
    wanted = [seed for seed in range(first, last) if seed not in kept.found]
    began_s = time.monotonic()
    for n, result in enumerate(run_seeds(wanted, month, options.workers), start=1):
        kept.add(result)
        print(f"{n} of {len(wanted)}: {_line(result)}; {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
    failed = _report([kept.found[seed] for seed in range(first, last)], month)
    if failed and not options.no_shrink:
        _shrink(failed[0], month, options.results)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0:4", help="from A up to and without B")
    parser.add_argument("--days", type=float, default=30.0, help="simulated days a seed")
    parser.add_argument("--density", type=float, default=1.0, help="how many times as many faults as in a usual month")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results, which a further run adds to")
    parser.add_argument("--scenario", type=Path, help="a scenario's file, run alone")
    parser.add_argument("--minutes", type=float, help="run fresh seeds for so long, and only report")
    parser.add_argument("--no-shrink", action="store_true", help="do not look for a smaller scenario that fails")
    return parser


def _line(result: Result) -> str:
    return f"seed {result['seed']}: {result['violation'] or 'ok'}, {result['processes']} processes, {result['cpu_s']} s"


def _report(found: list[Result], month: Month) -> list[Result]:
    """Print how often each row of the fault matrix fired, and what failed; returns that."""
    rows: Counter[int] = Counter()
    for result in found:
        rows.update({int(row): n for row, n in result["rows"].items()})
    for row, text in ROWS.items():
        print(f"{rows[row]:7d}  {row:2d} {text}")
    days, cpu_s = len(found) * month.days, sum(result["cpu_s"] for result in found)
    failed = [result for result in found if result["violation"]]
    journal_rows = sum(result["journal_rows"] for result in found)
    print(f"{len(found)} seeds, {days:g} days, {journal_rows} journal rows, {cpu_s:.0f} CPU s ({cpu_s / max(days, 1e-9):.2f} a day)")
    for result in failed:
        again = f"--seeds {result['seed']}:{result['seed'] + 1} --days {month.days:g} --density {month.density:g}"
        print(f"FAILED {_line(result)}\n  again: python -m tests.simulation {again} --workers 1 --results build/again")
    print(f"{len(failed)} failed")
    return failed


def _shrink(failed: Result, month: Month, results: Path) -> None:
    scenario = drawn(failed["seed"], month.days, month.density)
    small = shrunk(Outcome(scenario, violation=failed["violation"], at_s=failed["at_s"]))
    file = results / f"failed-{failed['seed']}.json"
    file.write_text(json.dumps(small.scenario.to_json(), indent=1), "utf-8")
    kinds = ", ".join(fault.kind for fault in small.scenario.faults)
    print(f"shrunk to {small.scenario.days:.2f} days and {len(small.scenario.faults)} faults ({kinds}): {small.violation}")
    print(f"  again: python -m tests.simulation --scenario {file}")


def _run_again(file: Path) -> int:
    outcome = simulate(Scenario.from_json(json.loads(file.read_text("utf-8"))))
    print(outcome.violation or f"ok: {outcome.journal_rows} rows, head {outcome.head}")
    return 1 if outcome.violation else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
