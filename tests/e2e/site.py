"""A running site for tests: the real command in processes of its own, on loopback, ended by their ids."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def run_loadstone(*arguments: str | Path, cwd: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "dispatch.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False)


def run_json(*arguments: str | Path, cwd: Path | None = None, timeout: float = 300, status: int = 0) -> Any:
    """The JSON document of a command that ends with `status`."""
    done = run_loadstone(*arguments, "--json", cwd=cwd, timeout=timeout)
    assert done.returncode == status, f"{arguments}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return json.loads(done.stdout)


class Site:
    """`loadstone run` (or shadow) over a data folder; `start` may be called again after the process has ended."""

    def __init__(self, data: Path, *arguments: str, command: str = "run") -> None:
        self.data, self.port = data, free_port()
        self.arguments = [command, "--data", str(data), "--listen", f"127.0.0.1:{self.port}", *arguments]
        self.log = data.parent / f"{data.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10.0, trust_env=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dispatch.cli", *self.arguments], env=ENVIRONMENT, stdout=log, stderr=log
            )

    def get(self, path: str) -> Any:
        reply = self.http.get(f"/api/v1/{path}")
        reply.raise_for_status()
        return reply.json()

    def wait(self, what: str, test: Any, seconds: float = 90.0) -> Any:
        """What `test` returns once that is true; the site may still be starting. Fails after `seconds`, or when the site ends."""
        last: Any = None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if last := test():
                    return last
            except (httpx.HTTPError, KeyError) as error:
                last = error
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise AssertionError(f"{what} did not happen in {seconds:.0f} s; last: {last!r}\n{self.tail()}")

    def ended(self, seconds: float) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-4000:] if self.log.exists() else ""

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)
        self.http.close()

    def processes(self) -> dict[str, int]:
        """The site's processes by role, from its supervisor down."""
        assert self.process is not None
        found = {"supervisor": self.process.pid}
        waiting = [self.process.pid]
        while waiting:
            for child in child_pids(waiting.pop()):
                found[role_of(child)] = child
                waiting.append(child)
        return found


def child_pids(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def role_of(pid: int) -> str:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "gone"
    if "dispatch.service.daemon" in arguments:
        return arguments[arguments.index("dispatch.service.daemon") + 1]
    if any("resource_tracker" in w for w in arguments):
        return "tracker"
    return "planner" if any("spawn_main" in w for w in arguments) else "other"


@contextmanager
def running_site(data: Path, *arguments: str, command: str = "run") -> Iterator[Site]:
    site = Site(data, *arguments, command=command)
    site.start()
    try:
        yield site
    finally:
        site.stop()
