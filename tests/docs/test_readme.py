"""Every block of the README is executed, in its order, in a folder of its own."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from tests.e2e.site import ENVIRONMENT, free_port

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
SERVERS = ("run", "shadow", "rigs serve")


def test_every_block_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    kinds = []
    with ExitStack() as running:
        for found in BLOCK.finditer(text):
            kind, body = found[1], found[2]
            kinds.append(kind)
            if kind in ("toml", "json"):
                name = re.findall(r"[Ss]ave (?:this )?as `([^`]+)`", text[: found.start()])[-1]
                (tmp_path / name).write_text(body, "utf-8")
            elif kind == "sh":
                for line in body.strip().splitlines():
                    execute(line, tmp_path, running)
            else:
                assert kind == "text", f"a block of {kind} is neither run nor a drawing"
    assert kinds.count("sh") >= 9 and "toml" in kinds and "json" in kinds


def execute(line: str, folder: Path, running: ExitStack) -> None:
    """One line as a newcomer types it; a server is left running until it has shown what it is for."""
    words = shlex.split(line)
    assert words[0] == "./loadstone", line
    words = words[1:]
    if words[0] == "test":
        # The suite must not run itself: that it is found and collected is what this block can show from inside.
        done = subprocess.run(
            [ROOT / "loadstone", "test", "--collect-only", "-q", "tests/docs"], env=ENVIRONMENT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0 and "test_every_block_runs" in done.stdout, done.stdout + done.stderr
        return
    served = next((s for s in SERVERS if line.startswith(f"./loadstone {s}")), None)
    if served == "rigs serve":
        running.enter_context(started(words, folder))
        wait_for_port("127.21.0.1", 4028)
    elif served:
        port = free_port()
        with started([*words, "--listen", f"127.0.0.1:{port}"], folder):
            wait_for_plan(port)
            if served == "shadow":
                wait_for_minutes(port, 32)  # a quarter hour has run whole: there is something to settle
    else:
        done = subprocess.run(command(words), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
        # A run that is stopped in the middle of an interval has a price to find missing.
        assert done.returncode in ((0, 1) if words[0] == "settle" else (0,)), (
            f"{line}: exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        )
        assert done.stdout.strip(), f"{line} says nothing"


def command(words: list[str]) -> list[str]:
    """What ./loadstone hands over to."""
    return [sys.executable, "-m", "dispatch.cli", *words]


@contextmanager
def started(words: list[str], folder: Path) -> Iterator[None]:
    with (folder / "servers.log").open("ab") as log:
        process = subprocess.Popen(command(words), cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def wait_for_port(host: str, port: int, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            s.settimeout(1)
            if s.connect_ex((host, port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing answers at {host}:{port}")


def wait_for_plan(port: int, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/v1/state", trust_env=False).json()["plan_age_s"] is not None:
                assert "html" in httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text
                return
        except (httpx.HTTPError, KeyError):
            pass
        time.sleep(0.3)
    raise AssertionError("no plan on the page")


def wait_for_minutes(port: int, minutes: float, seconds: float = 90) -> None:
    """Until the site's own time has gone on by so much."""
    state = f"http://127.0.0.1:{port}/api/v1/state"
    begun = at_of(state)
    end = time.monotonic() + seconds
    while at_of(state) < begun + timedelta(minutes=minutes):
        assert time.monotonic() < end, f"{minutes} minutes did not pass"
        time.sleep(0.5)


def at_of(state: str) -> datetime:
    return datetime.fromisoformat(httpx.get(state, trust_env=False).json()["at"])
