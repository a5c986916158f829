"""`./loadstone test [--all] [--coverage[=pure]] [PYTEST ARGUMENTS]`: lint, types, import contracts, then the tests.

The tests run two at a time; tests/conftest.py says which never run beside each other. With arguments of pytest's own, only pytest runs, on
one process, with these arguments. `--coverage` measures the branches that the tests reach instead (see tests/coverage_report.py).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import coverage_report

BIN = Path(sys.executable).parent
CHECKS = (
    ("ruff check", [BIN / "ruff", "check", "."]),
    ("ruff format", [BIN / "ruff", "format", "--check", "."]),
    ("mypy", [BIN / "mypy"]),
    ("import contracts", [BIN / "lint-imports"]),
)
# tests/conftest.py makes the scheduler: one test at a time to each process, but those that must wait for each other to the same.
TWO_AT_A_TIME = ["-n", "2", "--dist", "loadscope", "--no-loadscope-reorder"]
MEMORY_DISK = Path("/dev/shm")
NEEDED_BYTES = 4 * 2**30


def main(arguments: list[str]) -> int:
    everything = "--all" in arguments
    measured = next((a for a in arguments if a in coverage_report.WHAT), None)
    rest = [a for a in arguments if a not in ("--all", measured)]
    pytest = ["-m", "pytest", *(["--slow=all"] if everything else []), *(rest or TWO_AT_A_TIME)]
    with folder_of_tests() as folder:
        environment = environment_of_tests(folder)
        if measured:
            return coverage_report.run(measured, pytest, environment)
        failed = []
        for name, command in (*CHECKS, ("tests", [sys.executable, *pytest])) if not rest else (("tests", [sys.executable, *pytest]),):
            print(f"== {name}", flush=True)
            if subprocess.run(list(map(str, command)), env=environment, check=False).returncode:
                failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def folder_of_tests() -> tempfile.TemporaryDirectory[str]:
    """Where tests write: in memory where there is room, as every row of a ledger waits for its disk. Removed at the end."""
    in_memory = MEMORY_DISK.is_dir() and os.access(MEMORY_DISK, os.W_OK) and shutil.disk_usage(MEMORY_DISK).free > NEEDED_BYTES
    return tempfile.TemporaryDirectory(prefix="loadstone-tests-", dir=MEMORY_DISK if in_memory else None, ignore_cleanup_errors=True)


def environment_of_tests(folder: str) -> dict[str, str]:
    """Tests start hundreds of interpreters: each would compile every module anew where bytecode may not be kept."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTEST_DEBUG_TEMPROOT": folder}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
