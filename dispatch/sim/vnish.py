"""What a rig with VNish answers: REST with a token, and cgminer's `version` and `stats`. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import cgminer, http
from dispatch.rigs.wire import vnish as wire
from dispatch.sim import antminer
from dispatch.sim.json_pages import body_of, has_token, json_answer, new_token, order_answer, page
from dispatch.sim.rig import BOARDS, FANS, Condition, Rig

PASSWORD = "admin"
VERSION = "1.2.6"
BY = "cgminer 1.0.0"


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a read of cgminer's. Raises WireError when it is none."""
    if cgminer.parse_request(data).commands != ("version",):
        return antminer.answer(rig, data)
    rows = [{"API": "3.1", "Miner": f"VNish {VERSION}", "Type": rig.group.wire_model}]
    return cgminer.reply(cgminer.table(cgminer.status("S", 22, "version", rig.when, BY), "VERSION", rows))


def answer_page(rig: Rig, data: bytes) -> bytes:
    """The answer to a request by HTTP. Raises WireError when it is none."""
    asked = http.parse_request(data)
    path = asked.path.partition("?")[0]
    if path == "/":
        return page("AnthillOS")
    name = path.removeprefix(wire.ROOT).strip("/")
    if not path.startswith(wire.ROOT):
        return json_answer({"err": "not found"}, 404)
    if (asked.method, name) == ("POST", "unlock"):
        token = new_token(rig, body_of(asked).get("pw") == PASSWORD)
        return json_answer({"token": token}) if token else json_answer({"err": "wrong password"}, 401)
    if asked.method == "GET":
        return json_answer(READS[name](rig.condition())) if name in READS else json_answer({"err": "not found"}, 404)
    if not has_token(rig, asked):
        return json_answer({"err": "unauthorized"}, 401)
    return order_answer(_order(rig, name), {})


def _order(rig: Rig, name: str) -> int | None:
    match name:
        case "mining/stop" | "mining/pause":
            return rig.sleep(name)
        case "mining/start" | "mining/resume":
            return rig.wake(name)
        case "mining/restart" | "system/reboot":
            return rig.reboot(name)
    return None


def _state(rig: Condition) -> str:
    return wire.STOPPED if not rig.awake else "mining" if rig.ths else "starting"


def _network(rig: Condition) -> dict[str, Any]:
    return {"mac": rig.mac, "hostname": "Antminer", "ip": rig.address, "dhcp": True, "netmask": "255.0.0.0", "gateway": "127.0.0.1"}


def _info(rig: Condition) -> dict[str, Any]:
    return {
        "miner": rig.model, "model": rig.model, "fw_name": "Vnish", "fw_version": VERSION, "platform": "am2-s17", "algorithm": "sha256d",
        "hr_measure": "GH/s", "serial": rig.serial,
        "system": {"os": "GNU/Linux", "miner_name": "Antminer", "uptime": "1:00", "network_status": _network(rig)},
    }  # fmt: skip


def _summary(rig: Condition) -> dict[str, Any]:
    ghs, c = rig.ths * 1e3, round(rig.board_c)
    # It reports what the boards draw: nothing when they are off.
    watts = round(rig.watts) if rig.awake or rig.ths else 0
    chains = [
        {"id": n + 1, "frequency": 545.0, "voltage": 13.3, "power_consumption": watts // BOARDS, "hashrate_rt": ghs / BOARDS,
         "hashrate_ideal": rig.normal_ths * 1e3 / BOARDS, "hr_error": 0.0, "hw_errors": 0, "pcb_temp": {"min": c - 5, "max": c},
         "chip_temp": {"min": c, "max": c + 9}, "status": {"state": _state(rig)}}
        for n in range(BOARDS)
    ]  # fmt: skip
    pools = [
        {"id": n, "url": url, "user": user, "status": "working" if rig.pools_alive else "offline", "accepted": 0, "rejected": 0}
        for n, (url, user) in enumerate(rig.pools)
    ]
    return {
        "miner": {
            "miner_status": {"miner_state": _state(rig), "miner_state_time": 3600}, "miner_type": f"{rig.model} (Vnish {VERSION})",
            "average_hashrate": rig.ths, "instant_hashrate": rig.ths, "hr_realtime": ghs, "hr_nominal": rig.normal_ths * 1e3,
            "hr_stock": rig.normal_ths * 1e3, "power_consumption": watts, "power_usage": watts, "power_efficiency": 0.0,
            "hw_errors_percent": 0.0, "devfee": 0.0, "pools": pools, "chains": chains,
            "cooling": {"fan_num": FANS, "fans": [{"id": n, "rpm": rig.fan_rpm, "status": "ok"} for n in range(FANS)], "fan_duty": 60},
        }
    }  # fmt: skip


READS: dict[str, Any] = {
    "info": _info, "summary": _summary,
    "status": lambda rig: {"miner_state": _state(rig), "find_miner": False, "unlocked": True},
    "settings": lambda rig: {"miner": {"overclock": {"preset": "disabled"}}},
    "chains": lambda rig: [], "chips": lambda rig: [],
    "chains/factory-info": lambda rig: {"psu_serial": f"P{rig.serial}", "hr_stock": rig.normal_ths * 1e3, "chains": []},
}  # fmt: skip
