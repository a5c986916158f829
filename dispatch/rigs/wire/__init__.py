"""What rigs speak, one sans-I/O codec a protocol, read by both roles: bytes in, messages out. No sockets, no clock, no randomness."""

from dispatch.rigs.wire.line import WireError
from dispatch.rigs.wire.whatsminer import PORT

__all__ = ["PORT", "WireError"]
