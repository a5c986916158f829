"""The API against its own description: schemathesis asks what the document allows and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dispatch.web.auth import scope_needed
from dispatch.web.errors import MEANINGS
from tests.dispatch.web.conftest import Here

# A schema cannot say that an obligation is in the book or that an end comes after its start: 422 is a right answer to what it allows.
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422"]
"""
# A key may send 6,000 requests a minute; a client that means to stay within that waits.
WITHIN_THE_LIMIT = "90/s"
LEFT_OUT = ("/api/v1/stream",)  # it never ends; its own test reads it


@pytest.mark.parametrize("seed", [1])
def test_answers_match_the_openapi_document(here: Here, tmp_path: Path, seed: int) -> None:
    """Every check of schemathesis: statuses, media types, schemas, methods, wrong data, missing and wrong keys."""
    asked = run_schemathesis(here, tmp_path, seed, examples=15)
    assert asked.returncode == 0, asked.stdout[-6000:] + asked.stderr[-2000:]
    assert " passed" in asked.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_answers_match_the_openapi_document_in_a_long_run(here: Here, tmp_path: Path, seed: int) -> None:
    asked = run_schemathesis(here, tmp_path, seed, examples=100)
    assert asked.returncode == 0, asked.stdout[-6000:] + asked.stderr[-2000:]


def run_schemathesis(here: Here, folder: Path, seed: int, examples: int) -> Any:
    config = folder / "schemathesis.toml"
    config.write_text(SETTINGS)
    key = here.keys["admin"]
    asked = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "--config-file", str(config), "run"]
    asked += [
        f"{here.address}/openapi.json",
        "--max-examples",
        str(examples),
        "--seed",
        str(seed),
        "--rate-limit",
        WITHIN_THE_LIMIT,
        "--no-color",
        "--suppress-health-check=all",
    ]
    asked += [part for path in LEFT_OUT for part in ("--exclude-path", path)]
    asked += ["-H", f"X-API-Key: {key}", "-H", f"Authorization: Bearer {key}"]
    return subprocess.run(asked, cwd=folder, capture_output=True, text=True, timeout=280, check=False)


def test_every_error_status_is_documented_as_a_problem(here: Here) -> None:
    document = here.http.get("/openapi.json").json()
    named = {"state", "plan", "prices", "fleet", "calls", "awards", "holds", "what-if", "stream"}
    assert {f"/api/v1/{path}" for path in named} <= set(document["paths"])
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert int(status) in MEANINGS
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)
            needs_key = scope_needed(method.upper(), path) not in (None, "read", "whatif")
            assert ({} not in operation.get("security", [{}])) == needs_key, (path, method)


DESCRIBED = {
    "/api/v1/what-if": ("post", {"base", "case", "difference", "promises", "binding", "reasons"}),
    "/api/v1/what-if/sweep": ("post", {"axes", "base", "rows"}),
    "/api/v1/what-if/break-even": ("post", {"key", "groups", "value", "share_at_low", "share_at_high", "plans", "reasons"}),
    "/api/v1/offers": ("post", {"operating_day"}),
    "/api/v1/state": ("get", {"at", "price", "load_mw", "target_mw", "holds", "calls", "alerts", "health", "reasons"}),
    "/api/v1/promises": ("get", {"limits", "contracts", "settled_on", "settled"}),
    "/api/v1/peaks": ("get", {"live", "backtest", "backtest_note"}),
}


@pytest.mark.parametrize("path", DESCRIBED)
def test_a_client_made_from_the_document_knows_the_keys_of_what_is_answered(here: Here, path: str) -> None:
    document, (method, keys) = here.http.get("/openapi.json").json(), DESCRIBED[path]
    answer = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    described = document["components"]["schemas"][answer["$ref"].rpartition("/")[2]]
    assert keys <= set(described["required"]) <= set(described["properties"])


@pytest.mark.parametrize("body", ['{"\\ud800": 1}', '{"prices": "\\udfff"}', "[" * 50_000, '{"to": NaN}', "nul", "\xff"])
def test_malformed_bodies_are_answered_with_a_problem(here: Here, body: str) -> None:
    answer = here.http.post("/api/v1/what-if", content=body.encode("latin-1"), headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and answer.headers["content-type"] == "application/problem+json"
