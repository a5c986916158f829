"""The worked examples as whole statements. Real-time reserve prices after the market's change exist only as examples: those days are
synthetic, and say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path

from dispatch.imports.meter_readings import ACTUAL, MeterReading
from dispatch.store.received import DocumentKind, ReceivedDocument, keep_document
from markets.facts import Call, CallKind
from markets.grid import Grid, Market, OperatingDay
from markets.hashmath import usd_per_ph_day
from optimizer.domain.money import Line, Statement, decimal
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.block import Block
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.settlement.settle import settle
from tests.dispatch.settlement.fixtures import HandMadeDay
from tests.golden.printed import printed
from tests.optimizer.fixtures import AT, POINT, actuals, grid, group, site
from tests.optimizer.obligations.test_ancillary import EX2, SPP, ex2_awards
from tests.optimizer.obligations.test_ancillary import METERED as CLR_MWH
from tests.optimizer.obligations.test_ers import BAD, GOOD, ers, whole_term
from tests.optimizer.obligations.test_pra import at_the_peaks, pra, year_of
from tests.optimizer.obligations.test_tariff_charges import bought, hours_of
from tests.optimizer.obligations.test_transmission import metered, one
from tests.optimizer.settlement.test_examples import LMP, METERED, ex1_actuals
from tests.rule_cases import with_market_rules

BIG = site(group("g", rigs=90_000))


def ex01(_: Path) -> str:
    block = (Power(adders_usd_per_mwh=6.15), Block(mw=100, usd_per_mwh=32.50))
    run = actuals(site(group("g", rigs=30_000)), grid(4), {"g": ["25"] * 4}, {POINT: ["28.41", "95.37", "1250.00", "2417.86"]})
    third, over = ["0.125"] * 3, grid(3)
    rounded = actuals(site(group("g")), over, {"g": third}, {POINT: ["35.96"] * 3})
    losses = site(group("g", rigs=40_000), loss_factor=float(D("1.0178") * D("1.0021")))
    return "\n".join(
        [
            printed("EX-1 block of 100 MW at 32.50, sold back at the real-time price", settle(block, ex1_actuals())),
            printed("EX-1 the same load on the index alone", settle((Power(adders_usd_per_mwh=6.15),), ex1_actuals())),
            printed("EX-1 the same block, running flat out", settle(block, run)),
            printed("EX-1b rounded once", settle((Power(),), rounded)),
            printed("EX-1b rounded each interval", settle((Power(),), rounded, round_each_interval=True)),
            printed("EX-1c losses and UFE", settle((Power(),), actuals(losses, grid(1), {"g": ["25.000"]}, {POINT: ["95.37"]}))),
        ]
    )


def ex02(_: Path) -> str:
    contract = with_market_rules(Ancillary(products=("ECRS", "NSPIN"), qualified_mw={"ECRS": 25, "NSPIN": 15}, lpc_mw=5))
    where = site(group("g", rigs=20_000))
    real = actuals(where, EX2, {"g": CLR_MWH}, {POINT: SPP}, awards=ex2_awards())
    flat = actuals(where, EX2, {"g": ["15"] * 12}, {POINT: SPP})
    return "\n".join(
        [
            printed("EX-2 a controllable load deployed in HE19 (synthetic day)", settle((Power(), contract), real)),
            printed("EX-2 the same hours without a deployment (synthetic day)", settle((Power(),), flat)),
        ]
    )


def ex03(_: Path) -> str:
    out = []
    for side in ("generator", "mirrored"):
        contract = with_market_rules(Ancillary(products=("ECRS",)), ercot__set_point__side=side)
        for mw, mwh, usd in ((40.0, "12.9", "612.35"), (200.0, "54.1", "12.00")):
            point = Call(source="qse", known_at=AT, id="sp", version=1, obligation="ancillary", kind=CallKind.SET_POINT, notice_at=AT,
                         start_at=AT, end_at=None, mw_target=mw)  # fmt: skip
            real = actuals(BIG, grid(1), {"g": [mwh]}, {POINT: [usd]}, calls=(point,))
            out.append(printed(f"EX-3 set point {mw:g} MW, {side} rule (synthetic day)", settle((contract,), real)))
    return "\n".join(out)


def ex04(_: Path) -> str:
    return "\n".join(
        [
            printed("EX-4 a term with an event met (synthetic term)", settle((ers(),), whole_term(GOOD, away=57))),
            printed("EX-4 a term with a poor event (synthetic term)", settle((ers(),), whole_term(BAD, away=56))),
        ]
    )


def peaks(contract: Transmission, mw: Sequence[str], months: Sequence[int], width: int) -> Statement:
    """The bills of months whose system peak is at 17:00 of the 15th, one after the other."""
    lines: list[Line] = []
    for month, here in zip(months, mw, strict=True):
        start = datetime(2026, month, 15, 21, tzinfo=UTC)
        over = Grid.regular(start, start + timedelta(hours=2), 15)
        at = range(4, 4 + width)
        share = [D(1) / width if n in at else D(0) for n in range(len(over))]
        real = metered(one(), over, [here if n in at else "100.0" for n in range(len(over))], peak_share={15 * width: share})
        lines += settle((contract,), real).lines
    return Statement(tuple(lines))


def ex05(_: Path) -> str:
    four = Transmission(method="4cp", usd_per_kw_year=70.0)
    twelve = Transmission(method="12cp", usd_per_kw_year=81.59)
    missed = ["3"] * 12
    missed[2] = missed[7] = "100"
    start = datetime(2026, 8, 15, 21, tzinfo=UTC)
    own = metered(one(), Grid.regular(start, start + timedelta(hours=2), 15), ["3.0", "80", "101.5", "101.5", "2", "2", "99", "0"])
    return "\n".join(
        [
            printed("EX-5 4CP, one of four peaks missed", peaks(four, ["3.2", "100.0", "2.8", "3.0"], [6, 7, 8, 9], 1)),
            printed("EX-5 4CP, flat out", peaks(four, ["100.0"] * 4, [6, 7, 8, 9], 1)),
            printed("EX-5 12CP, two of twelve missed", peaks(twelve, missed, range(1, 13), 2)),
            printed("EX-5 minimum billing demand", settle((Transmission(method="mbd", usd_per_kw_year=81.59),), own)),
        ]
    )


def ex06(_: Path) -> str:
    where, over = site(group("g", rigs=20_000), market=Market.MISO), grid(12, 5)
    flat, quarters = [D("36.480") / 12] * 12, [D(q) / 3 for q in ("11.4", "11.1", "4.98", "9.0") for _ in range(3)]

    def bill(title: str, energy: Sequence[D | str], ahead: bool = False) -> str:
        awards = bought(40.0, 33.27, hours_of(AT, 1)) if ahead else ()
        return printed(title, settle((Power(),), actuals(where, over, {"g": energy}, {POINT: LMP}, awards=awards)), Market.MISO)

    return "\n".join(
        [
            bill("EX-6 a five-minute meter", METERED),
            bill("EX-6 an hourly meter, spread evenly", flat),
            bill("EX-6 a quarter-hour meter, spread evenly", quarters),
            bill("EX-6 40 MWh bought day-ahead, five-minute meter", METERED, ahead=True),
            bill("EX-6 40 MWh bought day-ahead, hourly meter", flat, ahead=True),
        ]
    )


def ex07(_: Path) -> str:
    out = []
    for market, on in ((Market.ERCOT, date(2026, 3, 8)), (Market.ERCOT, date(2026, 11, 1)), (Market.MISO, date(2026, 11, 1))):
        over = OperatingDay(market, on).grid()
        hours = [D(int(b - a)) / 3600 for a, b in zip(over.edges, over.edges[1:], strict=False)]
        real = actuals(site(group("g", rigs=5000), market=market), over, {"g": [10 * h for h in hours]}, {POINT: ["20"] * len(over)})
        out.append(printed(f"EX-7 10 MW flat at 20 $, {market.value} {on}: {len(over)} intervals", settle((Power(),), real), market))
    over = OperatingDay(Market.ERCOT, date(2026, 11, 1)).grid()
    second = [datetime(2026, 11, 1, 7, tzinfo=UTC) <= o.start < datetime(2026, 11, 1, 8, tzinfo=UTC) for o in over.intervals]
    price = ["60" if here else "20" for here in second]
    real = actuals(site(group("g", rigs=5000)), over, {"g": ["2.5"] * 100}, {POINT: price})
    out.append(printed("EX-7 the second HE02 at 60 $", settle((Power(),), real)))
    return "\n".join(out)


def ex08(_: Path) -> str:
    """A UTC day of 1 PH/s."""
    usd = decimal(round(usd_per_ph_day(155.97e12, 86_500.0, 0.0312, 3.125), 4))
    start = datetime(2026, 8, 20, tzinfo=UTC)
    over = Grid.regular(start, start + timedelta(days=1), 60)
    real = actuals(
        site(group("g")), over, {"g": ["0"] * 24}, {POINT: ["0"] * 24}, hash_ph_days={"g": [D(1) / 24] * 24}, hashprice=[usd] * 24
    )
    return printed("EX-8 1 PH/s for a UTC day, pool fee 1 %", settle((Hashing(pool_fee=0.01),), real))


def ex09(_: Path) -> str:
    real = year_of(["10"] * 4, peak_share=at_the_peaks())
    return printed("EX-9 capacity of 10 MW at each season's peak, Zone 6, planning year 2025/26", settle((pra(),), real), Market.MISO)


def ex10(folder: Path) -> str:
    """Three readings of one interval: initial, final and true-up, each settled as a version of its own."""
    site_day = HandMadeDay.of(folder, date(2026, 8, 20))
    site_day.prices(lambda n: -200.0)
    site_day.run_all(0.0, 0.0, 0.0, 0.0)
    site_day.seen()
    out = ["EX-10 resettlement: one meter, three vintages (synthetic day)", ""]
    for n, mwh in enumerate(("5.00002", "5.06188", "5.049975"), 1):
        readings = [MeterReading("main", o, D(mwh) if k == 40 else D(0), ACTUAL, k) for k, o in enumerate(site_day.grid.intervals)]
        vintage = ReceivedDocument(DocumentKind.METER, f"vintage {n}", mwh.encode(), datetime(2026, 8 + n, 25, tzinfo=UTC))
        keep_document(site_day.engine, vintage, readings)
        document = site_day.settle()
        delta = (document["delta"] or {"totals": {}})["totals"].get("power/energy", "none")
        exact = [line["amount_usd"] for line in document["lines"] if line["charge_type"] == "energy"]
        out.append(
            f"version {document['version']}  {' '.join(exact):>10}  power/energy {document['totals']['power/energy']:>8}  delta {delta}"
        )
    site_day.engine.dispose()
    return "\n".join(out) + "\n"


EXAMPLES: dict[str, Callable[[Path], str]] = {
    f.__name__: f for f in (ex01, ex02, ex03, ex04, ex05, ex06, ex07, ex08, ex09, ex10)
}  # fmt: skip
