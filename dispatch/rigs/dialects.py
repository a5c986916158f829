"""What rigs of a model speak, and what they call themselves doing so."""

from __future__ import annotations

from dispatch.rigs.wire import OF_MAKE, Dialect
from dispatch.site_file import rig_catalogue
from dispatch.site_file.defaults import default_file

# The dialects each kind of driver speaks; a dry run reads through pyasic.
THROUGH: dict[str, tuple[Dialect, ...]] = {
    "pyasic": tuple(d for d in Dialect if d is not Dialect.PROTO),
    "pyasic-rs": (Dialect.ANTMINER, Dialect.LUXOS, Dialect.AURADINE, Dialect.PROTO),
}
THROUGH["dry-run"] = THROUGH["pyasic"]


def unspoken(kind: str, model: str, told: str | None) -> str:
    """Why a kind of driver cannot talk to rigs of a model; empty when it can, or when it is none that talks."""
    try:
        dialect, _ = spoken(model, told)
    except ValueError as error:
        return str(error) if kind in THROUGH else ""
    if dialect in THROUGH.get(kind, Dialect):
        return ""
    others = [name for name in ("pyasic", "pyasic-rs") if dialect in THROUGH[name]]
    return f"{kind} does not speak {dialect}, what rigs of {model!r} do; use {' or '.join(others)}"


def spoken(model: str, told: str | None = None) -> tuple[Dialect, str]:
    """The dialect rigs of a model are spoken to in, and their name on the wire; the catalogue's name where nobody knows that. `told` is the
    dialect a site file says; their make's first otherwise. Raises ValueError for a model of no known make and for a dialect they do not
    speak."""
    known = rig_catalogue.read_rig_catalogue(default_file("rigs.toml")).models.get(model)
    if known is None or known.make not in OF_MAKE:
        raise ValueError(f"{model!r}: nobody knows what rigs of this model speak")
    dialects, wire_model = OF_MAKE[known.make], known.wire_model or known.name
    if told is None:
        return dialects[0], wire_model
    if told not in dialects:
        raise ValueError(f"{model!r} speaks {' or '.join(dialects)}, not {told}")
    return Dialect(told), wire_model


def wire_model(model: str) -> str:
    """What rigs of a model call themselves on the wire. Raises ValueError for one nobody knows."""
    return spoken(model)[1]
