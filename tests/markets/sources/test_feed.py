"""The killable child, with a market module written for the test; and frames by their properties."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from markets import NotPublished, Refused, Unreachable
from markets.grid import Market, OperatingDay
from markets.quarantine.plausible import price_cap
from markets.sources.feed import Feed
from markets.sources.frame import FrameRow, ImplausiblePrice, Shape, accept

MODULE = """
import os, time
class NoDataFoundException(Exception): pass
def echo(**args): return [sorted(args.items())]
def slow(s): time.sleep(s); return [s]
def chatty(): print("Error: said aloud"); os.write(1, b"on standard output"); return [1]
def die(): os._exit(3)
def missing(): raise NoDataFoundException("none")
def network(): raise ConnectionResetError("reset")
def shape(): raise KeyError("SPP")
def nan(): return [[0, 900, "A", float("nan")]]
def environment(name): return [os.environ.get(name)]
def child(): return {f.__name__: f for f in (echo, slow, chatty, die, missing, network, shape, nan, environment)}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "pretend_market.py").write_text(MODULE)
    return tmp_path


@pytest_asyncio.fixture
async def feed(home: Path) -> AsyncIterator[Feed]:
    running = Feed("pretend_market", deadline_s=20.0, env={"PYTHONPATH": str(home), "HTTPS_PROXY": "http://127.0.0.1:9"})
    yield running
    await running.aclose()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_answers_in_turn(feed: Feed) -> None:
    answers = await asyncio.gather(*(feed.ask("echo", n=n) for n in range(20)))
    assert answers == [[[["n", n]]] for n in range(20)]
    assert await feed.ask("chatty") == [1]
    assert await feed.ask("environment", name="HTTPS_PROXY") == ["http://127.0.0.1:9"]


async def test_faults_come_back_typed(feed: Feed) -> None:
    for ask, kind in (("missing", NotPublished), ("network", Unreachable), ("shape", Refused), ("no such ask", Refused)):
        with pytest.raises(kind):
            await feed.ask(ask)
    assert await feed.ask("echo") == [[]]


async def test_a_late_answer_kills_the_child_and_the_next_request_starts_another(feed: Feed) -> None:
    assert await feed.ask("echo") == [[]]
    first = feed.pid
    assert first is not None
    feed.deadline_s = 0.3
    with pytest.raises(Unreachable, match="no answer within 0.3 s"):
        await feed.ask("slow", s=60)
    assert not alive(first)
    feed.deadline_s = 20.0
    assert await feed.ask("echo", again=1) == [[["again", 1]]]
    assert feed.pid != first


async def test_death_of_the_child(feed: Feed) -> None:
    with pytest.raises(Unreachable, match="ended without an answer"):
        await feed.ask("die")
    assert await feed.ask("echo") == [[]]
    assert feed.pid is not None
    os.kill(feed.pid, signal.SIGKILL)
    for _ in range(3):  # the first question may find the pipe already closed
        try:
            assert await feed.ask("echo") == [[]]
            break
        except Unreachable:
            continue
    else:
        pytest.fail("the feed did not come back")


async def test_a_cancelled_request_leaves_no_answer_behind(feed: Feed) -> None:
    await feed.ask("echo")
    task = asyncio.create_task(feed.ask("slow", s=0.2))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await feed.ask("echo", after=1) == [[["after", 1]]]


async def test_a_module_that_does_not_start(home: Path) -> None:
    feed = Feed("no_such_market", env={"PYTHONPATH": str(home)})
    with pytest.raises(Unreachable, match="no_such_market"):
        await feed.ask("echo")
    assert feed.pid is None


