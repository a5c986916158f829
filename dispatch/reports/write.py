"""A statement in files: HTML, PDF and a workbook for people, CSV and JSON for programs. A file is written completely or not at all, and the
same version is the same bytes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dispatch.reports import labels
from dispatch.settlement.document import DayStatement, MonthStatement, known_totals
from dispatch.settlement.statement_lines import COLUMNS, UNKNOWN, columns_of
from dispatch.store.durable import write_atomically
from markets import counted
from optimizer.domain.money import usd_text

D = TypeVar("D", DayStatement, MonthStatement)
ALL = ("html", "pdf", "xlsx", "csv", "json")


def write_day(statement: DayStatement, folder: Path, formats: Sequence[str] = ALL) -> list[Path]:
    """Write `folder/DATE/settlement-vN.FORMAT` for each format; the files. Raises OSError, KeyError for an unknown format."""
    return _write(statement, folder / statement["date"], stem(statement), FORMATS, formats)


def write_month(statement: MonthStatement, folder: Path, formats: Sequence[str] = ALL) -> list[Path]:
    """The same of several days added up: `folder/FROM_TO/settlement.FORMAT`."""
    return _write(
        statement, folder / f"{statement['from']}_{statement['to']}", f"settlement{_of_tenant(statement)}", MONTH_FORMATS, formats
    )


def _write(
    statement: D, folder: Path, name: str, renderers: Mapping[str, Callable[[D], str | bytes]], formats: Sequence[str]
) -> list[Path]:
    chosen = [(format_, renderers[format_]) for format_ in formats]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for format_, render in chosen:
        path = folder / f"{name}.{format_}"
        content = render(statement)
        write_atomically(path, content if isinstance(content, bytes) else content.encode())
        written.append(path)
    return written


def stem(statement: DayStatement) -> str:
    """The name of a version's files; a statement that is not kept is named by what was known."""
    whose = _of_tenant(statement)
    if statement["version"]:
        return f"settlement-v{statement['version']}{whose}"
    return "settlement-as-of-" + str(statement["known_at"])[:19].replace(":", "") + f"Z{whose}"


def _of_tenant(statement: DayStatement | MonthStatement) -> str:
    """The end of a file's name: "-tenant-NAME" in letters and digits, empty for the site's own statement."""
    tenant = statement.get("tenant", "")
    return f"-tenant-{re.sub('[^A-Za-z0-9_.-]+', '-', tenant)}" if tenant else ""


def as_json(statement: DayStatement | MonthStatement) -> str:
    return json.dumps(statement, ensure_ascii=False, indent=1) + "\n"


def as_csv(statement: DayStatement) -> str:
    """The lines, exact: a row each and nothing else, so that its columns can be summed. The totals are in the other files."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    mark = {"rule": " (synthetic market)"} if statement["synthetic"] else {}
    rows.writerows([_cell(text + mark.get(column, "")) for column, text in columns_of(line)] for line in statement["lines"])
    return out.getvalue()


def _cell(text: str) -> str:
    """Text that a spreadsheet would take for a formula is quoted."""
    return f"'{text}" if text.startswith(tuple("=+@\t\r")) else text


def as_html(statement: DayStatement) -> str:
    """One self-contained page, made to be printed."""
    from markupsafe import Markup

    from dispatch.reports.charts import as_svg, charts

    known = {} if "tenant" in statement else charts(statement)
    drawn = [(caption, Markup(as_svg(drawing, name))) for name, (caption, drawing) in known.items()]
    return page(
        "day.html",
        d=statement,
        drawn=drawn,
        heading=labels.heading(statement),
        flags=labels.flags(statement),
        footing=labels.footing(statement),
        forecast_texts=labels.forecast_texts(statement),
        forecast_columns=labels.FORECAST_COLUMNS,
        forecast_rows=labels.forecast_rows(statement),
    )


def month_as_html(statement: MonthStatement) -> str:
    return page("month.html", d=statement, flags=labels.month_flags(statement))


def page(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dispatch.reports", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(amount=labels.amount, usd=usd_text, title=labels.title, rigs=labels.rigs, listed=labels.listed)
    environment.filters.update(price=labels.price, quantity=labels.quantity, rate=labels.rate)
    environment.globals.update(counted=counted, charges=labels.charges, nets=labels.nets)
    return environment.get_template(template).render(**values) + "\n"


def month_as_csv(statement: MonthStatement) -> str:
    """The totals, a row each and nothing else, so that the amounts can be summed; figures are in the other files."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(("obligation", "charge_type", "amount_usd", "accrued"))
    lacking = [row["name"] for row in statement["unknown"]]
    known = [(name, f"{usd:.2f}") for name, usd in known_totals(statement).items() if usd or name not in lacking]
    for name, usd in (*known, *((name, UNKNOWN) for name in lacking)):
        obligation, _, charge = name.partition("/")
        rows.writerow((_cell(obligation), _cell(charge), usd, name in statement.get("accrued", ())))
    return out.getvalue()


def as_pdf(statement: DayStatement) -> bytes:
    """The statement on A4."""
    from dispatch.reports import pdf

    return pdf.as_pdf(statement)


def as_xlsx(statement: DayStatement) -> bytes:
    """The statement as a workbook."""
    from dispatch.reports import xlsx

    return xlsx.as_xlsx(statement)


def month_as_pdf(statement: MonthStatement) -> bytes:
    from dispatch.reports import pdf

    return pdf.month_as_pdf(statement)


def month_as_xlsx(statement: MonthStatement) -> bytes:
    from dispatch.reports import xlsx

    return xlsx.month_as_xlsx(statement)


FORMATS: dict[str, Callable[[DayStatement], str | bytes]] = {
    "html": as_html,
    "pdf": as_pdf,
    "xlsx": as_xlsx,
    "csv": as_csv,
    "json": as_json,
}
MONTH_FORMATS: dict[str, Callable[[MonthStatement], str | bytes]] = {
    "html": month_as_html,
    "pdf": month_as_pdf,
    "xlsx": month_as_xlsx,
    "csv": month_as_csv,
    "json": as_json,
}
