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
    lines += _verdict_lines(packet["verdict"]) if packet["verdict"] else []
    for name, reasons in (packet["before"] or {}).get("already_off", {}).items():
        lines.append(f"Already off when the call came, group {name}: {_text(reasons) or 'no decision gave a reason'}.")
    first, last = chain["first"], chain["last"]
    lines.append(f"Journal rows {first['seq']} ({first['hash']}) to {last['seq']} ({last['hash']}).")
    return lines


def _verdict_lines(verdict: Mapping[str, Any]) -> list[str]:
    """The programme's verdict, its formula and its rule."""
    said = {True: "passed", False: "FAILED", None: f"not judged: {verdict['reason']}"}[verdict["passed"]]
    lines = [f"Verdict of the programme ({verdict['contract']}): {said}."]
    if verdict["figure"] is not None:
        most = f", at most {100.0 * verdict['most']:g} %" if verdict["most"] is not None else ""
        lines.append(f"{100.0 * verdict['figure']:.2f} %, where at least {100.0 * verdict['least']:g} %{most} is asked for.")
    lines.append(f"Formula: {verdict['formula']}." + (f" {verdict['rule']}." if verdict["rule"] else ""))
    for row in verdict["outside_limit"]:
        lines.append(f"Outside the limit by {row['mw']:g} MW from {row['start']} to {row['end']}: {row['why']}")
    return lines


def _verdict_rows(packet: Mapping[str, Any]) -> list[list[str]]:
    def number(value: float | None, text: str) -> str:
        return "" if value is None else format(value, text)

    rows = packet["verdict"]["intervals"] if packet["verdict"] else []
    return [
        [
            row["start"],
            number(row["baseline_mw"], ".3f"),
            number(row["most_mw"], ".3f"),
            number(row["load_mw"], ".3f"),
            row["left_out"] or f"{number(row['performance'], '.4f')} (share {row['share_due']:g})",
        ]
        for row in rows
    ]


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
        ("Verdict", ("Interval from", "Baseline MW", "May stay MW", "Load MW", "Performance"), _verdict_rows(packet)),
        ("Signal", ("At", "Journal row"), [[r["at"], str(r["seq"])] for r in packet["signal"]]),
        ("Decisions", ("At", "Journal row", "Orders", "Reasons"), decisions),
        ("Read-backs", ("At", "Journal row", "Outcomes"), read_backs),
        ("Load", ("At", "MW", "MW by rigs", "Evidence"), load),
    ]


def _text(parts: Iterable[str]) -> str:
    """Parts in one cell, cut where they are too long for one."""
    text = "; ".join(parts)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … (all of it is in the JSON packet)"
