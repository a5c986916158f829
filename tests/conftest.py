"""What every test shares: which long rounds run, in which order, and which tests wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import coverage
import pytest
import structlog
from hypothesis import settings

# Tests that start whole sites or a browser: one at a time, as each wants most of a core at its own pace.
RUNNING_SITES = ("tests/e2e/", "tests/browser/", "tests/docs/test_readme.py", "tests/dispatch/service/test_demo.py")
# Tests that listen on loopback addresses written into their module: one at a time within a module, modules beside each other.
FIXED_ADDRESSES = ("tests/dispatch/rigs/", "tests/dispatch/sim/", "tests/dispatch/meters/", "tests/dispatch/alerting/")

# No test depends on the speed of the machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow",
        choices=("none", "sample", "all"),
        default="sample",
        help="long rounds: none, the sample marked slow(sample=True), or all but those whose longer round is run (slow(sample='only'))",
    )


@pytest.fixture(autouse=True)
def _logs_as_configured_by_default() -> Iterator[None]:
    """A command run inside a test binds the log to that test's own stream, which is closed after it."""
    yield
    structlog.reset_defaults()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """On a loaded machine a process of xdist's is killed before it has written, at its exit, what its tests reached."""
    if (measured := coverage.Coverage.current()) is not None:
        measured.save()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--slow")
    for item in items:
        if reason := left_out(item, wanted):
            item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=longest_first)


def left_out(item: pytest.Item, wanted: str) -> str:
    """Why a long round is not run, or nothing. The `sample` of its mark: True, run in both; 'only', in place of a longer one of --all."""
    mark = item.get_closest_marker("slow")
    if mark is None:
        return ""
    sample = mark.kwargs.get("sample", False)
    if wanted == "all":
        return "a longer round of the same test is run" if sample == "only" else ""
    return "" if wanted == "sample" and sample else "a long round: ./loadstone test --all"


def group_of(node_id: str) -> str:
    """The group of tests that never run at the same time, because they share addresses or start whole sites; empty for most tests."""
    file = node_id.partition("::")[0]
    if file.startswith(RUNNING_SITES):
        return "running-site"
    return file if file.startswith(FIXED_ADDRESSES) else ""


def longest_first(item: pytest.Item) -> tuple[bool, float]:
    """Sites run at their own pace and begin at once; then by what a test may take, so that no long one is left for the end."""
    mark = item.get_closest_marker("timeout")
    return group_of(item.nodeid) != "running-site", -float(mark.args[0] if mark else 0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadscope`: one test at a time to each process, but the tests of a group to one process."""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid) or nodeid

    return GroupScheduling(config, log) if config.getvalue("dist") == "loadscope" else None
