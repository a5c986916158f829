"""Frozen values as JSON and back, without loss: dataclasses, tuples, instants, arrays and numbers that JSON has no form for.

Plain JSON values stand for themselves. Every other value is an object with one key that names its kind:

    {"$tuple": [...]}             a tuple; likewise $frozenset
    {"$map": [[key, value], ...]} a mapping whose keys are not all plain texts
    {"$float": "nan"}             a float that is not finite
    {"$instant": "..."}           an instant or date, ISO 8601: $instant, $date, $span (seconds)
    {"$decimal": "1.50"}          an exact decimal
    {"$array": ["int8", "..."]}   a one-dimensional read-only array: its type and its bytes in base64
    {"module:Class": {...}}       a dataclass by its fields, or an enum by its value, of a module that is loaded already
"""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from math import isfinite
from typing import Any

import numpy as np


def value_to_json(value: Any) -> Any:
    """A value as JSON values. Raises TypeError for a kind that is not listed above."""
    if value is None or value is True or value is False or type(value) in (str, int):
        return value
    if isinstance(value, Enum):
        return {_name(type(value)): value.value}
    if isinstance(value, float):
        return float(value) if isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        plain = all(type(key) is str and not key.startswith("$") and ":" not in key for key in value)
        items = [(key if plain else value_to_json(key), value_to_json(part)) for key, part in value.items()]
        return dict(items) if plain else {"$map": [list(item) for item in items]}
    if isinstance(value, list):
        return [value_to_json(part) for part in value]
    if isinstance(value, tuple):
        return {"$tuple": [value_to_json(part) for part in value]}
    if is_dataclass(value) and not isinstance(value, type):
        return {_name(type(value)): {name: value_to_json(getattr(value, name)) for name in _field_names(type(value))}}
    return _rare_to_json(value)


def _rare_to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$instant": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, timedelta):
        return {"$span": value.total_seconds()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, frozenset):
        return {"$frozenset": sorted((value_to_json(part) for part in value), key=repr)}
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "bifu":
        return {"$array": [value.dtype.name, b64encode(value.tobytes()).decode()]}
    if isinstance(value, np.generic):
        return value_to_json(value.item())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def value_from_json(document: Any) -> Any:
    """The value that `value_to_json` made. Raises ValueError, KeyError or TypeError for another document."""
    if isinstance(document, list):
        return [value_from_json(part) for part in document]
    if not isinstance(document, dict):
        return document
    if len(document) == 1:
        ((key, inner),) = document.items()
        if (decode := _DECODERS.get(key)) is not None:
            return decode(inner)
        if ":" in key:
            return _made(_class_of(key), inner)
    return {key: value_from_json(part) for key, part in document.items()}


def _made(kind: type, inner: Any) -> Any:
    if issubclass(kind, Enum):
        return kind(inner)
    return kind(**{name: value_from_json(part) for name, part in inner.items()})


def _array(inner: Any) -> Any:
    kind, text = inner
    made = np.frombuffer(b64decode(text), np.dtype(kind)).copy()
    made.flags.writeable = False
    return made


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$tuple": lambda inner: tuple([value_from_json(part) for part in inner]),
    "$frozenset": lambda inner: frozenset(value_from_json(part) for part in inner),
    "$map": lambda inner: {value_from_json(key): value_from_json(part) for key, part in inner},
    "$float": float,
    "$instant": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$span": lambda inner: timedelta(seconds=inner),
    "$decimal": Decimal,
    "$array": _array,
}


@cache
def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.init)


@cache
def _class_of(name: str) -> type:
    """The dataclass or enum of a name. Raises ValueError for any other name: a document cannot have anything else made."""
    module, _, qualified = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or not (is_dataclass(found) or issubclass(found, Enum)):
        raise ValueError(f"{name} is not a value class of this program")
    return found
