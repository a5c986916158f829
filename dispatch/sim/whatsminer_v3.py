"""What a Whatsminer answers over API v3. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import whatsminer_v3 as wire
from dispatch.rigs.wire.whatsminer_v3 import WhatsminerV3Code, WhatsminerV3Request
from dispatch.sim.rig import BOARDS, CHIPS, REFUSED, UNSUPPORTED, Condition, Rig
from dispatch.sim.whatsminer import FIRMWARE_V3, number

PASSWORD, SALT = "super", "uL4dSt0n"
API = "3.0.2"


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a whole message. Raises WireError when it is none."""
    asked = wire.parse_request(data)
    if asked.command.startswith("set."):
        code = _order(rig, asked)
        message: Any = {WhatsminerV3Code.OK: "ok", WhatsminerV3Code.NO_PERMISSION: "no permission"}.get(code, "fail")
        return wire.reply(asked.command, code, message, rig.when)
    found = _read(asked, rig.condition())
    if found is None:
        return wire.reply(asked.command, WhatsminerV3Code.INVALID, "invalid command", rig.when)
    return wire.reply(asked.command, WhatsminerV3Code.OK, found, rig.when)


def _order(rig: Rig, asked: WhatsminerV3Request) -> WhatsminerV3Code:
    if asked.token != wire.token(asked.command, PASSWORD, SALT, asked.ts):
        return WhatsminerV3Code.NO_PERMISSION
    code = _move(rig, asked)
    if code is None or code == UNSUPPORTED:
        return WhatsminerV3Code.INVALID
    return WhatsminerV3Code.NO_PERMISSION if code == REFUSED else WhatsminerV3Code.OK


def _move(rig: Rig, asked: WhatsminerV3Request) -> int | None:
    """Move the rig; None for an order or a parameter no rig knows."""
    verb, param = asked.command, asked.param
    match verb, param:
        case "set.miner.service", "stop":
            return rig.sleep(f"{verb} {param}")
        case "set.miner.service", "start":
            return rig.wake(f"{verb} {param}")
        case ("set.miner.service", "restart") | ("set.system.reboot", _):
            return rig.reboot(f"{verb} {param}")
        case "set.miner.power_mode", "low" | "normal" | "high":
            return rig.prefer(verb, str(param))
        case "set.miner.power_limit", _:
            watts = number(param, 1, 99_999)
            return None if watts is None else rig.limit(verb, watts)
        case "set.miner.power_percent", _:
            percent = number(param, 0, 100)
            return None if percent is None else rig.limit(verb, rig.group.normal.watts * percent / 100.0)
    return None


def _read(asked: WhatsminerV3Request, rig: Condition) -> dict[str, Any] | None:
    match asked.command, asked.param:
        case "get.device.info", "salt":
            return {"salt": SALT}
        case "get.device.info", _:
            return _info(rig)
        case "get.miner.status", "summary":
            return {"summary": _summary(rig)}
        case "get.miner.status", "edevs":
            return {"edevs": [_board(rig, n) for n in range(BOARDS)]}
        case "get.miner.status", "pools":
            return {"pools": _pools(rig)}
        case "get.miner.setting", _:
            return {"power-limit": _limit_w(rig), "power-mode": rig.mode, "upfreq-speed": 0, "fast-boot": "disable"}
    return None


def _limit_w(rig: Condition) -> int:
    return round(min(rig.limit_w, 1.1 * rig.normal_w))


def _info(rig: Condition) -> dict[str, Any]:
    miner = {
        "working": "true" if rig.awake else "false",
        "type": rig.model,
        "hash-board": "K40",
        "board-num": str(BOARDS),
        "miner-sn": rig.serial,
        **{f"pcbsn{n}": f"{rig.serial}{n}" for n in range(BOARDS)},
        "fast-boot": "disable",
        "hash-percent": "0",
        "pool-strategy": "FAILOVER",
    }
    system = {
        "api": API,
        "apiswitch": "1",
        "platform": "H616",
        "fwversion": FIRMWARE_V3,
        "control-board-version": "CB6V10",
        "ledstatus": "auto",
    }
    network = {
        "ip": rig.address, "proto": "dhcp", "netmask": "255.0.0.0", "dns": "127.0.0.1", "mac": rig.mac.upper(), "gateway": "127.0.0.1",
        "hostname": f"WhatsMiner-{rig.number}",
    }  # fmt: skip
    power = {
        "type": "P221B",
        "mode": rig.mode,
        "hwversion": "RT0159",
        "swversion": "230224.220429",
        "model": "P221B",
        "sn": f"P{rig.number:012d}",
        "vendor": "1",
        "fanspeed": rig.fan_rpm,
        "pin": round(rig.watts),
        "vin": 230.0,
        "iin": round(rig.watts / 230.0, 2),
    }
    return {"network": network, "miner": miner, "system": system, "power": power, "salt": SALT, "error-code": []}


def _summary(rig: Condition) -> dict[str, Any]:
    ths = round(rig.ths, 3)
    return {
        "elapsed": 3600, "bootup-time": round(rig.wake_s), "freq-avg": 625 if rig.ths else 0, "target-freq": 625,
        "factory-hash": round(rig.normal_ths, 3), "hash-average": ths, "hash-1min": ths, "hash-15min": ths, "hash-realtime": ths,
        "power-rate": round(rig.watts / rig.ths, 2) if rig.ths else 0.0, "power-5min": round(rig.watts, 1),
        "power-realtime": round(rig.watts, 1), "power-limit": _limit_w(rig), "environment-temperature": 25.0,
        "board-temperature": [round(rig.board_c, 1)] * BOARDS, "chip-temp-min": round(rig.board_c - 4, 1),
        "chip-temp-avg": round(rig.board_c, 1), "chip-temp-max": round(rig.board_c + 9, 1), "fan-speed-in": rig.fan_rpm,
        "fan-speed-out": rig.fan_rpm, "up-freq-finish": int(rig.ths > 0.9 * rig.normal_ths),
    }  # fmt: skip


def _board(rig: Condition, board: int) -> dict[str, Any]:
    ths = round(rig.ths / BOARDS, 3)
    return {
        "id": board, "slot": board, "status": "alive" if rig.awake else "stop", "hash-average": ths, "hash-realtime": ths, "freq": 625.0,
        "factory-hash": round(rig.normal_ths / BOARDS, 3), "effective-chips": CHIPS, "chip-temp-min": round(rig.board_c - 4, 1),
        "chip-temp-avg": round(rig.board_c, 1), "chip-temp-max": round(rig.board_c + 9, 1),
    }  # fmt: skip


def _pools(rig: Condition) -> list[dict[str, Any]]:
    return [
        {
            "id": n + 1, "pool-priority": n, "url": url, "account": user, "status": "alive" if rig.pools_alive else "dead",
            "stratum-active": rig.pools_alive and n == 0, "reject-rate": 0.0, "last-share-time": 0.0,
        }
        for n, (url, user) in enumerate(rig.pools)
    ]  # fmt: skip
