"""The ports of a rig of each dialect: how a message ends there, and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dispatch.rigs.wire import Dialect, cgminer, http, line
from dispatch.rigs.wire import antminer as antminer_wire
from dispatch.rigs.wire import auradine as auradine_wire
from dispatch.rigs.wire import braiins as braiins_wire
from dispatch.rigs.wire import epic as epic_wire
from dispatch.rigs.wire import proto as proto_wire
from dispatch.rigs.wire import vnish as vnish_wire
from dispatch.rigs.wire import whatsminer_v3 as v3_wire
from dispatch.sim import antminer, auradine, avalon, braiins, epic, luxos, proto, vnish, whatsminer, whatsminer_v3
from dispatch.sim.rig import Rig


@dataclass(frozen=True, slots=True)
class Port:
    """A listening port.

    complete  length in bytes of the first complete message, 0 while it has not arrived; raises WireError
    answer    the answer to a complete message; raises WireError
    lasting   whether the connection stays open for another
    """

    number: int
    complete: Callable[[bytes], int]
    answer: Callable[[Rig, bytes], bytes]
    lasting: bool = False


OF_DIALECT: dict[Dialect, tuple[Port, ...]] = {
    Dialect.WHATSMINER_V2: (Port(cgminer.PORT, line.complete, whatsminer.answer),),
    Dialect.WHATSMINER_V3: (
        Port(v3_wire.PORT, v3_wire.complete, whatsminer_v3.answer, lasting=True),
        Port(cgminer.PORT, line.complete, whatsminer.answer_beside_v3),
    ),
    Dialect.ANTMINER: (
        Port(cgminer.PORT, line.complete, antminer.answer),
        Port(antminer_wire.PORT, http.complete, antminer.answer_page, lasting=True),
    ),
    Dialect.LUXOS: (Port(cgminer.PORT, line.complete, luxos.answer),),
    Dialect.AVALON: (Port(cgminer.PORT, line.complete, avalon.answer),),
    Dialect.AURADINE: (
        Port(cgminer.PORT, line.complete, auradine.answer),
        Port(auradine_wire.PORT, http.complete, auradine.answer_page, lasting=True),
    ),
    Dialect.PROTO: (Port(proto_wire.PORT, http.complete, proto.answer_page, lasting=True),),
    Dialect.BRAIINS: (
        Port(cgminer.PORT, line.complete, braiins.answer),
        Port(braiins_wire.PORT, http.complete, braiins.answer_page, lasting=True),
    ),
    Dialect.VNISH: (
        Port(cgminer.PORT, line.complete, vnish.answer),
        Port(vnish_wire.PORT, http.complete, vnish.answer_page, lasting=True),
    ),
    Dialect.EPIC: (
        Port(epic_wire.PORT, http.complete, epic.answer, lasting=True),
        Port(epic_wire.PAGE_PORT, http.complete, epic.answer_root, lasting=True),
    ),
}
