"""How a statement's figures and names read to a person: the same on page, in PDF and in a workbook."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from dispatch.imports.calendar import BEFORE_THE_FIRST, statement_type
from dispatch.settlement.document import DayStatement, MonthStatement
from dispatch.settlement.document_rows import ChargeRow, GenerationRow
from dispatch.settlement.statement_lines import UNKNOWN
from markets import counted, usd_text

SYNTHETIC = "SYNTHETIC MARKET: these prices were made up by a program. Nothing here was earned or is owed."


def amount(usd: str | None) -> str:
    """Dollars in a column headed "$": "-1234.5" as "-1,234.50"."""
    return UNKNOWN if usd is None else f"{Decimal(usd):,.2f}"


def not_covered(statement: DayStatement | MonthStatement) -> list[str]:
    """What the net does not cover, a sentence a charge."""
    return [
        f"THE NET IS NOT COMPLETE: the amount of {title(row['name'])} is unknown, as {row['why']}; the net holds "
        f"{usd_text(row['known_usd']) if Decimal(row['known_usd']) else 'nothing'} of it."
        for row in statement["unknown"]
    ]


def price(usd: str | None) -> str:
    """A price with its own decimals, at least two: "36" as "36.00", "96.305" as it is; "none" where none is known."""
    if usd is None:
        return "none"
    whole, _, digits = usd.partition(".")
    return f"{whole}.{digits.ljust(2, '0')}"


def quantity(number: str) -> str:
    """A quantity to three decimals: "1234.5" as "1,234.500"; empty where there is none."""
    return f"{Decimal(number):,.3f}" if number else ""


def rate(usd: str) -> str:
    """An average rate to four decimals; empty where there is none."""
    return f"{Decimal(usd):,.4f}" if usd else ""


def charges(statement: DayStatement) -> list[ChargeRow]:
    """The charges of a statement; of one kept before it had them, its totals alone."""
    known = statement.get("charges")
    return [_bare_charge(name, usd) for name, usd in statement["totals"].items()] if known is None else known


def _bare_charge(name: str, usd: str | None) -> ChargeRow:
    obligation, _, charge = name.partition("/")
    return {
        "obligation": obligation,
        "charge_type": charge,
        "iso_code": "",
        "meters": [],
        "quantity": "",
        "unit": "",
        "average_rate": "",
        "amount_usd": usd,
        "accrued": False,
    }


FORECAST_COLUMNS = ("Settlement point", "Figure", "Forecast", "Last price")


def forecast_rows(statement: DayStatement) -> list[list[str]]:
    """The scores of the day's price forecasts, a figure a row; a statement kept before it had them has none."""
    rows = []
    for score in statement.get("forecast_scores", ()):
        if score["lost_usd"] is not None:
            point = score["point"]
            rows.append([point, "lost by decisions, $", amount(score["lost_usd"]), amount(score["last_price_lost_usd"])])
            pinball = (score["pinball_usd_per_mwh"], score["last_price_pinball_usd_per_mwh"])
            rows.append([point, "pinball loss, $/MWh", *map(amount, pinball)])
            for within in score["covered"]:
                rows.append([point, f"prices within the {100 * within['level']:g} % quantile", f"{100 * within['share']:.1f} %", ""])
    return rows


def forecast_texts(statement: DayStatement) -> list[str]:
    """The same in sentences: one a settlement point, which says so where there is no score."""
    return [score["text"] for score in statement.get("forecast_scores", ())]


def nets(statement: DayStatement | MonthStatement) -> list[tuple[str, str]]:
    """The net by name: what settles now and what is accrued where anything is, and their sum."""
    accrued = statement.get("accrued_usd", "0.00")
    parts = [("Settled", statement["settled_usd"]), ("Accrued", accrued)] if Decimal(accrued) else []
    return [*parts, ("Net", statement["net_usd"])]


def rigs(number: float) -> str:
    """A whole number of rigs."""
    return f"{round(number):,}"


def title(name: str) -> str:
    """ "hashing/hash_revenue" as "hashing: hash revenue"."""
    return name.replace("_", " ").replace("/", ": ")


