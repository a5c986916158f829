"""Manual moves: a preview says what they do before they are done, and a large one waits for a second person, over HTTP and in the shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatch.commands import Ended
from dispatch.commands.manual import add_hold, confirm_hold, stop
from dispatch.decide.state import State
from dispatch.runtime.inbox_reader import InboxReader
from dispatch.site_file.load import setup_from_document
from dispatch.store.inbox import Inbox
from dispatch.store.tables import open_ledger
from markets.grid import format_instant
from tests.dispatch.web.served import StoppedClock, key, run_site, served
from tests.sites import document, small

MOST_MW = 0.05


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, datetime, httpx.Client, dict[str, str]]]:
    data, setup = tmp_path_factory.mktemp("moves"), small(site={**document()["site"], "two_person_mw": MOST_MW})
    end = run_site(data, setup, 1.0)
    keys = {name: key(data, name, "dispatch") for name in ("alice", "bob")}
    with served(data, setup, end) as address, httpx.Client(base_url=address, timeout=60) as http:
        yield data, end, http, keys


def posted(http: httpx.Client, keys: dict[str, str], name: str, path: str, body: Any = None) -> httpx.Response:
    return http.post(f"/api/v1/{path}", json=body, headers={"Authorization": f"Bearer {keys[name]}"})


def holds_read(data: Path, end: datetime) -> list[Any]:
    """What the control loop would take in from the inbox."""
    engine = open_ledger(data)
    try:
        state = State.start(small(site={**document()["site"], "two_person_mw": MOST_MW}), setup_from_document)
        return list(InboxReader(Inbox(engine), StoppedClock(end)).read(state, end, {})[1])
    finally:
        engine.dispose()


def test_a_preview_says_megawatts_dollars_and_promises_and_orders_nothing(site: Any) -> None:
    data, end, http, keys = site
    before = holds_read(data, end)
    answer = posted(http, keys, "alice", "moves/preview", {"hold": {"group": "b-new", "mode": "sleep"}}).json()
    assert answer["needs_second_person"] and answer["moved_mw"] == pytest.approx(0.14, abs=0.01)
    assert answer["with_mw"]["b-new"] < 0.01 < answer["without_mw"]["b-new"] and answer["with_mw"]["a-old"] == answer["without_mw"]["a-old"]
    # 40 rigs of 200 TH/s at 45 $/PH/day are 15 $ an hour; the energy that they no longer draw is saved.
    price = http.get("/api/v1/state").json()["price"]["usd_per_mwh"]
    assert price > 0 and answer["usd_per_hour"] == pytest.approx(
        -15.0 + (answer["without_mw"]["b-new"] - answer["with_mw"]["b-new"]) * price, abs=0.02
    )
    stopped = posted(http, keys, "alice", "moves/preview", {"stop": "order"}).json()
    assert sum(stopped["with_mw"].values()) < 0.01 and "global stop" in " ".join(stopped["reasons"])
    assert posted(http, keys, "alice", "moves/preview", {}).status_code == 422
    assert posted(http, keys, "alice", "moves/preview", {"release": "nobodys"}).status_code == 404
    assert http.post("/api/v1/moves/preview", json={"stop": "order"}).status_code == 401
    assert holds_read(data, end) == before


def test_a_large_hold_waits_for_another_key_and_a_small_one_does_not(site: Any) -> None:
    data, end, http, keys = site
    before = len(holds_read(data, end))
    small_one = posted(http, keys, "alice", "holds", {"group": "b-new", "mode": "normal"})
    assert small_one.json()["id"].startswith("hold-") and len(holds_read(data, end)) == before + 1
    large = posted(http, keys, "alice", "holds", {"group": "b-new", "mode": "sleep", "by": "Alice"}).json()
    assert large["id"].startswith("proposal-") and "NOT DONE YET" in large["note"] and len(holds_read(data, end)) == before + 1
    (waiting,) = [p for p in http.get("/api/v1/holds").json()["proposals"] if p["id"] == large["id"]]
    assert waiting["by"] == "Alice" and waiting["moved_mw"] > MOST_MW
    own = posted(http, keys, "alice", f"holds/{large['id']}/confirm")
    assert own.status_code == 409 and "another person" in own.text
    assert posted(http, keys, "bob", "holds/proposal-999999/confirm").status_code == 409
    assert posted(http, keys, "bob", f"holds/{large['id']}/confirm").status_code == 202
    done = holds_read(data, end)[-1]
    assert (done.id, done.group, done.mode, done.by) == (large["id"], "b-new", "sleep", "Alice, confirmed by bob")
    again = posted(http, keys, "bob", f"holds/{large['id']}/confirm")
    assert again.status_code == 409, "a proposal is confirmed once"


def test_a_confirmed_change_of_a_hold_takes_its_place(site: Any) -> None:
    data, end, http, keys = site
    posted(http, keys, "alice", "holds", {"id": "night", "group": "b-new", "mode": "normal"})
    change = posted(http, keys, "alice", "holds", {"id": "night", "group": "b-new", "mode": "sleep"}).json()
    assert change["id"].startswith("proposal-")
    assert posted(http, keys, "bob", f"holds/{change['id']}/confirm").json()["id"] == "night"
    assert [(h.id, h.mode) for h in holds_read(data, end)][-2:] == [("night", "normal"), ("night", "sleep")]
    again = posted(http, keys, "bob", f"holds/{change['id']}/confirm")
    assert again.status_code == 409, "a proposal is confirmed once"


def test_a_repeated_request_stores_no_second_proposal(site: Any) -> None:
    data, end, http, keys = site
    headers = {"Authorization": f"Bearer {keys['alice']}", "Idempotency-Key": "k1"}
    body = {"group": "b-new", "mode": "sleep"}
    first, second = (http.post("/api/v1/holds", json=body, headers=headers).json() for _ in range(2))
    assert first["id"].startswith("proposal-") and not first["repeated"]
    assert second == {**first, "repeated": True}
    posted(http, keys, "bob", f"holds/{first['id']}/confirm")
    assert http.post("/api/v1/holds", json=body, headers=headers).json() == second
    other = http.post("/api/v1/holds", json={**body, "group": "a-old"}, headers=headers)
    assert other.status_code == 409, "the key was used for another hold"


def test_a_preview_gives_the_hold_with_its_end_and_says_it_in_sentences(site: Any) -> None:
    data, end, http, keys = site
    asked = {"hold": {"group": "b-new", "mode": "sleep"}, "ends_in_h": 1.5}
    answer = posted(http, keys, "alice", "moves/preview", asked).json()
    assert answer["hold"] == {"group": "b-new", "mode": "sleep", "until": format_instant(end + timedelta(hours=1.5))}
    text = " ".join(answer["sentences"])
    assert "It ends by itself on Thu 20 Aug 14:30." in text and "another person, with another key, must confirm it" in text
    assert f"The move is of {answer['moved_mw']:.3f} MW." in text and "No promise is missed more than without it." in text
    usd = answer["usd_per_hour"]
    assert f"It {'earns' if usd > 0 else 'costs'} ${abs(usd):,.2f} an hour" in text
    plain = posted(http, keys, "alice", "moves/preview", {"hold": asked["hold"]}).json()
    assert plain["hold"]["until"] == format_instant(end + timedelta(hours=24)), "as it ends where no end is given"
    for wrong in (
        {**asked, "ends_in_h": 0},
        {"stop": "order", "ends_in_h": 1},
        {**asked, "hold": plain["hold"]},
        {**asked, "ends_in_h": 1e6},
    ):
        assert posted(http, keys, "alice", "moves/preview", wrong).status_code == 422
    ended = posted(http, keys, "alice", "moves/preview", {"stop": "end"}).json()
    assert "No stop is in force." in ended["sentences"] and ended["hold"] is None


def test_a_hold_that_would_be_over_at_once_is_refused_but_a_repeated_one_is_not(site: Any) -> None:
    data, end, http, keys = site
    body = {"group": "b-new", "mode": "normal", "until": format_instant(end)}
    refused = posted(http, keys, "alice", "holds", body)
    assert refused.status_code == 422 and "until: is over" in refused.json()["detail"]
    engine = open_ledger(data)
    row, _ = Inbox(engine).put("hold", body, "alice", "before it was over")
    engine.dispose()
    headers = {"Authorization": f"Bearer {keys['alice']}", "Idempotency-Key": "before it was over"}
    again = http.post("/api/v1/holds", json=body, headers=headers)
    assert again.status_code == 202 and (again.json()["inbox"], again.json()["repeated"]) == (row, True)


def test_releases_and_confirmations_are_done_once_for_a_key(site: Any) -> None:
    data, end, http, keys = site
    large = posted(http, keys, "alice", "holds", {"group": "b-new", "mode": "sleep"}).json()
    bob = {"Authorization": f"Bearer {keys['bob']}"}
    first, second = (http.post(f"/api/v1/holds/{large['id']}/confirm", headers={**bob, "Idempotency-Key": "c"}).json() for _ in range(2))
    assert first["id"] == large["id"] and second == {**first, "repeated": True}
    before = len(holds_read(data, end))
    ends = [http.delete(f"/api/v1/holds/{large['id']}", headers={**bob, "Idempotency-Key": "r"}).json() for _ in range(2)]
    assert ends[1] == {**ends[0], "repeated": True} and len(holds_read(data, end)) == before + 1
    assert http.delete("/api/v1/holds/night", headers={**bob, "Idempotency-Key": "r"}).status_code == 409
    assert http.post("/api/v1/holds/proposal-1/confirm", headers={**bob, "Idempotency-Key": "c"}).status_code == 409


def test_a_stop_that_is_sent_again_does_not_undo_what_came_since(site: Any) -> None:
    data, end, http, keys = site
    alice = {"Authorization": f"Bearer {keys['alice']}"}
    stopped = http.post("/api/v1/stop", headers={**alice, "Idempotency-Key": "s1"}).json()
    assert stopped == {"in_force": True, "by": "alice", "repeated": False} and (data / "stop").exists()
    said = " ".join(posted(http, keys, "bob", "moves/preview", {"stop": "end"}).json()["sentences"])
    assert "It ends the stop that alice ordered on " in said
    ended = http.post("/api/v1/resume", headers={**alice, "Idempotency-Key": "s2"}).json()
    assert (ended["in_force"], ended["by"]) == (False, "alice") and not (data / "stop").exists()
    assert http.post("/api/v1/stop", headers={**alice, "Idempotency-Key": "s1"}).json() == {**stopped, "repeated": True}
    assert not (data / "stop").exists(), "the site was started since"
    posted(http, keys, "bob", "stop")
    assert http.post("/api/v1/resume", headers={**alice, "Idempotency-Key": "s2"}).json() == {**ended, "repeated": True}
    assert (data / "stop").exists(), "another stop was ordered since"
    assert http.post("/api/v1/resume", headers={**alice, "Idempotency-Key": "s1"}).status_code == 409
    posted(http, keys, "bob", "resume")
    assert not (data / "stop").exists()


def test_the_command_line_previews_proposes_and_confirms(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    data, end, _, _ = site
    before = len(holds_read(data, end))
    add_hold(data, group="b-new", mode="sleep", by="carol", preview=True)
    assert "one person may not order it alone" in capsys.readouterr().out and len(holds_read(data, end)) == before
    stop(data, preview=True)
    assert "0.00" in capsys.readouterr().out and not (data / "stop").exists()
    add_hold(data, group="b-new", mode="sleep", by="carol", as_json=True)
    proposed = json.loads(capsys.readouterr().out)
    assert proposed["proposal"] and len(holds_read(data, end)) == before
    with pytest.raises(Ended, match="another person"):
        confirm_hold(proposed["id"], "carol", data)
    confirm_hold(proposed["id"], "dave", data)
    assert holds_read(data, end)[-1].by == "carol, confirmed by dave"
