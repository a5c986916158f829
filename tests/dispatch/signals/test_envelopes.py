"""Envelopes: a call outside what its sender may ask for is refused whole, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dispatch.signals.acceptance import accept
from dispatch.signals.documents import InvalidDocument
from dispatch.site_file.load import setup_from_document
from dispatch.store.inbox import Inbox
from dispatch.store.tables import open_ledger
from tests.fakes import NOON
from tests.sites import document

CALL = {"id": "c1", "obligation": "plant", "kind": "deploy", "mw_cap": 0.1, "end_at": "2026-08-20T18:00:00Z"}


def sent(data: Path, key: str, *calls: dict[str, Any], **envelope: Any) -> list[bool]:
    """Whether each call of one file was new; the sender has this envelope."""
    setup = setup_from_document(document(envelopes=[{"key": "desk", **envelope}]))
    inbox = Inbox(open_ledger(data))
    return [r.new for r in accept("call", [(str(n), c) for n, c in enumerate(calls)], setup, inbox, NOON, key, [None] * len(calls))]


@pytest.mark.parametrize(
    ("change", "envelope", "why"),
    [
        ({}, {"obligations": ["power"]}, "'plant' is not in its envelope"),
        ({}, {"kinds": ["test"]}, "deploy is not in its envelope"),
        ({}, {"least_mw": 0.15}, "0.1 MW is below the 0.15 MW"),
        ({}, {"most_delta_mw": 0.1}, "may be a reduction of 0.160 MW"),
        ({"mw_cap": None, "mw_delta": 0.2}, {"most_delta_mw": 0.1}, "0.2 MW less is beyond the 0.1 MW"),
        ({"mw_cap": None, "mw_delta": 0.05}, {"least_mw": 0.1}, "how low it leads is not known"),
        ({"end_at": None}, {"longest_h": 4.0}, "lasts until its recall"),
        ({"start_at": "2026-08-20T10:00:00Z"}, {"longest_h": 4.0}, "lasts 8 h"),
    ],
)
def test_a_call_outside_the_envelope_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, Any], envelope: dict[str, Any], why: str
) -> None:
    call = {**CALL, **change}
    with pytest.raises(InvalidDocument, match=why):
        sent(tmp_path, "desk", {**CALL, "id": "other"}, call, **envelope)
    assert Inbox(open_ledger(tmp_path)).newest() == 0
    assert sent(tmp_path, "somebody else", call, **envelope) == [True]


def test_calls_a_day_are_counted_without_their_changes_and_ends_are_always_allowed(tmp_path: Path) -> None:
    changed, recall = {**CALL, "mw_cap": 0.12}, {"id": "c1", "obligation": "plant", "kind": "recall"}
    assert sent(tmp_path, "desk", CALL, changed, calls_per_day=1.0) == [True, True]
    with pytest.raises(InvalidDocument, match="is beyond the 1 calls a day"):
        sent(tmp_path, "desk", {**CALL, "id": "c2"}, calls_per_day=1.0)
    assert sent(tmp_path, "desk", recall, calls_per_day=1.0, kinds=["test"]) == [True]
