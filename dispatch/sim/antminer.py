"""What an Antminer with the maker's firmware answers: cgminer's reads, and pages behind digest authentication. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dispatch.rigs.wire import antminer as wire
from dispatch.rigs.wire import cgminer, http
from dispatch.rigs.wire.line import WireError, parse, write
from dispatch.sim.cgminer import Read, Table, counts, pools
from dispatch.sim.rig import BOARDS, CHIPS, FANS, SENT, Condition, Rig

PASSWORD = "root"
BY = "cgminer 1.0.0"
BUILT = "Thu Oct  9 18:55:45 CST 2025"
_PAGES, _CGI = "/cgi-bin/", ".cgi"
_FAILED = {"stats": "error", "code": "M001", "msg": "Failed!"}


def answer(rig: Rig, data: bytes) -> bytes:
    """The answer to a read of cgminer's. Raises WireError when it is none."""
    asked, condition = cgminer.parse_request(data), rig.condition()
    # The firmware takes one command a connection; clients fall back to asking one by one.
    name = asked.commands[0] if len(asked.commands) == 1 else ""
    if name not in READS:
        return cgminer.reply(cgminer.table(cgminer.status("E", 14, "Invalid command", rig.when, BY)))
    table, code, rows = READS[name](condition)
    return cgminer.reply(cgminer.table(cgminer.status("S", code, name, rig.when, BY), table, rows))


def answer_page(rig: Rig, data: bytes) -> bytes:
    """The answer to a page. Raises WireError when the request is none."""
    asked, nonce = http.parse_request(data), f"{rig.number:08x}"
    if not http.authorized(asked, wire.USER, PASSWORD, wire.REALM, nonce):
        return _page(401, b"", {"WWW-Authenticate": http.challenge(wire.REALM, nonce)})
    name = asked.path.removeprefix(_PAGES).removesuffix(_CGI)
    if not asked.path.startswith(_PAGES) or name not in {*PAGES, "set_miner_conf", "reboot"}:
        return _page(404)
    if name == "set_miner_conf":
        return _json(_configured(rig, asked.body))
    if name == "reboot":
        rig.reboot(name)
        return _json({"stats": "success"})
    return _json(PAGES[name](rig))


def _json(document: Any) -> bytes:
    return _page(200, write(document), {"Content-Type": "application/json"})


