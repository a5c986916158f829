"""The contract interface on one page: what every contract does, and every further ability.

A contract has a name, a scope and a type, insists on load (`bounds`), adds itself to a program (`shape`) and is billed (`settle`). All else
is an ability of one method with a default in the base class `Contract` (contract.py): a contract writes only what it has, and callers ask
every contract alike. `program` is an `optimizer.lp.program.Program`, `path` an `optimizer.lp.trajectory.Trajectory` (not imported here).
Instants are UTC, money is positive to the site. What a method raises is reported under the contract's name; the plan is made without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Protocol, Self

from markets.facts import Call
from markets.grid import Interval, Market, OperatingDay
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.domain.award_terms import AwardTerms
from optimizer.domain.billed_quantity import BilledQuantity
from optimizer.domain.call_performance import CallPerformance
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.energy_bid_terms import EnergyBidTerms
from optimizer.domain.formula import Bounds, Charge, Quantities
from optimizer.domain.generator import Generator
from optimizer.domain.load_and_price_limits import GroupLimit, StopPrice
from optimizer.domain.market_rules import Dated
from optimizer.domain.memory import Memory
from optimizer.domain.money import Finding, Line, UnknownCharge
from optimizer.domain.season_promise import SeasonPromise
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import Scope, Site
from optimizer.domain.site_fault import SiteFault

ANY_SERVICE = "*"  # in `excludes`: every service
Taken = Mapping[str, Interval | None]


class WritesCharges(Protocol):
    """Its money as one linear formula, read by the program and by the bill. Default: none."""

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]: ...


class ChargesOnOthers(Protocol):
    """The names of the contracts on whose charges it charges a percentage: it is read after them. Default: none."""

    def charged_on(self) -> tuple[str, ...]: ...


class NamesUnknownCharges(Protocol):
    """What it charges or pays for what happened, beside the lines of `settle`, that cannot be computed from it. Default: nothing."""

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]: ...


class SettlesEnergy(Protocol):
    """The groups whose energy it settles in place of `power`, each with when (None: always). Default: none."""

    def settles_energy(self, site: Site) -> Taken: ...


class SettlesHash(Protocol):
    """The groups whose hashing it settles in place of `hashing`, each with when (None: always). Default: none."""

    def settles_hash(self, site: Site) -> Taken: ...


class SettlesGeneration(Protocol):
    """Ids of the meters where it settles what is generated behind them. Default: none."""

    def settles_generation(self, site: Site) -> tuple[str, ...]: ...


class RunsGenerator(Protocol):
    """The generator it runs behind a meter. Default: none. Raises ValueError when its scope is not one meter."""

    def generator(self, site: Site) -> Generator | None: ...


class ControlsGenerator(Protocol):
    """The table that says how its generator is started, stopped and metered. Default: none, and it is neither."""

    def generator_controls(self) -> Mapping[str, Any] | None: ...


class LimitsLoad(Protocol):
    """What groups may draw together whatever is asked of them. Default: none."""

    def limits(self, site: Site) -> Iterable[GroupLimit]: ...


class StopsAtPrice(Protocol):
    """By group, the energy price at which its rigs stop. Default: none."""

    def stop_prices(self, site: Site) -> Mapping[str, StopPrice]: ...


class WeighsChanges(Protocol):
    """Whether what its rigs do now counts, so that groups in different modes are planned apart. Default: no."""

    def weighs_changes(self) -> bool: ...


class ForeseesPeaks(Protocol):
    """The ways of metering, minutes or (minutes, months), whose coincident system peaks it needs foreseen. Default: none."""

    def peak_windows(self) -> tuple[PeakWindow, ...]: ...


class NeedsSettlementPoints(Protocol):
    """Settlement points whose prices it needs beside those of the site's meters. Default: none."""

    def settlement_points(self, site: Site) -> tuple[str, ...]: ...


class NeedsReservePrices(Protocol):
    """Reserve products whose real-time prices its bill needs. Default: none."""

    def reserve_products(self) -> tuple[str, ...]: ...


class TakesAwards(Protocol):
    """By product, the awards it takes; any other is refused. Default: none."""

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]: ...


class PromisesForSeason(Protocol):
    """What it promises over the contract season that holds a day, and over the next. Default: nothing."""

    def season_promises(self, on: date, market: Market) -> Iterable[SeasonPromise]: ...


class BidsEnergy(Protocol):
    """How the energy of its load is bid on an operating day. Default: at its meter's settlement point, for what it earns."""

    def energy_bid(self, on: date) -> EnergyBidTerms: ...


class BelongsToMarket(Protocol):
    """The only market that has this kind of contract. Default: None, any market."""

    def market(self) -> Market | None: ...


class SellsLoad(Protocol):
    """The word for the service it sells from its rigs, or for how it lets them follow prices. Default: empty, it sells none."""

    def service(self) -> str: ...


class ExcludesOthers(Protocol):
    """By service (`ANY_SERVICE`: each) that the same rigs may not sell beside it: the market rule that says so. Default: none."""

    def excludes(self) -> Mapping[str, str]: ...


class PromisesReduction(Protocol):
    """The most that its rigs may have to drop, MW. Default: 0."""

    def promised_mw(self) -> float: ...


