"""The dialect that rigs of a model speak, and the model name they report on the wire."""

from __future__ import annotations

from dispatch.rigs.wire import OF_MAKE, Dialect
from dispatch.site_file import rig_catalogue
from dispatch.site_file.defaults import default_file

# The dialects each kind of driver speaks; a dry run reads through pyasic.
DRIVER_DIALECTS: dict[str, tuple[Dialect, ...]] = {
    "pyasic": tuple(Dialect),
    "pyasic-rs": (
        Dialect.ANTMINER,
        Dialect.LUXOS,
        Dialect.AURADINE,
        Dialect.PROTO,
        Dialect.BRAIINS,
        Dialect.VNISH,
        Dialect.EPIC,
    ),
}
DRIVER_DIALECTS["dry-run"] = DRIVER_DIALECTS["pyasic"]


def dialect_fault(kind: str, model: str, dialect_name: str | None) -> str:
    """Why a kind of driver cannot reach rigs of a model; empty when it can, or when the driver uses no dialect."""
    try:
        dialect, _ = dialect_and_wire_model(model, dialect_name)
    except ValueError as error:
        return str(error) if kind in DRIVER_DIALECTS else ""
    if dialect in DRIVER_DIALECTS.get(kind, Dialect):
        return ""
    others = [name for name in ("pyasic", "pyasic-rs") if dialect in DRIVER_DIALECTS[name]]
    return f"{kind} does not speak {dialect}, what rigs of {model!r} do; use {' or '.join(others)}"


def dialect_and_wire_model(model: str, dialect_name: str | None = None) -> tuple[Dialect, str]:
    """The dialect of the rigs of a model, and the model name they report on the wire. `dialect_name` is the dialect that a site file
    chooses; without one it is the first of their make. Raises ValueError for a model of unknown make and for a dialect its rigs do not
    speak."""
    known = rig_catalogue.read_rig_catalogue(default_file("rigs.toml")).models.get(model)
    if known is None or known.make not in OF_MAKE:
        raise ValueError(f"{model!r}: the dialect of this model is not known")
    dialects, wire_model = OF_MAKE[known.make], known.wire_model or known.name
    if dialect_name is None:
        return dialects[0], wire_model
    if dialect_name not in dialects:
        *first, last = dialects
        spoken = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{model!r} speaks {spoken}, not {dialect_name}")
    return Dialect(dialect_name), wire_model


def wire_model(model: str) -> str:
    """The model name that rigs of a model report on the wire. Raises ValueError for an unknown model."""
    return dialect_and_wire_model(model)[1]
