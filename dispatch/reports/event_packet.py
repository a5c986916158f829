"""The event packet for people: the same document as HTML and as PDF. The same packet is the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from reportlab.platypus import Flowable, Paragraph

from dispatch.reports.pdf import SECTION, TEXT, TITLE, printed, table
from dispatch.reports.write import page

# Characters of a cell, which must fit on a page.
LONGEST = 600
Section = tuple[str, tuple[str, ...], list[list[str]]]


def event_as_html(packet: Mapping[str, Any]) -> str:
    """One self-contained page, made to be printed."""
    return page("event.html", heading=_heading(packet), lines=_lines(packet), sections=_sections(packet))


def event_as_pdf(packet: Mapping[str, Any]) -> bytes:
    """The packet on A4."""
    story: list[Flowable] = [Paragraph(escape(_heading(packet)), TITLE), *(Paragraph(escape(text), TEXT) for text in _lines(packet))]
    for title, head, rows in _sections(packet):
        widths = (2.2, *(1.5 for _ in head[1:-1]), 3.0)
        story += [Paragraph(title, SECTION), table(head, rows, widths, wrap=(len(head) - 1,))]
    return printed(story, f"Event {packet['id']}", _heading(packet))


def _heading(packet: Mapping[str, Any]) -> str:
    return f"Event {packet['id']} of {packet['obligation']}"


def _lines(packet: Mapping[str, Any]) -> list[str]:
    """What was asked for, how it was answered, and what binds the packet to the journal."""
    s, force, chain = packet["summary"], packet["in_force"], packet["journal"]
    lines = [f"Requested: {packet['requested']}" + (f", {force['start_at']} to {force['end_at'] or 'recall'}" if force else "")]
    lines += [s["missed"]] if s["missed"] else []
    if (seconds := s["first_command_after_s"]) is not None:
        lines.append(f"First command {seconds:g} s after the notice of {s['noticed_at']}.")
    if "cap_mw" in s:
        reached = f"reached at {s['reached_at']}" if s["reached_at"] else "not reached"
        lines.append(
            f"Limit {s['cap_mw']:g} MW {reached}; {s['readings_above_after_reaching']} of {s['readings']} readings above it later."
        )
        lines.append(f"Judged by: {s['judged_by']}.")
        lines += [f"Not believed: {doubt}" for doubt in s["meter_doubts"]]
    first, last = chain["first"], chain["last"]
    lines.append(f"Journal rows {first['seq']} ({first['hash']}) to {last['seq']} ({last['hash']}).")
    return lines


def _sections(packet: Mapping[str, Any]) -> list[Section]:
    """Signal, decisions, read-backs and load, as tables."""
    decisions = [
        [d["at"], str(d["seq"]), _text(f"{o['group']} to {o['mode']}" for o in d["orders"]) or "none", _text(d["reasons"])]
        for d in packet["decisions"]
    ]
    read_backs = [
        [r["at"], str(r["seq"]), _text(f"{x['order']}: {', '.join(x['rigs_by_outcome'])}" for x in r["results"])]
        for r in packet["read_backs"]
    ]
    load = [[p["at"], f"{p['load_mw']:.3f}", f"{p['rigs_mw']:.3f}", p["judged_by"]] for p in packet["load"]]
    return [
        ("Signal", ("At", "Journal row"), [[r["at"], str(r["seq"])] for r in packet["signal"]]),
        ("Decisions", ("At", "Journal row", "Orders", "Reasons"), decisions),
        ("Read-backs", ("At", "Journal row", "Outcomes"), read_backs),
        ("Load", ("At", "MW", "MW by rigs", "Evidence"), load),
    ]


def _text(parts: Iterable[str]) -> str:
    """Parts in one cell, cut where they are too long for one."""
    text = "; ".join(parts)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … (all of it is in the JSON packet)"
