"""What every test shares: which of the long rounds run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow",
        choices=("none", "sample", "all"),
        default="sample",
        help="long rounds: none, the sample marked slow(sample=True), or all",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--slow")
    for item in items:
        mark = item.get_closest_marker("slow")
        if mark is None or wanted == "all" or (wanted == "sample" and mark.kwargs.get("sample")):
            continue
        item.add_marker(pytest.mark.skip(reason="a long round: ./loadstone test --all"))
