"""calls, awards, keys: signals sent by hand, and access to the API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import WRONG, Data, Ended, Json, ledger, out, setup_of_ledger, table
from markets import counted

if TYPE_CHECKING:
    from dispatch.signals.acceptance import Kind

calls = typer.Typer(no_args_is_help=True, help="Calls: instructions to the site under a contract.")
awards = typer.Typer(no_args_is_help=True, help="Awards: capacity sold, or a baseline.")
keys = typer.Typer(no_args_is_help=True, help="Keys of the API, and sealed secrets.")

File = Annotated[Path, typer.Argument(help="JSON (one document or a list) or CSV, with the keys of the HTTP API.")]


@calls.command("add")
def add_calls(file: File, data: Data = Path("data"), as_json: Json = False) -> None:
    """Send the calls in a file to the site that runs on the data folder."""
    _add("call", file, data, as_json)


@awards.command("add")
def add_awards(file: File, data: Data = Path("data"), as_json: Json = False) -> None:
    """Send the awards in a file to the site that runs on the data folder."""
    _add("award", file, data, as_json)


def _add(kind: Kind, file: Path, data: Path, as_json: bool) -> None:
    from dispatch.signals.documents import InvalidDocument
    from dispatch.signals.watched_folder import post_file
    from dispatch.store.inbox import Inbox

    engine = ledger(data)
    try:
        received = post_file(kind, file, Inbox(engine), setup_of_ledger(engine), key_name="command line")
    except OSError as error:
        raise Ended(WRONG, f"{file}: {error.strerror or error}") from None
    except InvalidDocument as faults:
        raise Ended(WRONG, *(f"{file}: {fault}" for fault in faults.faults)) from None
    notes = [r.note for r in received if r.note]
    out({"inbox": [r.row for r in received], "notes": notes}, as_json, [f"{counted(len(received), kind)} sent", *notes])


@keys.command("add")
def add_key(
    name: str,
    scope: Annotated[str, typer.Option("--scope", help="Scopes, separated by commas: read, whatif, dispatch, admin.")],
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Create an API key. Its secret is shown once."""
    from dispatch.store.keys import ApiKeys

    data.mkdir(parents=True, exist_ok=True)
    scopes = [s.strip() for s in scope.split(",") if s.strip()]
    try:
        secret = ApiKeys(ledger(data, create=True)).add(name, scopes)
    except ValueError as error:
        raise Ended(WRONG, str(error)) from None
    out({"name": name, "scopes": scopes, "secret": secret}, as_json, [secret])


@keys.command("list")
def list_keys(data: Data = Path("data"), as_json: Json = False) -> None:
    """List the API keys, without their secrets."""
    from dispatch.store.keys import ApiKeys

    rows: list[dict[str, Any]] = [
        {"name": k.name, "scopes": ",".join(sorted(k.scopes)), "created_at": k.created_at.isoformat(), "revoked": k.revoked_at is not None}
        for k in ApiKeys(ledger(data)).list()
    ]
    out({"keys": rows}, as_json, table(rows, ["name", "scopes", "created_at", "revoked"]))


@keys.command("revoke")
def revoke_key(name: str, data: Data = Path("data"), as_json: Json = False) -> None:
    """Revoke an API key."""
    from dispatch.store.keys import ApiKeys

    if not ApiKeys(ledger(data)).revoke(name):
        raise Ended(WRONG, f"there is no active key {name!r}")
    out({"revoked": name}, as_json, [f"{name} revoked"])


@keys.command("seal")
def seal(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="File for the sealed secret.")] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Print a new sealing key for the site instead.")] = False,
    as_json: Json = False,
) -> None:
    """Encrypt a secret for a site file (`credentials = "file:FILE"`) with the key in LOADSTONE_KEY; reads the terminal or a pipe."""
    from dispatch.rigs import secrets

    if new_key == (file is not None):
        raise Ended(WRONG, "give either FILE or --new-key")
    if file is None:
        made = secrets.new_key()
        return out({"key": made}, as_json, [made])
    secret = typer.prompt("Secret", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
    if not secret:
        raise Ended(WRONG, "the secret is empty")
    try:
        file.write_text(secrets.sealed(secret) + "\n", "utf-8")
        file.chmod(0o600)
    except (OSError, ValueError) as error:
        raise Ended(WRONG, str(error)) from None
    return out({"sealed": str(file)}, as_json, [f"wrote {file}"])
