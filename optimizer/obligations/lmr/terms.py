"""The terms of a load-modifying resource: what is registered, promised and paid (MISO Tariff, Module E-1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from markets.grid import Market
from optimizer.domain.award_terms import AwardTerms, baseline_terms
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.capacity_seasons import BySeason, Zone, season
from optimizer.domain.contract import Contract
from optimizer.domain.deployments import METER_SHARE
from optimizer.domain.market_rules import rule
from optimizer.domain.obligation import Book
from optimizer.domain.season_promise import SeasonPromise
from optimizer.domain.site import NotNegative, Positive, Site
from optimizer.domain.site_fault import SiteFault
from optimizer.obligations.lmr.memory import LmrMemory
from optimizer.obligations.lmr.season import of_season, seasons_from

CREDIT, ACCREDITED = "miso.lmr.credit", "accredited"


class LmrTerms(Contract[LmrMemory]):
    """A load-modifying resource on a meter of its own.

    mw                 reduction registered
    method             "firm": judged by `firm_service_mw`, the load that stays; "baseline": by `baseline_mw` less `mw`
    kind               "I" or "II": the type it is registered as from planning year 2028/2029 on
    notice_min         as registered, at most six hours
    lead_min           how much sooner rigs go down, so that they are when it is due
    zrc                credits by season, MW; `mw` where left out, and unknown where the rules accredit them
    zone               local resource zone, whose auction pays
    usd_per_mw_day     by season, where capacity was sold at another price than the auction's
    rsg_usd_per_mwh    where it is known
    """

    rule_prefixes: ClassVar[tuple[str, ...]] = ("miso.lmr.", "miso.pra.")
    memory_type = LmrMemory
    name: str = "lmr"
    mw: Positive = Field(ge=0.1)
    kind: Literal["I", "II"] = "I"
    method: Literal["firm", "baseline"] = "firm"
    firm_service_mw: NotNegative | None = None
    baseline_mw: Positive | None = None
    notice_min: Annotated[float, Field(ge=0, le=360)] = 30.0
    lead_min: NotNegative = 5.0
    zrc: BySeason = Field(default_factory=dict)
    zone: Zone
    usd_per_mw_day: BySeason = Field(default_factory=dict)
    rsg_usd_per_mwh: NotNegative | None = None

    @model_validator(mode="after")
    def _one_way(self) -> LmrTerms:
        wanted, other = ("firm_service_mw", "baseline_mw") if self.method == "firm" else ("baseline_mw", "firm_service_mw")
        if getattr(self, wanted) is None:
            raise ValueError(f"{wanted} is missing: method {self.method!r} is judged by it")
        if getattr(self, other) is not None:
            raise ValueError(f"{other} does not apply to method {self.method!r}")
        if self.baseline_mw is not None and self.mw > self.baseline_mw:
            raise ValueError("mw is more than baseline_mw: nobody can drop more than the baseline")
        return self

    def memory_days(self) -> int:
        return 92  # a season

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        return baseline_terms(site, self.scope) if self.method != "firm" else {}

    def season_promises(self, on: date, market: Market) -> Iterable[SeasonPromise]:
        sold, usd, notice = (self.mw, self.most_mw), self.usd_per_mw_day, self.notice_min
        return [of_season(over, (*sold, usd.get(season(over[0]))), notice, self._allowed(over[0])) for over in seasons_from(on)]

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        """A notice that is longer than its type's may be by a rule of some day."""
        for found in self._rules:
            if found.id == "miso.lmr.type_ii.notice_min.most" and self.kind == "II" and self.notice_min > float(found.value):
                text = f"is longer than the {found.value} minutes of Type II from {found.from_} on ({found.cited})"
                yield SiteFault(text, ("notice_min",))

    def market(self) -> Market | None:
        return Market.MISO

    def service(self) -> str:
        return "lmr"

    def excludes(self) -> Mapping[str, str]:
        return {"lmr": "two contracts register the same rigs as capacity (MISO BPM-011: a resource is registered once)"}

    def promised_mw(self) -> float:
        return self.mw

    def call_terms(self, on: date) -> CallTerms:
        """Due from the registered notice on."""
        longest = rule(self._rules, "miso.lmr.least_h", on)
        sustain_h = float(longest.value)
        return CallTerms(self.notice_min, True, self.most_mw, sustain_h, missing_share=METER_SHARE, rule=longest.cited)

    def needs_own_meter(self) -> bool:
        return True

    @property
    def most_mw(self) -> float:
        """The load that may stay when an instruction is due, by what is registered."""
        return self.firm_service_mw if self.firm_service_mw is not None else (self.baseline_mw or 0.0) - self.mw

    def _credited_mw(self, on: date) -> float | None:
        """Zonal resource credits of a day, MW: what the file states of the season, else what is registered; None where the rules of the day
        accredit them and the file does not state the figure."""
        stated = self.zrc.get(season(on))
        if stated is not None:
            return stated
        return None if rule(self._rules, CREDIT, on).value == ACCREDITED else self.mw

    def _allowed(self, on: date) -> int | None:
        """Calls of a season, where a rule says how many."""
        word = f"miso.lmr.calls.{season(on)}"
        return int(rule(self._rules, word, on).value) if any(r.id == word and r.holds(on) for r in self._rules) else None
