"""`./loadstone test [--all] [PYTEST ARGUMENTS]`: lint, types, import contracts, then the tests.

The tests run two at a time, but for those that start whole sites, listen on addresses of their own or drive a browser: these run alone, so
that none disturbs another's sockets or pace. With arguments of pytest's own, they are given to it as they are.
"""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS = (
    ("ruff check", [BIN / "ruff", "check", "."]),
    ("ruff format", [BIN / "ruff", "format", "--check", "."]),
    ("mypy", [BIN / "mypy"]),
    ("import contracts", [BIN / "lint-imports"]),
)

ALONE = ("tests/e2e", "tests/browser", "tests/docs", "tests/dispatch/rigs", "tests/dispatch/sim", "tests/dispatch/meters")
TOGETHER = ["-n", "2", "--dist", "worksteal"]


def main(arguments: list[str]) -> int:
    everything = "--all" in arguments
    rest = [a for a in arguments if a != "--all"]
    failed = []
    for name, command in CHECKS if not rest else ():
        print(f"== {name}", flush=True)
        if subprocess.run(list(map(str, command)), check=False).returncode:
            failed.append(name)
    slow = ["--slow=all"] if everything else []
    alone = [path for path in ALONE if Path(path).is_dir()]
    rounds = {"tests": rest} if rest else {"tests": [*TOGETHER, *(f"--ignore={path}" for path in alone)], "tests that run alone": alone}
    for name, options in rounds.items():
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", "pytest", *slow, *options], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
