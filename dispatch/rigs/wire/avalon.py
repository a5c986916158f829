"""Canaan's Avalon A series on the wire, both roles: cgminer's API on TCP 4028.

Orders are `ascset` words: "0,softoff,1:EPOCH" and "0,softon,1:EPOCH" take effect when the rig's own clock reaches EPOCH, a few seconds
ahead of when they are sent; "0,worklevel,set,N" chooses a level. They are answered as information: STATUS I, "ASC 0 set info: success
softoff:EPOCH". Reads are strings of NAME[VALUE] in `estats` and `stats`: WALLPOWER watts, GHSspd GH/s now. Models up to the A13 have no
WALLPOWER but PS, seven figures of the power supply: error, set voltage, board voltage, current, output watts, target voltage, input watts.
A rig answers one connection at a time. Source: Canaan, Avalon A10 API manual; checked against pyasic and asic-rs in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire.line import WireError, figure

AHEAD_S = 5
LEVELS = ("low", "normal", "high")
_FIELD = re.compile(r"(\w+)\[([^\]]*)\]")


def at(verb: str, epoch_s: float) -> tuple[str, ...]:
    """Client: the words of a `softoff` or `softon` that takes effect at `epoch_s` of the rig's clock."""
    return ("0", verb, f"1:{int(epoch_s)}")


def epoch(words: tuple[str, ...]) -> int:
    """Server: when a `softoff` or `softon` takes effect. Raises WireError."""
    mark, colon, text = words[2].partition(":") if len(words) == 3 else ("", "", "")
    if mark != "1" or not colon or not text.isdecimal():
        raise WireError("not an instant")
    return int(text)


def success(words: tuple[str, ...]) -> str:
    """Server: the message of an order that was taken."""
    return f"ASC 0 set info: success {words[1]}{words[2].removeprefix('1')}"


def accepted(letter: str, message: str) -> bool:
    """Client: whether STATUS and its message say that an order was taken."""
    return letter in ("S", "I") and ("success" in message or message.endswith("set OK"))


def stats(fields: Mapping[str, object]) -> str:
    """Server: fields as a rig writes them."""
    return " ".join(f"{name}[{value}]" for name, value in fields.items())


def parse_stats(text: str) -> dict[str, str]:
    """Client: the fields of such a string."""
    return dict(_FIELD.findall(text))


def figures(estats: Mapping[str, Any]) -> tuple[float, float]:
    """Client: wall watts and TH/s of an `estats`. Raises WireError when either is missing."""
    try:
        row = estats["STATS"][0]
        fields = parse_stats(next(str(text) for name, text in row.items() if name.startswith("MM ID0")))
        return _watts(fields), figure(fields["GHSspd"]) / 1e3
    except (LookupError, TypeError, AttributeError, StopIteration):
        raise WireError("no watts or no hashrate in these stats") from None


def _watts(fields: Mapping[str, str]) -> float:
    """Wall watts: WALLPOWER, else the input watts of the power supply, else its output watts. Raises LookupError or WireError."""
    if "WALLPOWER" in fields:
        return figure(fields["WALLPOWER"])
    supply = fields["PS"].split()
    return figure(supply[6]) if len(supply) > 6 else figure(supply[4])
