"""`./loadstone test --coverage`: the share of lines and branches that the tests reach, in the three packages or in their pure rooms alone.

The three packages are measured over every process that the tests start, and must reach 90 %; no pure module may stay under 85 %.
`--coverage=pure` measures what the unit tests of the pure rooms reach by themselves; it takes about two minutes, and CI runs it.
"""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[1]
ALL_PACKAGES, PURE = "--coverage", "--coverage=pure"
WHAT = (ALL_PACKAGES, PURE)
LEAST_OF_ALL_PCT = 90.0
LEAST_OF_PURE_MODULE_PCT = 85.0
SHOWN = 10
# The unit tests of the pure rooms, and those of the rooms beside them that read documents and talk to rigs through them.
PURE_TESTS = (
    "tests/markets/test_*.py",
    "tests/markets/forecasting",
    "tests/markets/sources/test_[ehst]*.py",
    "tests/optimizer/[!l]*/",
    "tests/optimizer/lp",
    "tests/dispatch/decide",
    "tests/dispatch/imports",
    "tests/dispatch/settlement",
    "tests/dispatch/sim/test_fleet.py",
    "tests/dispatch/sim/test_hashing.py",
    "tests/dispatch/rigs",
    "tests/dispatch/runtime/test_recovery.py",
    "tests/scenarios/test_own_generation.py",
)


@dataclass(frozen=True)
class ModuleCoverage:
    """How many of a module's lines and branches the tests reach, of how many there are."""

    module: str
    reached: int
    of: int

    @property
    def pct(self) -> float:
        return 100.0 * self.reached / self.of if self.of else 100.0


def run(what: str, pytest: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the tests under coverage and report; 1 when they fail or reach too little, 0 else."""
    if what == PURE:
        pytest = [
            *pytest,
            "--slow=none",
            *(str(path) for pattern in PURE_TESTS for path in sorted(ROOT.glob(pattern)) if "__pycache__" not in path.parts),
        ]
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    Path(measured.config.data_file).parent.mkdir(parents=True, exist_ok=True)
    measured.erase()
    status = subprocess.run([sys.executable, "-m", "coverage", "run", *pytest], cwd=ROOT, env=environment, check=False).returncode
    measured.combine()
    found = modules_of(measured)
    pure = [r for r in found if is_pure(r.module, pure_rooms())]
    shown = found if what == ALL_PACKAGES else pure
    problems = judge(shown, pure, LEAST_OF_ALL_PCT if what == ALL_PACKAGES else 0.0)
    print("\n".join([*table(shown), *problems]))
    return 1 if status or problems else 0


def modules_of(measured: coverage.Coverage) -> list[ModuleCoverage]:
    """Every module of the three packages, also one that no test imports."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        measured.json_report(outfile=file.name)
        files = json.loads(Path(file.name).read_text("utf-8"))["files"]
    return [
        ModuleCoverage(
            path.removesuffix(".py").removesuffix("/__init__").replace("/", "."),
            counts["covered_lines"] + counts["covered_branches"],
            counts["num_statements"] + counts["num_branches"],
        )
        for path, counts in ((path, figures["summary"]) for path, figures in files.items())
    ]


def pure_rooms() -> list[str]:
    """The modules and packages that .importlinter forbids all input and output, but for the solvers'."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    return [room for name in contracts if ":pure-" in name for room in contracts[name]["source_modules"].split()]


def is_pure(module: str, rooms: Sequence[str]) -> bool:
    def within(room: str) -> bool:
        return module == room or module.startswith(f"{room}.")

    return any(map(within, rooms)) and not within("optimizer.solve")


def judge(shown: Sequence[ModuleCoverage], pure: Sequence[ModuleCoverage], least_pct: float) -> list[str]:
    """What is under its least share, a line each."""
    problems = [f"{r.module} is pure and its tests reach {r.pct:.1f} %: {LEAST_OF_PURE_MODULE_PCT:.0f} % is the least"
                for r in pure if r.pct < LEAST_OF_PURE_MODULE_PCT]  # fmt: skip
    if (all_of_it := total(shown)).pct < least_pct:
        problems.append(f"the tests reach {all_of_it.pct:.1f} % of all: {least_pct:.0f} % is the least")
    return problems


def total(found: Sequence[ModuleCoverage]) -> ModuleCoverage:
    return ModuleCoverage("total", sum(r.reached for r in found), sum(r.of for r in found))


def table(found: Sequence[ModuleCoverage]) -> list[str]:
    """The least covered modules and the total."""
    least = sorted(found, key=lambda r: r.pct)[:SHOWN]
    return [f"== coverage of lines and branches, the {len(least)} least covered modules of {len(found)}",
            *(f"{r.pct:6.1f} %  {r.module}" for r in least), f"{total(found).pct:6.1f} %  of all"]  # fmt: skip
