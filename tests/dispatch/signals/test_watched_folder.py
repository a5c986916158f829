"""The watched folder: a file is posted once, and moved to where it can be found again."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from dispatch.signals import watched_folder
from dispatch.signals.documents import InvalidDocument
from dispatch.store.inbox import Inbox
from dispatch.store.tables import open_ledger
from tests.sites import small

CALL = {"id": "c1", "obligation": "plant", "kind": "deploy", "mw_cap": 0.1}


async def dropped(folder: Path, **files: str) -> Inbox:
    """The inbox after the watcher has seen the files, twice over."""
    inbox, calls = Inbox(open_ledger(folder)), folder / "drop" / "calls"
    watching = asyncio.create_task(watched_folder.watch_folders(folder, inbox, small()))
    try:
        async with asyncio.timeout(20):
            while not (calls / "refused").is_dir():
                await asyncio.sleep(0.05)
            for name, text in files.items():
                (calls / name.replace("_", ".")).write_text(text, "utf-8")
            while any(f.is_file() for f in calls.iterdir()):
                await asyncio.sleep(0.05)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return inbox


async def test_calls_of_a_file_are_posted_once(tmp_path: Path) -> None:
    both = json.dumps([CALL, {**CALL, "id": "c2"}])
    inbox = await dropped(tmp_path, a_json=both, b_json=both, c_csv="id,obligation,kind,mw_cap\nc3,plant,deploy,0.2\n")
    assert [r.document["id"] for r in inbox.after(0)] == ["c1", "c2", "c3"]
    assert {r.key_name for r in inbox.after(0)} == {"watched folder"}
    assert sorted(f.name for f in (tmp_path / "drop" / "calls" / "taken").iterdir()) == ["a.json", "b.json", "c.csv"]


async def test_a_file_with_one_fault_is_refused_whole_with_all_its_faults(tmp_path: Path) -> None:
    wrong = json.dumps([CALL, {**CALL, "obligation": "nobody", "mw_cap": -1}, {"id": "c4"}])
    inbox = await dropped(tmp_path, a_json=wrong)
    assert inbox.after(0) == []
    said = (tmp_path / "drop" / "calls" / "refused" / "a.json.faults.txt").read_text("utf-8")
    assert "1.mw_cap" in said and "2.kind" in said and (tmp_path / "drop" / "calls" / "refused" / "a.json").exists()


def test_a_call_for_more_than_the_rigs_can_draw_is_refused(tmp_path: Path) -> None:
    """40 rigs of 3 kW and 40 of 3.5 kW draw 260 kW."""
    inbox, file = Inbox(open_ledger(tmp_path)), tmp_path / "calls.csv"
    file.write_text("id,obligation,kind,mw_target,mw_delta\nc1,plant,set_point,500,\nc2,plant,deploy,,500\n", "utf-8")
    with pytest.raises(InvalidDocument) as refused:
        watched_folder.post_file("call", file, inbox, small(), "command line")
    text = "500 MW is more than the rigs of 'plant' can draw: 0.260 MW"
    assert [str(f) for f in refused.value.faults] == [f"row 2.mw_target: {text}", f"row 3.mw_delta: {text}"]
    assert inbox.after(0) == []


@pytest.mark.parametrize(("mw_cap", "note"), [
    (0.2, ""),
    (0.260, ""),
    (500.0, "at most 500 MW asks for no reduction: the rigs of 'plant' can draw 0.260 MW"),
])  # fmt: skip
def test_a_cap_above_what_the_rigs_can_draw_is_accepted_and_said_to_ask_for_nothing(tmp_path: Path, mw_cap: float, note: str) -> None:
    inbox, file = Inbox(open_ledger(tmp_path)), tmp_path / "calls.json"
    file.write_text(json.dumps({**CALL, "mw_cap": mw_cap}), "utf-8")
    (received,) = watched_folder.post_file("call", file, inbox, small(), "command line")
    assert (received.row, received.new, received.note) == (1, True, note)


def test_a_contract_that_asks_for_less_by_itself_is_no_call_for_nothing(tmp_path: Path) -> None:
    """Whatever figure an emergency call carries, ERS goes down to its base load."""
    always = {"name": "always", "months": list(range(1, 13)), "hours": list(range(24))}
    terms = {"type": "ers", "product": "ERS-10", "mw": 0.1, "usd_per_mw_hour": 7.0, "periods": [always]}
    setup = small(obligations=[{"type": "power"}, terms])
    inbox, file = Inbox(open_ledger(tmp_path)), tmp_path / "calls.json"
    file.write_text(json.dumps({**CALL, "obligation": "ers", "mw_cap": 500.0}), "utf-8")
    (received,) = watched_folder.post_file("call", file, inbox, setup, "command line")
    assert received.note == ""


async def test_awards_of_one_file_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """The same sale for the same time with other megawatts; the same award in other cuts is no contradiction."""
    award = {"obligation": "power", "product": "ENERGY", "market": "DAM", "mw": 0.5, "mcpc_usd_per_mw_h": 40.0,
             "interval_start": "2026-08-20T17:00:00Z", "interval_end": "2026-08-20T19:00:00Z"}  # fmt: skip
    half = {**award, "interval_end": "2026-08-20T18:00:00Z"}
    inbox, file = Inbox(open_ledger(tmp_path)), tmp_path / "awards.json"
    file.write_text(json.dumps([award, {**half, "mw": 0.4}]), "utf-8")
    with pytest.raises(InvalidDocument) as refused:
        watched_folder.post_file("award", file, inbox, small(), "command line")
    assert [str(f) for f in refused.value.faults] == ["1.interval_start: overlaps 0 of the same file, which has other figures"]
    file.write_text(json.dumps([award, half]), "utf-8")
    assert [received.row for received in watched_folder.post_file("award", file, inbox, small(), "command line")] == [1, 2]


async def test_a_removed_folder_is_made_again(tmp_path: Path) -> None:
    """Somebody tidies up: the loop beside goes on, and so does the watching."""
    await dropped(tmp_path, a_json=json.dumps(CALL))
    shutil.rmtree(tmp_path / "drop" / "calls")
    (tmp_path / "drop" / "calls").write_text("in the way", "utf-8")
    watching = asyncio.create_task(watched_folder.watch_folders(tmp_path, Inbox(open_ledger(tmp_path)), small()))
    await asyncio.sleep(0.2)
    assert not watching.done()
    (tmp_path / "drop" / "calls").unlink()
    async with asyncio.timeout(20):
        while not (tmp_path / "drop" / "calls" / "refused").is_dir():
            await asyncio.sleep(0.05)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
