"""The one rule for a call id that comes in again.

    the same content                        a repeat: nothing new
    other content, a version of its own     that version; refused when the version was used for other content
    other content without a version         the next version
    content from before a recall or cancel  a repeat: it does not bring the call back
    the same content without a start, days  the next version: the id is used again, for another event
      after its call was over
    a recall or cancel of an unknown id     refused

The content is what is asked of the site: who sends it, and when, does not make a repeat another instruction.

Loop, pages, list and event packet read versions from the inbox, so they agree.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Document = Mapping[str, Any]
ENDS = ("recall", "cancel")
ABOUT_THE_MESSAGE = ("version", "source", "authority", "notice_at")
USED_AGAIN_AFTER = timedelta(days=2)  # as long as the control loop remembers a call that is over


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A version of a call in the inbox; `row` is its inbox row, `at` when it arrived, by the wall."""

    row: int
    document: Document
    at: datetime

    @property
    def version(self) -> int:
        return int(self.document.get("version", 1))


class CallConflict(Exception):
    """A call that contradicts what came in under its id. `key` is the key of the document that is wrong."""

    def __init__(self, key: str, text: str) -> None:
        self.key, self.text = key, text
        super().__init__(f"{key}: {text}")


def same_call(one: Document, other: Document) -> bool:
    """Whether two documents ask for the same."""
    return _content(one) == _content(other)


def next_version(document: Document, known: Sequence[KnownCall], at: datetime, contracts: Container[str] | None = None) -> KnownCall | int:
    """The version in the inbox that a document repeats, else the version it is. `known` are the versions of its id, `at` the wall's time of
    its arrival; a call under none of `contracts` (all when None) may go on under another. Raises CallConflict."""
    id_ = document["id"]
    if not known:
        if document.get("kind") in ENDS:
            raise CallConflict("id", f"there is no call {id_!r} to {document['kind']}")
        return int(document.get("version", 1))
    under, now = known[-1].document.get("obligation"), document.get("obligation")
    if now != under and (contracts is None or under in contracts):
        raise CallConflict("obligation", f"call {id_!r} is under {under!r}; use another id for a call under {now!r}")
    newest = max(known, key=lambda k: k.version)
    if "version" in document:
        given = int(document["version"])
        earlier = [k for k in known if k.version == given]
        if earlier and not same_call(earlier[0].document, document):
            row, free = earlier[0].row, newest.version + 1
            raise CallConflict("version", f"version {given} of call {id_!r} has other content (inbox row {row}); send version {free}")
        return earlier[0] if earlier else given
    repeated = [k for k in known if same_call(k.document, document) and (k is newest or newest.document.get("kind") in ENDS)]
    return repeated[0] if repeated and not _used_again(document, newest, at) else newest.version + 1


def _used_again(document: Document, newest: KnownCall, at: datetime) -> bool:
    """Whether an instruction to begin at once comes days after the one before, which had an end: it is meant for now."""
    ended = newest.document.get("kind") in ENDS or "end_at" in newest.document
    return ended and "start_at" not in document and document.get("kind") not in ENDS and at - newest.at > USED_AGAIN_AFTER


def _content(document: Document) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ABOUT_THE_MESSAGE}
