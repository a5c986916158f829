"""Two months of the shipped sites over a month's end, a term's end and the end of daylight saving time, and a day that nobody ran.

Every day's statement equals an independent bill over the hours that were run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction as F
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dispatch.site_file.load import load_site_file
from dispatch.store.rollups import read_rollups
from dispatch.store.tables import open_ledger
from markets.grid import Interval
from tests.e2e.site import run_json
from tests.independent_span_bill import BILLS, Hour, SiteFile, frac

SEED = 20261129
QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
POINTS = {"ercot": ("LZ_WEST", "LZ_WEST_EW"), "miso": ("TEXAS.HUB",), "tariff": ()}
MIDNIGHT_UTC_H = {"ercot": 5, "miso": 5, "tariff": 5}  # the hour UTC at which the operating day begins in September
STEP = {"ercot": QUARTER, "miso": timedelta(minutes=5), "tariff": QUARTER}
SITES = ("ercot-miner", "ercot-site", "hosting-site", "miso-site", "tariff-site")
# First day, last day, and the day that nobody runs. Two months of a site take many minutes, so they run only where TWO_MONTHS is set.
SPANS = {
    "sample": ("2026-09-29", "2026-10-02", "2026-09-30"),
    "end of a term": ("2026-09-28", "2026-10-03", "2026-09-30"),
    "end of summer time": ("2026-10-30", "2026-11-03", "2026-10-31"),
    "months": ("2026-09-11", "2026-11-11", "2026-10-14"),
}


def price(seed: int, at: datetime) -> float:
    """A price of the quarter hour: a daily shape, noise, and now and then a spike; two decimals. The same for whoever asks."""
    rng = np.random.default_rng([seed, int(at.timestamp()) // 900])
    usd = 38.0 + 22.0 * np.sin((at.hour - 9) / 24 * 2 * np.pi) + rng.normal(0.0, 9.0)
    return round(float(usd + (rng.exponential(400.0) if rng.random() < 0.01 else 0.0)), 2)


def load(at: datetime) -> float:
    """System load of an hour, MW: highest in the afternoon, and once in September by far."""
    rng = np.random.default_rng([SEED, 7, int(at.timestamp()) // 3600])
    warm = 12_000.0 if at.month == 9 else 5_000.0
    top = 9_000.0 if (at.month, at.day, at.hour) == (9, 29, 22) else 0.0
    return round(float(55_000.0 + warm * np.sin((at.hour - 15) / 24 * 2 * np.pi) + rng.normal(0, 500.0) + top), 1)


def archive(folder: Path, market: str, first: datetime, last: datetime) -> Path:
    """Real-time and day-ahead prices, system load and hash economics of a made-up market, as tables that gridstatus would write."""
    rows: dict[str, list[str]] = {}
    at, from_ = first - timedelta(days=40), first - DAY
    rows["loads"] = ["Interval Start,Interval End,Load"]
    while at < last + DAY:
        rows["loads"].append(f"{at.isoformat()},{(at + HOUR).isoformat()},{load(at)}")
        at += HOUR
    rows["prices"] = ["Interval Start,Interval End,Location,Market,SPP"]
    real_time = {"ercot": "REAL_TIME_15_MIN", "miso": "REAL_TIME_5_MIN"}.get(market, "")
    for k, point in enumerate(POINTS[market]):
        at = from_
        while at < last + DAY:
            if at.minute == 0:
                rows["prices"].append(f"{at.isoformat()},{(at + HOUR).isoformat()},{point},DAY_AHEAD_HOURLY,{price(SEED + 50 + k, at)}")
            rows["prices"].append(f"{at.isoformat()},{(at + STEP[market]).isoformat()},{point},{real_time},{price(SEED + k, at)}")
            at += STEP[market]
    rows["hash"] = ["date,difficulty,btc_usd,fees_btc_per_block,subsidy_btc"]
    for n in range((last - from_).days + 3):
        rows["hash"].append(f"{(from_ - DAY + n * DAY).date().isoformat()},155.97e12,{86_500 + 150 * (n % 9)},0.0312,3.125")
    into = folder / "archive"
    for name, lines in rows.items():
        if len(lines) > 1:
            (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")
            if name != "loads" or market != "tariff":
                of_market = ("--market", market) if name == "loads" else ()
                run_json("archive", "import", folder / f"{name}.csv", "--archive", into, *of_market)
    return into


def site_of(folder: Path, name: str) -> Path:
    """A shipped site that plans by the hour, at the archive's hash economics."""
    shipped = Path(__file__).parents[2] / "config"
    lines = (shipped / f"{name}.toml").read_text("utf-8").splitlines()
    out, section = [], ""
    for line in lines:
        section = line.strip() if line.startswith("[") else section
        key = line.split("=")[0].strip()
        if key == "control_interval_min":
            line = "control_interval_min = 60"
        if key == "horizon_h":
            line = "horizon_h = 24"
        if section.startswith("[hash]") and key in ("usd_per_ph_day", "source"):
            line = 'source = "archive"\npath = "archive"' if key == "source" else ""
        out.append(line)
    if name == "tariff-site":
        (folder / "tariff-rate.toml").write_text((shipped / "tariff-rate.toml").read_text("utf-8"), "utf-8")
    config = folder / "site.toml"
    config.write_text("\n".join(out) + "\n", "utf-8")
    assert run_json("check", config)["faults"] == []
    return config


