"""The API of cgminer as most makes speak it on TCP 4028, both roles: one JSON question, one answer ended by NUL, and the rig closes.

{"command": "summary"} or, with words for it, {"command": "ascset", "parameter": "0,led,1-1"}; reads may be joined, "summary+power".
An answer is {"STATUS": [{"STATUS": "S", "Code", "Msg", "Description", "When"}], "SUMMARY": [...], "id": 1}; joined ones stand each in a
list under their name. STATUS is S, I (information), W or E. Source: cgminer, API-README.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dispatch.rigs.wire.line import WireError, parse, write

PORT = 4028


@dataclass(frozen=True, slots=True)
class CgminerRequest:
    """What a client asks: command names (one, or several joined reads) and the words after them."""

    commands: tuple[str, ...]
    words: tuple[str, ...] = ()


def request(*commands: str, words: tuple[str, ...] = ()) -> bytes:
    """Client: ask."""
    return write({"command": "+".join(commands), **({"parameter": ",".join(words)} if words else {})})


def parse_request(data: bytes) -> CgminerRequest:
    """Server: what is asked. Raises WireError."""
    document = parse(data)
    name = document.get("command") or document.get("cmd")
    if not isinstance(name, str) or not name:
        raise WireError("no command")
    words = document.get("parameter", "")
    words = ",".join(map(str, words)) if isinstance(words, list) else str(words)
    return CgminerRequest(tuple(name.split("+")), tuple(words.split(",")) if words else ())


def reply(document: Mapping[str, Any]) -> bytes:
    """Server: an answer as bytes."""
    return write(document) + b"\0"


def answered(asked: CgminerRequest, one: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    """Server: the answer to one read, or to several joined ones."""
    if len(asked.commands) == 1:
        return dict(one(asked.commands[0]))
    return {**{name: [one(name)] for name in asked.commands}, "id": 1}


def status(letter: str, code: int, message: str, when: int, by: str) -> dict[str, Any]:
    """Server: one row of STATUS; `when` epoch seconds of the rig's clock, `by` what answers."""
    return {"STATUS": letter, "When": when, "Code": code, "Msg": message, "Description": by}


def table(head: Mapping[str, Any], name: str = "", rows: Any = ()) -> dict[str, Any]:
    """Server: a whole answer: its STATUS and, where it has one, its table."""
    return {"STATUS": [head], **({name: rows} if name else {}), "id": 1}


def parse_reply(data: bytes) -> dict[str, Any]:
    """Client: the rig's answer. Raises WireError."""
    return parse(data)


def status_and_message(document: Mapping[str, Any]) -> tuple[str, str]:
    """Client: the letter and the message of an answer's STATUS. Raises WireError."""
    try:
        row = document["STATUS"]
        row = row[0] if isinstance(row, list) else document
        return str(row["STATUS"]), str(row.get("Msg", ""))
    except (LookupError, TypeError, AttributeError):
        raise WireError("an answer without STATUS") from None
