"""Makes the offers of an operating day from what is known at an instant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from dispatch.decide.plan_inputs import availability, look_ahead, so_far
from dispatch.decide.price_risk import risk_of_facts
from dispatch.decide.state import State
from dispatch.offers.document import EnergyBid, Gate, OfferedHour, OffersDocument, OfferStep, ReserveOffer, SeasonOffer
from dispatch.offers.proved import MEASURED, NOT_MEASURED, QUALIFIED, Proof
from dispatch.signals.documents import DocumentFault, InvalidDocument
from markets.forecasting.ladder import plan_grid
from markets.grid import Market, OperatingDay, format_instant
from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.domain.day_ahead_market import offers_due, rule_id
from optimizer.domain.energy_bid_terms import bid_terms
from optimizer.domain.market_rules import rule
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import GroupNow, Meter, meters_of
from optimizer.planning.energy_bids import energy_bids
from optimizer.planning.offer_rows import Curve, OfferCase
from optimizer.planning.reserve_offers import reserve_offers
from optimizer.planning.result import Risk
from optimizer.solve import Session

FARTHEST = timedelta(days=8)
SCENARIOS = 40
# Contingency reserve is there within ten minutes where no rule names a time (MISO BPM-002).
RESPONSE_MIN = 10.0


@dataclass(frozen=True, slots=True)
class Offering:
    """What offers are made from: the state at an instant, what was proved, and the operating day. `left_out` are reserve products that are
    not offered though the book sells them."""

    state: State
    at: datetime
    on: date
    proof: Proof
    risk_weight: float = 0.0
    left_out: frozenset[str] = frozenset()

    @property
    def day(self) -> OperatingDay:
        return OperatingDay(self.state.site.market, self.on)

    def response_s(self, product: str) -> float:
        """Seconds within which a reserve product must be there."""
        found = self.state.setup.rules.find(f"{self.state.site.market.value}.as.{product}.response_min", self.on)
        return 60.0 * (float(found.value) if found else RESPONSE_MIN)


def offers(offering: Offering) -> OffersDocument:
    """The offers of the operating day. Raises InvalidDocument for a day that is over or too far ahead, UnknownPrice, SolveError."""
    state, day = offering.state, offering.day
    if day.end <= offering.at:
        raise InvalidDocument([DocumentFault("for", f"{day.on} is over at {format_instant(offering.at)}: nothing of it can be offered")])
    if day.start - offering.at > FARTHEST:
        raise InvalidDocument([DocumentFault("for", f"{day.on} begins more than {FARTHEST.days} days ahead: no price of it is foreseen")])
    case, findings = _case(offering)
    case, selling = _reserve(offering, case, findings)
    bids = energy_bids(case, Session()) if case.inside.any() else ()
    points = {m.id: _settles_at(offering, m, groups) for m, groups in meters_of(state.site, [g.name for g in state.site.groups])}
    energy: list[EnergyBid] = [
        {"meter": bid.name, "settlement_point": points[bid.name], "hours": list(_hours(offering, case, bid))} for bid in bids
    ]
    return {
        "operating_day": day.on.isoformat(),
        "market": state.site.market.value,
        "site": state.site.name,
        "at": format_instant(offering.at),
        "price_basis": case.outlook.price_basis.value,
        "risk_weight": offering.risk_weight,
        "scenarios": len(case.risk.scenarios) if case.risk else 0,
        "gates": _gates(offering, findings),
        "reserve": selling,
        "energy": energy,
        "seasons": list(_seasons(offering)),
        "findings": findings,
    }


def _settles_at(offering: Offering, meter: Meter, groups: Sequence[str]) -> str:
    """Where the energy of a meter settles on the operating day."""
    return bid_terms(offering.state.setup.book, offering.state.site, groups, offering.on).settlement_point or meter.settlement_point


def offered_reserve(offering: Offering) -> list[ReserveOffer]:
    """The reserve offers of the operating day alone. Raises UnknownPrice, SolveError."""
    case, findings = _case(offering)
    return _reserve(offering, case, findings)[1]


def _reserve(offering: Offering, case: OfferCase, findings: list[str]) -> tuple[OfferCase, list[ReserveOffer]]:
    """The case with what was proved, and its reserve offers."""
    selling, limits = _limits(offering, findings)
    proved = {(offer["contract"], offer["product"]): mw for offer, mw in zip(selling, limits, strict=True) if mw is not None}
    together: dict[str, float] = {}
    for offer in selling:
        if (mw := offer["limit_mw"]) is not None:
            together[offer["contract"]] = max(mw, together.get(offer["contract"], 0.0))
    case = replace(case, proved_mw=proved, together_mw=together)
    curves = {(c.name, c.product): c for c in reserve_offers(case, Session())} if case.inside.any() else {}
    for offer in selling:
        if (curve := curves.get((offer["contract"], offer["product"]))) is not None:
            offer["hours"] = list(_hours(offering, case, curve))
    return case, selling


def _case(offering: Offering) -> tuple[OfferCase, list[str]]:
    """What the program is built from, over the time from now to the end of the operating day, and what was found wanting."""
    state, at, day = offering.state, offering.at, offering.day
    grid = plan_grid(at, state.site.control_interval_min, -(-int((day.end - at).total_seconds()) // 3600))
    outlook = look_ahead(state, at, grid)
    first = at + timedelta(seconds=-at.timestamp() % 3600)  # an hour that has begun cannot be offered
    inside = np.array([over.start >= max(day.start, first) and over.end <= day.end for over in grid.intervals])
    now = so_far(state, at)
    shed = {name: curve.shed() for name, curve in offering.proof.sheds.items()}
    groups = {g.name: replace(now.groups.get(g.name, GroupNow()), shed=shed.get(g.name, ())) for g in state.site.groups}
    risk, findings = _risk(offering, outlook)
    case = OfferCase(state.site, state.setup.book, outlook, replace(now, groups=groups), availability(state, grid), inside, risk=risk)
    return case, [*outlook.notes, *findings]


def _risk(offering: Offering, outlook: Outlook) -> tuple[Risk | None, list[str]]:
    state = offering.state
    try:
        risk = risk_of_facts(state.facts, outlook, offering.at, offering.risk_weight, state.setup.book, SCENARIOS)
    except LookupError:
        return None, ["risk is not weighed: no complete day of real-time and day-ahead prices is known"]
    return risk, list(risk.notes)


def _limits(offering: Offering, findings: list[str]) -> tuple[list[ReserveOffer], list[float | None]]:
    """Each reserve product that the book sells, without its hours, and the most that may be offered of it, MW."""
    site, proof = offering.state.site, offering.proof
    selling: list[ReserveOffer] = []
    limits: list[float | None] = []
    for contract in offering.state.setup.book:
        terms, groups = contract.award_terms(site), contract.scope.names(site)
        for product in contract.reserve_products():
            response_s = offering.response_s(product)
            proved = proof.mw_within(groups, response_s)
            qualified = product in terms and terms[product].qualified
            basis = MEASURED if proved is not None else QUALIFIED if qualified else NOT_MEASURED
            if text := _unproved(basis, contract, product, response_s):
                findings.append(text)
            selling.append(
                {
                    "contract": contract.name,
                    "product": product,
                    "response_s": response_s,
                    "basis": basis,
                    "limit_mw": proved,
                    "certificate": proof.certificate is not None,
                    "hours": [],
                }
            )
            limits.append(0.0 if basis == NOT_MEASURED or product in offering.left_out else proved)
    if not selling:
        findings.append("no contract of the site sells reserve")
    return selling, limits


def _unproved(basis: str, contract: Obligation, product: str, response_s: float) -> str:
    if basis == QUALIFIED:
        return (
            f"{contract.name} {product}: nothing was measured of how its rigs shed load within {response_s:g} s; what is offered rests on "
            "the market's qualification (qualified_mw) alone"
        )
    if basis == NOT_MEASURED:
        return (
            f"{contract.name} {product}: nothing is offered, because nothing was measured and no qualified_mw is given; run the site, or "
            "give --data with a folder of its runs"
        )
    return ""


def _gates(offering: Offering, findings: list[str]) -> list[Gate]:
    market, rules = offering.state.site.market, offering.state.setup.rules.dated()
    if market is Market.TARIFF:
        return []
    found = rule(rules, rule_id(market), offering.on)
    due = offers_due(rules, market, offering.on)
    open_ = offering.at < due
    if not open_:
        findings.append(f"day-ahead offers of {offering.on} were due at {due:%a %d %b %H:%M} market time: these cannot be submitted there")
    return [
        {
            "what": "day-ahead offers of energy and reserve",
            "due_at": format_instant(due),
            "market_time": f"{due:%Y-%m-%d %H:%M}",
            "open": open_,
            "rule": found.cited,
        }
    ]


def _hours(offering: Offering, case: OfferCase, curve: Curve) -> Iterable[OfferedHour]:
    """The steps by hour: of intervals shorter than an hour the fewest MW and, of an offer, the dearest price (of a bid, the lowest)."""
    tz = offering.state.site.market.tz
    by_hour: dict[datetime, list[int]] = {}
    for t in np.flatnonzero(case.inside):
        start = case.outlook.grid.intervals[t].start
        by_hour.setdefault(start - timedelta(seconds=start.timestamp() % 3600), []).append(int(t))
    for start, inside in by_hour.items():
        here = start.astimezone(tz)
        mw = curve.mw[:, inside].min(axis=1)
        usd = curve.usd[:, inside].min(axis=1) if curve.product == "ENERGY" else curve.usd[:, inside].max(axis=1)
        yield {
            "start": format_instant(start),
            "end": format_instant(start + timedelta(hours=1)),
            "hour_ending": here.hour + 1,
            "repeated_hour": bool(here.fold),
            "steps": _steps(mw, np.floor(usd * 100.0) / 100.0 if curve.product == "ENERGY" else np.ceil(usd * 100.0 - 1e-6) / 100.0),
        }


def _steps(mw: Floats, usd: Floats) -> list[OfferStep]:
    """Steps of one price in one, those of nothing and those that no price pays left out."""
    steps: list[OfferStep] = []
    for end, price in zip(mw.tolist(), usd.tolist(), strict=True):
        if end <= (steps[-1]["mw"] if steps else 0.0) or not np.isfinite(price):
            continue
        step: OfferStep = {"mw": round(end, 3), "usd": round(price, 2)}
        if steps and steps[-1]["usd"] == step["usd"]:
            steps.pop()
        steps.append(step)
    return steps


def _seasons(offering: Offering) -> Iterable[SeasonOffer]:
    site = offering.state.site
    for contract in offering.state.setup.book:
        groups = contract.scope.names(site)
        for promise in contract.season_promises(offering.on, site.market):
            proved = offering.proof.mw_within(groups, promise.response_s)
            yield {
                "contract": contract.name,
                "product": promise.product,
                "begins": promise.begins.isoformat(),
                "ends": promise.ends.isoformat(),
                "period": promise.period,
                "hours": promise.hours,
                "mw": round(promise.mw if proved is None else min(promise.mw, proved), 3),
                "registered_mw": promise.mw,
                "stays_mw": promise.stays_mw,
                "price": promise.usd,
                "unit": promise.unit,
                "response_s": promise.response_s,
                "basis": NOT_MEASURED if proved is None else MEASURED,
                "most": promise.most,
            }
