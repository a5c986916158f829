"""The global stop is a file that anybody can make."""

from __future__ import annotations

from pathlib import Path

from dispatch.store.stop_file import SIZE, StopFile, StopOrder
from tests.dispatch.store.entries import AT


def test_a_stop_stands_until_it_is_ended(tmp_path: Path) -> None:
    stop = StopFile(tmp_path)
    assert stop.read() is None and not stop.in_force()
    stop.order(AT, "anna", "smoke in hall B")
    assert stop.order(AT, "ben").by == "anna"  # the first order stands
    assert stop.read() == StopOrder(AT, "anna", "smoke in hall B")
    stop.mark_read(AT)
    assert stop.read() == StopOrder(AT, "anna", "smoke in hall B", AT) and stop.path.stat().st_size == SIZE
    ended = stop.resume()
    assert ended is not None and ended.by == "anna" and stop.resume() is None


def test_a_file_that_cannot_be_read_is_a_stop(tmp_path: Path) -> None:
    for content in (b"", b"\xff\x00", b"[]", b'{"at": 1}'):
        (tmp_path / "stop").write_bytes(content)
        order = StopFile(tmp_path).read()
        assert order is not None and order.by == "unknown"
