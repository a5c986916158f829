"""What this product takes of perfect foresight's gain over always-on, year by year on real prices: 100 MW in thirds of S19j Pro, S19 XP and
S21 at HB_WEST, quarter hours, energy only, daily hash economics. `--json` prints one object last.

With `--stacked` the site is also charged $70,000 per MW-year by the four coincident peaks (hourly loads stand for quarter hours) and offers
RRS, ECRS and Non-Spin day-ahead, 100 MW together. This product and perfect foresight sell reserve, the other strategies none.

The fleet is split over 20 groups, as on a site with many containers. `net` is on the simulated fleet, `ideal` without physics and delay,
`ideal_delayed` without physics but with the two minutes after which prices are published. The last-price bot is `model_strike`.
With `--train DAYS` this product decides with price models, trained anew every so many days on what was known by then.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.plan import peak_mib
from dispatch.backtest.day_ahead_reserve import awards_by_strategy
from dispatch.backtest.document import document_of, share
from dispatch.backtest.ideal import ideal_runs
from dispatch.backtest.market_facts import market_facts
from dispatch.backtest.model_forecasts import with_forecasts
from dispatch.backtest.part import STRATEGIES, PartJob, setup_of
from dispatch.backtest.run import Backtest, process_pool, run_parts
from dispatch.backtest.trained_models import KeptModels
from dispatch.backtest.valuation import Valuation
from markets.archive.archive import Archive
from markets.grid import Market, OperatingDay

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LOADSTONE_DATA", ROOT.parent / "shared" / "data"))
FILES = {
    "ercot_rt_spp_15min_hubs_2020_2024.parquet": "ercot_rt_spp_15min_hubs_2020_2024",
    "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet": "ercot_dam_spp_hourly_lz_hb_2019_2025",
    "btc_daily.csv.gz": "btc_daily",
}
STACKED_FILES = {
    "ercot_dam_as_mcpc_hourly_2022_2025.parquet": "ercot_dam_as_mcpc_hourly_2022_2025",
    "ercot_native_load_hourly_2022_2025.parquet": "ercot_native_load_hourly_2022_2025",
    "ercot_dam_spp_hubavg_and_load_forecast_hourly_2024_2025.parquet": "ercot_dam_spp_hubavg_and_load_forecast_hourly_2024_2025",
}
POINT, THIRD_MW, GROUPS = "HB_WEST", 100.0 / 3.0, 20
MODELS = {"antminer-s19j-pro": 2950.0, "antminer-s19-xp": 3010.0, "antminer-s21": 3500.0}  # watts, by which each third is counted
YEARS, BREAKEVENS, BREAKEVEN_YEAR = (2020, 2022, 2024), (40, 60, 90), 2024
STACKED_YEARS = (2022, 2024)
ENERGY_ONLY = '[[obligations]]\ntype = "power"\n'
# Regulation is not sold: it is deployed all the time, and no archive tells how.
STACKED = f"""{ENERGY_ONLY}[[obligations]]
type = "transmission"
method = "4cp"
usd_per_kw_year = 70.0
[[obligations]]
type = "ancillary"
products = ["RRS", "ECRS", "NSPIN"]
qualified_mw = {{ RRS = 100.0, ECRS = 100.0, NSPIN = 100.0 }}
"""
WATTS, THS = 3000.0, 150.0  # of the one model that has a breakeven of its own


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured: `days` of each year from its `first_day` (1 is the first of January), of these the days of `months` (all when
    empty). `train_every` says how often price models are trained anew, None to decide without. `more` adds shares with the delay of prices
    alone and at one breakeven; `stacked` has coincident peaks and day-ahead reserve beside energy."""

    years: Sequence[int]
    workers: int
    first_day: int
    days: int
    months: tuple[int, ...]
    train_every: timedelta | None
    more: bool
    stacked: bool

    def backtest(self, config: Path, archive: Path, year: int) -> Backtest:
        """The days of a year by the market's clock."""
        first, end = (OperatingDay(Market.ERCOT, date(y, 1, 1)) for y in (year, year + 1))
        begins, ends = (
            OperatingDay(Market.ERCOT, first.on + timedelta(days=n)) for n in (self.first_day - 1, self.first_day - 1 + self.days)
        )
        return Backtest(config, archive, begins.start, min(end.start, ends.start), train_every=self.train_every)

    def jobs(self, backtest: Backtest, executor: Executor) -> list[PartJob]:
        """The parts of a year that are measured, with the models that they decide with. Models are kept beside the archive. Ends the
        command where there are none."""
        jobs = [job for job in backtest.jobs() if not self.months or job.over.start.astimezone(Market.ERCOT.tz).month in self.months]
        if not jobs:
            sys.exit(f"--months {' '.join(map(str, self.months))}: none of the days of {backtest.start:%Y} that are measured is in them")
        return backtest.with_models(jobs, executor, KeptModels(backtest.archive.parent, str(self.train_every)))[0]


