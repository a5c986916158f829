"""What an Avalon of the A series answers. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import avalon as wire
from dispatch.rigs.wire import cgminer
from dispatch.rigs.wire.line import WireError
from dispatch.sim.cgminer import counts, pools, rates
from dispatch.sim.rig import BOARDS, CHIPS, FANS, REFUSED, SENT, UNSUPPORTED, Condition, Rig

BY = "cgminer 4.11.1"
FIRMWARE = "24102401_25462b2"
SPANS = ("av", "5s", "1m", "5m", "15m")


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a whole request. Raises WireError when it is none."""
    asked = cgminer.parse_request(data)
    if asked.commands == ("ascset",):
        return cgminer.reply(_ascset(rig, asked.words))
    if asked.commands == ("restart",):
        rig.reboot("restart")
        return cgminer.reply({"STATUS": "RESTART"})
    condition = rig.condition()
    return cgminer.reply(cgminer.answered(asked, lambda name: _read(rig, condition, name)))


def _head(rig: Rig, letter: str, code: int, message: str) -> dict[str, Any]:
    return cgminer.table(cgminer.status(letter, code, message, rig.when, BY))


def _ascset(rig: Rig, words: tuple[str, ...]) -> dict[str, Any]:
    try:
        code, message = _order(rig, words)
    except WireError as error:
        code, message = UNSUPPORTED, str(error)
    if code == UNSUPPORTED:
        return _head(rig, "E", 121, f"ASC 0 set failed: {message}")
    if code == REFUSED:
        return _head(rig, "E", 120, "ASC 0 set failed: access denied")
    return _head(rig, "I", 118, message) if "success" in message else _head(rig, "S", 119, message)


def _order(rig: Rig, words: tuple[str, ...]) -> tuple[int, str]:
    """What the rig says and its message. Raises WireError for words no rig knows."""
    match words:
        case ("0", ("softoff" | "softon") as verb, _):
            due_s, act = wire.epoch(words), rig.sleep if verb == "softoff" else rig.wake
            code = rig.answer_to_order()
            if code == SENT:
                rig.when_due(due_s, lambda: act(verb))
            return code, wire.success(words)
        case ("0", "worklevel", "set", level) if level in ("0", "1", "2"):
            return rig.prefer("worklevel", wire.LEVELS[int(level)]), "ASC 0 set OK"
        case ("0", "led", _):
            return rig.answer_to_order(), "ASC 0 set OK"
        case ("0", "reboot", *_):
            return rig.reboot("reboot"), "ASC 0 set OK"
    raise WireError("unknown option")


def _read(rig: Rig, condition: Condition, name: str) -> dict[str, Any]:
    if name not in READS:
        return _head(rig, "E", 14, "Invalid command")
    table, code, message, rows = READS[name](condition)
    return cgminer.table(cgminer.status("S", code, message, rig.when, BY), table, rows)


def _version(rig: Condition) -> Any:
    family = rig.model.split("-")[0]
    row = {
        "CGMiner": "4.11.1", "API": "3.7", "PROD": f"AvalonMiner {rig.model}", "MODEL": rig.model, "HWTYPE": "MM4v2_X3", "SWTYPE": "MM319",
        "LVERSION": FIRMWARE, "BVERSION": FIRMWARE, "CGVERSION": FIRMWARE, "VERSION": f"{family}-{FIRMWARE}", "DNA": rig.serial,
        "MAC": rig.mac.replace(":", ""), "UPAPI": "2",
    }  # fmt: skip
    return "VERSION", 22, "CGMiner versions", [row]


def _summary(rig: Condition) -> Any:
    return "SUMMARY", 11, "Summary", [counts(rig.ths * 1e6, "MHS", *SPANS)]


def _devs(rig: Condition) -> Any:
    row = rates(rig.ths * 1e6, "MHS", *SPANS)
    return "DEVS", 9, "1 ASC(s)", [{"ASC": 0, "Name": "AVALON", "ID": 0, "Enabled": "Y", "Status": "Alive", "Temperature": 0.0, **row}]


def _devdetails(rig: Condition) -> Any:
    return "DEVDETAILS", 69, "Device Details", [{"DEVDETAILS": 0, "Name": "AVALON", "ID": 0, "Driver": "avalon", "Kernel": "", "Model": ""}]


def _stats(rig: Condition) -> Any:
    ghs, c, watts = rig.ths * 1e3, round(rig.board_c), round(rig.watts)
    fields: dict[str, object] = {
        "Ver": f"{rig.model}-{FIRMWARE}",
        "DNA": rig.serial,
        "STATE": 2 if rig.awake else 0,
        "NETFAIL": "0 0 0 0 0 0 0 0",
        "SYSTEMSTATU": f"Work: {'In Work' if rig.awake else 'In Idle'}, Hash Board: {BOARDS}",
        "Elapsed": 3600,
        "ITemp": 25,
        "HBITemp": 30,
        "HBOTemp": 45,
        "TMax": c + 9,
        "TAvg": c,
        "MTmax": " ".join([str(c + 9)] * BOARDS),
        "MTavg": " ".join([str(c)] * BOARDS),
        **{f"Fan{n}": rig.fan_rpm for n in range(1, FANS + 1)},
        "FanR": f"{60 if rig.awake else 0}%",
        "PS": f"0 1215 1290 275 {watts} {watts} 1290",
        "WALLPOWER": watts,
        "GHSspd": f"{ghs:.2f}",
        "GHSmm": f"{rig.normal_ths * 1e3:.2f}",
        "GHSavg": f"{ghs:.2f}",
        "MGHS": " ".join([f"{ghs / BOARDS:.2f}"] * BOARDS),
        "TA": BOARDS * CHIPS,
        "SoftOFF": 0 if rig.awake else 1,
        "Led": 0,
        "WORKMODE": 0,
        "WORKLEVEL": wire.LEVELS.index(rig.mode) if rig.mode in wire.LEVELS else 1,
        "MPO": round(rig.normal_w),
        **{f"PVT_T{n}": " ".join([str(c)] * 4) for n in range(BOARDS)},
    }
    row = {"STATS": 0, "ID": "AVALON0", "Elapsed": 3600, "MM ID0": wire.stats(fields)}
    return "STATS", 70, "CGMiner stats", [row, {"STATS": 1, "ID": "POOL0", "Elapsed": 3600}]


def _pools(rig: Condition) -> Any:
    return "POOLS", 7, f"{len(rig.pools)} Pool(s)", pools(rig)


READS = {
    "version": _version, "summary": _summary, "devs": _devs, "devdetails": _devdetails, "stats": _stats, "estats": _stats,
    "litestats": _stats, "pools": _pools,
}  # fmt: skip
