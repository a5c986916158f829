"""The one door for calls and awards: HTTP, command line and watched folder all put documents into the inbox through `accept`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from dispatch.signals.award_prices import published_prices
from dispatch.signals.book_checks import asks_for_nothing, call_faults
from dispatch.signals.documents import (
    AwardDocument,
    CallDocument,
    DocumentFault,
    InvalidDocument,
    SignalDocument,
    joined_path,
    parse_award,
    parse_call,
    parse_document,
    stored_document,
)
from dispatch.signals.envelopes import outside_envelope
from dispatch.site_file.setup import Setup
from dispatch.store.inbox import Inbox, RefusedCalls
from markets.facts import Award
from markets.grid import format_instant
from optimizer.domain.reserve_awards import differs

Kind = Literal["call", "award"]
Placed = tuple[str, Any]


class Received(NamedTuple):
    """A document in the inbox: its row, whether that is new, and what its sender should know (empty: nothing)."""

    row: int
    new: bool
    note: str


def accept(
    kind: Kind,
    documents: Sequence[Placed],
    setup: Setup,
    inbox: Inbox,
    at: datetime,
    key_name: str,
    idempotency_keys: Sequence[str | None],
) -> list[Received]:
    """Check documents, each with its place ("row 2", "" for a single one), against the book, one another, published prices and what came
    in before, and put all of them into the inbox, or none.

    Raises InvalidDocument with every fault of every document, IdempotencyConflict, LedgerUnavailable.
    """
    stored = _checked_calls(documents, setup, at) if kind == "call" else _checked_awards(documents, setup, inbox, at)
    if kind == "call":
        _check_envelope(documents, stored, setup, inbox, at, key_name)
    try:
        contracts = frozenset(o.name for o in setup.book)
        rows = inbox.put_all(kind, [stored_document(document) for document in stored], key_name, idempotency_keys, contracts)
    except RefusedCalls as refused:
        places = {n: documents[n][0] for n in refused.conflicts}
        raise InvalidDocument(DocumentFault(_path(places[n], c.key), c.text) for n, c in refused.conflicts.items()) from None
    return [Received(row, new, _note(document, setup, at)) for document, (row, new) in zip(stored, rows, strict=True)]


def _check_envelope(
    documents: Sequence[Placed], stored: Sequence[SignalDocument], setup: Setup, inbox: Inbox, at: datetime, key_name: str
) -> None:
    """Raises InvalidDocument where a call is outside what its sender is authorized to ask for."""
    calls = [parse_call(document, setup.book, at) for document in stored]
    outside = outside_envelope(calls, setup, inbox, key_name)
    faults = [DocumentFault(_path(place, key), text) for (place, _), found in zip(documents, outside, strict=True) for key, text in found]
    if faults:
        raise InvalidDocument(faults)


def _note(document: SignalDocument, setup: Setup, at: datetime) -> str:
    """What the sender of an accepted document should know."""
    if not isinstance(document, CallDocument):
        return ""
    return asks_for_nothing(parse_call(document, setup.book, at), setup.site, setup.book)


def _checked_calls(documents: Sequence[Placed], setup: Setup, at: datetime) -> list[SignalDocument]:
    out: list[SignalDocument] = []
    found: list[DocumentFault] = []
    for place, document in documents:
        try:
            call = document if isinstance(document, CallDocument) else parse_document(CallDocument, document)
            asked = call_faults(parse_call(call, setup.book, at), setup.site, setup.book)
            found += [DocumentFault(_path(place, key), text) for key, text in asked]
            out.append(call)
        except InvalidDocument as faults:
            found += _placed(place, faults)
    if found:
        raise InvalidDocument(found)
    return out


def _checked_awards(documents: Sequence[Placed], setup: Setup, inbox: Inbox, at: datetime) -> list[SignalDocument]:
    out: list[SignalDocument] = []
    found: list[DocumentFault] = []
    parsed: list[tuple[str, Award]] = []
    for place, document in documents:
        try:
            given = document if isinstance(document, AwardDocument) else parse_document(AwardDocument, document)
            award = parse_award(given, setup.site, setup.book, at)
            found += _price_faults(place, award, setup, inbox) + _overlap_faults(place, award, parsed)
            out.append(given)
            parsed.append((place, award))
        except InvalidDocument as faults:
            found += _placed(place, faults)
    if found:
        raise InvalidDocument(found)
    return out


def _price_faults(place: str, award: Award, setup: Setup, inbox: Inbox) -> list[DocumentFault]:
    """A price that is not the one the market has published."""
    told = award.mcpc_usd_per_mw_h
    if told is None:
        return []
    published = published_prices(inbox.engine, setup.site, setup.book, award)
    wrong = next(((over, usd) for over, usd in published if differs(told, usd)), None)
    if wrong is None:
        return []
    over, usd = wrong
    what = f"{told:g} is not the published price of {award.product} in {award.market}"
    text = f"{what}, {usd:g} from {format_instant(over.start)} on; leave it out"
    return [DocumentFault(_path(place, "mcpc_usd_per_mw_h"), text)]


def _overlap_faults(place: str, award: Award, earlier: Sequence[tuple[str, Award]]) -> list[DocumentFault]:
    """Another award of the same sale in the same file, for the same time and of other megawatts or another price: which holds?"""
    for other_place, other in earlier:
        same_sale = (award.obligation, award.product, award.market) == (other.obligation, other.product, other.market)
        figures, other_figures = ((a.mw, a.mcpc_usd_per_mw_h) for a in (award, other))
        if same_sale and award.over.overlaps(other.over) and figures != other_figures:
            return [DocumentFault(_path(place, "interval_start"), f"overlaps {other_place} of the same file, which has other figures")]
    return []


def _placed(place: str, faults: InvalidDocument) -> list[DocumentFault]:
    return [DocumentFault(_path(place, fault.path), fault.text) for fault in faults.faults]


def _path(place: str, key: str) -> str:
    return joined_path(place, key)
