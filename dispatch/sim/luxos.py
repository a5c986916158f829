"""What a rig with LuxOS answers: reads for anybody, orders within the one session it has. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import cgminer
from dispatch.rigs.wire import luxos as wire
from dispatch.sim.cgminer import Read, Table, counts, pools
from dispatch.sim.rig import BOARDS, CHIPS, FANS, REFUSED, UNSUPPORTED, Condition, Rig

API, VERSION = "3.7", "2025.4.8.220305"
BY = f"LUXminer {VERSION}-simulated"
DEFAULT_MHZ, STEP_MHZ = 590, 25
# A session nobody uses is over after this long, seconds of the rig's clock.
SESSION_LIFE_S = 600
_SESSION = "session"


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a whole request. Raises WireError when it is none."""
    asked = cgminer.parse_request(data)
    if len(asked.commands) == 1 and asked.commands[0] in ORDERS:
        return cgminer.reply(_within(rig, asked.commands[0], asked.words))
    condition = rig.condition()
    return cgminer.reply(cgminer.answered(asked, lambda name: _read(rig, condition, name)))


def _head(rig: Rig, letter: str, code: int, message: str) -> dict[str, Any]:
    return cgminer.status(letter, code, message, rig.when, BY)


def _open(rig: Rig) -> str:
    """The session that is open; empty when none is."""
    name, used_s = rig.memory.get(_SESSION, ("", 0))
    return name if rig.when - used_s <= SESSION_LIFE_S else ""


def _read(rig: Rig, condition: Condition, name: str) -> dict[str, Any]:
    if name == "logon":
        if _open(rig):
            return cgminer.table(_head(rig, "E", wire.NO_SESSION, "Another session is active"))
        count = rig.memory["sessions"] = rig.memory.get("sessions", 0) + 1
        rig.memory[_SESSION] = (f"s{rig.number:05d}{count:04d}", rig.when)
    if name in ("logon", "session"):
        return cgminer.table(_head(rig, "S", wire.LOGON, "Session"), "SESSION", [{"SessionID": _open(rig)}])
    if name == "profiles":
        return cgminer.table(_head(rig, "S", wire.PROFILES, "Profiles"), "PROFILES", _profiles(rig))
    if name == "config":
        return cgminer.table(_head(rig, "S", wire.CONFIG, "LUXminer config"), "CONFIG", [_config(rig, condition)])
    if name not in READS:
        return cgminer.table(_head(rig, "E", 14, "Invalid command"))
    table, code, rows = READS[name](condition)
    return cgminer.table(_head(rig, "S", code, name), table, rows)


def _within(rig: Rig, verb: str, words: tuple[str, ...]) -> dict[str, Any]:
    """An order, if its first word is the open session."""
    if not words or not _open(rig) or words[0] != _open(rig):
        return cgminer.table(_head(rig, "E", wire.NO_SESSION, "Session not found"))
    rig.memory[_SESSION] = (words[0], rig.when)
    if verb == "logoff":
        del rig.memory[_SESSION]
        return cgminer.table(_head(rig, "S", wire.LOGON, "Session terminated"))
    code = _order(rig, verb, words[1:])
    if code is None or code == UNSUPPORTED:
        return cgminer.table(_head(rig, "E", 14, "Invalid parameter"))
    if code == REFUSED:
        return cgminer.table(_head(rig, "E", 500, "Permission denied"))
    extra = ("PROFILE", [{"Profile": words[1]}]) if verb == "profileset" else ("", ())
    return cgminer.table(_head(rig, "S", wire.CURTAIL, f"{verb} accepted"), *extra)


def _order(rig: Rig, verb: str, words: tuple[str, ...]) -> int | None:
    """Move the rig; None for words no rig knows."""
    match verb, words:
        case "curtail", (wire.SLEEP, *_):
            return rig.sleep("curtail sleep")
        case "curtail", (wire.WAKE, *_):
            return rig.wake("curtail wakeup")
        case "profileset", (name, *_):
            watts = {_name(step): watts for step, watts, _ in rig.profiles()}.get(name)
            return None if watts is None else rig.draw(verb, watts)
        case "atmset", _:
            return rig.answer_to_order()
        case "rebootdevice" | "resetminer", _:
            return rig.reboot(verb)
    return None


def _name(step: int) -> str:
    return f"{DEFAULT_MHZ + STEP_MHZ * step}MHz"


def _profiles(rig: Rig) -> list[dict[str, Any]]:
    return [
        {
            "Profile Name": _name(step), "Step": f"{step:+d}" if step else "0", "Frequency": DEFAULT_MHZ + STEP_MHZ * step,
            "Voltage": round(13.0 + 0.06 * step, 2), "Hashrate": ths, "Watts": watts, "IsTuned": False, "IsDynamic": True,
            "CanRestore": True, "HasOverrides": False,
        }
        for step, watts, ths in rig.profiles()
    ]  # fmt: skip


