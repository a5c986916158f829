"""`check` names the secrets that are missing or that anybody may read, and notifications that nothing here can send."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import check_site_file


def notes(folder: Path) -> str:
    path = folder / "site.toml"
    notify = '\n[reports]\nnotify = ["env:LOADSTONE_TEST_HOOK", "file:mail.secret"]\n'
    path.write_text(default_file(DEMO_SITE).read_text("utf-8") + notify, "utf-8")
    checked = check_site_file(path)
    assert checked.faults == ()
    return "\n".join(checked.summary["notes"])


def test_check_names_secrets_that_are_missing_or_that_anybody_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOADSTONE_TEST_HOOK", raising=False)
    found = notes(tmp_path)
    assert "LOADSTONE_TEST_HOOK is not set" in found and "no file mail.secret" in found
    monkeypatch.setenv("LOADSTONE_TEST_HOOK", "json://127.0.0.1")
    secret = tmp_path / "mail.secret"
    secret.write_text("mailto://user:password@127.0.0.1")
    secret.chmod(0o644)
    found = notes(tmp_path)
    assert "LOADSTONE_TEST_HOOK" not in found and "mail.secret can be read by every user" in found
    secret.chmod(0o600)
    assert "mail.secret" not in notes(tmp_path)