def listed(sentences: Sequence[str]) -> Sequence[str]:
    """Sentences for a list, which says so when it is empty."""
    return sentences or ["None."]


def flags(statement: DayStatement) -> list[str]:
    """What a reader must see before any figure."""
    out = [SYNTHETIC] if statement["synthetic"] else []
    if "shadow" in statement["worlds"]:
        out.append("SHADOW RUN: no command was sent to any rig.")
    elif statement["worlds"] and "live" not in statement["worlds"]:
        out.append(f"{', '.join(statement['worlds']).upper()}: no real rig was moved.")
    if statement["partial"]:
        out.append("PART OF THE DAY: the site was not run for all of it.")
    if statement["gaps"]["intervals"]:
        out.append(f"GAPS: {statement['net_covers']}")
    return [*out, *not_covered(statement)]


def heading(statement: DayStatement) -> str:
    """Site, market, version, and the market's own newest statement of the day: where it has none yet, that."""
    version = f"version {statement['version']}" if statement["version"] else "not kept"
    stage, kind = statement["stage"], "settlement before the market's first statement"
    if stage != BEFORE_THE_FIRST:
        kind = f"settlement after {stage} ({statement_type(stage)})"
    whose = f" · tenant {statement['tenant']}" if "tenant" in statement else ""
    return f"{statement['site']}{whose} · {statement['market'].upper()} · {kind}, {version}"


def footing(statement: DayStatement) -> list[str]:
    """What the figures were made from: notes, meters, sources, the journal."""
    out = list(statement["notes"])
    for name, meter in statement["meters"].items():
        files = ", ".join([*(file["name"] for file in meter["files"]), *(["the site's own readings"] if "live_intervals" in meter else [])])
        out.append(
            f"Meter {name}: {Decimal(meter['mwh']):,.3f} MWh in {meter['intervals']} of {counted(meter['of'], 'interval')}, from {files}; "
            f"telemetry has {Decimal(meter['telemetry_mwh']):,.3f} MWh there."
        )
    out += [_generation(name, row) for name, row in statement.get("generation", {}).items()]
    out += [f"{what}: {source}" for what, source in statement["sources"].items()]
    return [*out, f"Journal {statement['journal_head']} · prices known to {statement['known_at']}"]


def _generation(meter: str, row: GenerationRow) -> str:
    """What was generated behind a meter and where it went."""
    curtailed = [f"{name} {quantity(plant['curtailed_mwh'])} MWh" for name, plant in row["plants"].items() if plant["curtailed_mwh"]]
    return (
        f"Behind meter {meter}: {quantity(row['made_mwh'])} MWh generated, {quantity(row['own_use_mwh'])} used by the site, "
        f"{quantity(row['exported_mwh'])} exported; {quantity(row['drawn_mwh'])} MWh drawn from the grid"
        f"{'; curtailed: ' + ', '.join(curtailed) if curtailed else ''} ({row['intervals']} of {counted(row['of'], 'interval')})."
    )


def month_flags(statement: MonthStatement) -> list[str]:
    """What a reader must see before any figure of several days."""
    out = [SYNTHETIC] if statement["synthetic"] else []
    if "tenant" in statement:
        out.append(f"STATEMENT OF TENANT {statement['tenant']}: its rigs and its hosting agreements alone.")
    if missing := statement["missing"]:
        were = "was" if len(missing) == 1 else "were"
        days = counted(len(missing), "DAY", "DAYS")
        out.append(f"{days} MISSING: {', '.join(missing)} {were} not settled and {were} left out of the sums.")
    if number := statement["gaps"]["intervals"]:
        worth = usd_text(Decimal(statement["gaps"]["hash_revenue_usd"]))
        out.append(f"GAPS: {counted(number, 'interval')} without a price or a reading, left out of every line ({worth} of hash revenue).")
    if statement["partial"]:
        out.append(f"PARTS OF DAYS: the site was not run for all of {', '.join(statement['partial'])}.")
    return [*out, *not_covered(statement)]
