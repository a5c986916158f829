"""`./loadstone test [--all] [PYTEST ARGUMENTS]`: lint, types, import contracts, then the tests."""

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


def main(arguments: list[str]) -> int:
    everything = "--all" in arguments
    rest = [a for a in arguments if a != "--all"]
    failed = []
    for name, command in CHECKS if not rest else ():
        print(f"== {name}", flush=True)
        if subprocess.run(list(map(str, command)), check=False).returncode:
            failed.append(name)
    print("== tests", flush=True)
    command = [sys.executable, "-m", "pytest", *(["--slow=all"] if everything else []), *rest]
    if subprocess.run(command, check=False).returncode:
        failed.append("tests")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
