"""train: a price model of one settlement point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch.commands import WRONG, Data, Ended, Json, ledger, out


def train(
    archive: Annotated[Path, typer.Option("--archive", metavar="DIR", help="Folder of the archive.")],
    point: Annotated[str, typer.Option("--point", help="The settlement point to forecast.")],
    data: Data = Path("data"),
    seed: Annotated[int, typer.Option("--seed", help="The same seed and archive give the same model.")] = 0,
    as_json: Json = False,
) -> None:
    """Train the price model of a settlement point, print its scores against the last price, and store it in the ledger."""
    from dispatch.clock import wall_now
    from dispatch.training.stored import keep, trained
    from dispatch.training.train import TooLittleData

    if not archive.is_dir():
        raise Ended(WRONG, f"there is no folder {archive}")
    try:
        model = trained(archive, point, seed)
    except (LookupError, TooLittleData) as error:
        raise Ended(WRONG, f"--point: {error.args[0]}") from None
    kept = keep(ledger(data, create=True), model, wall_now())
    document: dict[str, Any] = {"point": kept.point, "market": kept.market.value, "step_min": kept.step_min, **kept.about}
    out(document, as_json, _lines(document))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    scores = document["scores"]
    yield (
        f"{document['label']}: {document['intervals']} intervals of {document['step_min']} min from {document['from']} to "
        f"{document['to']}, {document['missing']} missing; {document['library']}, seed {document['seed']}"
    )
    yield f"Scores on prices from {document['held_out_from']} on, by a model trained on those before:"
    yield "regret, usd_per_mwh    model  last price"
    for name, by in [*scores["by_break_even"].items(), ("mean", scores["regret_usd_per_mwh"])]:
        label = name if name == "mean" else f"break-even {name}"
        yield f"  {label:18}{by['model']:8.3f}  {by['last_price']:10.3f}"
    pinball, brier = scores["pinball_usd_per_mwh"], scores["spike_brier"]
    yield f"pinball loss, usd_per_mwh: model {pinball['model']:.3f}, naive {pinball['naive']:.3f}"
    covered = ", ".join(f"{float(level):.0%}: {share:.1%}" for level, share in scores["coverage"].items())
    yield f"outcomes under each quantile: {covered}"
    yield f"Brier score of spikes: model {brier['model']:.5f}, mean frequency {brier['mean_frequency']:.5f}"
    used = "The control loop uses it from its next day on." if document["accepted"] else "It is worse than the last price and is not used."
    yield used
