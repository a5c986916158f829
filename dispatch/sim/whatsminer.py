"""What a Whatsminer says of itself: its state as the documents of API v2. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dispatch.rigs.wire import whatsminer as wire
from dispatch.rigs.wire.whatsminer import Code, status

API = "2.0.5"
# Before November 2024: clients speak v2 to it.
FIRMWARE = "20230803.11.REL"
BOARDS = 3
CHIPS = 111


@dataclass(frozen=True, slots=True)
class Condition:
    """One rig at one instant. `when` epoch seconds; `limit_w` infinite where there is none."""

    address: str
    number: int
    model: str
    mode: str
    watts: float
    ths: float
    board_c: float
    normal_w: float
    normal_ths: float
    wake_s: float
    limit_w: float
    pools: tuple[tuple[str, str], ...]
    when: int

    @property
    def mac(self) -> str:
        return "c0:7e:" + ":".join(f"{self.number >> shift & 255:02x}" for shift in (24, 16, 8, 0))


def answer(commands: tuple[str, ...], rig: Condition) -> dict[str, Any]:
    """The answer to one read, or to several joined ones."""
    if len(commands) == 1:
        return _one(commands[0], rig)
    return {**{name: [_one(name, rig)] for name in commands}, "id": 1}


def _one(command: str, rig: Condition) -> dict[str, Any]:
    if command not in DOCUMENTS:
        return wire.invalid(rig.when)
    return DOCUMENTS[command](rig)


def _cgminer(key: str, rows: Sequence[Mapping[str, Any]], rig: Condition, message: str) -> dict[str, Any]:
    head = {"STATUS": "S", "When": rig.when, "Code": int(Code.READ_OK), "Msg": message, "Description": "btminer"}
    return {"STATUS": [head], key: rows, "id": 1}


def _summary(rig: Condition) -> dict[str, Any]:
    mhs = round(rig.ths * 1e6, 2)
    awake = rig.mode != "sleep"
    row = {
        "Elapsed": 3600, "MHS av": mhs, "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs, "HS RT": mhs,
        "Accepted": 0, "Rejected": 0, "Total MH": 0, "Temperature": round(rig.board_c, 1), "freq_avg": 620 if rig.ths else 0,
        "Fan Speed In": 4200 if awake else 0, "Fan Speed Out": 4200 if awake else 0,
        "Power": round(rig.watts), "Power_RT": round(rig.watts), "Power Rate": round(rig.watts / rig.ths, 2) if rig.ths else 0,
        "Uptime": 86400, "Security Mode": 0,
        "Hash Stable": rig.ths > 0.9 * rig.normal_ths, "Hash Stable Cost Seconds": round(rig.wake_s), "Hash Deviation%": 0.0,
        "Target Freq": 620, "Target MHS": round(rig.normal_ths * 1e6), "Env Temp": 25.0, "Power Fanspeed": 4000 if awake else 0,
        "Error Code Count": 0, "Factory Error Code Count": 0, "Liquid Cooling": False, "Power Mode": _power_mode(rig),
        "Factory GHS": round(rig.normal_ths * 1e3), "Power Limit": round(min(rig.limit_w, 1.1 * rig.normal_w)),
        "Chip Temp Min": round(rig.board_c - 4, 1), "Chip Temp Max": round(rig.board_c + 9, 1), "Chip Temp Avg": round(rig.board_c, 1),
        "MAC": rig.mac.upper(), "Firmware Version": f"'{FIRMWARE}'", "Btminer Fast Boot": "disable",
    }  # fmt: skip
    return _cgminer("SUMMARY", [row], rig, "Summary")


def _power_mode(rig: Condition) -> str:
    return {"low": "Low", "high": "High"}.get(rig.mode, "Normal")


def _devs(rig: Condition) -> dict[str, Any]:
    mhs = round(rig.ths * 1e6 / BOARDS, 2)
    rows = [
        {
            "ASC": board, "Slot": board, "Enabled": "Y", "Status": "Alive", "Temperature": round(rig.board_c, 1), "Chip Frequency": 620,
            "MHS av": mhs, "MHS 5s": mhs, "MHS 1m": mhs, "MHS 5m": mhs, "MHS 15m": mhs, "HS RT": mhs,
            "Factory GHS": round(rig.normal_ths * 1e3 / BOARDS), "Upfreq Complete": 1, "Effective Chips": CHIPS,
            "PCB SN": f"LOADSTONE{rig.number:07d}{board}", "Chip Temp Min": round(rig.board_c - 4, 1),
            "Chip Temp Max": round(rig.board_c + 9, 1), "Chip Temp Avg": round(rig.board_c, 1),
        }
        for board in range(BOARDS)
    ]  # fmt: skip
    return _cgminer("DEVS", rows, rig, f"{BOARDS} ASC(s)")


def _devdetails(rig: Condition) -> dict[str, Any]:
    rows = [{"DEVDETAILS": n, "Name": "SM", "ID": n, "Driver": "bitmicro", "Kernel": "", "Model": rig.model} for n in range(BOARDS)]
    return _cgminer("DEVDETAILS", rows, rig, "Device Details")


def _pools(rig: Condition) -> dict[str, Any]:
    rows = [
        {"POOL": n + 1, "URL": url, "Status": "Alive", "Priority": n, "Quota": 1, "User": user, "Stratum Active": n == 0, "Accepted": 0,
         "Rejected": 0, "Get Failures": 0, "Stale": 0, "Remote Failures": 0, "Discarded": 0}
        for n, (url, user) in enumerate(rig.pools)
    ]  # fmt: skip
    return _cgminer("POOLS", rows, rig, f"{len(rows)} Pool(s)")


def _version(rig: Condition) -> dict[str, Any]:
    message = {"api_ver": API, "fw_ver": FIRMWARE, "platform": "H616", "chip": "K63B0", "miner": "btminer"}
    return status("S", Code.OK, message, rig.when)


def _status(rig: Condition) -> dict[str, Any]:
    off = "true" if rig.mode == "sleep" else "false"
    message = {"mineroff": off, "mineroff_reason": "", "FirmwareVersion": FIRMWARE, "power_mode": _power_mode(rig), "hash_percent": "100"}
    return status("S", Code.OK, message, rig.when)


def _psu(rig: Condition) -> dict[str, Any]:
    fan = "4000" if rig.mode != "sleep" else "0"
    volts = 230.0
    message = {
        "name": "P463B", "hw_version": "V01.00", "sw_version": "V01.00.V01.03", "model": "P463B", "iin": f"{rig.watts / volts:.2f}",
        "vin": f"{volts:.2f}", "pin": f"{rig.watts:.0f}", "fan_speed": fan, "version": "-1", "serial_no": f"P{rig.number:012d}",
        "vendor": "1", "temp0": "35.0",
    }  # fmt: skip
    return status("S", Code.OK, message, rig.when)


def _info(rig: Condition) -> dict[str, Any]:
    message = {
        "ip": rig.address, "proto": "dhcp", "netmask": "255.0.0.0", "dns": "127.0.0.1", "mac": rig.mac, "ledstat": "auto",
        "gateway": "127.0.0.1", "hostname": f"WhatsMiner-{rig.number}", "minersn": f"LOADSTONE{rig.number:07d}",
        "powersn": f"P{rig.number:012d}",
    }  # fmt: skip
    return status("S", Code.OK, message, rig.when)


def _errors(rig: Condition) -> dict[str, Any]:
    return status("S", Code.OK, {"error_code": []}, rig.when)


DOCUMENTS = {
    "summary": _summary, "devs": _devs, "edevs": _devs, "devdetails": _devdetails, "pools": _pools, "version": _version,
    "get_version": _version, "status": _status, "get_psu": _psu, "get_miner_info": _info, "get_error_code": _errors,
}  # fmt: skip
