"""The protocols of rigs, one sans-I/O codec per protocol, for client and server alike: bytes in, messages out. No sockets, no clock, no
randomness."""

from __future__ import annotations

from enum import StrEnum

from dispatch.rigs.wire import antminer, auradine, braiins, cgminer, epic, proto, vnish, whatsminer_v3
from dispatch.rigs.wire.line import WireError

__all__ = ["NOT_DRIVEN", "OF_MAKE", "PORT", "PORTS", "Dialect", "WireError"]


class Dialect(StrEnum):
    """The protocol of a rig, by its make or the firmware that runs on it."""

    WHATSMINER_V2 = "whatsminer-v2"
    WHATSMINER_V3 = "whatsminer-v3"
    ANTMINER = "antminer"
    LUXOS = "luxos"
    AVALON = "avalon"
    AURADINE = "auradine"
    PROTO = "proto"
    BRAIINS = "braiins"
    VNISH = "vnish"
    EPIC = "epic"


# The ports a rig answers on, the first one to be tried in front.
PORTS: dict[Dialect, tuple[int, ...]] = {
    Dialect.WHATSMINER_V2: (cgminer.PORT,),
    Dialect.WHATSMINER_V3: (whatsminer_v3.PORT, cgminer.PORT),
    Dialect.ANTMINER: (cgminer.PORT, antminer.PORT),
    Dialect.LUXOS: (cgminer.PORT,),
    Dialect.AVALON: (cgminer.PORT,),
    Dialect.AURADINE: (cgminer.PORT, auradine.PORT),
    Dialect.PROTO: (proto.PORT,),
    Dialect.BRAIINS: (cgminer.PORT, braiins.PORT),
    Dialect.VNISH: (cgminer.PORT, vnish.PORT),
    Dialect.EPIC: (epic.PORT, epic.PAGE_PORT),
}

# The dialects that rigs of a make may speak; the first is the default.
OF_MAKE: dict[str, tuple[Dialect, ...]] = {
    "whatsminer": (Dialect.WHATSMINER_V2, Dialect.WHATSMINER_V3),
    "antminer": (Dialect.ANTMINER, Dialect.LUXOS, Dialect.BRAIINS, Dialect.VNISH, Dialect.EPIC),
    "avalon": (Dialect.AVALON,),
    "auradine": (Dialect.AURADINE,),
    "proto": (Dialect.PROTO,),
}

# Firmware that clients know and that is not driven here, by the name it has in a site file, with the reason.
NOT_DRIVEN = {
    "mara": "MARA firmware is not driven: clients disagree on the unit of its hashrate, and an order is its whole configuration",
    "hiveon": "Hiveon is not driven: no client can stop it",
    "bitaxe": "Bitaxe is not driven: its firmware has no documented stop",
    "sealminer": "Bitdeer's SealMiner is not driven: no simulated rig tests it",
}

# Where most rigs answer first.
PORT = cgminer.PORT
