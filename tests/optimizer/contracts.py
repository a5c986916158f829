"""A contract of every kind that is offered, with figures drawn by chance. A kind without a line in `DRAWN` fails the laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import metadata
from typing import Any

import numpy as np

from markets.facts import Award, Call
from markets.grid import Grid, Market, OperatingDay
from optimizer.domain.contract import Contract
from optimizer.domain.memory import Memory
from optimizer.domain.obligation import Obligation
from optimizer.domain.reserve_awards import ENERGY
from optimizer.domain.site import Scope, Site
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.drr import Drr
from optimizer.obligations.edr import Edr
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.ers.memory import ErsTest
from optimizer.obligations.fixed_charges import FixedCharges
from optimizer.obligations.forward import Forward
from optimizer.obligations.generation import Generation
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.hosting import Hosting
from optimizer.obligations.lmr import Lmr
from optimizer.obligations.load_management import LoadManagement
from optimizer.obligations.percentage_tax import PercentageTax
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.pra import Pra
from optimizer.obligations.renewable import Renewable
from optimizer.obligations.revenue_share import RevenueShare
from optimizer.obligations.transition import Transition
from optimizer.obligations.transmission import Transmission
from tests.optimizer import random_cases
from tests.rule_cases import with_market_rules

OFFERED = tuple(sorted(p.name for p in metadata.entry_points(group="optimizer.obligations")))
# How near its line in a program is to the bill: the same in every interval, the same over the grid, never more.
INTERVAL, TOTAL, NEVER_MORE = "interval", "total", "never more"


@dataclass(frozen=True)
class Terms:
    """A contract, how exact its line is, and what must be known beside it."""

    contract: Contract
    exact: str
    beside: tuple[Obligation, ...] = ()
    calls: tuple[Call, ...] = ()
    awards: tuple[Award, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)
    market: Market = Market.ERCOT

    def remembered(self, more: Mapping[str, Any] | None = None) -> Memory:
        """Its memory, with more figures."""
        return self.contract.memory_type.from_json({**self.memory, **(more or {})})


Draw = Callable[[np.random.Generator, Site, Grid], Terms]


def _usd(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 2)


def _window(rng: np.random.Generator, over: Grid) -> dict[str, Any]:
    if rng.random() < 0.6:
        return {}
    length_s = float(over.edges[-1] - over.edges[0])
    start = over.start + timedelta(seconds=int(rng.uniform(-0.2, 0.6) * length_s))
    return {"from": start, "to": start + timedelta(seconds=int(rng.uniform(0.1, 0.7) * length_s) + 60)}


def hashing(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    return Terms(Hashing(pool_fee=float(rng.choice([0.0, 0.01, 0.025]))), INTERVAL)


def power(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    contract = Power(adders_usd_per_mwh=float(rng.choice([0.0, 6.15, -2.0])), settlement_point=str(rng.choice(random_cases.POINTS)))
    bought = random_cases.awards(rng, "power", (ENERGY,), over, 4.0) if rng.random() < 0.5 else []
    return Terms(contract, INTERVAL, awards=tuple(a for a in bought if a.market == "DAM"))


def block(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    mw = _usd(rng, 0.2, 5)
    kinds = [None, SellBack(), SellBack(haircut_usd_per_mwh=_usd(rng, 0, 50)), SellBack(cap_mw=mw * _usd(rng, 0, 1.1))]
    contract = Block(
        mw=mw, usd_per_mwh=_usd(rng, 20, 60), sell_back=kinds[int(rng.integers(4))], scope=Scope(meter="main"), **_window(rng, over)
    )
    return Terms(contract, INTERVAL if contract.at_full_price else NEVER_MORE)


def plant(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    return Terms(Plant(), INTERVAL)


def transmission(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    method = str(rng.choice(["4cp", "12cp", "ncp", "mbd"]))
    coincident = method in ("4cp", "12cp")
    own = {} if coincident or rng.random() < 0.5 else {"contract_mw": _usd(rng, 0.5, 8)}
    if method == "ncp" and rng.random() < 0.4:
        own["ratchet"] = {"share": _usd(rng, 0.3, 1), "months": [6, 7, 8, 12], "past_mw": {"2026-08": _usd(rng, 0, 9)}}
    avoid = [{"from": over.intervals[1].start, "to": over.intervals[3].start, "mw": _usd(rng, 0, 3)}] if rng.random() < 0.3 else []
    contract = with_market_rules(Transmission(method=method, usd_per_kw_year=_usd(rng, 20, 80), avoid=avoid, **own))
    known = {} if coincident or rng.random() < 0.5 else {"own_peak_mw": _usd(rng, 0, 6), "least_is_billed": bool(rng.random() < 0.5)}
    if own.get("ratchet"):
        known["past_mw"] = {12 * 2026 + month: _usd(rng, 0, 9) for month in (4, 6, 10)}
    return Terms(contract, INTERVAL if coincident else TOTAL, memory=known)


def ancillary(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    kinds = {"clr": ["REGUP", "REGDN", "RRS", "RRSFFR", "ECRS", "NSPIN"], "nclr": ["RRSFFR", "RRSUFR", "ECRS", "NSPIN"]}
    kind = str(rng.choice(["clr", "clr", "nclr"]))
    products = tuple(rng.choice(kinds[kind], size=int(rng.integers(1, 4)), replace=False).tolist())
    blocks = {"min_mw": _usd(rng, 0.1, 1), "hours": int(rng.choice([1, 4])), "max_daily_deployments": 1, "min_restoration_min": 30.0}
    contract = with_market_rules(
        Ancillary(
            scope=Scope(meter="clr"),
            kind=kind,
            relay=True,
            block=blocks if kind == "nclr" else None,
            products=products,
            qualified_mw={p: _usd(rng, 0, 4) for p in products if rng.random() < 0.7},
            lpc_mw=float(rng.choice([0.0, 0.5])),
            shed_s=float(rng.choice([20.0, 60.0, 400.0])),
            ramp_mw_per_min=float(rng.choice([0.05, 1.0])) if rng.random() < 0.4 else None,
            hold=str(rng.choice(["economic", "firm"])),
        )
    )
    sold = random_cases.awards(rng, "ancillary", products, over, 2.0) if rng.random() < 0.7 else []
    return Terms(contract, INTERVAL, awards=tuple(sold))


def ers(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    first = int(rng.integers(0, 24))
    hours = tuple(sorted({(first + k) % 24 for k in range(int(rng.integers(2, 9)))}))
    mw, judged = _usd(rng, 0.2, 3), str(rng.choice(["alternate", "default"]))
    contract = with_market_rules(
        Ers(
            scope=Scope(meter="ers"),
            product=str(rng.choice(["ERS-10", "ERS-30"])),
            mw=mw,
            max_base_load_mw=_usd(rng, 0, 1),
            usd_per_mw_hour=_usd(rng, 0, 20),
            baseline=judged,
            baseline_mw=round(mw + _usd(rng, 0, 2), 2) if judged == "default" else None,
            periods=({"name": "one", "months": tuple(range(1, 13)), "hours": hours},),
            rest_available=float(rng.choice([1.0, 0.9])),
        )
    )
    past = {
        "obligated_h": 100.0,
        "available_h": _usd(rng, 70, 100),
        "gross_usd": _usd(rng, 500, 5000),
        "event_weight": 0.0,
        "event_done": 0.0,
    }
    if rng.random() < 0.3:
        past |= {"event_weight": 4.0, "event_done": _usd(rng, 3, 4)}
    if rng.random() < 0.3:
        begun = [over.start - timedelta(days=float(d)) for d in rng.uniform(1, 400, 4)]
        past["tests"] = {f"t{k}": ErsTest(at, at + timedelta(hours=1), 4.0, _usd(rng, 3, 4)) for k, at in enumerate(begun)}
    past["worth_usd"] = round(past["gross_usd"] * past["available_h"] / 100.0, 2)
    return Terms(contract, NEVER_MORE, memory=past if rng.random() < 0.6 else {})


def forward(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    delivery = str(rng.choice(["daily", "hourly", "cash"]))
    owed = {} if delivery == "cash" else {"damages_usd_per_ph_day": _usd(rng, 0, 12)}
    contract = Forward(ph=_usd(rng, 20, 400), usd_per_ph_day=_usd(rng, 20, 80), delivery=delivery, **owed, **_window(rng, over))
    known = (
        {"delivered_ph_days": _usd(rng, 0, 90), "needed_ph_days": _usd(rng, 0, 90)} if delivery == "daily" and rng.random() < 0.5 else {}
    )
    return Terms(contract, INTERVAL if delivery == "cash" else TOTAL, memory=known)


def hosting(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    promised = {"uptime": _usd(rng, 0.5, 1), "credit_usd_per_mwh": _usd(rng, 1, 60)} if rng.random() < 0.5 else {}
    contract = Hosting(
        scope=Scope(tenant="guest"),
        usd_per_mwh=float(rng.choice([0.0, 8.0, 70.0])),
        pass_through=bool(rng.random() < 0.5),
        strike_usd_per_mwh=_usd(rng, 0, 120) if rng.random() < 0.6 else None,
        hash_share=float(rng.choice([0.0, 0.1])),
        **promised,
    )
    known = {"run_mwh": _usd(rng, 0, 900), "promised_mwh": _usd(rng, 0, 900)} if promised and rng.random() < 0.5 else {}
    return Terms(contract, TOTAL if promised else INTERVAL, memory=known)


def transition(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    gain = float(rng.choice([0.0, 3.0]))
    return Terms(Transition(wear_usd_per_start=float(rng.choice([0.0, 0.1])), min_gain_usd_per_mw=gain, weight=_usd(rng, 0, 2)), INTERVAL)


def fixed_charges(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    """A rate from before the grid on, and sometimes another from the day after its start."""
    first = over.start.date() - timedelta(days=40)
    days = [first, over.start.date() + timedelta(days=1)][: int(rng.integers(1, 3))]
    rates = [
        {"from": day, "usd_per_month": _usd(rng, 0, 900), "tag_mw": _usd(rng, 0, 5), "usd_per_kw_month": _usd(rng, 0, 6)} for day in days
    ]
    return Terms(FixedCharges(rates=rates), INTERVAL)


def revenue_share(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    """A share of two services, one by its own charge type, and another share from the day after the grid's start."""
    paid = load_management(rng, where, over).contract
    pair = (paid, Pra(zone=1, usd_per_mw_day={s: _usd(rng, 0, 600) for s in ("winter", "spring", "summer", "fall")}, zrc={"summer": 3.0}))
    first = over.start.date() - timedelta(days=40)
    named = [paid.name, f"{paid.name}/load_management", "pra"]
    days = [first, over.start.date() + timedelta(days=1)][: int(rng.integers(1, 3))]
    least = _usd(rng, 0, 90000) if rng.random() < 0.5 else 0.0
    rates = [
        {"from": day, "least_usd_per_month": least, "shares": {name: round(float(rng.uniform(0, 0.5)), 3) for name in named}}
        for day in days
    ]
    known = {"kept_usd": _usd(rng, 0, 900), "least_usd": _usd(rng, 0, 900)} if least and rng.random() < 0.5 else {}
    contract = RevenueShare(rates=rates)
    return Terms(contract, TOTAL if least else INTERVAL, beside=tuple(with_market_rules(c) for c in pair), memory=known)


