"""What a Whatsminer answers over API v2: plain reads, tokens, encrypted orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dispatch.clock import wall_s
from dispatch.rigs.wire import whatsminer as wire
from dispatch.rigs.wire.line import WireError
from dispatch.rigs.wire.whatsminer import Keys, WhatsminerCode, WhatsminerRequest, status
from dispatch.sim.cgminer import pools
from dispatch.sim.rig import BOARDS, CHIPS, REFUSED, UNSUPPORTED, Condition, Rig

PASSWORD = "admin"
# All rigs of a process share salts, so that thousands of them do not keep the machine busy with md5crypt. Real rigs draw their own.
SALT, NEWSALT = "BQ5hoXV9", "jbzkfQls"
API = "2.0.5"
# Clients take API v3 to be there from November 2024 on.
FIRMWARE, FIRMWARE_V3 = "20230803.11.REL", "20251209.16.Rel2"


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a whole request. Raises WireError when it is none."""
    when = rig.when
    try:
        request, known = _understood(data)
    except WireError as error:
        # Encrypted with what is not our key: a stale token or a wrong password.
        if b'"enc"' in data:
            return wire.reply(wire.stale_token(when))
        raise error
    if request.commands == ("get_token",):
        return wire.reply(wire.token_answer(_bucket(0), SALT, NEWSALT, when))
    if request.token is None or known is None:
        unsafe = set(request.commands) & wire.WRITES
        return wire.reply(wire.refused(when) if unsafe else read(request.commands, rig.condition()))
    if request.token != known.sign:
        return wire.reply(wire.stale_token(when))
    code = _order(rig, request.commands[0], request.params)
    if code is None or code == UNSUPPORTED:
        return wire.reply(wire.invalid(when))
    if code == REFUSED:
        return wire.reply(wire.refused(when))
    return wire.reply(wire.ok(when), known)


def answer_beside_v3(rig: Rig, data: bytes) -> bytes:
    """The same port of a rig whose orders go by API v3: reads only. Raises WireError."""
    request = wire.parse_request(data, None)
    if set(request.commands) - wire.READS:
        return wire.reply(wire.refused(rig.when))
    return wire.reply(read(request.commands, rig.condition(), FIRMWARE_V3))


def _order(rig: Rig, verb: str, params: Mapping[str, Any]) -> int | None:
    """Move the rig; None for a verb or a parameter no rig knows."""
    match verb:
        case "power_off":
            return rig.sleep(verb)
        case "power_on":
            return rig.wake(verb)
        case "set_low_power" | "set_normal_power" | "set_high_power":
            return rig.prefer(verb, verb.split("_")[1])
        case "adjust_power_limit":
            watts = number(params.get("power_limit"), 1, wire.NO_LIMIT_W)
            return None if watts is None else rig.limit(verb, np.inf if watts == wire.NO_LIMIT_W else watts)
        case "set_power_pct":
            percent = number(params.get("percent"), 0, 100)
            return None if percent is None else rig.limit(verb, rig.group.normal.watts * percent / 100.0)
        case "restart_btminer" | "reboot":
            return rig.reboot(verb)
        case "update_pools":
            return rig.set_pools(verb, tuple((str(params.get(f"pool{n}")), str(params.get(f"worker{n}"))) for n in (1, 2, 3)))
    return None


def _bucket(back: int) -> str:
    return f"{int(wall_s() // wire.TOKEN_LIFE_S - back) % 10_000:04d}"


def _understood(data: bytes) -> tuple[WhatsminerRequest, Keys | None]:
    """A request read with the keys of this half hour, or of the last one."""
    last: WireError | None = None
    for back in (0, 1):
        known = wire.keys(PASSWORD, _bucket(back), SALT, NEWSALT)
        try:
            request = wire.parse_request(data, known)
        except WireError as error:
            last = error
            continue
        if request.token is None:
            return request, None
        if request.token == known.sign or back:
            return request, known
    raise last or WireError("not a request")


