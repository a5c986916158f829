"""A call id that comes in again: a repeat, the next version, or a refusal that says why."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.store.call_versions import CallConflict, KnownCall, next_version
from dispatch.store.inbox import Inbox, RefusedCalls
from dispatch.store.tables import open_ledger

DEPLOY: dict[str, Any] = {"id": "c1", "obligation": "ers", "kind": "deploy", "mw_cap": 4.0}


def known(*documents: dict[str, Any]) -> list[KnownCall]:
    return [KnownCall(n, document) for n, document in enumerate(documents, start=1)]


@pytest.mark.parametrize(
    ("document", "earlier", "version"),
    [
        (DEPLOY, [], 1),
        ({**DEPLOY, "version": 7}, [], 7),
        ({**DEPLOY, "mw_cap": 2.0}, [DEPLOY], 2),
        ({**DEPLOY, "mw_cap": 2.0}, [DEPLOY, {**DEPLOY, "version": 5, "mw_cap": 1.0}], 6),
        (DEPLOY, [DEPLOY, {**DEPLOY, "version": 2, "mw_cap": 1.0}], 3),
        ({**DEPLOY, "version": 1, "mw_cap": 9.0}, [{**DEPLOY, "version": 2}], 1),
        ({"id": "c1", "obligation": "ers", "kind": "recall"}, [DEPLOY], 2),
    ],
)
def test_other_content_is_the_next_version_or_its_own(document: dict[str, Any], earlier: list[dict[str, Any]], version: int) -> None:
    assert next_version(document, known(*earlier)) == version


def test_the_same_content_is_a_repeat_and_does_not_bring_a_cancelled_call_back() -> None:
    cancel = {"id": "c1", "obligation": "ers", "kind": "cancel", "version": 2}
    for earlier in ([DEPLOY], [DEPLOY, cancel]):
        for document in (DEPLOY, {**DEPLOY, "version": 1}):
            repeated = next_version(document, known(*earlier))
            assert isinstance(repeated, KnownCall) and repeated.row == 1


@pytest.mark.parametrize(
    ("document", "earlier", "key"),
    [
        ({**DEPLOY, "version": 1, "mw_cap": 2.0}, [DEPLOY], "version"),
        ({**DEPLOY, "obligation": "ancillary"}, [DEPLOY], "obligation"),
        ({"id": "c1", "obligation": "ers", "kind": "cancel"}, [], "id"),
    ],
)
def test_a_contradiction_is_refused(document: dict[str, Any], earlier: list[dict[str, Any]], key: str) -> None:
    with pytest.raises(CallConflict) as refused:
        next_version(document, known(*earlier))
    assert refused.value.key == key


def test_the_inbox_numbers_versions_and_stores_all_documents_or_none(tmp_path: Any) -> None:
    inbox = Inbox(open_ledger(tmp_path))
    first, new = inbox.put("call", DEPLOY, "qse")
    assert new and inbox.put("call", DEPLOY, "cli") == (first, False)
    inbox.put("call", {**DEPLOY, "mw_cap": 1.0}, "cli")
    assert [row.document.get("version", 1) for row in inbox.after(0)] == [1, 2]
    with pytest.raises(RefusedCalls) as refused:
        inbox.put_all("call", [{**DEPLOY, "id": "c2"}, {**DEPLOY, "version": 1, "mw_cap": 3.0}], "cli", [None, None])
    assert list(refused.value.conflicts) == [1] and len(inbox.after(0)) == 2
