"""A site that ran, made by hand: a ledger, a journal, prices, telemetry. Nothing is faked; only time and figures are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from dispatch.entries import Planned, RunStarted, Seen
from dispatch.settlement.day import settle_day
from dispatch.settlement.document import DayStatement
from dispatch.site_file.load import load_site_file
from dispatch.site_file.setup import Setup
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from dispatch.store.telemetry import Telemetry
from markets.facts import Fact, Price, PriceMarket
from markets.grid import Grid, Interval, Market, OperatingDay

SITE = """
[site]
name = "{name}"
market = "{market}"
settlement_point = "{point}"
interconnect_mw = 2.0
tick_s = 300
[[meters]]
id = "main"
loss_factor = {loss}
[[halls]]
name = "h"
meter = "main"
limit_mw = 2.0
overhead = {{ share = {share}, share_per_c_above_25 = 0.002 }}
[[groups]]
name = "a"
hall = "h"
model = "hand-made-20"
rigs = 10
modes = [{{ name = "sleep", watts = 0, ths = 0 }}, {{ name = "normal", watts = 3000, ths = 150 }}]
[[groups]]
name = "b"
hall = "h"
model = "hand-made-30"
rigs = 5
modes = [{{ name = "sleep", watts = 10, ths = 0 }}, {{ name = "normal", watts = 3300, ths = 110 }}]
[prices]
source = "{prices}"
{more_prices}
[hash]
source = "fixed"
usd_per_ph_day = 45.0
pool_fee = 0.01
[[obligations]]
type = "power"
adders_usd_per_mwh = 6.15
"""

# Rigs hosted with an uptime credit, and ERS at every hour of summer: contracts that remember days.
HOSTING_AND_ERS = """
[[obligations]]
type = "hosting"
scope = { groups = ["a"] }
usd_per_mwh = 10.0
uptime = 0.95
credit_usd_per_mwh = 20.0

[[obligations]]
type = "ers"
product = "ERS-10"
mw = 0.1
usd_per_mw_hour = 10.0
periods = [{ name = "always", months = [6, 7, 8, 9], hours = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
  21, 22, 23] }]
"""


@dataclass
class HandMadeDay:
    """One operating day of a site in a folder of its own."""

    folder: Path
    day: OperatingDay
    setup: Setup
    engine: Engine
    journal: SqlJournal
    telemetry: Telemetry
    facts: list[Fact] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, on: date, market: Market = Market.ERCOT, extra: str = "", runs: bool = True, **figures: Any) -> HandMadeDay:
        folder.mkdir(parents=True, exist_ok=True)
        known = {"name": "Hand-made", "point": "LZ_WEST", "loss": "1.0", "share": "0.0", "prices": "gridstatus", "more_prices": ""}
        path = folder / "site.toml"
        path.write_text(SITE.format(market=market.value, **{**known, **figures}) + extra, "utf-8")
        setup = load_site_file(path)
        engine = open_ledger(folder)
        token = lease.take(engine, "hand", 3600.0)
        made = cls(folder, OperatingDay(market, on), setup, engine, SqlJournal(engine, token), Telemetry(folder / "telemetry", setup.site))
        if not runs:
            return made
        started = made.day.start - timedelta(seconds=1)
        run = RunStarted(at=started, world="live", version="test", config_hash=setup.hash_id, token=1, config=setup.document)
        made.journal.append(run)
        made.journal.append(Seen(at=started))
        return made

    @property
    def grid(self) -> Grid:
        return self.day.grid()

    def price(self, over: Interval, usd: float, known_at: datetime | None = None, **more: Any) -> Price:
        run = PriceMarket.REAL_TIME_15_MIN if self.day.market is Market.ERCOT else PriceMarket.REAL_TIME_5_MIN
        fact = {"source": "hand", "known_at": known_at or over.end + timedelta(minutes=2), "point": "LZ_WEST", "market": run}
        return Price(**{**fact, **more}, over=over, usd_per_mwh=usd)

    def prices(self, usd: Callable[[int], float | None]) -> None:
        """A price for each settlement interval; None leaves a gap."""
        for n, over in enumerate(self.grid.intervals):
            if (value := usd(n)) is not None:
                self.facts.append(self.price(over, value))

    def read(self, at: datetime, group: str, rigs: Sequence[int], watts: Sequence[float], ths: Sequence[float]) -> None:
        self.telemetry.record(at.timestamp(), group, rigs, watts, ths, "poll")

    def run_all(self, watts_a: float = 3000.0, ths_a: float = 150.0, watts_b: float = 3300.0, ths_b: float = 110.0) -> None:
        """Every rig at these readings, each half hour."""
        at = self.day.start
        while at <= self.day.end:
            self.read(at, "a", range(10), [watts_a] * 10, [ths_a] * 10)
            self.read(at, "b", range(5), [watts_b] * 5, [ths_b] * 5)
            at += timedelta(minutes=30)

    def planned(self, at: datetime, load_mw: Mapping[str, float], ph: Mapping[str, float], price: float, hashprice: float = 45.0) -> None:
        """A plan that says the same for each hour of the next two days."""
        first = datetime.fromtimestamp(at.timestamp() // 900 * 900, at.tzinfo)
        groups = {
            g: {"load_mw": load_mw[g], "hashrate_ph": ph[g], "modes": {"sleep": 0.0, "normal": 10.0 if g == "a" else 5.0}} for g in load_mw
        }
        intervals = [
            {
                "start": (at if k == 0 else first + timedelta(hours=k)).isoformat(),
                "end": (first + timedelta(hours=k + 1)).isoformat(),
                "groups": groups,
                "price_usd_per_mwh": {"LZ_WEST": price},
                "hashprice_usd_per_ph_day": hashprice,
            }
            for k in range(48)
        ]
        self.journal.append(Planned(at=at, as_of=1, plan={"intervals": intervals}))

    def ran_before(self, days: int) -> None:
        """The site was run for so many days before, at a price of 30 $."""
        start = self.day.start - timedelta(days=days)
        self.journal.append(
            RunStarted(at=start, world="live", version="test", config_hash=self.setup.hash_id, token=1, config=self.setup.document)
        )
        self.observed(Interval(start, self.day.start))
        grid = Grid.regular(start, self.day.start, self.day.market.settlement_min)
        self.journal.append(Seen(at=self.day.start, facts=tuple(self.price(over, 30.0) for over in grid.intervals)))

    def observed(self, over: Interval) -> None:
        """A look each hour that finds nothing new: the site was run."""
        at = over.start
        while at <= over.end:
            self.journal.append(Seen(at=at))
            at += timedelta(hours=1)

    def seen(self, at: datetime | None = None, *facts: Fact, **more: Any) -> None:
        """The look after the end that learns all there is to know, or one look with some facts."""
        if at is None:
            at, facts, self.facts = self.day.end + timedelta(minutes=6), tuple(self.facts), []
            self.observed(Interval(self.day.start, self.day.end))
        self.journal.append(Seen(at=at, facts=facts, **more))

    def settle(self, **how: Any) -> DayStatement:
        self.telemetry.flush()
        return settle_day(self.engine, self.telemetry, self.day, self.setup, **how)
