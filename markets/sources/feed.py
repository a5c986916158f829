"""Feed: a market library in a child process that can be killed at a deadline (gridstatus knows no timeout and rewrites TLS settings).

One JSON object a line each way. The child is `python -P -c ...main() MODULE`; the module's `child()` gives its requests by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

from markets import NotPublished, Refused, SourceError, Unreachable

Ask = Callable[..., list[Any]]
_KINDS: dict[str, type[SourceError]] = {"not_published": NotPublished, "unreachable": Unreachable, "refused": Refused}
_LINE_LIMIT = 64 * 1024 * 1024
_START = "from markets.sources.feed import main; main()"


class Feed:
    """The parent's end: one request at a time, each with a deadline. The child starts with the first request, and again after it was
    killed.

    module      the market module whose `child()` runs inside, for example "markets.sources.ercot_child"
    deadline_s  wall seconds that a request may take; `start_s` the same for the start of the child (importing gridstatus)
    env         variables added to the child's environment, which is otherwise that of the parent (proxies, CA files)
    """

    def __init__(self, module: str, deadline_s: float = 30.0, start_s: float = 60.0, env: Mapping[str, str] | None = None) -> None:
        self.module, self.deadline_s, self.start_s = module, deadline_s, start_s
        self._env = dict(env or {})
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._asked = 0
        self._listener: asyncio.Task[None] | None = None
        self._last_error_line = ""

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def ask(self, name: str, /, **args: Any) -> list[Any]:
        """The child's answer as plain lists. Raises NotPublished, Unreachable (also at the deadline) or Refused."""
        async with self._turn:
            try:
                if self.pid is None:
                    await asyncio.wait_for(self._start(), self.start_s)
                return await asyncio.wait_for(self._exchange(name, args), self.deadline_s)
            except TimeoutError:
                await self._kill()
                raise Unreachable(f"{self.module} {name}: no answer within {self.deadline_s:g} s, child killed") from None
            except BaseException as fault:
                # A cancelled request leaves an answer on the way that nobody waits for; a dead child leaves nothing.
                if not isinstance(fault, SourceError) or self.pid is None:
                    await self._kill()
                raise

    async def aclose(self) -> None:
        """Ends the child. The feed can be asked again afterwards."""
        await self._kill()

    async def _start(self) -> None:
        env = {**os.environ, **self._env, "PYTHONUNBUFFERED": "1"}
        home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [home, env.get("PYTHONPATH", "")]))
        pipe = asyncio.subprocess.PIPE
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", _START, self.module, stdin=pipe, stdout=pipe, stderr=pipe, env=env, limit=_LINE_LIMIT
        )
        self._listener = asyncio.create_task(self._listen(self._child))
        await self._line("start")

    async def _exchange(self, name: str, args: Mapping[str, Any]) -> list[Any]:
        assert self._child is not None and self._child.stdin is not None
        self._asked += 1
        try:
            self._child.stdin.write(json.dumps({"id": self._asked, "ask": name, "args": args}).encode() + b"\n")
            await self._child.stdin.drain()
        except ConnectionError:
            raise Unreachable(f"{self.module} {name}: the feed child has ended") from None
        answer = await self._line(name)
        if answer.get("id") != self._asked:
            raise Unreachable(f"{self.module} {name}: the feed child answered another request")
        if "error" in answer:
            raise _KINDS.get(answer["error"], Unreachable)(f"{self.module} {name}: {answer['text']}")
        return list(answer["rows"])

    async def _line(self, name: str) -> dict[str, Any]:
        assert self._child is not None and self._child.stdout is not None
        try:
            answer = json.loads(await self._child.stdout.readline())
        except ValueError:
            await self._kill()
            raise Unreachable(f"{self.module} {name}: the feed child ended without an answer{self._last_error_line}") from None
        if not isinstance(answer, dict):
            raise Unreachable(f"{self.module} {name}: the feed child sent something other than the feed's protocol")
        return answer

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        """Keeps the child's stderr from filling up, and its last line for the error message."""
        assert child.stderr is not None
        while words := await child.stderr.read(65536):
            text = words.decode(errors="replace").strip()
            self._last_error_line = f" ({text.splitlines()[-1][-200:]})" if text else self._last_error_line

    async def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        await child.wait()
        if self._listener is not None:
            await asyncio.gather(self._listener, return_exceptions=True)
        if child.stdin is not None:
            child.stdin.close()


def rows_of(frame: Any, value: str, point: str | None = None, points: Sequence[str] = (), name: str = "") -> list[list[Any]]:
    """Rows [start_s, end_s, point, value] of a gridstatus frame, those of `points` when given; `name` is the point of every row when there
    is no point column."""
    if point is not None and points:
        frame = frame[frame[point].isin(list(points))]
    labels = frame[point].astype(str) if point is not None else [name] * len(frame)
    spans = zip(frame["Interval Start"], frame["Interval End"], labels, frame[value], strict=True)
    return [[int(start.timestamp()), int(end.timestamp()), label, float(number)] for start, end, label, number in spans]


def classify(fault: BaseException) -> tuple[str, str]:
    """Which SourceError an exception out of gridstatus stands for, and its text."""
    names = {kind.__name__ for kind in type(fault).__mro__}
    status = getattr(fault, "code", None) or getattr(getattr(fault, "response", None), "status_code", None)
    text = " ".join(str(fault).split())[:300]
    if "NoDataFoundException" in names or status == 404:
        return "not_published", text or "not published"
    # Anything but the requested document: no connection, an error page, half a file.
    broken = {
        "RequestException",
        "OSError",
        "HTTPException",
        "BadZipFile",
        "JSONDecodeError",
        "ParserError",
        "UnicodeDecodeError",
        "EmptyDataError",
    }
    kind = "unreachable" if names & broken else "refused"
    return kind, f"{type(fault).__name__}: {text}"


def answer(asks: Mapping[str, Ask], line: str) -> dict[str, Any]:
    """What the child answers to one line."""
    question = json.loads(line)
    try:
        rows = asks[question["ask"]](**question["args"])
        return {"id": question["id"], "rows": rows}
    except Exception as fault:  # any exception of gridstatus becomes a typed answer
        kind, text = classify(fault)
        return {"id": question["id"], "error": kind, "text": text}


def main(module: str | None = None) -> None:
    """The child's end. Standard output belongs to the protocol: what libraries print goes to standard error."""
    _die_with_parent()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, lines), daemon=True).start()
    asks: Mapping[str, Ask] = importlib.import_module(module or sys.argv[1]).child()
    print(json.dumps({"ready": True}), file=out, flush=True)
    while True:  # ends with the parent: _read sees its end of the pipe close
        print(json.dumps(answer(asks, lines.get())), file=out, flush=True)


def _read(lines_in: Iterable[str], lines: SimpleQueue[str]) -> None:
    for line in lines_in:
        lines.put(line)
    os._exit(0)


def _die_with_parent() -> None:
    # A fork of the parent may hold our pipe open after the parent's death; Linux can tell us anyway (PR_SET_PDEATHSIG = 1).
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