def archive_of(folder: Path, stacked: bool = False) -> Path:
    """An archive of the prices and hash economics that the years need; `stacked` also of reserve prices, system loads and forecasts."""
    for file, name in (FILES | STACKED_FILES if stacked else FILES).items():
        Archive(folder).import_file(DATA / file, ROOT / "tests" / "maps" / f"{name}.toml", Market.ERCOT)
    return folder


def site_file(folder: Path, contracts: str = ENERGY_ONLY) -> Path:
    """100 MW of three models in 20 groups, with these contracts."""
    models = list(MODELS.items())
    of_model = [sum(k % len(models) == m for k in range(GROUPS)) for m in range(len(models))]
    groups = []
    for k in range(GROUPS):
        model, watts = models[k % len(models)]
        rigs = round(THIRD_MW * 1e6 / watts / of_model[k % len(models)])
        groups.append(f'[[groups]]\nname = "g{k}"\nhall = "a"\nmodel = "{model}"\nrigs = {rigs}\n')
    return _site(folder / "site.toml", "".join(groups), '[hash]\nsource = "archive"\n', contracts)


def one_model(folder: Path, breakeven: int) -> Path:
    """One model whose breakeven never changes, usd_per_mwh."""
    usd_per_ph_day = breakeven * WATTS * 24e-6 / (THS / 1e3)
    modes = f'{{ name = "sleep", watts = 0.0, ths = 0.0 }}, {{ name = "normal", watts = {WATTS}, ths = {THS} }}'
    group = f'[[groups]]\nname = "g"\nhall = "a"\nmodel = "antminer-s21"\nrigs = 30000\nmodes = [{modes}]\n'
    return _site(folder / f"at-{breakeven}.toml", group, f'[hash]\nsource = "fixed"\nusd_per_ph_day = {usd_per_ph_day!r}\n')


def _site(file: Path, groups: str, hash_: str, contracts: str = ENERGY_ONLY) -> Path:
    site = f'[site]\nname = "Bench"\nmarket = "ercot"\nsettlement_point = "{POINT}"\ninterconnect_mw = 120.0\n'
    hall = '[[meters]]\nid = "main"\n[[halls]]\nname = "a"\nmeter = "main"\nlimit_mw = 120.0\n'
    file.write_text(f'{site}{hall}{groups}[prices]\nsource = "archive"\npath = "archive"\n{hash_}{contracts}')
    return file


def ideal_usd(job: PartJob, delayed: bool) -> dict[str, Decimal]:
    """What each strategy earns without physics over a part, with or without the delay of prices."""
    setup = setup_of(job.config, job.archive, job.over.end)
    market = with_forecasts(setup, market_facts(setup, job.over), job.models)
    valuation = Valuation(setup, market)
    sold = awards_by_strategy(setup, market)
    runs = ideal_runs(setup, market, delayed=delayed, sold=sold)
    earned = {name: valuation.earned(valuation.actuals(run, sold.get(name, ())), 0.0) for name, run in runs.items()}
    return {name: sum(of.lines.values(), Decimal(0)) for name, of in earned.items()}


def year_of(backtest: Backtest, wanted: Measurement, executor: Executor) -> dict[str, Any]:
    """Shares of a year by strategy, its worst month, and starts. `seconds` do not hold training."""
    jobs = wanted.jobs(backtest, executor)
    began = time.perf_counter()
    parts = run_parts(jobs, executor)
    seconds = time.perf_counter() - began
    found = document_of(parts)
    capture = {name: {"net": found["shares"]["net_usd"][name], "ideal": found["shares"]["ideal_usd"][name]} for name in STRATEGIES}
    if wanted.more:
        late = _added(list(executor.map(ideal_usd, jobs, [True] * len(jobs))))
        for name in STRATEGIES:
            capture[name]["ideal_delayed"] = share(late[name], late["always_on"], found["strategies"]["perfect_foresight"]["ideal_usd"])
    setup = setup_of(backtest.config, backtest.archive)
    rig_days = sum(g.rigs for g in setup.site.groups) * sum(job.over.hours for job in jobs) / 24.0
    return {
        "seconds": seconds,
        "capture": capture,
        "net_usd": {name: found["strategies"][name]["net_usd"] for name in STRATEGIES},
        "causes": {"net": found["causes"], "ideal": found["ideal_causes"]},
        "lines": {name: found["strategies"][name]["lines"] for name in STRATEGIES},
        "worst_month": {key: worst_month(parts, key) for key in ("lines", "ideal_lines")},
        "starts_per_rig_day": {name: found["strategies"][name]["starts"] / rig_days for name in STRATEGIES},
    }


