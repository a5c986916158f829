"""The base class of every contract: each ability of obligation.py with its default.

Built-ins and plug-ins are entry points of the group `optimizer.obligations`: the key is the `type` of a site file's table, the class
derives from `Contract`, its fields are the table's keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Generic, Self, cast

from pydantic import Field, PrivateAttr
from typing_extensions import TypeVar

from markets.facts import Call
from markets.grid import Interval, Market, OperatingDay
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.domain.award_terms import AwardTerms
from optimizer.domain.billed_quantity import BilledQuantity
from optimizer.domain.call_performance import CallPerformance
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.calls import called_bounds
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.energy_bid_terms import EnergyBidTerms
from optimizer.domain.formula import Bounds, Charge, Quantities
from optimizer.domain.generator import Generator
from optimizer.domain.load_and_price_limits import GroupLimit, StopPrice
from optimizer.domain.market_rules import Dated
from optimizer.domain.memory import Memory
from optimizer.domain.money import Finding, Line, UnknownCharge
from optimizer.domain.obligation import Book, Taken
from optimizer.domain.quantities import ActualQuantities, lines
from optimizer.domain.season_promise import SeasonPromise
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import Scope, Site, Written
from optimizer.domain.site_fault import SiteFault

# The type of a contract's memory; a contract that names none remembers what every contract does.
M = TypeVar("M", bound=Memory, default=Memory)


class Contract(Written, Generic[M]):
    """The base of every contract. Calls addressed to its name are firm bounds on the load of its scope.

    scope   the part of the site it speaks of; the whole site by default

    A contract that remembers more than its calls derives from `Contract[ItsMemory]` and sets `memory_type = ItsMemory`.
    """

    memory_type: ClassVar[type[Memory]] = Memory
    type: ClassVar[str]
    charge_types: ClassVar[tuple[str, ...]] = ()  # of its lines; none: nothing is said of them, and charge names are not checked
    rule_prefixes: ClassVar[tuple[str, ...]] = ()
    takes_pool_fee: ClassVar[bool] = False  # a field `pool_fee`, filled from the [hash] section where the table leaves it out
    name: str = Field(min_length=1)
    scope: Scope = Scope()
    _rules: tuple[Dated, ...] = PrivateAttr(default=())

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        return ()

    def charged_on(self) -> tuple[str, ...]:
        return ()

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        return ()

    def settles_energy(self, site: Site) -> Taken:
        return {}

    def settles_hash(self, site: Site) -> Taken:
        return {}

    def settles_generation(self, site: Site) -> tuple[str, ...]:
        return ()

    def generator(self, site: Site) -> Generator | None:
        return None

    def generator_controls(self) -> Mapping[str, Any] | None:
        return None

    def limits(self, site: Site) -> Iterable[GroupLimit]:
        return ()

    def stop_prices(self, site: Site) -> Mapping[str, StopPrice]:
        return {}

    def weighs_changes(self) -> bool:
        return False

    def peak_windows(self) -> tuple[PeakWindow, ...]:
        return ()

    def settlement_points(self, site: Site) -> tuple[str, ...]:
        return ()

    def reserve_products(self) -> tuple[str, ...]:
        return ()

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        return {}

    def season_promises(self, on: date, market: Market) -> Iterable[SeasonPromise]:
        return ()

    def energy_bid(self, on: date) -> EnergyBidTerms:
        return EnergyBidTerms()

    def market(self) -> Market | None:
        return None

    def service(self) -> str:
        return ""

    def excludes(self) -> Mapping[str, str]:
        return {}

    def promised_mw(self) -> float:
        return 0.0

    def call_terms(self, on: date) -> CallTerms | None:
        return None

    def call_performance(self, call: Call, actuals: Actuals) -> CallPerformance | None:
        return None

    def needs_own_meter(self) -> bool:
        return False

    def protects_uptime(self) -> bool:
        return False

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        return ()

    def with_rules(self, rules: Sequence[Dated]) -> Self:
        ruled = self.model_copy()
        ruled._rules = tuple(r for r in rules if r.id.startswith(self.rule_prefixes))
        return ruled

    def is_bound_by(self, rule_id: str) -> bool:
        return rule_id.startswith(self.rule_prefixes)

    def options(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude={"name"})

    def memory_days(self) -> int:
        return 0

    def memory_from(self, memories: Mapping[str, Memory]) -> M:
        found = memories.get(self.name)
        if found is None:
            found = self.memory_type()
        if not isinstance(found, self.memory_type):
            raise TypeError(f"{self.name}: its memory is a {type(found).__name__}, not a {self.memory_type.__name__}")
        return cast(M, found)

    def remember(self, memory: M, then: Actuals) -> M:
        return memory

    def progress(self, memory: M, day: OperatingDay) -> Iterable[ContractProgress]:
        return ()

    def tenant(self, site: Site) -> str | None:
        return None

    def billed_quantities(self, its: Quantities[Any]) -> Iterable[BilledQuantity]:
        return ()

    def findings(self, before: M, after: M, day: OperatingDay) -> Iterable[Finding]:
        return ()

    def reasons(self, book: Book, program: Any, path: Any) -> Iterable[str]:
        return ()

    def shortfall_usd(self, program: Any, path: Any, short_mw: Any) -> float:
        return 0.0

    def shortfalls(self, program: Any, path: Any) -> Iterable[Shortfall]:
        return ()

    def bounds(self, site: Site, memory: M, calls: Sequence[Call], over: Interval) -> Bounds:
        return called_bounds(calls, self.name, over, memory.load_before_mw)

    @property
    def bill_is_its_charges(self) -> bool:
        """Whether its bill is the sum of its charges and no more."""
        return type(self).settle is Contract.settle

    def shape(self, program: Any) -> None:
        for charge in self.charges(program):
            program.earn(self.name, charge)
        calls = [c for c in program.so_far.calls if c.obligation == self.name]
        if calls:
            memory = self.memory_from(program.memories)
            bounds = [self.bounds(program.site, memory, calls, over) for over in program.grid.intervals]
            # What a contract only wishes for is weighed by its own rows, never before an instruction.
            program.insist(self.name, self.scope.names(program.site), [b if b.firm else Bounds() for b in bounds])

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        reader = ActualQuantities.of(actuals)
        return lines(self.name, self.charges(reader), reader)
