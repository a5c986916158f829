"""Fixtures of the live sources: one loopback web for a module, whose documents each test brings itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.markets.sources.tls import Web, serving


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder: Path = tmp_path_factory.mktemp("tls")
    with serving(lambda host, path: None, folder) as running:
        yield running