def worst_month(parts: Sequence[Mapping[str, Any]], key: str) -> tuple[str, float]:
    """The month in which this product is furthest below the last-price bot, as a share of that month's margin of perfect foresight."""
    months: dict[str, dict[str, float]] = {}
    for part in parts:
        on = f"{datetime.fromisoformat(part['from']):%Y-%m}"
        usd = months.setdefault(on, dict.fromkeys(STRATEGIES, 0.0))
        for name in STRATEGIES:
            usd[name] += float(sum(Decimal(amount) for amount in part["strategies"][name][key].values()))
    below = {on: (usd["loadstone"] - usd["model_strike"]) / usd["perfect_foresight"] for on, usd in months.items()}
    worst = min(below, key=lambda on: below[on])
    return worst, below[worst]


def _added(parts: Sequence[Mapping[str, Decimal]]) -> dict[str, float]:
    return {name: float(sum(part[name] for part in parts)) for name in parts[0]}


def at_one_breakeven(folder: Path, archive: Path, executor: Executor, wanted: Measurement) -> dict[str, dict[str, float]]:
    """By breakeven, usd_per_mwh: the share of perfect foresight's margin that each strategy takes without physics and delay."""
    found = {}
    for breakeven in BREAKEVENS:
        jobs = wanted.jobs(wanted.backtest(one_model(folder, breakeven), archive, BREAKEVEN_YEAR), executor)
        usd = _added(list(executor.map(ideal_usd, jobs, [False] * len(jobs))))
        found[str(breakeven)] = {name: usd[name] / usd["perfect_foresight"] for name in STRATEGIES}
    return found


def measured(wanted: Measurement) -> dict[str, Any]:
    """Everything of the table."""
    with tempfile.TemporaryDirectory() as folder, process_pool(wanted.workers) as executor:
        with process_pool(1) as importer:
            archive = importer.submit(archive_of, Path(folder) / "archive", wanted.stacked).result()
        config = site_file(Path(folder), STACKED if wanted.stacked else ENERGY_ONLY)
        by_year = {str(year): year_of(wanted.backtest(config, archive, year), wanted, executor) for year in wanted.years}
        breakevens = at_one_breakeven(Path(folder), archive, executor, wanted) if wanted.more else {}
        rss_mb = peak_mib() + wanted.workers * executor.submit(peak_mib).result()
    return {
        "seconds": max(found["seconds"] for found in by_year.values()),
        "rss_mb": rss_mb,
        "capture": {year: found["capture"] for year, found in by_year.items()},
        "years": by_year,
        "breakevens": breakevens,
    }


def shown(found: Mapping[str, Any], with_lines: bool = False) -> None:
    """The table for people; with the lines of this product and perfect foresight."""
    for year, of in found["years"].items():
        print(f"{year}: {of['seconds']:.0f} s")
        for name in STRATEGIES:
            shares = "  ".join(f"{key} {value:.3f}" for key, value in of["capture"][name].items() if value is not None)
            print(f"  {name:18} {shares}  net ${of['net_usd'][name]:,.0f}  starts a rig and day {of['starts_per_rig_day'][name]:.2f}")
        for line, best in of["lines"]["perfect_foresight"].items() if with_lines else ():
            ours, on = (of["lines"][name].get(line, 0.0) for name in ("loadstone", "always_on"))
            print(f"  {line:32} loadstone ${ours:,.0f}  always_on ${on:,.0f}  perfect_foresight ${best:,.0f}")
        for key, label in (("lines", "on the fleet"), ("ideal_lines", "ideal")):
            month, below = of["worst_month"][key]
            print(f"  worst month against the last-price bot, {label}: {month}, {below:+.2%} of perfect foresight's margin")
    for breakeven, shares in found["breakevens"].items():
        print(f"at ${breakeven}/MWh, {BREAKEVEN_YEAR}: " + "  ".join(f"{name} {value:.1%}" for name, value in shares.items()))
    print(f"longest year {found['seconds']:.0f} s, {found['rss_mb']:.0f} MiB in all processes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--years", type=int, nargs="+", help="default: 2020, 2022 and 2024; stacked, 2022 and 2024")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first-day", type=int, default=1, help="of each year, 1 for the first of January")
    parser.add_argument("--days", type=int, default=366, help="only so many days of each year")
    parser.add_argument("--months", type=int, nargs="+", default=[], help="of these days, only those of these months")
    parser.add_argument("--train", type=int, metavar="DAYS", help="decide with price models, trained anew every so many days")
    parser.add_argument("--more", action="store_true", help="also with the delay of prices alone, and at one breakeven")
    parser.add_argument("--stacked", action="store_true", help="with coincident peaks and day-ahead reserve beside energy")
    chosen = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA}: there is no folder of real data; set LOADSTONE_DATA")
    years = tuple(chosen.years or (STACKED_YEARS if chosen.stacked else YEARS))
    days, months, train_every = (chosen.first_day, chosen.days), tuple(chosen.months), chosen.train and timedelta(days=chosen.train)
    found = measured(Measurement(years, chosen.workers, *days, months, train_every, chosen.more, chosen.stacked))
    shown(found, with_lines=chosen.stacked)
    if chosen.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