def number(value: Any, least: float, most: float) -> float | None:
    """A parameter as a number; None when it is none or out of bounds."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if least <= found <= most else None


def read(commands: tuple[str, ...], rig: Condition, firmware: str = FIRMWARE) -> dict[str, Any]:
    """The answer to one read, or to several joined ones."""

    def one(command: str) -> dict[str, Any]:
        return DOCUMENTS[command](rig, firmware) if command in DOCUMENTS else wire.invalid(rig.when)

    if len(commands) == 1:
        return one(commands[0])
    return {**{name: [one(name)] for name in commands}, "id": 1}


def _cgminer(key: str, rows: Sequence[Mapping[str, Any]], rig: Condition, message: str) -> dict[str, Any]:
    head = {"STATUS": "S", "When": rig.when, "Code": int(WhatsminerCode.READ_OK), "Msg": message, "Description": "btminer"}
    return {"STATUS": [head], key: rows, "id": 1}


def _summary(rig: Condition, firmware: str) -> dict[str, Any]:
    mhs = round(rig.ths * 1e6, 2)
    row = {
        "Elapsed": 3600, "MHS av": mhs, "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs, "HS RT": mhs,
        "Accepted": 0, "Rejected": 0, "Total MH": 0, "Temperature": round(rig.board_c, 1), "freq_avg": 620 if rig.ths else 0,
        "Fan Speed In": rig.fan_rpm, "Fan Speed Out": rig.fan_rpm,
        "Power": round(rig.watts), "Power_RT": round(rig.watts), "Power Rate": round(rig.watts / rig.ths, 2) if rig.ths else 0,
        "Uptime": 86400, "Security Mode": 0,
        "Hash Stable": rig.ths > 0.9 * rig.normal_ths, "Hash Stable Cost Seconds": round(rig.wake_s), "Hash Deviation%": 0.0,
        "Target Freq": 620, "Target MHS": round(rig.normal_ths * 1e6), "Env Temp": 25.0, "Power Fanspeed": rig.fan_rpm,
        "Error Code Count": 0, "Factory Error Code Count": 0, "Liquid Cooling": False, "Power Mode": _power_mode(rig),
        "Factory GHS": round(rig.normal_ths * 1e3), "Power Limit": round(min(rig.limit_w, 1.1 * rig.normal_w)),
        "Chip Temp Min": round(rig.board_c - 4, 1), "Chip Temp Max": round(rig.board_c + 9, 1), "Chip Temp Avg": round(rig.board_c, 1),
        "MAC": rig.mac.upper(), "Firmware Version": f"'{firmware}'", "Btminer Fast Boot": "disable",
    }  # fmt: skip
    return _cgminer("SUMMARY", [row], rig, "Summary")


def _power_mode(rig: Condition) -> str:
    return {"low": "Low", "high": "High"}.get(rig.mode, "Normal")


def _devs(rig: Condition, firmware: str) -> dict[str, Any]:
    mhs = round(rig.ths * 1e6 / BOARDS, 2)
    rows = [
        {
            "ASC": board, "Slot": board, "Enabled": "Y", "Status": "Alive", "Temperature": round(rig.board_c, 1), "Chip Frequency": 620,
            "MHS av": mhs, "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs, "HS RT": mhs,
            "Factory GHS": round(rig.normal_ths * 1e3 / BOARDS), "Upfreq Complete": 1, "Effective Chips": CHIPS,
            "PCB SN": f"{rig.serial}{board}", "Chip Temp Min": round(rig.board_c - 4, 1),
            "Chip Temp Max": round(rig.board_c + 9, 1), "Chip Temp Avg": round(rig.board_c, 1),
        }
        for board in range(BOARDS)
    ]  # fmt: skip
    return _cgminer("DEVS", rows, rig, f"{BOARDS} ASC(s)")


def _devdetails(rig: Condition, firmware: str) -> dict[str, Any]:
    rows = [{"DEVDETAILS": n, "Name": "SM", "ID": n, "Driver": "bitmicro", "Kernel": "", "Model": rig.model} for n in range(BOARDS)]
    return _cgminer("DEVDETAILS", rows, rig, "Device Details")


def _pools(rig: Condition, firmware: str) -> dict[str, Any]:
    return _cgminer("POOLS", pools(rig, first=1), rig, f"{len(rig.pools)} Pool(s)")


def _version(rig: Condition, firmware: str) -> dict[str, Any]:
    message = {"api_ver": API, "fw_ver": firmware, "platform": "H616", "chip": "K63B0", "miner": "btminer"}
    return status("S", WhatsminerCode.OK, message, rig.when)


def _status(rig: Condition, firmware: str) -> dict[str, Any]:
    off = "true" if rig.mode == "sleep" else "false"
    message = {"mineroff": off, "mineroff_reason": "", "FirmwareVersion": firmware, "power_mode": _power_mode(rig), "hash_percent": "100"}
    return status("S", WhatsminerCode.OK, message, rig.when)


def _psu(rig: Condition, firmware: str) -> dict[str, Any]:
    fan = "4000" if rig.mode != "sleep" else "0"
    volts = 230.0
    message = {
        "name": "P463B", "hw_version": "V01.00", "sw_version": "V01.00.V01.03", "model": "P463B", "iin": f"{rig.watts / volts:.2f}",
        "vin": f"{volts:.2f}", "pin": f"{rig.watts:.0f}", "fan_speed": fan, "version": "-1", "serial_no": f"P{rig.number:012d}",
        "vendor": "1", "temp0": "35.0",
    }  # fmt: skip
    return status("S", WhatsminerCode.OK, message, rig.when)


def _info(rig: Condition, firmware: str) -> dict[str, Any]:
    message = {
        "ip": rig.address, "proto": "dhcp", "netmask": "255.0.0.0", "dns": "127.0.0.1", "mac": rig.mac, "ledstat": "auto",
        "gateway": "127.0.0.1", "hostname": f"WhatsMiner-{rig.number}", "minersn": rig.serial,
        "powersn": f"P{rig.number:012d}",
    }  # fmt: skip
    return status("S", WhatsminerCode.OK, message, rig.when)


def _errors(rig: Condition, firmware: str) -> dict[str, Any]:
    return status("S", WhatsminerCode.OK, {"error_code": []}, rig.when)


DOCUMENTS = {
    "summary": _summary, "devs": _devs, "edevs": _devs, "devdetails": _devdetails, "pools": _pools, "version": _version,
    "get_version": _version, "status": _status, "get_psu": _psu, "get_miner_info": _info, "get_error_code": _errors,
}  # fmt: skip
