"""A site that ran for two hours under one call, served once for the module; a folder of its own where a test pushes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatch.site_file.setup import Setup
from tests.dispatch.web.served import key, run_site, served
from tests.fakes import NOON
from tests.sites import small

CALL = {
    "id": "call-1",
    "obligation": "plant",
    "kind": "deploy",
    "mw_cap": 0.1,
    "start_at": (NOON + timedelta(minutes=30)).isoformat(),
    "end_at": (NOON + timedelta(minutes=50)).isoformat(),
    "source": "the operator",
}


@dataclass(frozen=True, slots=True)
class Here:
    """A served site: `http` asks it without a key, `keyed` with one of scope dispatch."""

    data: Path
    setup: Setup
    at: datetime
    address: str
    http: httpx.Client
    keys: dict[str, str]

    def keyed(self, name: str = "dispatch") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}


@pytest.fixture(scope="package")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    data, setup = tmp_path_factory.mktemp("site"), small()
    end = run_site(data, setup, 2.0, pushed=[("call", CALL), ("hold", {"group": "a-old", "mode": "sleep"})])
    keys = {scope: key(data, f"of-{scope}", scope) for scope in ("read", "whatif", "dispatch", "admin")}
    with served(data, setup, end) as address, httpx.Client(base_url=address, timeout=60) as http:
        yield Here(data, setup, end, address, http, keys)


@pytest.fixture
def get(here: Here) -> Any:
    """GET a path of the API: its JSON, the status checked."""

    def ask(path: str, **query: Any) -> Any:
        answer = here.http.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask
