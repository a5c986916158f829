"""What a rig with Braiins OS 25.07 answers: REST with a token, a little GraphQL, and cgminer's `version`. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import braiins as wire
from dispatch.rigs.wire import cgminer, http
from dispatch.rigs.wire.line import WireError
from dispatch.sim.json_pages import body_of, has_token, json_answer, new_token, order_answer, page
from dispatch.sim.rig import BOARDS, CHIPS, FANS, Condition, Rig

PASSWORD = "root"
VERSION = "2025-08-06-0-3881c51d-25.07-plus"
BY = "boser 0.1.0"


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a read of cgminer's: what firmware this is, and on which rig. Raises WireError when it is none."""
    name = cgminer.parse_request(data).commands[0]
    if name == "version":
        rows = [{"API": "3.7", "BOSer": "boser-buildroot 0.1.0-3881c51d"}]
        return cgminer.reply(cgminer.table(cgminer.status("S", 22, "BOSer versions", rig.when, BY), "VERSION", rows))
    if name == "devdetails":
        boards = [{"DEVDETAILS": n, "ID": n, "Name": "BHB", "Model": rig.group.wire_model, "Chips": CHIPS} for n in range(BOARDS)]
        return cgminer.reply(cgminer.table(cgminer.status("S", 69, "Device Details", rig.when, BY), "DEVDETAILS", boards))
    return cgminer.reply(cgminer.table(cgminer.status("E", 14, "Invalid command", rig.when, BY)))


def answer_page(rig: Rig, data: bytes) -> bytes:
    """The answer to a request by HTTP. Raises WireError when it is none."""
    asked = http.parse_request(data)
    path = asked.path.partition("?")[0]
    if path == "/":
        return page("Braiins OS")
    if path == "/graphql":
        return json_answer(_graphql(rig))
    name, body = path.removeprefix(wire.ROOT).strip("/"), body_of(asked)
    if not path.startswith(wire.ROOT):
        return json_answer({"error": "not found"}, 404)
    if (asked.method, name) == ("POST", "auth/login"):
        token = new_token(rig, (body.get("username"), body.get("password")) == (wire.USER, PASSWORD))
        return json_answer({"token": token, "timeout_s": 3600}) if token else json_answer({"error": "wrong password"}, 401)
    if not has_token(rig, asked):
        return json_answer({"error": "unauthorized"}, 401)
    if asked.method == "GET":
        return json_answer(READS[name](rig.condition())) if name in READS else json_answer({"error": "not found"}, 404)
    try:
        return order_answer(_order(rig, asked.method, name, asked.body), _accepted(name, body))
    except WireError:
        return json_answer({"error": "not a power target"}, 422)


def _order(rig: Rig, method: str, name: str, body: bytes) -> int | None:
    match method, name:
        case "PUT", "actions/pause":
            return rig.sleep(name)
        case "PUT", "actions/resume":
            return rig.wake(name)
        case "PUT", "performance/power-target":
            return rig.draw(name, wire.target(body))
        case "PUT", "actions/reboot":
            return rig.reboot(name)
    return None


def _accepted(name: str, body: dict[str, Any]) -> Any:
    return {"already_paused": False} if name.startswith("actions/") else body


def _graphql(rig: Rig) -> dict[str, Any]:
    bos = {"info": {"version": {"full": VERSION}}, "hostname": "Antminer"}
    return {"data": {"bosminer": {"info": {"modelName": f"Bitmain {rig.group.wire_model}", "events": {"appeals": []}}}, "bos": bos}}


def _rate(ghs: float) -> dict[str, float]:
    return {"gigahash_per_second": ghs}


def _stats(rig: Condition) -> dict[str, Any]:
    ghs = rig.ths * 1e3
    spans = ("last_5s", "last_15s", "last_30s", "last_1m", "last_5m", "last_15m", "last_30m", "last_1h", "last_24h", "since_restart")
    return {
        "miner_stats": {
            "best_share": 0, "error_hashrate": {"megahash_per_second": 0.0}, "found_blocks": 0,
            "nominal_hashrate": _rate(rig.normal_ths * 1e3), "real_hashrate": {span: _rate(ghs) for span in spans},
        },
        "pool_stats": {"accepted_shares": 0, "rejected_shares": 0, "stale_shares": 0},
        "power_stats": {
            "approximated_consumption": {"watt": round(rig.watts)},
            "efficiency": {"joule_per_terahash": rig.watts / rig.ths if rig.ths else 0.0},
        },
    }  # fmt: skip


def _details(rig: Condition) -> dict[str, Any]:
    return {
        "bos_mode": 4, "bos_version": {"bos_plus": True, "current": VERSION, "major": VERSION}, "control_board_soc_family": 3,
        "hostname": "Antminer", "kernel_version": "4.9.113", "mac_address": rig.mac, "serial_number": rig.serial,
        "miner_identity": {"brand": 1, "miner_model": rig.model, "model": 18, "name": rig.model}, "platform": 4,
        "status": 2 if rig.awake else 3, "sticker_hashrate": _rate(rig.normal_ths * 1e3), "system_uptime_s": 3600, "uid": rig.serial,
    }  # fmt: skip


def _tuner(rig: Condition) -> dict[str, Any]:
    target = {"watt": round(min(rig.limit_w, rig.normal_w))}
    return {"mode_state": {"powertargetmodestate": {"current_target": target, "profile": {"target": target}}}, "overall_tuner_state": 2}


def _cooling(rig: Condition) -> dict[str, Any]:
    fans = [{"position": n, "rpm": rig.fan_rpm, "target_speed_ratio": 0.6} for n in range(FANS)]
    return {"fans": fans, "highest_temperature": {"id": None, "location": 1, "temperature": {"degree_c": rig.board_c}}}


def _boards(rig: Condition) -> dict[str, Any]:
    rows = [
        {"id": str(n + 1), "board_name": "BHB", "board_temp": {"degree_c": rig.board_c}, "chips_count": CHIPS, "enabled": True,
         "serial_number": f"{rig.serial}{n}", "stats": {"real_hashrate": {"last_5s": _rate(rig.ths * 1e3 / BOARDS)}}}
        for n in range(BOARDS)
    ]  # fmt: skip
    return {"hashboards": rows}


def _pools(rig: Condition) -> list[dict[str, Any]]:
    rows = [{"active": n == 0, "alive": rig.pools_alive, "enabled": True, "uid": str(n), "url": url, "user": user, "stats": {}}
            for n, (url, user) in enumerate(rig.pools)]  # fmt: skip
    return [{"name": "Default", "pools": rows, "strategy": {"quota": {"value": 1}}}]


def _network(rig: Condition) -> dict[str, Any]:
    networks = [{"address": rig.address, "netmask": "255.0.0.0"}]
    return {"hostname": "Antminer", "mac_address": rig.mac, "name": "eth0", "networks": networks, "protocol": 1}


READS: dict[str, Any] = {
    "miner/stats": _stats, "miner/details": _details, "performance/tuner-state": _tuner, "cooling/state": _cooling,
    "miner/hw/hashboards": _boards, "pools": _pools, "network": _network, "miner/errors": lambda rig: {"errors": []},
    "version": lambda rig: {"major": 1, "minor": 2, "patch": 0},
    "configuration/miner": lambda rig: {"pool_groups": [], "tuner": {"enabled": True, "tuner_mode": 1, "power_target": {"watt": 0}}},
}  # fmt: skip
