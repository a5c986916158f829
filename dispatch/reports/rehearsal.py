"""The report of a rehearsal for people: the same document as HTML and as PDF. The same document is the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from reportlab.platypus import Flowable, Paragraph

from dispatch.reports.pdf import FLAG, SECTION, TEXT, TITLE, printed, table
from dispatch.reports.write import page
from dispatch.store.durable import write_atomically

Section = tuple[str, tuple[str, ...], list[list[str]]]


def write_report(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `rehearsal.json`, `rehearsal.html` and `rehearsal.pdf`; the files. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "json": json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n",
        "html": rehearsal_as_html(document).encode(),
        "pdf": rehearsal_as_pdf(document),
    }
    files = [folder / f"rehearsal.{suffix}" for suffix in contents]
    for file, content in zip(files, contents.values(), strict=True):
        write_atomically(file, content)
    return files


def rehearsal_as_html(document: Mapping[str, Any]) -> str:
    """One self-contained page, made to be printed."""
    return page("event.html", heading=_heading(document), lines=_lines(document), sections=_sections(document))


def rehearsal_as_pdf(document: Mapping[str, Any]) -> bytes:
    """The report on A4."""
    first, *more = _lines(document)
    story: list[Flowable] = [Paragraph(escape(_heading(document)), TITLE), Paragraph(escape(first), TEXT if document["passed"] else FLAG)]
    story += [Paragraph(escape(text), TEXT) for text in more]
    for title, head, rows in _sections(document):
        widths = (2.6, *(1.3 for _ in head[1:-1]), 3.6)
        story += [Paragraph(title, SECTION), table(head, rows, widths, wrap=(0, len(head) - 1))]
    return printed(story, f"Rehearsal {document['site']}", _heading(document))


def _heading(document: Mapping[str, Any]) -> str:
    return f"Rehearsal of calls: {document['site']}"


def _lines(document: Mapping[str, Any]) -> list[str]:
    """The verdict, what was played against what, and what the site file was."""
    passed = document["played"] - document["failed"]
    lines = [f"{'Passed' if document['passed'] else 'FAILED'}: {passed} of {document['played']} scenarios passed."]
    lines.append(f"Against {document['rigs']} rigs ({document['against']}), by the rules of {document['rules_of']}.")
    if document["rigs_moved"] is not None:
        lines.append(f"Rigs that were moved: {document['rigs_moved']}; none may be.")
    return [*lines, f"Site file: SHA-256 {document['config_hash']}."]


def _sections(document: Mapping[str, Any]) -> list[Section]:
    """Protocols, terms of the contracts, and the scenarios."""
    scenarios = [
        [
            s["scenario"],
            s["protocol"],
            "pass" if s["passed"] else "FAIL",
            _number(s["due_after_s"], "s", 0),
            _number(s["reached_after_s"], "s", 0),
            _number(s["asked_mw"], "MW"),
            _number(s["drawn_mw"], "MW"),
            "; ".join(s["faults"]) or s["what"],
        ]
        for s in document["scenarios"]
    ]
    return [
        ("Protocols", ("Protocol", "Messages reach the site by"), [[p["name"], p["carried"]] for p in document["protocols"]]),
        ("Terms", ("Contract", "MW", "Due after", "Lasts", "May be missing", "Rule"), [_terms(c) for c in document["contracts"]]),
        ("Scenarios", ("Scenario", "Protocol", "Verdict", "Due after", "Reached after", "Asked for", "Drawn", "What"), scenarios),
    ]


def _terms(contract: Mapping[str, Any]) -> list[str]:
    terms = contract["terms"]
    return [
        contract["name"],
        f"{contract['lowest_mw']:.3f} to {contract['highest_mw']:.3f}",
        f"{terms['respond_min']:g} min of the {'notice' if terms['from_notice'] else 'start'}",
        _number(terms["sustain_h"] or None, "h", 1),
        f"{100.0 * terms['missing_share']:g} %",
        terms["rule"],
    ]


def _number(value: float | None, unit: str, places: int = 3) -> str:
    return "" if value is None else f"{value:.{places}f} {unit}"
