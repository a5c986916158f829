"""A call id that comes in again: a repeat, the next version, or a refusal that says why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatch.store.call_versions import CallConflict, KnownCall, next_version
from dispatch.store.inbox import Inbox, RefusedCalls
from dispatch.store.tables import open_ledger
from tests.fakes import NOON

DEPLOY: dict[str, Any] = {"id": "c1", "obligation": "ers", "kind": "deploy", "mw_cap": 4.0}


def known(*documents: dict[str, Any]) -> list[KnownCall]:
    return [KnownCall(n, document, NOON) for n, document in enumerate(documents, start=1)]


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
    assert next_version(document, known(*earlier), NOON) == version


def test_the_same_content_is_a_repeat_and_does_not_bring_a_cancelled_call_back() -> None:
    cancel = {"id": "c1", "obligation": "ers", "kind": "cancel", "version": 2}
    for earlier in ([DEPLOY], [DEPLOY, cancel]):
        for document in (DEPLOY, {**DEPLOY, "version": 1}, {**DEPLOY, "source": "the desk", "authority": "by telephone"}):
            repeated = next_version(document, known(*earlier), NOON)
            assert isinstance(repeated, KnownCall) and repeated.row == 1


def test_an_id_used_again_weeks_after_its_call_was_over_is_a_new_instruction() -> None:
    cancel = {"id": "c1", "obligation": "ers", "kind": "cancel", "version": 2}
    dated = {**DEPLOY, "start_at": "2026-08-20T17:00:00Z", "end_at": "2026-08-20T18:00:00Z"}
    later = NOON + timedelta(days=21)
    assert next_version(DEPLOY, known(DEPLOY, cancel), later) == 3
    assert isinstance(next_version(DEPLOY, known(DEPLOY), later), KnownCall)  # until recall, and nobody recalled it
    assert isinstance(next_version(dated, known(dated, cancel), later), KnownCall)


def test_a_call_goes_on_under_the_new_name_of_its_contract() -> None:
    recall = {"id": "c1", "obligation": "ers-2", "kind": "recall"}
    assert next_version(recall, known(DEPLOY), NOON, {"ers-2"}) == 2
    with pytest.raises(CallConflict):
        next_version(recall, known(DEPLOY), NOON, {"ers", "ers-2"})


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
        next_version(document, known(*earlier), NOON)
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
