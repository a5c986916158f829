"""What each sender of calls is authorized to ask for: how far, how long, how often, and under which contracts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from dispatch.clock import wall_now
from dispatch.signals.book_checks import TOLERANCE_MW, Fault
from dispatch.site_file.envelope import Envelope
from dispatch.site_file.setup import Setup
from dispatch.store.inbox import Inbox
from markets.facts import Call
from optimizer.domain.calls import ENDS
from optimizer.domain.site import most_load_mw

A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)


def envelope_of(setup: Setup, key_name: str) -> Envelope | None:
    """The envelope of a sender; None where the site file has none, and nothing is limited."""
    tables = [table for table in setup.document.get("envelopes", ()) if table["key"] == key_name]
    return Envelope.model_validate({**tables[0], **_tuples(tables[0])}) if tables else None


def _tuples(table: dict[str, object]) -> dict[str, object]:
    return {key: tuple(value) for key, value in table.items() if isinstance(value, list)}


def outside_envelope(calls: Sequence[Call], setup: Setup, inbox: Inbox, key_name: str) -> list[list[Fault]]:
    """For each call, every way in which it is outside the envelope of its sender. Raises LedgerUnavailable."""
    envelope = envelope_of(setup, key_name)
    if envelope is None:
        return [[] for _ in calls]
    sent: set[str] = set()
    if envelope.calls_per_day is not None:
        sent = {str(document.get("id")) for document in inbox.calls_by(key_name, wall_now() - A_DAY)}
    found = []
    for call in calls:
        faults = [(key, f"{text} ({key_name})") for key, text in _faults(call, envelope, setup)]
        if call.kind not in ENDS:
            sent.add(call.id)
            if envelope.calls_per_day is not None and len(sent) > envelope.calls_per_day:
                faults.append(("id", f"is beyond the {envelope.calls_per_day:g} calls a day of its envelope ({key_name})"))
        found.append(faults)
    return found


def _faults(call: Call, envelope: Envelope, setup: Setup) -> Iterator[Fault]:
    if envelope.obligations and call.obligation not in envelope.obligations:
        yield "obligation", f"{call.obligation!r} is not in its envelope, which has {', '.join(envelope.obligations)}"
    if call.kind in ENDS:
        return
    if envelope.kinds and call.kind.value not in envelope.kinds:
        yield "kind", f"{call.kind.value} is not in its envelope, which has {', '.join(envelope.kinds)}"
    yield from _size_faults(call, envelope, setup)
    if envelope.longest_h is not None and (call.end_at is None or call.end_at - call.start_at > timedelta(hours=envelope.longest_h)):
        lasts = "until its recall" if call.end_at is None else f"{(call.end_at - call.start_at) / AN_HOUR:g} h"
        yield "end_at", f"lasts {lasts}: its envelope has at most {envelope.longest_h:g} h"


def _size_faults(call: Call, envelope: Envelope, setup: Setup) -> Iterator[Fault]:
    """By the load that is asked for, and by the reduction that this may be from the most that the contract's rigs draw."""
    contract = next((o for o in setup.book if o.name == call.obligation), None)
    most_mw = most_load_mw(setup.site, contract.scope.names(setup.site)) if contract else 0.0
    asked = (("mw_cap", call.mw_cap), ("mw_target", call.mw_target))
    for key, mw in ((key, mw) for key, mw in asked if mw is not None):
        if envelope.least_mw is not None and mw < envelope.least_mw - TOLERANCE_MW:
            yield key, f"{mw:g} MW is below the {envelope.least_mw:g} MW of its envelope"
        if envelope.most_delta_mw is not None and most_mw - mw > envelope.most_delta_mw + TOLERANCE_MW:
            yield key, f"{mw:g} MW may be a reduction of {most_mw - mw:.3f} MW: its envelope has at most {envelope.most_delta_mw:g} MW"
    if call.mw_delta is None:
        return
    if envelope.most_delta_mw is not None and abs(call.mw_delta) > envelope.most_delta_mw + TOLERANCE_MW:
        yield "mw_delta", f"{abs(call.mw_delta):g} MW less is beyond the {envelope.most_delta_mw:g} MW of its envelope"
    if envelope.least_mw:
        yield "mw_delta", f"how low it leads is not known: its envelope has at least {envelope.least_mw:g} MW; ask for mw_cap or mw_target"
