"""What rigs of a model speak, and what they call themselves doing so."""

from __future__ import annotations

from dispatch import catalogue
from dispatch.rigs.wire import OF_MAKE, Dialect
from dispatch.shipped import default_file


def spoken(model: str, told: str | None = None) -> tuple[Dialect, str]:
    """The dialect rigs of a model are spoken to in, and their name on the wire. `told` is the dialect a site file says; their make's first
    otherwise. Raises ValueError for a model the catalogue does not know and for a dialect rigs of its make do not speak."""
    known = catalogue.read(default_file("rigs.toml")).models.get(model)
    if known is None or known.wire_model is None or known.make not in OF_MAKE:
        raise ValueError(f"{model!r}: nobody knows what rigs of this model speak")
    dialects = OF_MAKE[known.make]
    if told is None:
        return dialects[0], known.wire_model
    if told not in dialects:
        raise ValueError(f"{model!r} speaks {' or '.join(dialects)}, not {told}")
    return Dialect(told), known.wire_model


def wire_model(model: str) -> str:
    """What rigs of a model call themselves on the wire. Raises ValueError for one nobody knows."""
    return spoken(model)[1]
