"""certificate: what a site has proved it can shed, signed."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, day, ledger, note, out, read_json, setup_of_ledger


def certificate(
    data: Data = Path("data"),
    since: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First operating day.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last operating day.")] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Ed25519 key (PEM) that signs, or that --verify trusts.")
    ] = None,
    create_key: Annotated[bool, typer.Option("--create-key", help="Create the key of --key.")] = False,
    verify: Annotated[
        Path | None,
        typer.Option("--verify", metavar="FILE", help="Check this certificate: signature, key and the journal's figures."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Certify what the site has proved it can shed, or check a certificate."""
    from dispatch.evidence.signing import create_key as new_key
    from dispatch.evidence.signing import public_hex, read_key, signed

    if verify is not None:
        _verify(verify, data, key, as_json)
        return
    if since is None or until is None or key is None:
        raise Ended(WRONG, "--from, --to and --key are needed, or --verify")
    first, last = day(since, "--from"), day(until, "--to")
    try:
        private = new_key(key) if create_key else read_key(key)
        document = signed(_derived(data, first, last), private)
    except ValueError as fault:
        raise Ended(WRONG, f"--key: {fault}") from None
    folder = data / "certificates"
    folder.mkdir(exist_ok=True)
    file = folder / f"certificate-{first}-{last}.json"
    file.write_text(json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n", "utf-8")
    note(f"wrote {file}")
    if (public := public_hex(private)) not in _trusted_keys(data):
        note(f"offers do not count it: {public} is not in certificate_keys of [reports] in the site file")
    out(document, as_json, _lines(document))
    if not document["calls"]:
        raise Ended(FINDINGS, f"no call of {first} to {last} was answered: nothing is proved by a call")


def _derived(data: Path, first: date, last: date) -> dict[str, Any]:
    """The certificate by the journal, not signed. Raises Ended, LedgerUnavailable, JournalBroken."""
    from dispatch.decide.state import State
    from dispatch.evidence.flexibility_certificate import certificate as certify
    from dispatch.site_file.load import setup_from_document
    from dispatch.store.journal import SqlJournal
    from dispatch.store.signal_rows import signals_received
    from markets.facts import Call
    from markets.grid import Interval, OperatingDay

    if last < first:
        raise Ended(WRONG, f"--to: {last} is before {first}")
    engine = ledger(data)
    setup = setup_of_ledger(engine)
    market = setup.site.market
    over = Interval(OperatingDay(market, first).start, OperatingDay(market, last).end)
    journal = SqlJournal(engine)
    rows = [(seq, entry) for seq, entry in journal.read() if entry.at < over.end]
    if not rows:
        raise Ended(WRONG, f"the journal has no row before the end of {last}")
    head = rows[-1][0], journal.hash_at(rows[-1][0])
    calls = [call for seq, call in signals_received(engine, Call, limit=1_000_000) if seq <= head[0]]
    state = State.start(setup, setup_from_document)
    return certify(state, [entry for _, entry in rows], calls, (first, last), over, head)


def _trusted_keys(data: Path) -> tuple[str, ...]:
    return setup_of_ledger(ledger(data)).reports.certificate_keys


def _verify(file: Path, data: Path, key: Path | None, as_json: bool) -> None:
    """Check a certificate. Its key must be in the site file, or be `key`: anyone can sign with a key of his own."""
    from dispatch.evidence.signing import read_public_key, signature_holds, trusted

    document = read_json(file)
    try:
        keys = [*_trusted_keys(data), *([read_public_key(key)] if key is not None else [])]
    except ValueError as fault:
        raise Ended(WRONG, f"--key: {fault}") from None
    own = ("public_key", "signature", "signed")
    derived = _derived(data, day(str(document.get("from")), "from"), day(str(document.get("to")), "to"))
    said = {name: value for name, value in document.items() if name not in own}
    journal = json.loads(json.dumps(derived)) == said
    found = {"signature": signature_holds(document), "trusted": trusted(document, keys), "journal": journal}
    differs = sorted(name for name in {*derived, *said} if derived.get(name) != said.get(name))
    lines = [f"signature: {'holds' if found['signature'] else 'DOES NOT HOLD'}"]
    named = str(document.get("public_key"))
    lines.append(f"key: {'trusted' if found['trusted'] else f'NOT TRUSTED: {named} is neither in certificate_keys of [reports] nor --key'}")
    lines.append("the journal gives the same" if found["journal"] else f"the journal gives another {', '.join(differs)}")
    out({**found, "differs": differs}, as_json, lines)
    if not all(found.values()):
        raise Ended(FINDINGS)


def _lines(document: dict[str, Any]) -> list[str]:
    seconds = [f"p{p} {'not known' if (s := document[f'p{p}_seconds']) is None else f'{s:g} s'}" for p in (50, 99)]
    lines = [
        f"{document['site']}, {document['from']} to {document['to']}: {document['mw']:g} MW proved, full response {' and '.join(seconds)}, "
        f"sustained {document['sustained_h']:g} h"
    ]
    for call in document["calls"]:
        lines.append(f"  {call['start_at']} {call['id']}: {call['dropped_mw']:g} of {call['asked_mw']:g} MW, by the {call['evidence']}")
    return lines
