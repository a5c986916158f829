"""What an Auradine Teraflux answers: cgminer's reads, and orders by HTTP with a token. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import auradine as wire
from dispatch.rigs.wire import cgminer, http
from dispatch.rigs.wire.line import WireError, figure, parse, write
from dispatch.sim.cgminer import Read, Table, counts, pools
from dispatch.sim.rig import BOARDS, CHIPS, FANS, REFUSED, SENT, UNSUPPORTED, Condition, Rig

PASSWORD = "admin"
BY = "FluxOS-2025-03.14-simulated"
VERSION = "2025-03.14"
_TOKEN = "token"


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a read of cgminer's. Raises WireError when it is none."""
    asked, condition = cgminer.parse_request(data), rig.condition()
    return cgminer.reply(cgminer.answered(asked, lambda name: _read(rig, condition, name)))


def answer_page(rig: Rig, data: bytes) -> bytes:
    """The answer to a request by HTTP. Raises WireError when it is none."""
    asked = http.parse_request(data)
    name = asked.path.strip("/")
    try:
        body = parse(asked.body) if asked.body else {}
    except WireError:
        return _json(_head(rig, "E", 45, "not JSON"), 400)
    if name == _TOKEN:
        return _json(_logged_in(rig, body))
    if asked.headers.get(_TOKEN, "") != rig.memory.get(_TOKEN, object()):
        return _json(_head(rig, "E", 45, "Token expired or unauthorized"), 401)
    if asked.method == "POST" and set(body) - {"command"}:
        return _json(_ordered(rig, name, body))
    if asked.method == "POST" and name == "restart":
        return _json(_word(rig, rig.reboot("restart")))
    return _json(_read(rig, rig.condition(), name))


def _json(document: Any, status: int = 200) -> bytes:
    return http.response(http.Response(status, write(document), {"Content-Type": "application/json"}))


def _head(rig: Rig, letter: str, code: int, message: str) -> dict[str, Any]:
    return cgminer.table(cgminer.status(letter, code, message, rig.when, BY))


def _logged_in(rig: Rig, body: dict[str, Any]) -> dict[str, Any]:
    if body.get("user") != wire.USER or body.get("password") != PASSWORD:
        return _head(rig, "E", 45, "Invalid user or password")
    token = rig.memory.setdefault(_TOKEN, f"t{rig.number:06d}")
    return cgminer.table(cgminer.status("S", 700, "Token", rig.when, BY), "Token", [{"Token": token}])


def _ordered(rig: Rig, name: str, body: dict[str, Any]) -> dict[str, Any]:
    if name == "mode":
        return _word(rig, _mode(rig, body))
    if name == "restart":
        return _word(rig, rig.reboot("restart"))
    return _head(rig, "E", 14, "Invalid command")


def _word(rig: Rig, code: int) -> dict[str, Any]:
    if code == SENT:
        return _head(rig, "S", 540, "Operating mode set")
    return _head(rig, "E", 14, "Invalid parameter") if code == UNSUPPORTED else _head(rig, "E", REFUSED, "Operation not permitted")


def _mode(rig: Rig, body: dict[str, Any]) -> int:
    match body:
        case {"sleep": "on"}:
            return rig.sleep("mode sleep on")
        case {"sleep": "off"}:
            return rig.wake("mode sleep off")
        case {"mode": "custom", "tune": "power", "power": watts}:
            try:
                return rig.draw("mode power", figure(watts))
            except WireError:
                return UNSUPPORTED
        case {"mode": ("eco" | "normal" | "turbo") as named}:
            return rig.prefer(f"mode {named}", next(mode for mode, theirs in wire.MODES.items() if theirs == named))
    return UNSUPPORTED


def _read(rig: Rig, condition: Condition, name: str) -> dict[str, Any]:
    if name not in READS:
        return _head(rig, "E", 14, "Invalid command")
    table, code, rows = READS[name](condition)
    return cgminer.table(cgminer.status("S", code, name, rig.when, BY), table, rows)


