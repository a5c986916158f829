"""API keys: shown once, kept as a digest, opened by nothing else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from dispatch.store.keys import ApiKeys
from dispatch.store.tables import reading


def test_a_key_is_valid_until_it_is_revoked(engine: Engine) -> None:
    keys = ApiKeys(engine)
    shown = keys.add("ops", ["dispatch", "read", "read"])
    key = keys.check(shown)
    assert key is not None and (key.name, key.scopes, key.revoked_at) == ("ops", {"read", "dispatch"}, None)
    assert [k.name for k in keys.list()] == ["ops"]
    assert keys.revoke("ops") and not keys.revoke("ops") and not keys.revoke("nobody")
    assert keys.check(shown) is None
    assert keys.list()[0].revoked_at is not None
    with pytest.raises(ValueError, match="ops"):
        keys.add("ops", ["read"])


def test_the_secret_is_long_and_is_not_kept(engine: Engine) -> None:
    shown = {ApiKeys(engine).add(f"k{n}", ["read"]).partition(".")[2] for n in range(20)}
    assert len(shown) == 20 and all(len(secret) == 43 for secret in shown)
    with reading(engine) as connection:
        kept = str(connection.execute(text("SELECT * FROM api_keys")).all())
    assert not any(secret in kept for secret in shown)


@pytest.mark.parametrize("name", ["", "Ops", "a.b", "a" * 64, "-a", "a b", "é"])
def test_invalid_key_names_are_refused(engine: Engine, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ApiKeys(engine).add(name, ["read"])


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "root"], [""]])
def test_unknown_scopes_are_refused(engine: Engine, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="scopes"):
        ApiKeys(engine).add("ops", scopes)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.text().map(lambda s: f"ops.{s}"))
def test_wrong_secrets_are_refused(engine: Engine, presented: str) -> None:
    keys = ApiKeys(engine)
    if not keys.list():
        keys.add("ops", ["admin"])
    assert keys.check(presented) is None
