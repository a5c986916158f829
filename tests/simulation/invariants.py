"""The five invariants of a simulated run, each checked at every step that could break it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from dispatch.entries import Commanded, Entry, Hold, Planned, PriceBasisChanged, Seen, unpack
from markets.facts import Call, Price
from markets.grid import parse_instant
from markets.outlook import PriceBasis
from tests.independent_day_bill import GH_PER_PH_DAY, MW_MS_PER_MWH, integrals
from tests.simulation.ports import InjectedFaults
from tests.simulation.site import POINT

RESPONSE = timedelta(minutes=10)  # within which a call must be kept
CAUGHT = timedelta(minutes=3)  # how long a rig that wakes by itself may draw before it is caught
TOLERANCE_MW = 0.0005
ENDS = ("recall", "cancel")


class Violated(BaseException):
    """An invariant does not hold. Not an Exception: nothing in the service may catch it."""


class Invariants:
    """What the journal says, row by row, held against what the rigs do. `true_mw` is the load that a revenue meter would read."""

    def __init__(self, faults: InjectedFaults, true_mw: Callable[[], float]) -> None:
        self._faults, self._clock, self._true_mw = faults, faults.clock, true_mw
        self._calls: dict[str, list[Call]] = defaultdict(list)
        self._holds: dict[str, Hold] = {}
        self._orders: dict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)  # by rig: id and mode, not yet obeyed
        self._prices: dict[float, int] = {}  # by value, $/MWh: the first row that has it
        self._ids: set[str] = set()
        self._basis: str = PriceBasis.REAL_TIME
        self._short = False  # whether the newest decision names a promise that is missed
        self._over_since: float | None = None
        self._capped_since: float | None = None
        self._cap_mw = float("inf")
        self._alive_since_s = 0.0
        self._meter_wrong_until_s = 0.0
        self.journaled: set[str] = set()
        self.violated: Violated | None = None

    def process_started(self) -> None:
        """A process takes over: until it has decided, what it found is not its act."""
        self._alive_since_s, self._over_since = self._clock.run_s, None

    def appended(self, seq: int, entry: Entry) -> None:
        """A row became durable. Raises Violated."""
        self.raise_violated()
        if isinstance(entry, Seen):
            self._seen(seq, entry)
        elif isinstance(entry, Commanded):
            self._commanded(seq, entry)
        elif isinstance(entry, Planned):
            self._planned(seq, entry)
        elif isinstance(entry, PriceBasisChanged):
            self._basis = entry.price_basis
        self._load(entry.at)

    def raise_violated(self) -> None:
        """Raises the Violated that was raised where it could be lost."""
        if self.violated is not None:
            raise self.violated

    def _seen(self, seq: int, seen: Seen) -> None:
        for fact in seen.facts:
            if fact.known_at > seen.at:
                raise Violated(f"I4: row {seq} holds a {type(fact).__name__} that was known only at {fact.known_at}, not at {seen.at}")
            if isinstance(fact, Call):
                self._calls[fact.id].append(fact)
                self.journaled.add(f"{fact.id} {fact.version}")
            elif isinstance(fact, Price):
                self._prices.setdefault(fact.usd_per_mwh, seq)
        self._holds |= {hold.id: hold for hold in seen.holds}
        silent = self._faults.active("link_silent")
        if silent and self._clock.run_s - silent.at_s > 4000 and "link desk" not in seen.alerts:
            raise Violated(f"row {seq}: the desk is silent since {silent.at_s:.0f} s and no alarm says so")

    def _planned(self, seq: int, planned: Planned) -> None:
        if planned.as_of >= seq:
            raise Violated(f"I4: the plan of row {seq} says that it knew row {planned.as_of}")
        if planned.plan is None or not planned.plan["intervals"]:
            return
        if self._basis != PriceBasis.REAL_TIME:
            return
        usd = planned.plan["intervals"][0]["price_usd_per_mwh"][POINT]
        known = self._prices.get(usd)
        if known is None or known > planned.as_of:
            raise Violated(f"I4: the plan of row {seq} uses {usd} $/MWh, which row {planned.as_of} and those before it do not hold")

    def cap_mw(self, at: datetime) -> float:
        """The lowest cap of the calls and holds in force, by the journal."""
        caps = [
            hold.mw_cap for hold in self._holds.values() if hold.mw_cap is not None and not hold.released and hold.until and at < hold.until
        ]
        for versions in self._calls.values():
            call = max(versions, key=lambda each: each.version)
            over = call.start_at <= at and (call.end_at is None or at < call.end_at)
            caps += [call.mw_cap] if call.kind.value not in ENDS and over and call.mw_cap is not None else []
        return min(caps, default=float("inf"))

    def _commanded(self, seq: int, commanded: Commanded) -> None:
        """I2: no order is given twice."""
        self._short = bool(commanded.shortfall_mw)
        for order in commanded.orders:
            if order.id in self._ids:
                raise Violated(f"I2: order {order.id} is given twice")
            self._ids.add(order.id)
            for rig in unpack(order.rigs):
                self._orders[order.group, rig].append((order.id, order.mode))

    def obeyed(self, group: str, rigs: Sequence[int], mode: str) -> None:
        """An order moved rigs. I2 and I3: each has an order of its own, recorded before, that moved it never before. Raises Violated."""
        for rig in rigs:
            waiting = self._orders[group, rig]
            found = next((n for n in reversed(range(len(waiting))) if waiting[n][1] == mode), None)
            if found is None:
                # It is raised inside a task, whose end nobody may look at: the next row raises it again.
                self.violated = Violated(
                    f"I2, I3: rig {rig} of {group} is moved to {mode} and no recorded order says so, or one did before"
                )
                raise self.violated
            del waiting[: found + 1]

    def _load(self, at: datetime) -> None:
        """I1: the true load is under the caps in time, as far as the process was there, or what is missed is named."""
        now_s, cap_mw = self._clock.run_s, self.cap_mw(at)
        if cap_mw < self._cap_mw or cap_mw == float("inf"):
            self._capped_since = now_s
        self._cap_mw = cap_mw
        if self._faults.active("meter_wrong"):
            self._meter_wrong_until_s = now_s + RESPONSE.total_seconds()
        if self._true_mw() <= cap_mw + TOLERANCE_MW:
            self._over_since = None
            return
        self._over_since = now_s if self._over_since is None else self._over_since
        began_s = max(self._alive_since_s, self._capped_since or 0.0)
        late = now_s - began_s > RESPONSE.total_seconds() and now_s - self._over_since > CAUGHT.total_seconds()
        if late and not self._short and now_s > self._meter_wrong_until_s:
            raise Violated(f"I1: {self._true_mw():.4f} MW since {self._over_since:.0f} s above the cap of {cap_mw:.4f} MW, unsaid")


def settled_as_replayed(statement: dict[str, Any], telemetry: Path, groups: Sequence[str]) -> None:
    """I5: the statement's energy and its charge follow from the telemetry files and its prices alone, in fractions. Raises Violated."""
    rows = [row for row in statement["intervals"] if row["price_usd_per_mwh"][POINT] is not None]
    spans = [(_ms(row["start"]), _ms(row["end"])) for row in rows]
    energy = [integrals(telemetry, group, "watts", spans) for group in groups]
    hashes = [integrals(telemetry, group, "ths", spans) for group in groups]
    usd = revenue = Fraction(0)
    for n, row in enumerate(rows):
        mwh = sum(Fraction(of[n], MW_MS_PER_MWH) for of in energy)
        if abs(float(mwh) - float(row["energy_mwh"])) > 1e-6:
            raise Violated(f"I5: {statement['date']} {row['start']}: settled {row['energy_mwh']} MWh, replayed {float(mwh):.6f}")
        usd -= mwh * Fraction(row["price_usd_per_mwh"][POINT])
        revenue += sum(Fraction(of[n], GH_PER_PH_DAY) for of in hashes) * Fraction(row["hashprice_usd_per_ph_day"] or "0")
    for name, exact in (("power/energy", usd), ("hashing/hash_revenue", revenue)):
        settled = statement["totals"].get(name)
        if settled is not None and abs(Decimal(settled) - Decimal(float(exact))) > Decimal("0.011"):
            raise Violated(f"I5: {statement['date']}: {name} settled as {settled}, replayed as {float(exact):.4f}")


def _ms(text: str) -> int:
    return int(parse_instant(text).timestamp()) * 1000