def _config(rig: Rig, condition: Condition) -> dict[str, Any]:
    step = min(rig.profiles(), key=lambda row: abs(row[1] - rig.target_w))[0]
    return {
        "ASC Count": BOARDS,
        "CurtailMode": "None" if condition.awake else "Sleep",
        "Hostname": f"luxos-{condition.number}",
        "IPAddr": condition.address,
        "MACAddr": condition.mac,
        "Model": condition.model,
        "NameplateTHS": condition.normal_ths,
        "OS": "LuxOS",
        "Pool Count": len(condition.pools),
        "Profile": _name(step),
        "ProfileStep": str(step),
        "SerialNumber": condition.serial,
        "RedLed": "auto",
        "GreenLed": "auto",
        "IsAtmEnabled": False,
        "IsTuning": False,
        "SystemStatus": "Normal",
        "ControlBoardType": "amlogic",
        "IsPowerSupplyOn": condition.awake,
        "Log Interval": 0,
        "Strategy": "Failover",
    }


def _version(rig: Condition) -> Table:
    row = {
        "API": API,
        "CompileTime": "Tue Apr  8 22:05:35 UTC 2025",
        "LUXminer": f"{VERSION}-simulated",
        "Miner": VERSION,
        "Type": rig.model,
    }
    return "VERSION", 22, [row]


def _summary(rig: Condition) -> Table:
    return "SUMMARY", 11, [counts(rig.ths * 1e3, "GHS", "5s", "1m", "5m", "15m", "30m", "av")]


def _power(rig: Condition) -> Table:
    return "POWER", wire.POWER, [{"PSU": False, "Watts": round(rig.watts)}]


def _stats(rig: Condition) -> Table:
    ghs, c = rig.ths * 1e3, round(rig.board_c)
    row: dict[str, Any] = {
        "STATS": 0, "ID": "BTM_SOC0", "Elapsed": 3600, "GHS 5s": round(ghs, 2), "GHS av": round(ghs, 2), "miner_count": BOARDS,
        "fan_num": FANS, "total_rateideal": rig.normal_ths * 1e3, "rate_unit": "GH", "total_acn": BOARDS * CHIPS, "Mode": 2,
    }  # fmt: skip
    for n in range(1, BOARDS + 1):
        row |= {f"chain_acn{n}": CHIPS, f"chain_rate{n}": f"{ghs / BOARDS:.2f}", f"freq{n}": 545 if rig.ths else 0}
        row |= {f"{kind}{n}": f"{c}-{c - 9}-{c - 9}-{c}" for kind in ("temp_chip", "temp_pcb", "temp_pic")}
    return "STATS", 70, [{"Miner": VERSION, "Type": rig.model}, row]


def _devs(rig: Condition) -> Table:
    mhs = round(rig.ths * 1e6 / BOARDS, 2)
    rows = [
        {
            "ASC": n,
            "ID": n,
            "Name": "",
            "Enabled": "Y",
            "Status": "Alive",
            "Temperature": round(rig.board_c, 1),
            "MHS 5s": mhs,
            "MHS av": mhs,
            "Nominal MHS": rig.normal_ths * 1e6 / BOARDS,
            "SerialNumber": f"{rig.serial}{n}",
            "IsRamping": False,
            "IsUserShutdown": not rig.awake,
        }
        for n in range(BOARDS)
    ]
    return "DEVS", 9, rows


def _pools(rig: Condition) -> Table:
    return "POOLS", 7, [{"GROUP": 0, **row} for row in pools(rig)]


def _groups(rig: Condition) -> Table:
    return "GROUPS", 300, [{"GROUP": 0, "Name": "default", "Quota": 1, "Pool Count": len(rig.pools)}]


def _fans(rig: Condition) -> Table:
    return "FANS", 202, [{"FAN": f"FAN{n + 1}", "ID": n, "RPM": rig.fan_rpm, "Speed": 60 if rig.awake else 0} for n in range(FANS)]


def _temps(rig: Condition) -> Table:
    c = round(rig.board_c, 1)
    return (
        "TEMPS",
        201,
        [{"ID": n, "TEMP": n, "TopLeft": c, "TopRight": c - 9, "BottomLeft": c, "BottomRight": c - 9} for n in range(BOARDS)],
    )


def _tempctrl(rig: Condition) -> Table:
    return "TEMPCTRL", 203, [{"Dangerous": 75.0, "Hot": 70.0, "Target": 60.0, "Mode": "Automatic"}]


def _atm(rig: Condition) -> Table:
    return (
        "ATM",
        339,
        [{"Enabled": False, "MaxProfile": "", "MinProfile": "", "PostRampMinutes": 15, "StartupMinutes": 10, "TempWindow": 5}],
    )


def _limits(rig: Condition) -> Table:
    return "LIMITS", 350, [{"FrequencyMin": 50, "FrequencyMax": 900, "VoltageMin": 11.88, "VoltageMax": 15.0}]


READS: dict[str, Read] = {
    "version": _version, "summary": _summary, "power": _power, "stats": _stats, "devs": _devs, "pools": _pools, "groups": _groups,
    "fans": _fans, "temps": _temps, "tempctrl": _tempctrl, "atm": _atm, "limits": _limits, "events": lambda rig: ("EVENTS", 357, []),
}  # fmt: skip
ORDERS = frozenset({"logoff", "curtail", "profileset", "atmset", "rebootdevice", "resetminer"})