def _version(rig: Condition) -> Table:
    return "VERSION", 22, [{"API": "1.0", "GCMiner": VERSION}]


def _devdetails(rig: Condition) -> Table:
    rows = [
        {"DEVDETAILS": n, "ID": n + 1, "Name": "ASICBoard", "Driver": "GCMiner", "Kernel": "", "Model": rig.model} for n in range(BOARDS)
    ]
    return "DEVDETAILS", 69, rows


def _summary(rig: Condition) -> Table:
    return "SUMMARY", 11, [counts(rig.ths * 1e6, "MHS", "av", "5s", "1m", "5m", "15m")]


def _devs(rig: Condition) -> Table:
    rows = [
        {
            "DEV": n,
            "ID": n,
            "Name": "ASICBoard",
            "Enabled": True,
            "Status": "Alive",
            "MHS 5s": rig.ths * 1e6 / BOARDS,
            "Temperature": rig.board_c,
        }
        for n in range(1, BOARDS + 1)
    ]
    return "DEVS", 9, rows


def _pools(rig: Condition) -> Table:
    return "POOLS", 7, pools(rig)


def _ipreport(rig: Condition) -> Table:
    row = {
        "command": "ipreport",
        "model": rig.model,
        "version": VERSION,
        "mac": rig.mac,
        "ip": rig.address,
        "hostname": f"teraflux-{rig.number}",
        "SerialNo": rig.serial,
        "CBSerialNo": rig.serial,
        "ChassisSerialNo": rig.serial,
        "HBSerialNo": [f"{rig.serial}{n}" for n in range(BOARDS)],
        "InternalType": "T0",
    }
    return "IPReport", 620, [row]


def _psu(rig: Condition) -> Table:
    row = {
        "PowerIn": f"{rig.watts:.2f}W", "PowerOut": f"{0.95 * rig.watts:.2f}W", "PoutMax": f"{1.2 * rig.normal_w:.2f}W", "Vin": "245.00V",
        "Iin": f"{rig.watts / 245.0:.2f}A", "Vout": "11.50V", "Iout": "0.00A", "VoutSet": "11.50V", "FanSpeed1": f"{rig.fan_rpm}.00 RPM",
        "FanSpeed2": f"{rig.fan_rpm}.00 RPM",
    }  # fmt: skip
    return "PSU", 570, [row]


def _mode_now(rig: Condition) -> Table:
    limited = rig.limit_w < rig.normal_w
    row = {
        "Mode": "custom" if limited else wire.MODES.get(rig.mode, "normal"), "Sleep": "off" if rig.awake else "on",
        "Power": round(min(rig.limit_w, rig.normal_w)), "Ths": round(rig.normal_ths),
    }  # fmt: skip
    return "Mode", 540, [row]


def _fan(rig: Condition) -> Table:
    return "Fan", 510, [{"ID": n, "Max": 7700, "Speed": rig.fan_rpm, "Target": rig.fan_rpm} for n in range(1, FANS + 1)]


def _temperature(rig: Condition) -> Table:
    boards = [
        {
            "ID": n,
            "Name": f"Hash Board {n}",
            "BoardTemp": [{"ID": 0, "Temperature": rig.board_c}],
            "ChipTemp": [{"ID": 0, "Temperature": rig.board_c + 9}],
        }
        for n in range(1, BOARDS + 1)
    ]
    return "Temperature", 590, boards


READS: dict[str, Read] = {
    "version": _version,
    "devdetails": _devdetails,
    "summary": _summary,
    "devs": _devs,
    "pools": _pools,
    "ipreport": _ipreport,
    "psu": _psu,
    "mode": _mode_now,
    "fan": _fan,
    "temperature": _temperature,
    "led": lambda rig: ("LED", 530, [{"Code": 2, "LED1": 1, "LED2": 1, "Msg": "Normal"}]),
    "asccount": lambda rig: ("ASCCount", 104, [{"AsicCount": BOARDS * CHIPS, "BoardCount": BOARDS}]),
}
