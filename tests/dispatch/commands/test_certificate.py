"""The flexibility certificate: what calls proved, signed, derived again byte for byte, and a limit of what is offered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dispatch.commands import Ended
from dispatch.commands.certificate import certificate
from dispatch.evidence.signing import create_key, public_hex, read_key, signature_holds, signed
from dispatch.offers.proved import Proof, newest_certificate
from tests.dispatch.web.served import run_site
from tests.fakes import NOON
from tests.sites import small

DAY = "2026-08-20"


def call(name: str, mw_cap: float, minutes: int) -> dict[str, Any]:
    start = NOON + timedelta(minutes=minutes)
    times = {"start_at": start.isoformat(), "end_at": (start + timedelta(minutes=20)).isoformat()}
    return {"id": name, "obligation": "plant", "kind": "deploy", "mw_cap": mw_cap, "source": "test", **times}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data = tmp_path_factory.mktemp("ran")
    run_site(data, small(), 2.0, pushed=[("call", call("one", 0.1, 30)), ("call", call("two", 0.05, 80))])
    yield data


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_calls_prove_what_they_had_and_the_certificate_is_derived_again(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = ran / "key.pem"
    certificate(ran, DAY, DAY, key, create_key=True, as_json=True)
    document = printed(capsys)
    one = next(answered for answered in document["calls"] if answered["id"] == "one")
    assert one["answered"] and one["evidence"] == "rigs" and one["sustained_h"] > 0.2
    assert 0 < one["asked_mw"] <= one["dropped_mw"] + 0.002 and document["mw"] >= one["dropped_mw"] > 0
    assert document["p99_seconds"] >= document["p50_seconds"] > 0
    assert key.stat().st_mode & 0o077 == 0
    file = ran / "certificates" / f"certificate-{DAY}-{DAY}.json"
    first = file.read_bytes()
    certificate(ran, DAY, DAY, key)
    assert file.read_bytes() == first, "the same journal and key give the same bytes"
    capsys.readouterr()
    certificate(ran, verify=file, key=key, as_json=True)
    assert printed(capsys) == {"signature": True, "trusted": True, "journal": True, "differs": []}


def test_a_certificate_of_a_key_that_nobody_trusts_is_not_believed(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, other = create_key(tmp_path / "own.pem"), tmp_path / "other.pem"
    create_key(other)
    certificate(ran, DAY, DAY, tmp_path / "own.pem", as_json=True)
    captured = capsys.readouterr()
    assert f"{public_hex(own)} is not in certificate_keys" in captured.err
    file = tmp_path / "certificate.json"
    file.write_text(captured.out, "utf-8")
    for keys in ({}, {"key": other}):
        with pytest.raises(Ended):
            certificate(ran, verify=file, as_json=True, **keys)
        assert printed(capsys) == {"signature": True, "trusted": False, "journal": True, "differs": []}
    public = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    certificate(ran, verify=file, key=tmp_path / "public.pem", as_json=True)
    assert printed(capsys)["trusted"]


def test_a_changed_figure_is_found_by_signature_and_by_journal(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = create_key(tmp_path / "key.pem")
    certificate(ran, DAY, DAY, tmp_path / "key.pem", as_json=True)
    document = printed(capsys)
    more = {**document, "mw": document["mw"] + 1.0}
    (tmp_path / "more.json").write_text(json.dumps(more), "utf-8")
    with pytest.raises(Ended):
        certificate(ran, verify=tmp_path / "more.json", as_json=True)
    assert printed(capsys) == {"signature": False, "trusted": False, "journal": False, "differs": ["mw"]}
    again = signed({name: more[name] for name in more if name not in ("signature", "public_key", "signed")}, key)
    (tmp_path / "more.json").write_text(json.dumps(again), "utf-8")
    with pytest.raises(Ended):
        certificate(ran, verify=tmp_path / "more.json", key=tmp_path / "key.pem", as_json=True)
    assert printed(capsys) == {"signature": True, "trusted": True, "journal": False, "differs": ["mw"]}, (
        "a new signature does not change the journal"
    )


def test_a_key_is_created_only_when_asked(ran: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        certificate(ran, DAY, DAY, tmp_path / "none.pem")
    assert not (tmp_path / "none.pem").exists()
    create_key(tmp_path / "key.pem")
    with pytest.raises(FileExistsError):
        create_key(tmp_path / "key.pem")
    assert signature_holds(signed({"mw": 1.0}, read_key(tmp_path / "key.pem")))


def test_days_without_a_call_prove_nothing(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_key(tmp_path / "key.pem")
    with pytest.raises(Ended) as ended:
        certificate(ran, "2026-08-21", "2026-08-21", tmp_path / "key.pem", as_json=True)
    assert ended.value.status == 1
    document = printed(capsys)
    assert (document["mw"], document["p99_seconds"], document["calls"]) == (0.0, None, [])


def test_what_is_offered_never_exceeds_the_certificate(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key.pem")
    (tmp_path / "certificates").mkdir()
    for on, mw in ((date(2026, 8, 19), 0.05), (date(2026, 8, 20), 0.03)):
        document = signed({"to": on.isoformat(), "mw": 0.06, "within_mw": {"a-old": {"60": mw}, "b-new": {"600": 0.04}}}, key)
        (tmp_path / "certificates" / f"certificate-{on}.json").write_text(json.dumps(document), "utf-8")
    keys = (public_hex(key),)
    newest = newest_certificate(tmp_path, keys)
    assert newest is not None and newest["to"] == "2026-08-20"
    proof = Proof(small().site, {}, newest)
    assert proof.mw_within(("a-old", "b-new"), 60.0) == pytest.approx(0.03)
    assert proof.mw_within(("a-old", "b-new"), 600.0) == pytest.approx(0.06), "0.03 + 0.04, but no call proved more than 0.06"
    assert newest_certificate(tmp_path, ()) is None, "a key that the site file does not name is not believed"
    another = signed({**newest, "to": "2026-08-22", "mw": 9.0}, create_key(tmp_path / "another.pem"))
    (tmp_path / "certificates" / "certificate-2026-08-22.json").write_text(json.dumps(another), "utf-8")
    assert newest_certificate(tmp_path, keys) == newest, "signed, but by a key of somebody else"
    forged = tmp_path / "certificates" / "certificate-2026-08-21.json"
    forged.write_text(json.dumps({**newest, "to": "2026-08-21", "mw": 9.0}), "utf-8")
    assert newest_certificate(tmp_path, keys) == newest, "a signature that does not hold is no certificate"
    for name, text in (("cut", "{"), ("list", "[]")):
        (tmp_path / "certificates" / f"certificate-{name}.json").write_text(text, "utf-8")
    assert newest_certificate(tmp_path, keys) == newest, "a file that is no certificate proves nothing"