class AnswersCalls(Protocol):
    """How its calls must be answered on an operating day. Default: None, nobody calls it. Raises LookupError where a rule is missing."""

    def call_terms(self, on: date) -> CallTerms | None: ...


class MeasuresCalls(Protocol):
    """How well a call was answered, by its programme's own formula and the same numbers as its bill. Default: None, it has no formula."""

    def call_performance(self, call: Call, actuals: Actuals) -> CallPerformance | None: ...


class NeedsOwnMeter(Protocol):
    """Whether its rigs need a meter that no other rigs are behind. Default: no."""

    def needs_own_meter(self) -> bool: ...


class ProtectsUptime(Protocol):
    """Whether it promises that its rigs run, so that others are put to sleep before them. Default: no."""

    def protects_uptime(self) -> bool: ...


class ChecksSite(Protocol):
    """What is wrong with it on this site, beside this book. Default: nothing."""

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]: ...


class FollowsRules(Protocol):
    """The same contract with the market's dated rules whose ids begin with one of `rule_prefixes`. Default of these: none."""

    def with_rules(self, rules: Sequence[Dated]) -> Self: ...


class ShowsOptions(Protocol):
    """The keys of its table with their values, as JSON values; its name apart. Default: its fields."""

    def options(self) -> dict[str, Any]: ...


class RemembersDays(Protocol):
    """How many days before a grid its memory may reach. Default: 0, it remembers nothing."""

    def memory_days(self) -> int: ...


class Remembers(Protocol):
    """Its memory, of its `memory_type`, after a stretch of time that begins where `memory` ends. Default: unchanged."""

    def remember(self, memory: Any, then: Actuals) -> Any: ...


class KnowsItsMemory(Protocol):
    """Its memory out of those of a book, an empty one where there is none. Default: by name. Raises TypeError for one of another type."""

    def memory_from(self, memories: Mapping[str, Memory]) -> Any: ...


class TellsProgress(Protocol):
    """How far it has come at the end of a day in its month, season or year. Default: nothing to tell."""

    def progress(self, memory: Any, day: OperatingDay) -> Iterable[ContractProgress]: ...


class BillsTenant(Protocol):
    """The tenant whose agreement it is, so that its lines are on the tenant's own statement. Default: None, it is the site's own."""

    def tenant(self, site: Site) -> str | None: ...


class CountsQuantities(Protocol):
    """Quantities behind its bill that its lines do not show, exact, over what happened. Default: none."""

    def billed_quantities(self, its: Quantities[Any]) -> Iterable[BilledQuantity]: ...


class ReportsFindings(Protocol):
    """What a person should look at, because a day took its memory from `before` to `after`. Default: nothing."""

    def findings(self, before: Any, after: Any, day: OperatingDay) -> Iterable[Finding]: ...


class GivesReasons(Protocol):
    """Sentences that explain its part of a plan. Default: none."""

    def reasons(self, book: Book, program: Any, path: Any) -> Iterable[str]: ...


class PricesShortfall(Protocol):
    """What it costs that an instruction is missed by `short_mw`, shape (n,), on the load of `path`, USD. Default: 0."""

    def shortfall_usd(self, program: Any, path: Any, short_mw: Any) -> float: ...


class FindsShortfalls(Protocol):
    """What it has sold and `path` does not keep. Default: nothing."""

    def shortfalls(self, program: Any, path: Any) -> Iterable[Shortfall]: ...


class Obligation(
    WritesCharges, SettlesEnergy, SettlesHash, SettlesGeneration, RunsGenerator, ControlsGenerator, LimitsLoad, StopsAtPrice,
    WeighsChanges, ForeseesPeaks, PromisesForSeason, NeedsSettlementPoints, NeedsReservePrices, TakesAwards, BidsEnergy,
    BelongsToMarket, SellsLoad, ExcludesOthers, PromisesReduction, AnswersCalls, MeasuresCalls, NeedsOwnMeter, ProtectsUptime,
    ChecksSite, FollowsRules, ShowsOptions, RemembersDays, Remembers, KnowsItsMemory, TellsProgress, ReportsFindings, BillsTenant,
    ChargesOnOthers, NamesUnknownCharges, CountsQuantities, GivesReasons, PricesShortfall, FindsShortfalls, Protocol,
):  # fmt: skip
    """One contract with every ability."""

    name: str
    scope: Scope
    type: ClassVar[str]
    charge_types: ClassVar[tuple[str, ...]]
    rule_prefixes: ClassVar[tuple[str, ...]]
    takes_pool_fee: ClassVar[bool]

    @property
    def bill_is_its_charges(self) -> bool:
        """Whether its bill is the sum of its charges and no more."""

    def bounds(self, site: Site, memory: Any, calls: Sequence[Call], over: Interval) -> Bounds:
        """The load of its scope it insists on over an interval, MW. The reflex asks now, the program ahead."""

    def shape(self, program: Any) -> None:
        """Adds its columns, rows and charges to a program."""

    def is_bound_by(self, rule_id: str) -> bool: ...  # whether a dated rule binds it as it stands in the site file

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """What it pays or owes for what happened, exact."""


Book = tuple[Obligation, ...]
