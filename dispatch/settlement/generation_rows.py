"""What a day's statement says of generation behind each meter: made, used by the site itself, exported, curtailed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from dispatch.settlement.document_rows import GenerationRow, PlantRow
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import generators_by_meter
from optimizer.domain.generator import Generator
from optimizer.domain.money import ZERO, plain
from optimizer.domain.obligation import Book
from optimizer.domain.site import Meter


def generation_rows(book: Book, actuals: Actuals) -> dict[str, GenerationRow]:
    """By meter that something generates behind."""
    behind = generators_by_meter(book, actuals.site)
    return {meter.id: _row(actuals, meter, behind[meter.id]) for meter in actuals.site.meters if meter.id in behind}


def _row(actuals: Actuals, meter: Meter, machines: Sequence[Generator]) -> GenerationRow:
    groups = [g.name for g in actuals.site.groups if actuals.site.meter_of[g.name].id == meter.id]
    load = [sum((actuals.energy_mwh[g][n] for g in groups), ZERO) for n in range(len(actuals.grid))]
    made = [sum((actuals.generated_mwh[m.name][n] for m in machines), ZERO) for n in range(len(actuals.grid))]
    known = [n for n in range(len(actuals.grid)) if not (load[n] + made[n]).is_nan()]
    exported = sum((max(ZERO, made[n] - load[n]) for n in known), ZERO)
    total_made = sum((made[n] for n in known), ZERO)
    return {
        "intervals": len(known),
        "of": len(actuals.grid),
        "made_mwh": plain(total_made),
        "own_use_mwh": plain(total_made - exported),
        "exported_mwh": plain(exported),
        "drawn_mwh": plain(sum((max(ZERO, load[n] - made[n]) for n in known), ZERO)),
        "plants": {m.name: _plant(actuals, m, known) for m in machines},
    }


def _plant(actuals: Actuals, machine: Generator, known: Sequence[int]) -> PlantRow:
    made, could = actuals.generated_mwh[machine.name], actuals.available_mwh.get(machine.name)
    left = sum((max(ZERO, could[n] - made[n]) if not could[n].is_nan() else Decimal("NaN") for n in known), ZERO) if could else None
    return {
        "made_mwh": plain(sum((made[n] for n in known), ZERO)),
        "curtailed_mwh": None if left is None or left.is_nan() else plain(left),
    }