def percentage_tax(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    """A tax on energy, on a demand charge of the month and on what hashing pays."""
    demand = Transmission(method="ncp", usd_per_kw_year=_usd(rng, 20, 80))
    taxed = {"percent": round(float(rng.uniform(0, 12)), 4), "exempt_share": float(rng.choice([0.0, 0.35]))}
    first = over.start.date() - timedelta(days=40)
    rates = [{"from": first, "charges": ["power/energy", "transmission"], "receipts": ["hashing"], **taxed}]
    return Terms(PercentageTax(rates=rates), TOTAL, beside=(Power(), Hashing(), with_market_rules(demand)))


def generation(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    mw = _usd(rng, 0.3, 3)
    whole = {
        "min_mw": round(mw * 0.4, 3),
        "no_load_mmbtu_per_h": _usd(rng, 0, 4),
        "start_usd": _usd(rng, 0, 40),
        "min_up_min": float(rng.choice([0, 60])),
        "min_down_min": float(rng.choice([0, 60])),
    }
    contract = Generation(
        scope=Scope(meter="far"), mw=mw, fuel_usd_per_mmbtu=_usd(rng, -1, 6), heat_rate_mmbtu_per_mwh=_usd(rng, 7, 11),
        maintenance_usd_per_mwh=float(rng.choice([0.0, 4.0])), **(whole if rng.random() < 0.6 else {}),
    )  # fmt: skip
    return Terms(contract, NEVER_MORE, beside=(Power(adders_usd_per_mwh=6.15), Plant()))


def renewable(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    """Without a forecast in the market drawn by chance: nothing is made, and nothing curtailed."""
    contract = Renewable(
        scope=Scope(meter="far"),
        mw=_usd(rng, 0.3, 3),
        usd_per_mwh=_usd(rng, -20, 40),
        curtailed_usd_per_mwh=float(rng.choice([0.0, 10.0])),
    )
    return Terms(contract, INTERVAL, beside=(Power(adders_usd_per_mwh=6.15), Plant()))


def lmr(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    mw, stays = _usd(rng, 0.2, 4), _usd(rng, 0, 2)
    judged = {"firm_service_mw": stays} if rng.random() < 0.5 else {"method": "baseline", "baseline_mw": round(stays + mw, 2)}
    contract = with_market_rules(
        Lmr(
            scope=Scope(meter="ers"),
            mw=mw,
            notice_min=float(rng.choice([0, 10, 30, 120])),
            lead_min=float(rng.choice([0, 5])),
            zone=int(rng.integers(1, 8)),
            usd_per_mw_day={s: _usd(rng, 0, 600) for s in ("winter", "spring", "summer", "fall")},
            zrc={"summer": _usd(rng, 0, 4)} if rng.random() < 0.3 else {},
            rsg_usd_per_mwh=_usd(rng, 0, 5) if rng.random() < 0.5 else None,
            **judged,
        )
    )
    failed = {"season": "2026-06-01", "failed": True} if rng.random() < 0.3 else {}
    return Terms(contract, INTERVAL, memory=failed, market=Market.MISO)


def load_management(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    hours = tuple(range(int(rng.integers(0, 12)), int(rng.integers(13, 25))))
    contract = LoadManagement(
        scope=Scope(meter="far"),
        program=str(rng.choice(["tdu", "sb6"])),
        mw=_usd(rng, 0.2, 3),
        usd_per_kw=_usd(rng, 0, 60),
        season={"name": "season", "months": (6, 8, 9, 12, 1), "hours": hours},
    )
    return Terms(contract, INTERVAL)


def pra(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    seasons = ("winter", "spring", "summer", "fall")
    told = [{"from": over.intervals[2].start, "to": over.intervals[2].start + timedelta(hours=1)}] if rng.random() < 0.3 else []
    contract = Pra(
        zone=int(rng.integers(1, 8)),
        usd_per_mw_day={s: _usd(rng, 0, 600) for s in seasons},
        reserve_margin={s: _usd(rng, 0, 0.3) for s in seasons if rng.random() < 0.5},
        charged=bool(rng.random() < 0.8),
        zrc={s: _usd(rng, 0, 9) for s in seasons if rng.random() < 0.4},
        peaks=told,
    )
    return Terms(with_market_rules(contract), INTERVAL, market=Market.MISO)


def drr(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    mw, kind = _usd(rng, 0.2, 3), str(rng.choice(["I", "II"]))
    reserves = tuple(rng.choice(["SPIN", "SUPP"], size=int(rng.integers(0, 3)), replace=False).tolist())
    contract = with_market_rules(
        Drr(
            scope=Scope(meter="clr"),
            kind=kind,
            mw=mw,
            baseline_mw=round(mw + _usd(rng, 0, 3), 2),
            offer_usd_per_mwh=float(rng.choice([0.0, 40.0, 120.0])),
            net_benefits_usd_per_mwh=_usd(rng, 10, 60),
            min_down_min=float(rng.choice([0, 60])) if kind == "I" else 0.0,
            reserves=reserves,
            qualified_mw={r: _usd(rng, 0, 2) for r in reserves if rng.random() < 0.6},
            **({"shutdown_usd": _usd(rng, 0, 90), "curtailment_usd_per_h": _usd(rng, 0, 40)} if kind == "I" and rng.random() < 0.6 else {}),
        )
    )
    sold = random_cases.awards(rng, "drr", ("ENERGY", *reserves), over, mw) if rng.random() < 0.6 else []
    past = {
        "period": OperatingDay.of(Market.MISO, over.start).on.toordinal(),
        "uncovered_usd": _usd(rng, -200, 200),
        "dispatched_until": over.start if rng.random() < 0.5 else None,
    }
    return Terms(contract, NEVER_MORE, awards=tuple(sold), memory=past if rng.random() < 0.5 else {}, market=Market.MISO)


def edr(rng: np.random.Generator, where: Site, over: Grid) -> Terms:
    mw = _usd(rng, 0.2, 3)
    paid = {"offer_usd_per_mwh": _usd(rng, 0, 900), "shutdown_usd": float(rng.choice([0.0, 250.0]))}
    contract = with_market_rules(
        Edr(scope=Scope(meter="ers"), mw=mw, baseline_mw=round(mw + _usd(rng, 0, 2), 2), notice_min=float(rng.choice([0, 30])), **paid)
    )
    return Terms(contract, NEVER_MORE, market=Market.MISO)


DRAWN: dict[str, Draw] = {
    "ancillary": ancillary,
    "block": block,
    "drr": drr,
    "edr": edr,
    "ers": ers,
    "lmr": lmr,
    "load_management": load_management,
    "fixed_charges": fixed_charges,
    "forward": forward,
    "generation": generation,
    "hashing": hashing,
    "hosting": hosting,
    "percentage_tax": percentage_tax,
    "plant": plant,
    "power": power,
    "pra": pra,
    "revenue_share": revenue_share,
    "renewable": renewable,
    "transition": transition,
    "transmission": transmission,
}