def run_spans(name: str, market: str, span: str) -> list[tuple[datetime, datetime]]:
    """The two stretches that are run: up to a day that nobody runs, and after it. The first begins in the middle of a day."""
    first, last, silent = (datetime.fromisoformat(d).replace(tzinfo=UTC) + MIDNIGHT_UTC_H[market] * HOUR for d in SPANS[span])
    offset_h = np.random.default_rng([SEED, SITES.index(name)]).integers(1, 20)
    return [(first + int(offset_h) * HOUR, silent), (silent + DAY, last)]


def rate(at: datetime) -> F:
    """The shipped tariff by hand, of September to November."""
    local = at.astimezone(ZoneInfo("America/Chicago"))
    if local.month in (6, 7, 8, 9):
        if local.weekday() < 5 and 13 <= local.hour < 19 and local.date().isoformat() != "2026-09-07":
            return frac(118.40)
        if 9 <= local.hour < 21:
            return frac(61.20)
    return frac(38.70)


def hours_run(data: Path, site: SiteFile, spans: Sequence[tuple[datetime, datetime]]) -> list[Hour]:
    """What the ledger measured in the stretches that were run, with this test's own prices."""
    market = site.document["site"]["market"]
    engine, step = open_ledger(data), STEP[market]
    overhead = {h["name"]: 1 + frac(h.get("overhead", {}).get("share", 0)) for h in site.document["halls"]}
    hall = {g["name"]: g["hall"] for g in site.document["groups"]}
    found = []
    for start, end in spans:
        rows = {(r.group, r.over.start): r for r in read_rollups(engine, Interval(start, end), int(step.total_seconds()) // 60)}
        at = start
        while at < end:
            here = {g: rows[g, at] for g in hall}
            mwh = {g: F(r.energy_mwh) * overhead[hall[g]] for g, r in here.items()}
            usd = {p: frac(price(SEED + k, at)) for k, p in enumerate(POINTS[market])} or {"LARGE-POWER": rate(at)}
            found.append(Hour(at, at + step, mwh, {g: F(r.hash_ph_days) for g, r in here.items()}, usd, hashprice(at, spans[0][0])))
            at += step
    return found


def hashprice(at: datetime, first: datetime) -> F:
    """$/PH/day of the UTC day of an instant: 1e15 x 86400 / (difficulty x 2^32) x (subsidy + fees) x BTC."""
    midnight = first.replace(hour=MIDNIGHT_UTC_H["ercot"], minute=0)
    n = (at.date() - (midnight - 2 * DAY).date()).days
    per_day = F(10**15 * 86400) / (F("155970000000000") * 2**32)
    return per_day * (F("3.125") + F("0.0312")) * (86_500 + 150 * (n % 9))


def peaks(spans: Sequence[tuple[datetime, datetime]]) -> dict[tuple[int, int], tuple[datetime, datetime]]:
    """The hour of the highest system load of September, known from the whole month."""
    zone = ZoneInfo("America/Chicago")
    at, best = datetime(2026, 9, 1, 5, tzinfo=UTC), None
    while at.astimezone(zone).month == 9:
        if best is None or load(at) > load(best):
            best = at
        at += HOUR
    assert best is not None
    return {(2026, 9): (best, best + HOUR)}


def statements(data: Path, config: Path, into: Path, spans: Sequence[tuple[datetime, datetime]]) -> dict[str, dict[str, Any]]:
    """The newest statement of each day, after both stretches were replayed."""
    for start, end in spans:
        span = ("--from", start.isoformat(), "--to", end.isoformat())
        run_json("replay", "--config", config, "--archive", into, *span, "--data", data, timeout=7000)
    found = {}
    for folder in sorted((data / "settlements").iterdir()):
        newest = max(folder.glob("*.json"), key=lambda p: json.loads(p.read_text("utf-8"))["version"])
        found[folder.name] = json.loads(newest.read_text("utf-8"))
    return found


ENDS = ("end of a term", "end of summer time")
MONTHS = pytest.mark.skipif("TWO_MONTHS" not in os.environ, reason="two months of a site take many minutes: set TWO_MONTHS=1")


@pytest.mark.parametrize(
    ("name", "span"),
    [
        *(pytest.param(name, "months", marks=[MONTHS, pytest.mark.slow, pytest.mark.timeout(7200)]) for name in SITES),
        *(
            pytest.param(n, s, marks=[pytest.mark.slow, pytest.mark.timeout(900)])
            for n in SITES
            for s in ("end of a term", "end of summer time")
        ),
        pytest.param("tariff-site", "sample", marks=[pytest.mark.slow(sample="only"), pytest.mark.timeout(900)]),
    ],
)
def test_every_day_equals_an_independent_bill(tmp_path: Path, name: str, span: str) -> None:
    market = name.split("-")[0].replace("hosting", "ercot")
    spans = run_spans(name, market, span)
    into = archive(tmp_path, market, spans[0][0], spans[1][1])
    config = site_of(tmp_path, name)
    bills = statements(tmp_path / "data", config, into, spans)
    site = SiteFile(understood(config), peaks(spans))
    run = hours_run(tmp_path / "data", site, spans)
    silent = (spans[0][1]).date().isoformat()
    assert silent not in bills, "nobody ran that day"
    worth: dict[str, F] = dict.fromkeys((name_of(c) for c in site.document["obligations"]), F(0))
    days = sorted({site.local(h.start).date().isoformat() for h in run})
    assert sorted(bills) == days
    for day in days:
        so_far = [h for h in run if site.local(h.start).date().isoformat() <= day]
        for contract in site.document["obligations"]:
            now = BILLS[contract["type"]](site, so_far, contract)
            own = [line for line in bills[day]["lines"] if line["obligation"] == name_of(contract)]
            billed = sum((F(Decimal(line["amount_usd"])) for line in own), F(0))
            assert float(billed) == pytest.approx(float(now - worth[name_of(contract)]), abs=1e-6), (day, name_of(contract))
            worth[name_of(contract)] = now
        assert Decimal(bills[day]["settled_usd"]) + Decimal(bills[day]["accrued_usd"]) == Decimal(bills[day]["net_usd"])
    accrued = sum((Decimal(bill["accrued_usd"]) for bill in bills.values()), Decimal(0))
    next_years_peaks = sum((worth[name_of(c)] for c in site.document["obligations"] if c.get("method") == "4cp"), F(0))
    assert float(accrued) == pytest.approx(float(next_years_peaks), abs=0.02)


def understood(config: Path) -> dict[str, Any]:
    """The site file with names and modes in full, as the product's `check` accepted it."""
    return dict(load_site_file(config).document)


def name_of(contract: dict[str, Any]) -> str:
    """A contract goes by its type where its author gave it no name."""
    return str(contract.get("name", contract["type"]))
