"""What rigs say they are: firmware, model, serial number and MAC address, in the answers of each dialect. Client only.

A field is empty where the rig does not report it. Raises WireError when an answer has another form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dispatch.rigs.wire.line import WireError

MOST_TEXT = 120


@dataclass(frozen=True, slots=True)
class RigIdentity:
    """A rig as it describes itself; the MAC address in lower case with colons."""

    firmware: str = ""
    model: str = ""
    serial: str = ""
    mac: str = ""


def whatsminer_v2(version: Mapping[str, Any], info: Mapping[str, Any], model: str) -> RigIdentity:
    """Of `get_version` and `get_miner_info`; the model is in neither."""
    said, network = _table(version, "Msg"), _table(info, "Msg")
    return _identity(said.get("fw_ver"), model, network.get("minersn"), network.get("mac"))


def whatsminer_v3(device: Mapping[str, Any]) -> RigIdentity:
    """Of `get.device.info`."""
    said = _table(device, "msg")
    miner, system, network = (_table(said, name) for name in ("miner", "system", "network"))
    return _identity(system.get("fwversion"), miner.get("type"), miner.get("miner-sn"), network.get("mac"))


def antminer(system: Mapping[str, Any]) -> RigIdentity:
    """Of get_system_info.cgi: the firmware is known by the day it was built."""
    return _identity(system.get("system_filesystem_version"), system.get("minertype"), system.get("serinum"), system.get("macaddr"))


def luxos(version: Mapping[str, Any], config: Mapping[str, Any]) -> RigIdentity:
    """Of `version` and `config`."""
    said, conf = _row(version, "VERSION"), _row(config, "CONFIG")
    return _identity(f"LuxOS {said.get('LUXminer', '')}", conf.get("Model"), conf.get("SerialNumber"), conf.get("MACAddr"))


def avalon(version: Mapping[str, Any]) -> RigIdentity:
    """Of `version`."""
    said = _row(version, "VERSION")
    return _identity(said.get("LVERSION") or said.get("VERSION"), said.get("MODEL"), said.get("DNA"), said.get("MAC"))


def auradine(report: Mapping[str, Any]) -> RigIdentity:
    """Of /ipreport."""
    said = _row(report, "IPReport")
    return _identity(said.get("version"), said.get("model"), said.get("SerialNo"), said.get("mac"))


def braiins(details: Mapping[str, Any]) -> RigIdentity:
    """Of miner/details."""
    version, rig = _table(details, "bos_version"), _table(details, "miner_identity")
    return _identity(
        f"Braiins OS {version.get('current', '')}", rig.get("miner_model"), details.get("serial_number"), details.get("mac_address")
    )


def vnish(info: Mapping[str, Any]) -> RigIdentity:
    """Of info."""
    network = _table(_table(info, "system"), "network_status")
    return _identity(f"VNish {info.get('fw_version', '')}", info.get("miner"), info.get("serial"), network.get("mac"))


def epic(summary: Mapping[str, Any], capabilities: Mapping[str, Any], network: Mapping[str, Any]) -> RigIdentity:
    """Of /summary, /capabilities and /network."""
    mac = next((said.get("mac_address") for said in network.values() if isinstance(said, Mapping)), "")
    return _identity(summary.get("Software"), capabilities.get("Model"), capabilities.get("Miner Serial Number"), mac)


def proto(system: Mapping[str, Any], network: Mapping[str, Any]) -> RigIdentity:
    """Of /api/v1/system and /api/v1/network."""
    said, card = _table(system, "system-info"), _table(network, "network-info")
    return _identity(_table(said, "os").get("version"), said.get("model"), said.get("cb_sn"), card.get("mac"))


def mac_address(text: str) -> str:
    """A MAC address in lower case with colons; as it is where it is none."""
    digits = "".join(c for c in text.lower() if c in "0123456789abcdef")
    return ":".join(digits[k : k + 2] for k in range(0, 12, 2)) if len(digits) == 12 else text


def _identity(firmware: Any, model: Any, serial: Any, mac: Any) -> RigIdentity:
    return RigIdentity(_text(firmware), _text(model), _text(serial), mac_address(_text(mac)))


def _text(value: Any) -> str:
    return " ".join(str(value or "").split())[:MOST_TEXT]


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(found, Mapping):
        raise WireError(f"no {name} in this answer")
    return found


def _row(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    rows = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], Mapping):
        raise WireError(f"no {name} in this answer")
    return rows[0]
