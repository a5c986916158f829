"""backtest: what this product and other strategies would have earned over a span of archived facts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FAILED, FINDINGS, WRONG, Config, Ended, Json, instant, note, out, table, usd
from markets import counted

if TYPE_CHECKING:
    from dispatch.backtest.document import BacktestDocument
    from dispatch.backtest.run import Backtest

WORST_DAYS = 5

_TRAIN = "Decide with price models, trained anew every DAYS days on what the archive knew by then. Default: without."
Train = Annotated[int | None, typer.Option("--train", metavar="DAYS", min=1, help=_TRAIN)]


def backtest(
    config: Config,
    archive: Annotated[Path, typer.Option("--archive", metavar="DIR", help="Folder of the archive with prices and other facts.")],
    from_: Annotated[str, typer.Option("--from", metavar="INSTANT", help="Start of the span (ISO 8601).")],
    to: Annotated[str, typer.Option("--to", metavar="INSTANT", help="End of the span (ISO 8601).")],
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes. Default: one for each CPU.")] = None,
    dask: Annotated[str | None, typer.Option("--dask", metavar="ADDRESS", help="Run on the workers of this Dask scheduler.")] = None,
    risk: Annotated[
        float | None,
        typer.Option("--risk", metavar="WEIGHT", help="Weight of the worst price scenarios, 0 to 1. Default: none."),
    ] = None,
    train: Train = None,
    out_: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for finished parts. A second call goes on from them.")] = Path(
        "backtest"
    ),
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the result as one page for a browser too.")] = None,
    as_json: Json = False,
) -> None:
    """Compare this product with always-on, two strike prices and perfect foresight over archived prices.

    Each strategy sees only what was published at each instant, on the same simulated rigs; and once more without delay and physics.
    """
    from dispatch.backtest.document import document_of
    from dispatch.backtest.run import Backtest

    if risk is not None and not 0 <= risk <= 1:
        raise Ended(WRONG, f"--risk: {risk:g} is not between 0 and 1")
    if not archive.is_dir():
        raise Ended(WRONG, f"--archive: there is no folder {archive}")
    span = instant(from_, "--from"), instant(to, "--to")
    asked = Backtest(config.resolve(), archive.resolve(), *span, risk, train_every=None if train is None else timedelta(days=train))
    parts, trained = _run(asked, out_, workers, dask)
    document = document_of(parts, [*asked.notes(), *trained])
    _keep(document, out_)
    if html is not None:
        _write_page(document, html)
    out(document, as_json, _lines(document))
    if document["findings"] or any(p["kept"] < p["promised"] for p in document["promises"]):
        raise Ended(FINDINGS)


def _keep(document: BacktestDocument, folder: Path) -> None:
    """Keep the result beside its parts, where `peaks` and the site's page look for it."""
    import json

    from dispatch.store.durable import write_atomically

    write_atomically(folder / "result.json", (json.dumps(document, ensure_ascii=False) + "\n").encode())


def _write_page(document: BacktestDocument, file: Path) -> None:
    from dispatch.reports.backtest_report import backtest_as_html

    try:
        file.write_text(backtest_as_html(document), "utf-8")
    except OSError as error:
        raise Ended(WRONG, f"--html: {file}: {error.strerror or error}") from None
    note(f"wrote {file}")


def _run(asked: Backtest, folder: Path, workers: int | None, dask: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The results of the parts, and what price models were trained; what finished is taken from the folder, and kept there."""
    import os

    from dispatch.backtest.cluster import ClusterUnreachable, dask_workers
    from dispatch.backtest.run import KeptParts, process_pool, run_parts
    from dispatch.backtest.trained_models import KeptModels

    made_from = asked.fingerprint()
    jobs, kept = asked.jobs(), KeptParts(folder, made_from)
    try:
        workers_of_run = dask_workers(dask) if dask else process_pool(min(len(jobs), workers or os.cpu_count() or 1))
        with workers_of_run as executor:
            with _progress_bar("price models") if asked.train_every else nullcontext(lambda done, of: None) as progress:
                jobs, trained = asked.with_models(jobs, executor, KeptModels(folder, made_from), progress)
            with _progress_bar("backtest") as progress:
                parts = run_parts(jobs, executor, kept, progress)
    except ClusterUnreachable as error:
        raise Ended(FAILED, f"--dask: {error}") from None
    except LookupError as error:
        raise Ended(WRONG, str(error.args[0])) from None
    if kept.changed:
        inputs = "site file, tariff, archive, price models, options, rules or program"
        note(f"{folder}: {counted(kept.changed, 'part')} of other inputs ({inputs}) run again")
    return parts, trained


def _lines(document: BacktestDocument) -> list[str]:
    """The result as text: strategies, causes, promises, worst days, notes."""
    from dispatch.backtest.document import worst_days
    from dispatch.reports.peak_tables import peak_lines

    span, shares = document["span"], document["shares"]
    rows = [
        {
            "strategy": name,
            "net": usd(s["net_usd"]),
            "share": _percent(shares["net_usd"][name]),
            "ideal": usd(s["ideal_usd"]),
            "ideal share": _percent(shares["ideal_usd"][name]),
            "MWh": f"{s['energy_mwh']:,.1f}",
            "PH/s-days": f"{s['hash_ph_days']:,.1f}",
            "starts": f"{s['starts']:,.0f}",
        }
        for name, s in document["strategies"].items()
    ]
    gaps = {"on the fleet": document["causes"], "ideal": document["ideal_causes"]}
    causes = [(where, name, amount) for where, by in gaps.items() for name, amount in by.items()]
    return [
        f"{span['from']} to {span['to']}: {counted(span['intervals'], 'interval')}, {span['missing']} without a price",
        *table(rows, rows[0]),
        *(f"behind perfect foresight, {where}: {name} {usd(amount, change=True)}" for where, name, amount in causes),
        *(f"promise {p['name']}: kept in {p['kept']} of {p['promised']}, {usd(p['shortfall_usd'])} lost" for p in document["promises"]),
        *peak_lines(document["peaks"]),
        *(f"furthest behind: {on}, {usd(amount)}" for on, amount in worst_days(document, WORST_DAYS)),
        *document["notes"],
        *(f"finding: {text}" for text in document["findings"]),
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _progress_bar(of_what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A callback that draws how much is finished and the time left; it does nothing when stderr is not a terminal."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        return nullcontext(lambda done, of: None)

    @contextmanager
    def drawn() -> Any:
        columns = TextColumn(of_what), BarColumn(), MofNCompleteColumn(), TextColumn("about"), TimeRemainingColumn(), TextColumn("left")
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(of_what, total=None)
            yield lambda done, of: bar.update(task, completed=done, total=of)

    return drawn()
