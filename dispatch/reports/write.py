"""A statement in files: HTML, PDF and a workbook for people, CSV and JSON for programs; each file whole or not at all, the same bytes for
the same version."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dispatch.reports import labels
from dispatch.settlement.statement_lines import COLUMNS

Maker = Callable[[Mapping[str, Any]], str | bytes]
ALL = ("html", "pdf", "xlsx", "csv", "json")


def write_day(document: Mapping[str, Any], folder: Path, formats: Sequence[str] = ALL) -> list[Path]:
    """Write `folder/DATE/settlement-vN.FORMAT` for each format; the files. Raises OSError, KeyError for a format there is not."""
    return _written(document, folder / str(document["date"]), stem(document), FORMATS, formats)


def write_span(document: Mapping[str, Any], folder: Path, formats: Sequence[str] = ALL) -> list[Path]:
    """The same of a roll-up of days (span.py): `folder/FROM_TO/settlement.FORMAT`."""
    return _written(document, folder / f"{document['from']}_{document['to']}", "settlement", SPAN_FORMATS, formats)


def _written(document: Mapping[str, Any], into: Path, name: str, makers: Mapping[str, Maker], formats: Sequence[str]) -> list[Path]:
    chosen = [(format_, makers[format_]) for format_ in formats]
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for format_, make in chosen:
        path = into / f"{name}.{format_}"
        content = make(document)
        _whole(path, content if isinstance(content, bytes) else content.encode())
        written.append(path)
    return written


def stem(document: Mapping[str, Any]) -> str:
    """The name of a version's files; one that is not kept goes by what was known."""
    if document["version"]:
        return f"settlement-v{document['version']}"
    return "settlement-as-of-" + str(document["known_at"])[:19].replace(":", "") + "Z"


def as_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def as_csv(document: Mapping[str, Any]) -> str:
    """The lines, exact; then the totals of the charge types, to the cent, and the net, in rows without an interval."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    rows.writerows([_cell(line.get(c, "")) for c in COLUMNS] for line in document["lines"])

    def total(obligation: str, charge: str, usd: str, how: str) -> None:
        said = {"obligation": obligation, "charge_type": charge, "amount_usd": usd, "rule": how}
        rows.writerow([_cell(said.get(c, "")) for c in COLUMNS])

    for name, usd in document["totals"].items():
        obligation, _, charge = name.partition("/")
        total(obligation, charge, usd, "total, rounded half up once")
    total("net", "", document["net_usd"], "sum of the totals" + (" (synthetic market)" if document["synthetic"] else ""))
    return out.getvalue()


def _cell(text: Any) -> Any:
    """A spreadsheet must not take a name for a formula."""
    return f"'{text}" if isinstance(text, str) and text.startswith(tuple("=+@\t\r")) else text


def as_html(document: Mapping[str, Any]) -> str:
    """One self-contained page, made to be printed."""
    from markupsafe import Markup

    from dispatch.reports.charts import as_svg, pictures

    drawn = [(name, caption, Markup(as_svg(drawing, name))) for name, (caption, drawing) in pictures(document).items()]
    return _page(
        "day.html",
        d=document,
        drawn=drawn,
        heading=labels.heading(document),
        flags=labels.flags(document),
        footing=labels.footing(document),
    )


def span_as_html(document: Mapping[str, Any]) -> str:
    return _page("span.html", d=document, flags=labels.span_flags(document))


def _page(template: str, **figures: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dispatch.reports", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(usd=labels.usd, words=labels.words, rigs=labels.rigs)
    return environment.get_template(template).render(**figures) + "\n"


def span_as_csv(document: Mapping[str, Any]) -> str:
    """The totals, the net, then the figures."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(("name", "value", "unit", "note"))
    rows.writerows((_cell(name), usd, "usd", "") for name, usd in document["totals"].items())
    rows.writerow(("net", document["net_usd"], "usd", "sum of the totals"))
    rows.writerows((_cell(f["name"]), f["value"], f["unit"], f["how"]) for f in document["figures"])
    return out.getvalue()


def as_pdf(document: Mapping[str, Any]) -> bytes:
    """On paper (paper.py)."""
    from dispatch.reports import pdf

    return pdf.as_pdf(document)


def as_xlsx(document: Mapping[str, Any]) -> bytes:
    """A workbook (sheet.py)."""
    from dispatch.reports import xlsx

    return xlsx.as_xlsx(document)


def span_as_pdf(document: Mapping[str, Any]) -> bytes:
    from dispatch.reports import pdf

    return pdf.span_as_pdf(document)


def span_as_xlsx(document: Mapping[str, Any]) -> bytes:
    from dispatch.reports import xlsx

    return xlsx.span_as_xlsx(document)


FORMATS: dict[str, Maker] = {"html": as_html, "pdf": as_pdf, "xlsx": as_xlsx, "csv": as_csv, "json": as_json}
SPAN_FORMATS: dict[str, Maker] = {
    "html": span_as_html,
    "pdf": span_as_pdf,
    "xlsx": span_as_xlsx,
    "csv": span_as_csv,
    "json": as_json,
}


def _whole(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the power goes."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
