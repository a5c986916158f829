"""What happened by interval, as meters, pool and market report it, exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from markets.facts import Award, Call
from markets.grid import Grid
from markets.outlook import PeakWindow
from optimizer.domain.generator import Generator
from optimizer.domain.memory import Memory
from optimizer.domain.money import Line, UnknownCharge
from optimizer.domain.site import Site


@dataclass(frozen=True, slots=True)
class Actuals:
    """Everything `settle` needs, as Decimals on the settlement grid, shape (n,) each.

    energy_mwh      by group: at the meter, the hall's overhead included, before the meter's loss factor
    hash_ph_days    by group: PH/s times days
    energy_price    by settlement point, usd_per_mwh, the vintage the bill is made from
    hashprice       usd_per_ph_day before the pool's fee
    price_source    by settlement point: where the price came from and its vintage, cited on the lines
    estimated       positions whose energy is an estimate, not a meter's
    settled_by      by obligation, by group: the share of each interval in which it settles that energy, not `power`; `settle` fills it
    hashed_by       the same of hashing: the share in which it settles what the group hashes, not `hashing`
    peak_share      by length of the metered interval in minutes: the share of the month's coincident system peak, as far as it is known
                    by now, that lies in each interval; NaN where the system load is not known
    memory          by contract name: what it remembers of the time before the grid
    reserve_price   by product, real time, usd_per_mw_h; an award's own price comes before it
    generated_mwh   by contract of a generator: made at its meter, before the meter's loss factor
    available_mwh   by contract of a wind or solar plant: what it could have made; NaN or left out where that is not known
    generators      by meter: what the book's contracts generate there; `settle` fills it
    billed          by contract name: its lines, for the contracts that charge on them (`charged_on`); `settle` fills it
    unknown         the same of its charges whose amount is unknown
    gaps            positions of the intervals that every contract leaves out: those that nobody ran, to which `settle` adds those in which
                    something is unknown (gaps.py)
    """

    site: Site
    grid: Grid
    energy_mwh: Mapping[str, Sequence[Decimal]]
    hash_ph_days: Mapping[str, Sequence[Decimal]]
    energy_price: Mapping[str, Sequence[Decimal]]
    hashprice: Sequence[Decimal]
    calls: tuple[Call, ...] = ()
    awards: tuple[Award, ...] = ()
    price_source: Mapping[str, str] = field(default_factory=dict)
    estimated: frozenset[int] = frozenset()
    settled_by: Mapping[str, Mapping[str, Sequence[Decimal]]] = field(default_factory=dict)
    hashed_by: Mapping[str, Mapping[str, Sequence[Decimal]]] = field(default_factory=dict)
    peak_share: Mapping[PeakWindow, Sequence[Decimal]] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    reserve_price: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)
    generated_mwh: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)
    available_mwh: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)
    generators: Mapping[str, tuple[Generator, ...]] = field(default_factory=dict)
    billed: Mapping[str, tuple[Line, ...]] = field(default_factory=dict)
    unknown: Mapping[str, tuple[UnknownCharge, ...]] = field(default_factory=dict)
    gaps: frozenset[int] = frozenset()