def _page(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    return http.response(http.Response(status, body, headers or {}))


def _configured(rig: Rig, body: bytes) -> dict[str, Any]:
    """Take a whole configuration: what it does not name is gone."""
    try:
        conf = parse(body)
        mode = next(name for name, number in wire.WORK_MODES.items() if number == wire.work_mode(conf))
        pools = tuple((str(p["url"]), str(p["user"])) for p in conf.get("pools", ()))
    except (WireError, StopIteration, TypeError, LookupError):
        return _FAILED
    if pools != rig.pools and rig.set_pools("set_miner_conf pools", pools) != SENT:
        return _FAILED
    if rig.enter(f"set_miner_conf {mode}", mode) != SENT:
        return _FAILED
    return {"stats": "success", "code": "M000", "msg": "OK!"}


def _conf(rig: Rig) -> dict[str, Any]:
    return {
        "pools": [{"url": url, "user": user, "pass": "x"} for url, user in rig.pools],
        "api-listen": True, "api-network": True, "api-groups": "A:stats:pools:devs:summary:version", "api-allow": "A:0/0,W:*",
        "bitmain-fan-ctrl": False, "bitmain-fan-pwm": "100", "bitmain-use-vil": True, "bitmain-freq": "545", "bitmain-voltage": "1330",
        "bitmain-ccdelay": "0", "bitmain-pwth": "0", "bitmain-work-mode": str(wire.WORK_MODES.get(rig.condition().mode, 0)),
        "bitmain-freq-level": "100",
    }  # fmt: skip


def _system(rig: Rig) -> dict[str, Any]:
    c = rig.condition()
    return {
        "minertype": c.model,
        "nettype": "DHCP",
        "netdevice": "eth0",
        "macaddr": c.mac.upper(),
        "hostname": "Antminer",
        "ipaddress": c.address,
        "netmask": "255.0.0.0",
        "gateway": "127.0.0.1",
        "dnsservers": "",
        "system_mode": "GNU/Linux",
        "serinum": c.serial,
        "system_kernel_version": f"Linux 4.9.113 #1 SMP PREEMPT {BUILT}",
        "system_filesystem_version": BUILT,
        "firmware_type": "Release",
    }


def _info(rig: Rig) -> dict[str, Any]:
    return {"miner_version": "49.0.1.3", "CompileTime": BUILT, "type": rig.group.wire_model}


def _page_summary(rig: Rig) -> dict[str, Any]:
    c = rig.condition()
    row = {
        "elapsed": 3600, "rate_5s": c.ths * 1e3, "rate_30m": c.ths * 1e3, "rate_avg": c.ths * 1e3, "rate_ideal": c.normal_ths * 1e3,
        "rate_unit": "GH/s", "hw_all": 0, "bestshare": 0,
        "status": [{"type": kind, "status": "s", "code": 0, "msg": ""} for kind in ("rate", "network", "fans", "temp")],
    }  # fmt: skip
    return {"STATUS": _page_head(rig, "summary"), "INFO": _info(rig), "SUMMARY": [row]}


def _page_stats(rig: Rig) -> dict[str, Any]:
    c = rig.condition()
    temps, ghs = [round(c.board_c) if c.awake else 0] * 4, c.ths * 1e3 / BOARDS
    chain = [
        {
            "index": n, "freq_avg": 545 if c.ths else 0, "rate_ideal": c.normal_ths * 1e3 / BOARDS, "rate_real": ghs, "asic_num": CHIPS,
            "asic": "", "temp_pic": temps, "temp_pcb": temps, "temp_chip": temps, "hw": 0, "eeprom_loaded": True, "sn": f"{c.serial}{n}",
        }
        for n in range(BOARDS)
    ]  # fmt: skip
    row = {
        "elapsed": 3600, "rate_5s": c.ths * 1e3, "rate_avg": c.ths * 1e3, "rate_ideal": c.normal_ths * 1e3, "rate_unit": "GH/s",
        "chain_num": BOARDS, "fan_num": FANS, "fan": [c.fan_rpm] * FANS, "miner-mode": wire.WORK_MODES.get(c.mode, 0), "chain": chain,
        "chain_power": _chain_power(c),
    }  # fmt: skip
    return {"STATUS": _page_head(rig, "stats"), "INFO": _info(rig), "STATS": [row]}


def _page_head(rig: Rig, what: str) -> dict[str, Any]:
    return {"STATUS": "S", "when": rig.when, "Msg": what, "api_version": "1.0.0"}


PAGES: dict[str, Callable[[Rig], dict[str, Any]]] = {
    "get_miner_conf": _conf,
    "get_system_info": _system,
    "summary": _page_summary,
    "stats": _page_stats,
    "get_blink_status": lambda rig: {"blink": False},
    "get_network_info": lambda rig: {
        k: v for k, v in _system(rig).items() if k in ("macaddr", "hostname", "ipaddress", "netmask", "nettype")
    },
}


def _version(rig: Condition) -> Table:
    return "VERSION", 22, [{"API": "3.1", "BMMiner": "1.0.0", "CompileTime": BUILT, "Miner": "49.0.1.3", "Type": rig.model}]


def _summary(rig: Condition) -> Table:
    return "SUMMARY", 11, [counts(rig.ths * 1e3, "GHS", "5s", "30m", "av")]


def _stats(rig: Condition) -> Table:
    ghs, c = rig.ths * 1e3, round(rig.board_c) if rig.awake else 0
    row: dict[str, Any] = {
        "STATS": 0,
        "ID": "BTM_SOC0",
        "Elapsed": 3600,
        "GHS 5s": round(ghs, 2),
        "GHS av": round(ghs, 2),
        "rate_unit": "GH",
        "miner_count": BOARDS,
        "fan_num": FANS,
        "total_rateideal": rig.normal_ths * 1e3,
        "total_acn": BOARDS * CHIPS,
        "Mode": 2,
        "frequency": 545,
        "chain_power": _chain_power(rig),
        **{f"fan{n}": rig.fan_rpm for n in range(1, FANS + 1)},
    }
    for n in range(1, BOARDS + 1):
        row |= {f"chain_acn{n}": CHIPS, f"chain_rate{n}": f"{ghs / BOARDS:.2f}", f"freq{n}": 545 if rig.ths else 0}
        row |= {f"{kind}{n}": f"{c}-{c}-{c}-{c}" for kind in ("temp_chip", "temp_pcb", "temp_pic")}
    return "STATS", 70, [{"BMMiner": "1.0.0", "Miner": "49.0.1.3", "CompileTime": BUILT, "Type": rig.model}, row]


def _chain_power(rig: Condition) -> str:
    """What its boards draw; those of a rig asleep draw nothing."""
    return f"{round(rig.watts) if rig.awake or rig.ths else 0} W"


def _devs(rig: Condition) -> Table:
    mhs = round(rig.ths * 1e6, 2)
    return "DEVS", 9, [{"ASC": 0, "Name": "BTM_SOC", "ID": 0, "Enabled": "Y", "Status": "Alive", "MHS 5s": mhs, "MHS av": mhs}]


def _pools(rig: Condition) -> Table:
    return "POOLS", 7, pools(rig)


READS: dict[str, Read] = {"version": _version, "summary": _summary, "stats": _stats, "devs": _devs, "pools": _pools}
