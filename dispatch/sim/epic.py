"""What a rig with ePIC's firmware answers: JSON by HTTP on port 4028, and a page on port 80. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import epic as wire
from dispatch.rigs.wire import http
from dispatch.sim.json_pages import body_of, json_answer, page
from dispatch.sim.rig import BOARDS, CHIPS, FANS, SENT, Condition, Rig

PASSWORD = "letmein"
SOFTWARE = "PowerPlay-BMS v1.5.13"


def answer_root(rig: Rig, data: bytes) -> bytes:
    """The answer on port 80, where only the dashboard is. Raises WireError when the request is none."""
    asked = http.parse_request(data)
    return page("Miner Web Dashboard") if asked.path == "/" else json_answer({"result": False, "error": "not found"}, 404)


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a request. Raises WireError when it is none."""
    asked = http.parse_request(data)
    name = asked.path.partition("?")[0].strip("/")
    if asked.method == "GET":
        return json_answer(READS[name](rig.condition())) if name in READS else json_answer({"result": False, "error": name}, 404)
    body = body_of(asked)
    # Clients that send no password are let in, as the firmware does when none is set.
    if body.get("password", PASSWORD) != PASSWORD:
        return json_answer({"result": False, "error": "wrong password"})
    match name, body.get("param"):
        case "miner", wire.SLEEP:
            code = rig.sleep("Stop")
        case "miner", wire.WAKE:
            code = rig.wake("Autostart")
        case "reboot", _:
            code = rig.reboot("reboot")
        case _:
            return json_answer({"result": False, "error": "not supported"}, 404)
    return json_answer({"result": code == SENT, "error": None if code == SENT else "not permitted"})


def _summary(rig: Condition) -> dict[str, Any]:
    # It reports what the power supply takes in for the boards: nothing when they are off.
    watts = float(rig.watts) if rig.awake or rig.ths else 0.0
    boards = [
        {"Core Clock Avg": 485.0, "Hashrate": [rig.ths * 1e6 / BOARDS, 100.0, 0.8], "Index": n, "Input Power": 0.0, "Input Voltage": 12.6,
         "Temperature": rig.board_c}
        for n in range(BOARDS)
    ]  # fmt: skip
    state = wire.IDLE if not rig.awake else "Mining" if rig.ths else "Initializing"
    return {
        "Fans": {"Fan Mode": {"Auto": {"Idle Speed": 20, "Target Temperature": 60}}, "Fans Speed": 60},
        "Fans Rpm": {f"Fans Speed {n}": rig.fan_rpm for n in range(1, FANS + 1)},
        "HBStatus": [{"Detected": True, "Enabled": True, "Index": n} for n in range(BOARDS)],
        "HBs": boards if rig.awake or rig.ths else None,
        "Hostname": f"epic{rig.number}", "Mining": {"Algorithm": "SHA-256", "Coin": "BTC"},
        "Misc": {"Critical Temp": 100.0, "Locate Miner State": False, "Shutdown Temp": 85.0}, "OS Type": "umcOS",
        "PerpetualTune": {"Algorithm": {}, "Running": False}, "PresetInfo": {"Target Power": round(rig.normal_w)},
        "Power Supply Stats": {"Input Power": watts, "Input Voltage": 0.0, "Output Voltage": 12.6, "Target Voltage": 12600},
        "Session": {"Accepted": 0, "Active HBs": BOARDS, "Average MHs": rig.ths * 1e6, "Rejected": 0, "Uptime": 3600,
                    "Startup Timestamp": 0, "LastAverageMHs": {"Hashrate": rig.ths * 1e6, "Timestamp": 0}},
        "Software": SOFTWARE, "Status": {"Last Command": None, "Last Error": None, "Operating State": state},
        "Stratum": {"Current Pool": rig.pools[0][0] if rig.pools else "", "IsPoolConnected": rig.pools_alive},
        "StratumConfigs": [{"login": user, "password": "x", "pool": url} for url, user in rig.pools],
    }  # fmt: skip


def _capabilities(rig: Condition) -> dict[str, Any]:
    return {
        "Model": rig.model, "Model Subtype": "", "Default Hashrate": rig.normal_ths, "Miner Serial Number": rig.serial,
        "Performance Estimator": {"Chip Count": CHIPS}, "Max HBs": BOARDS,
        "Control Board Version": {"cpuHardware": "Xilinx Zynq", "cpuSerial": rig.serial, "platform": "zynq"},
        "Board Serial Numbers": [f"{rig.serial}{n}" for n in range(BOARDS)], "Password Set": True,
    }  # fmt: skip


def _network(rig: Condition) -> dict[str, Any]:
    return {"dhcp": {"address": rig.address, "dns": "127.0.0.1", "gateway": "127.0.0.1", "mac_address": rig.mac, "netmask": "255.0.0.0"}}


READS: dict[str, Any] = {
    "summary": _summary, "capabilities": _capabilities, "network": _network, "temps/chip": lambda rig: [], "temps": lambda rig: [],
    "voltages": lambda rig: [], "hashrate": lambda rig: [], "clocks": lambda rig: [],
}  # fmt: skip