async def test_the_child_dies_with_its_parent(home: Path) -> None:
    """Also while it hangs in a question that nobody will ever take back."""
    script = textwrap.dedent("""
        import asyncio, os
        from markets.sources.feed import Feed
        async def main():
            feed = Feed("pretend_market")
            await feed.ask("echo")
            asyncio.ensure_future(feed.ask("slow", s=600))
            await asyncio.sleep(0.2)
            print(feed.pid, flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """)
    env = {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{Path(__file__).parents[3]}"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    for _ in range(200):
        if not alive(child):
            break
        await asyncio.sleep(0.05)
    assert not alive(child)


def test_nan_is_refused_after_crossing_the_pipe(home: Path) -> None:
    async def asked() -> list[object]:
        feed = Feed("pretend_market", env={"PYTHONPATH": str(home)})
        try:
            return await feed.ask("nan")
        finally:
            await feed.aclose()

    with pytest.raises(Refused, match="not a number"):
        accept(asyncio.run(asked()), Shape(frozenset("A"), 900, -500.0))


DAYS = st.sampled_from([date(2026, 3, 8), date(2026, 7, 1), date(2026, 11, 1)])
POINTS = frozenset({"A", "B"})


def frame(day: date) -> tuple[list[list[object]], Shape]:
    grid = OperatingDay(Market.ERCOT, day).grid()
    rows: list[list[object]] = [[int(s), int(s) + 900, point, -251.0] for s in grid.edges[:-1] for point in ("A", "B")]
    return rows, Shape(POINTS, 900, -500.0, grid=grid)


@given(DAYS)
def test_a_complete_day_is_accepted(day: date) -> None:
    rows, shape = frame(day)
    assert accept(rows, shape) == [FrameRow(*row) for row in rows]  # type: ignore[arg-type]


@given(DAYS, st.data())
def test_one_bad_value_refuses_the_day(day: date, data: st.DataObject) -> None:
    rows, shape = frame(day)
    at = data.draw(st.integers(0, len(rows) - 1))
    bad = data.draw(
        st.one_of(
            st.sampled_from([float("nan"), float("inf"), float("-inf"), None, "", "n/a"]),
            st.floats(min_value=7_500.01, allow_infinity=False),
            st.floats(max_value=-500.01, allow_infinity=False),
        )
    )
    rows[at][3] = bad
    with pytest.raises(Refused):
        accept(rows, shape)


@given(DAYS, st.data())
def test_one_row_more_or_less_or_elsewhere_refuses_the_day(day: date, data: st.DataObject) -> None:
    rows, shape = frame(day)
    at = data.draw(st.integers(2, len(rows) - 1))
    what = data.draw(st.sampled_from(["drop", "twice", "swap", "long", "shift", "drop interval"]))
    if what == "drop":
        del rows[at]
    elif what == "twice":
        rows.insert(at, rows[at])
    elif what == "swap":
        rows[at], rows[at - 2] = rows[at - 2], rows[at]
    elif what == "long":
        rows[at][1] = int(str(rows[at][1])) + 1
    elif what == "shift":
        rows[at][0], rows[at][1] = int(str(rows[at][0])) + 60, int(str(rows[at][1])) + 60
    else:
        del rows[at // 2 * 2 : at // 2 * 2 + 2]
    with pytest.raises(Refused):
        accept(rows, shape)


def test_implausible_rows_are_named_and_a_second_source_confirms_them() -> None:
    start = int(datetime(2026, 8, 20, tzinfo=UTC).timestamp())
    shape = Shape(frozenset("A"), 900, -500.0)
    with pytest.raises(ImplausiblePrice) as fault:
        accept([[start, start + 900, "A", 8_000.0]], shape)
    assert fault.value.rows == (FrameRow(start, start + 900, "A", 8_000.0),)
    assert len(accept([[start, start + 900, "A", 8_000.0]], shape, {(start, "A"): 8_000.0})) == 1
    with pytest.raises(ImplausiblePrice):
        accept([[start, start + 900, "A", 8_000.0]], shape, {(start, "A"): 8_001.0})


def test_caps_follow_the_date() -> None:
    """Uri's 9,310 at HB_WEST and 10,530 at LZ_CPS were real; so was 5,500 in July 2022."""
    uri, july = datetime(2021, 2, 16, tzinfo=UTC), datetime(2022, 7, 13, tzinfo=UTC)
    assert price_cap(Market.ERCOT, int(uri.timestamp())) == 13_500.0
    assert price_cap(Market.ERCOT, int(july.timestamp())) == 7_500.0
    assert price_cap(Market.MISO, int(uri.timestamp())) == 5_250.0
    assert price_cap(Market.MISO, int((july + timedelta(days=1300)).timestamp())) == 15_000.0
