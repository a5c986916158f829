"""What a Block Proto rig answers: REST with a bearer token. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import http
from dispatch.rigs.wire import proto as wire
from dispatch.rigs.wire.line import WireError, parse, write
from dispatch.sim.rig import BOARDS, CHIPS, FANS, REFUSED, SENT, Condition, Rig

# As delivered: nobody has set one.
PASSWORD = ""
VERSION = "1.8.2"
PAGE = b"<!doctype html><html><head><title>Proto OS</title></head><body></body></html>"
LEAST_SHARE, MOST_SHARE = 0.3, 1.2


def answer_page(rig: Rig, data: bytes) -> bytes:
    """The answer to a request by HTTP. Raises WireError when it is none."""
    asked = http.parse_request(data)
    path = asked.path.partition("?")[0]
    if path == "/":
        return http.response(http.Response(200, PAGE, {"Content-Type": "text/html"}))
    if not path.startswith(wire.ROOT):
        return _json({"error": {"code": "not_found", "message": path}}, 404)
    name = path.removeprefix(wire.ROOT).strip("/")
    if (asked.method, name) == ("POST", "auth/login"):
        return _logged_in(rig, asked.body)
    if name != "system" and (not rig.memory.get("token") or wire.bearer(asked.headers) != rig.memory["token"]):
        return _json({"error": {"code": "unauthorized", "message": "a valid access token is needed"}}, 401)
    if asked.method == "GET":
        return _json(READS[name](rig.condition())) if name in READS else _json({"error": {"code": "not_found", "message": path}}, 404)
    try:
        code = _order(rig, asked.method, name, asked.body)
    except WireError as error:
        return _json({"error": {"code": "invalid", "message": str(error)}}, 422)
    if code is None:
        return _json({"error": {"code": "not_found", "message": path}}, 404)
    if code != SENT:
        return _json({"error": {"code": "forbidden", "message": "not permitted"}}, 403 if code == REFUSED else 422)
    return _json(_target(rig.condition()) if name == "mining/target" else {"message": "accepted"})


def _json(document: Any, status: int = 200) -> bytes:
    return http.response(http.Response(status, write(document), {"Content-Type": "application/json"}))


def _logged_in(rig: Rig, body: bytes) -> bytes:
    try:
        known = parse(body).get("password") == PASSWORD
    except WireError:
        known = False
    if not known:
        return _json({"error": {"code": "unauthorized", "message": "wrong password"}}, 401)
    token = rig.memory.setdefault("token", f"p{rig.number:06d}")
    return _json({"access_token": token, "refresh_token": token})


def _order(rig: Rig, method: str, name: str, body: bytes) -> int | None:
    """Move the rig; None for what there is not. Raises WireError for a bad target."""
    match method, name:
        case "POST", "mining/stop":
            return rig.sleep("mining/stop")
        case "POST", "mining/start":
            return rig.wake("mining/start")
        case "PUT", "mining/target":
            return rig.draw("mining/target", wire.target(body))
        case "POST", "system/reboot":
            return rig.reboot("system/reboot")
    return None


def _target(rig: Condition) -> dict[str, Any]:
    return {
        "power_target_watts": round(min(rig.limit_w, rig.normal_w)), "performance_mode": "MaximumHashrate",
        "power_target_min_watts": round(LEAST_SHARE * rig.normal_w), "power_target_max_watts": round(MOST_SHARE * rig.normal_w),
        "default_power_target_watts": round(rig.normal_w),
    }  # fmt: skip


def _mining(rig: Condition) -> dict[str, Any]:
    state = "Stopped" if not rig.awake else "Mining" if rig.ths > 0 else "NoPools" if not rig.pools_alive else "PoweringOn"
    efficiency = rig.watts / rig.ths if rig.ths else 0.0
    row = {
        "status": state,
        "power_usage_watts": rig.watts,
        "power_target_watts": round(min(rig.limit_w, rig.normal_w)),
        "hashrate_ghs": rig.ths * 1e3,
        "average_hashrate_ghs": rig.ths * 1e3,
        "ideal_hashrate_ghs": rig.normal_ths * 1e3,
        "hashboards_installed": BOARDS,
        "hashboards_mining": BOARDS if rig.ths else 0,
        "power_efficiency_jth": efficiency,
        "average_hb_efficiency_jth": efficiency,
        "average_hb_temp_c": rig.board_c,
        "average_asic_temp_c": rig.board_c + 9,
        "hw_errors": 0,
        "mining_uptime_s": 3600,
        "reboot_uptime_s": 3600,
    }
    return {"mining-status": row}


def _system(rig: Condition) -> dict[str, Any]:
    row = {
        "manufacturer": "Proto", "model": rig.model, "product_name": "Proto Rig", "board": "C3", "soc": "STM32MP157F", "cb_sn": rig.serial,
        "uptime_seconds": 3600, "os": {"name": "ProtoOS", "version": VERSION, "variant": "release", "hostname": f"proto-{rig.number}"},
        "web_server": {"name": "miner-api-server", "version": VERSION},
    }  # fmt: skip
    return {"system-info": row}


def _telemetry(rig: Condition) -> dict[str, Any]:
    def of(share: float) -> dict[str, Any]:
        return {
            "hashrate": {"unit": "TH/s", "value": rig.ths * share}, "power": {"unit": "W", "value": rig.watts * share},
            "temperature": {"unit": "°C", "average": rig.board_c, "inlet": rig.board_c - 9, "outlet": rig.board_c + 9},
            "efficiency": {"unit": "J/TH", "value": rig.watts / rig.ths if rig.ths else 0.0},
        }  # fmt: skip

    boards = [{"index": n, "serial_number": f"{rig.serial}{n}", **of(1.0 / BOARDS)} for n in range(BOARDS)]
    return {"miner": of(1.0), "hashboards": boards, "timestamp": rig.when}


def _hardware(rig: Condition) -> dict[str, Any]:
    boards = [
        {"slot": n + 1, "port": n, "hb_sn": f"{rig.serial}{n}", "board": "B4", "mining_asic": "BZM", "mining_asic_count": CHIPS}
        for n in range(BOARDS)
    ]
    fans = [{"slot": n + 1, "name": f"Fan {n + 1}", "min_rpm": 1000, "max_rpm": 6000} for n in range(FANS)]
    psus = [{"slot": 1, "manufacturer": "Proto", "model": "PSU", "psu_sn": rig.serial}]
    cb = {"machine_name": "Rig", "board_id": "CB-001", "serial_number": rig.serial}
    return {"hardware-info": {"cb-info": cb, "fans-info": fans, "hashboards-info": boards, "psus-info": psus}}


def _pools(rig: Condition) -> dict[str, Any]:
    rows = [
        {
            "id": n, "name": f"Pool {n + 1}", "priority": n, "url": url, "user": user, "accepted": 0, "rejected": 0, "enabled": True,
            "status": "Dead" if not rig.pools_alive else "Active" if n == 0 else "Idle",
        }
        for n, (url, user) in enumerate(rig.pools)
    ]  # fmt: skip
    return {"pools": rows}


def _cooling(rig: Condition) -> dict[str, Any]:
    fans = [{"slot": n + 1, "rpm": rig.fan_rpm, "speed_percentage": 60 if rig.awake else 0} for n in range(FANS)]
    return {"cooling-status": {"fan_mode": "Auto", "fans": fans, "speed_percentage": 60, "target_temperature_c": 50}}


def _network(rig: Condition) -> dict[str, Any]:
    row = {
        "dhcp": True,
        "ip_address": rig.address,
        "mac": rig.mac,
        "hostname": f"proto-{rig.number}",
        "netmask": "255.0.0.0",
        "gateway": "127.0.0.1",
    }
    return {"network-info": row}


READS: dict[str, Any] = {
    "mining": _mining, "mining/target": _target, "system": _system, "telemetry": _telemetry, "hardware": _hardware, "pools": _pools,
    "cooling": _cooling, "network": _network, "errors": lambda rig: [],
}  # fmt: skip
