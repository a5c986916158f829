"""Each contract's pay from what was metered, the prices and the contract's formula, in exact fractions. It uses no code of the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction as F
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

Numbers = Sequence[F]


@dataclass(frozen=True)
class Days:
    """What happened: by group MWh at the meter and PH/s-days, prices, calls and awards, and the contract's memory of the time before.

    meters   by group: meter, settlement point, loss factor
    full_mw  by group: all of its rigs at full power
    made     MWh of the contract's own generator
    others   by contract: the dollars each interval adds to the pay of those that a share or a tax is taken of
    only     the numbers of the intervals to reckon, all if None
    calls    dicts with the fields of a call and datetimes; awards likewise
    """

    edges: Sequence[datetime]
    tz: str
    mwh: Mapping[str, Numbers]
    ph_days: Mapping[str, Numbers]
    price: Mapping[str, Numbers]
    hashprice: Numbers
    meters: Mapping[str, tuple[str, str, F]]
    full_mw: Mapping[str, F]
    calls: Sequence[Mapping[str, Any]] = ()
    awards: Sequence[Mapping[str, Any]] = ()
    peaks: Mapping[Any, Numbers] = field(default_factory=dict)
    reserve: Mapping[str, Numbers] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    made: Numbers = ()
    others: Mapping[str, Numbers] = field(default_factory=dict)
    only: range | None = None

    @property
    def times(self) -> range:
        return range(len(self.edges) - 1) if self.only is None else self.only

    def seconds(self, t: int) -> int:
        return int((self.edges[t + 1] - self.edges[t]).total_seconds())

    def hours(self, t: int) -> F:
        return F(self.seconds(t), 3600)

    def share(self, t: int, start: datetime | None, end: datetime | None) -> F:
        """The share of an interval between two instants; None is no limit."""
        first, last = max(self.edges[t], start or self.edges[t]), min(self.edges[t + 1], end or self.edges[t + 1])
        return F(max(0, int((last - first).total_seconds())), self.seconds(t))

    def local(self, t: int) -> datetime:
        return self.edges[t].astimezone(ZoneInfo(self.tz))

    def load(self, names: Sequence[str], t: int) -> F:
        return sum((self.mwh[n][t] for n in names), F(0))

    def mw(self, names: Sequence[str], t: int) -> F:
        return self.load(names, t) / self.hours(t)

    def awarded(self, product: str, market: str, t: int) -> tuple[F, F, bool]:
        """MW by time, the price by MW, and whether anybody said."""
        here = [(self.share(t, a["start"], a["end"]) * frac(a["mw"]), frac(a["usd"])) for a in self.awards
                if (a["product"], a["market"]) == (product, market) and self.share(t, a["start"], a["end"])]  # fmt: skip
        mw = sum((m for m, _ in here), F(0))
        usd = sum((m * p for m, p in here), F(0)) / mw if mw else (here[-1][1] if here else F(0))
        return mw, usd, bool(here)

    def calls_in_force(self, *kinds: str) -> list[dict[str, Any]]:
        """Calls that count: the newest word of each; what a recall leaves of it; a cancelled one not at all."""
        found = []
        for id_ in dict.fromkeys(c["id"] for c in self.calls):
            words = sorted((c for c in self.calls if c["id"] == id_), key=lambda c: c["version"])
            orders = [c for c in words if c["kind"] not in ("recall", "cancel")]
            last = words[-1]
            if not orders or last["kind"] == "cancel":
                continue
            order = dict(orders[-1])
            if last["kind"] == "recall":
                order["end"] = min([e for e in (order["end"], last["start"]) if e is not None])
                if order["end"] <= order["start"]:
                    continue
            if order["kind"] in kinds:
                found.append(order)
        return found


def frac(value: Any) -> F:
    """A figure as it is written, not as a machine keeps it."""
    return _written(float(value)) if not isinstance(value, F) else value


@cache
def _written(value: float) -> F:
    return F(repr(value))


Book = Callable[[Days, Mapping[str, Any], Sequence[str]], F]


# --- energy and hashing -------------------------------------------------------------------------------------------------------------------


def hashing(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    return sum((d.ph_days[n][t] * d.hashprice[t] * (1 - frac(c["pool_fee"])) for n in names for t in d.times), F(0))


def power(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """- N p - N a + Q (p' - d)"""
    usd, first = F(0), d.meters[names[0]][1]
    for t in d.times:
        for n in names:
            _, point, loss = d.meters[n]
            usd -= d.mwh[n][t] * loss * (d.price[point][t] + frac(c["adders_usd_per_mwh"]))
        mw, paid, _ = d.awarded("ENERGY", "DAM", t)
        usd += mw * d.hours(t) * (d.price[c["settlement_point"] or first][t] - paid)
    return usd


def block(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """- B F, what is above bought, what is below sold at max(p - haircut, 0) up to the cap; at the full price at p itself."""
    usd, mw, terms = F(0), frac(c["mw"]), c["sell_back"]
    for t in d.times:
        price, during = d.price[d.meters[names[0]][1]][t], d.share(t, c["from"], c["to"])
        bought = mw * d.hours(t) * during
        load = sum((d.mwh[n][t] * d.meters[n][2] for n in names), F(0)) * during
        usd -= bought * frac(c["usd_per_mwh"])
        left = bought - load
        if terms and not terms["haircut_usd_per_mwh"] and terms["cap_mw"] >= c["mw"] or left < 0:
            usd += left * price
        elif terms:
            sold = min(left, min(frac(terms["cap_mw"]), mw) * d.hours(t) * during)
            usd += sold * max(F(0), price - frac(terms["haircut_usd_per_mwh"]))
    return usd


def hosting(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    usd, strike = F(0), c["strike_usd_per_mwh"]
    promised_mw = sum((d.full_mw[n] for n in names), F(0)) * frac(c["uptime"])
    run, promised = _by_month(d), _by_month(d)
    for t in d.times:
        _, point, loss = d.meters[names[0]]
        price, load, month = d.price[point][t], d.load(names, t), (d.local(t).year, d.local(t).month)
        usd += frac(c["hash_share"]) * d.hashprice[t] * sum((d.ph_days[n][t] for n in names), F(0))
        if strike is not None and price >= frac(strike):
            continue
        usd += load * loss * (frac(c["usd_per_mwh"]) + (price if c["pass_through"] else 0))
        run[month] += load
        promised[month] += promised_mw * d.hours(t)
    before = {next(iter(run)): (frac(d.memory.get("run_mwh", 0)), frac(d.memory.get("promised_mwh", 0)))}
    return usd - frac(c["credit_usd_per_mwh"]) * _missing(run, promised, before) if c["uptime"] else usd


def _by_month(d: Days) -> dict[tuple[int, int], F]:
    return {(d.local(t).year, d.local(t).month): F(0) for t in d.times}


def _missing(have: Mapping[Any, F], need: Mapping[Any, F], before: Mapping[Any, tuple[F, F]]) -> F:
    """What is missing of each period in the end, less what was missing when all began."""
    missing = F(0)
    for period in have:
        had, needed = before.get(period, (F(0), F(0)))
        missing += max(F(0), needed + need[period] - had - have[period]) - max(F(0), needed - had)
    return missing


def forward(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """H h (F - X), and what is missing of each UTC day or hour at damages and the gain that the last interval shows."""
    usd, ph, price = F(0), frac(c["ph"]), frac(c["usd_per_ph_day"])
    length_s = {"daily": 86400, "hourly": 3600}.get(c["delivery"], 0)
    have, need, gain = {}, {}, {}
    for t in d.times:
        during = d.share(t, c["from"], c["to"])
        sold = ph * d.hours(t) / 24 * during
        usd += sold * (price - d.hashprice[t])
        if length_s:
            period = int(d.edges[t].timestamp()) // length_s
            have[period] = have.get(period, F(0)) + sum((d.ph_days[n][t] for n in names), F(0)) * during
            need[period] = need.get(period, F(0)) + sold
            gain[period] = max(F(0), price - d.hashprice[t])
    known = frac(d.memory.get("delivered_ph_days", 0)), frac(d.memory.get("needed_ph_days", 0))
    for period in have:
        before = {period: known} if c["delivery"] == "daily" and period == next(iter(have)) else {}
        missing = _missing({period: have[period]}, need, before)
        usd -= missing * (gain[period] + frac(c["damages_usd_per_ph_day"]))
    return usd


# --- wires and capacity -------------------------------------------------------------------------------------------------------------------


def transmission(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    rate, method = frac(c["usd_per_kw_year"]) * 1000, c["method"]
    if method in ("4cp", "12cp"):
        months, minutes = ((6, 7, 8, 9), 15) if method == "4cp" else (tuple(range(1, 13)), 30)
        here = (t for t in d.times if d.local(t).month in months)
        return -sum((d.peaks[minutes][t] * d.mw(names, t) for t in here), F(0)) * rate / len(months)
    contract, usd, periods = frac(c["contract_mw"] or 0), F(0), {}
    for t in d.times:
        periods.setdefault(_billing(d.local(t), method), []).append(t)
    for number, (_, here) in enumerate(periods.items()):
        quarters: dict[int, list[int]] = {}
        for t in here:
            quarters.setdefault(int(d.edges[t].timestamp()) // 900, []).append(t)
        highest = max(sum((d.load(names, t) for t in q), F(0)) / sum((d.hours(t) for t in q), F(0)) for q in quarters.values())
        least = max(contract, ratcheted(d, c["ratchet"], here[0])) if c["ratchet"] else contract
        known = max(frac(d.memory.get("own_peak_mw", 0)), least if d.memory.get("least_is_billed") else F(0))
        paid = known if number == 0 else F(0)
        usd -= max(F(0), max(highest, least) - paid) * (rate / 12 if method == "ncp" else rate)
    return usd


def ratcheted(d: Days, ratchet: Mapping[str, Any], t: int) -> F:
    """A share of the highest demand of the months before, those that count; a month in the contract goes before one that was run."""
    at, known = d.local(t), {int(month): frac(mw) for month, mw in d.memory.get("past_mw", {}).items()}
    for name, mw in ratchet["past_mw"].items():
        year, month = map(int, name.split("-"))
        known[12 * year + month - 1] = frac(mw)
    now = 12 * at.year + at.month - 1
    back = (n for n in range(now - ratchet["months_back"], now) if n in known and n % 12 + 1 in ratchet["months"])
    return frac(ratchet["share"]) * max((known[n] for n in back), default=F(0))


def _billing(at: datetime, method: str) -> Any:
    return (at.year, at.month) if method == "ncp" else at.year + (at.month >= 10)


def pra(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    usd = F(0)
    peaks = [(p["from"], p["to"]) for p in c["peaks"]]
    for t in d.times:
        on = d.local(t).date()
        price = frac(c["usd_per_mw_day"][season(on)])
        usd += frac(c["zrc"].get(season(on), 0)) * d.hours(t) / 24 * price
        if c["charged"]:
            known = any(season_of(start.astimezone(ZoneInfo(d.tz)).date()) == season_of(on) for start, _ in peaks)
            named = sum((d.share(t, *p) * d.seconds(t) / F(int((p[1] - p[0]).total_seconds())) for p in peaks), F(0))
            at = named if known else d.peaks[60, 3][t]
            first, last = season_of(on)
            usd -= d.mw(names, t) * at * (1 + frac(c["reserve_margin"].get(season(on), 0))) * price * (last - first).days
    return usd


def season(on: date) -> str:
    return ("winter", "spring", "summer", "fall")[on.month % 12 // 3]


def season_of(on: date) -> tuple[date, date]:
    """First day of the season and of the next."""
    first = date(on.year - (on.month < 3), 12, 1) if on.month in (12, 1, 2) else date(on.year, on.month // 3 * 3, 1)
    after = first.month + 3
    return first, date(first.year + after // 13, (after - 1) % 12 + 1, 1)


def fixed_charges(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """Each month's amount and tag over the clock hours of the month, at the newest rate of the day."""
    usd = F(0)
    for t in d.times:
        at = d.local(t)
        in_force = [r for r in c["rates"] if date.fromisoformat(str(r["from"])) <= at.date()]
        if in_force:
            rate = in_force[-1]
            month = frac(rate["usd_per_month"]) + frac(rate["tag_mw"]) * 1000 * frac(rate["usd_per_kw_month"])
            usd -= month * F(d.seconds(t), month_seconds(at))
    return usd


def parts(d: Days, rates: Sequence[Mapping[str, Any]], t: int, part: Callable[[Mapping[str, Any], str, F], F]) -> F:
    """The parts of an interval's dollars that the newest rate of the day takes. A contract with one charge type goes by that."""
    in_force = [r for r in rates if date.fromisoformat(str(r["from"])) <= d.local(t).date()]
    return sum((part(in_force[-1], name, usd[t]) for name, usd in d.others.items()), F(0)) if in_force else F(0)


def revenue_share(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    def kept(rate: Mapping[str, Any], name: str, usd: F) -> F:
        shares = {key.split("/")[0]: share for key, share in sorted(rate["shares"].items())}  # CONTRACT/CHARGE_TYPE comes last
        return -frac(shares.get(name, 0.0)) * usd

    if not any(rate["least_usd_per_month"] for rate in c["rates"]):
        return sum((parts(d, c["rates"], t, kept) for t in d.times), F(0))
    got, need, missing, month = frac(d.memory.get("kept_usd", 0.0)), frac(d.memory.get("least_usd", 0.0)), F(0), None
    usd, owed_before = F(0), max(F(0), need - got)
    for t in d.times:
        at = d.local(t)
        if month not in (None, (at.year, at.month)):
            usd, missing, got, need = usd - missing, F(0), F(0), F(0)
        month = at.year, at.month
        in_force = [r for r in c["rates"] if date.fromisoformat(str(r["from"])) <= at.date()]
        mine = parts(d, c["rates"], t, kept)
        usd, got = usd + mine, got - mine
        need += frac(in_force[-1]["least_usd_per_month"]) * F(d.seconds(t), month_seconds(at)) if in_force else F(0)
        missing = max(F(0), need - got)
    return usd - missing + owed_before


def month_seconds(at: datetime) -> int:
    """The length of a local month, changes of clocks included."""
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return int((first + timedelta(days=32)).replace(day=1).timestamp() - first.timestamp())


def percentage_tax(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    def due(rate: Mapping[str, Any], name: str, usd: F) -> F:
        sign = (name in [key.split("/")[0] for key in rate["charges"]]) - (name in rate["receipts"])
        return sign * frac(rate["percent"]) / 100 * (1 - frac(rate["exempt_share"])) * usd

    return sum((parts(d, c["rates"], t, due) for t in d.times), F(0))


def renewable(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """The price of each MWh made; what it could have made is not measured here, so that nothing curtailed is billed."""
    return -frac(c["usd_per_mwh"]) * sum(d.made, F(0))


RECKONED: dict[str, Book] = {
    "fixed_charges": fixed_charges,
    "block": block,
    "forward": forward,
    "hashing": hashing,
    "hosting": hosting,
    "power": power,
    "percentage_tax": percentage_tax,
    "pra": pra,
    "renewable": renewable,
    "revenue_share": revenue_share,
    "transmission": transmission,
}
