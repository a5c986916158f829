"""Faults of a configuration file, in the words of its author: where the fault is, what is wrong, what was probably meant."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

Where = tuple[str | int, ...]
_NUMBER = "needs a number"
_NEEDS = {
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "int_type": "needs a whole number",
    "int_parsing": "needs a whole number",
    "int_from_float": "needs a whole number",
    "string_type": "needs a text in quotes",
    "bool_type": "needs true or false",
    "bool_parsing": "needs true or false",
    "tuple_type": "needs a list [...]",
    "list_type": "needs a list [...]",
    "dict_type": "needs a table {...}",
    "mapping_type": "needs a table {...}",
    "model_type": "needs a table {...}",
    "model_attributes_type": "needs a table {...}",
    "dataclass_type": "needs a table {...}",
    "datetime_type": "needs an instant such as 2026-08-20T16:00:00Z",
    "datetime_parsing": "needs an instant such as 2026-08-20T16:00:00Z",
    "datetime_from_date_parsing": "needs an instant such as 2026-08-20T16:00:00Z",
    "timezone_aware": "has no UTC offset: write Z or +hh:mm at its end",
    "finite_number": "needs a finite number",
}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


class ConfigFault(NamedTuple):
    """One fault of a configuration file.

    where  keys and positions that lead to it from the top of the document, such as ("groups", 2, "rigs")
    what   what is wrong there, as the end of a sentence that begins with the key
    """

    where: Where
    what: str


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of a fault about an unknown word: the nearest known one, or all of them when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(known)}" if known else ""


def shown(value: Any) -> str:
    """A value as its author would write it, cut when long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def key_path(document: Any, where: Sequence[str | int]) -> str:
    """Where in the file, by names: "groups.a-s21.rigs". An item of a list goes by its name, id or type when no sibling shares it,
    else by its position counted from 1: "groups#3.rigs"."""
    out = ""
    for part in where:
        if isinstance(part, int):
            label = _label(document, part)
            out += f".{label}" if label else f"#{part + 1}"
        else:
            out += f".{part}" if out else str(part)
        document = _child(document, part)
    return out


def _child(document: Any, part: str | int) -> Any:
    if isinstance(document, Mapping):
        return document.get(str(part))
    if isinstance(document, list | tuple) and isinstance(part, int) and 0 <= part < len(document):
        return document[part]
    return None


def _label(items: Any, position: int) -> str | None:
    if not isinstance(items, list | tuple):
        return None
    labels = [_own_name(item) for item in items]
    own = labels[position] if position < len(labels) else None
    return own if own and labels.count(own) == 1 else None


def _own_name(item: Any) -> str | None:
    if isinstance(item, Mapping):
        for key in ("name", "id", "type"):
            if isinstance(item.get(key), str) and item[key]:
                return str(item[key])
    return None


def keys_of(kind: Any) -> tuple[str, ...]:
    """The keys a file may use for a pydantic model or a dataclass."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return tuple(field.alias or name for name, field in kind.model_fields.items())
    return tuple(f.name for f in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


def _keys_at(kind: Any, where: Sequence[str | int]) -> tuple[str, ...]:
    """The keys known at the table that `where` leads into."""
    for part in where:
        if isinstance(part, int):
            continue
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return ()
        found = [f.annotation for name, f in kind.model_fields.items() if part in (name, f.alias)]
        kind = _table_type(found[0]) if found else None
    return keys_of(kind)


def _table_type(annotation: Any) -> Any:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _table_type(arg))), None)


def validation_message(error: Mapping[str, Any], kind: Any) -> str:
    """One of pydantic's errors about a table of class `kind`, in the words of the site file."""
    code, got, ctx = error["type"], error.get("input"), error.get("ctx", {})
    if code == "missing":
        return "is missing"
    if code in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not a key here" + did_you_mean(str(error["loc"][-1]), _keys_at(kind, error["loc"][:-1]))
    if code in _NEEDS:
        return f"{_NEEDS[code]}, not {shown(got)}" if code not in ("timezone_aware", "finite_number") else _NEEDS[code]
    if code in _LIMITS:
        phrase, key = _LIMITS[code]
        return f"must be {phrase} {ctx[key]:g}, not {shown(got)}"
    if code in ("enum", "literal_error"):
        return f"must be one of {ctx['expected']}, not {shown(got)}"
    if code in ("too_short", "string_too_short"):
        return "must not be empty"
    text = str(ctx["error"]) if code in ("value_error", "assertion_error") and "error" in ctx else str(error["msg"])
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def validation_faults(error: ValidationError, kind: Any, where: Where = ()) -> list[ConfigFault]:
    """Each of pydantic's errors about a table of class `kind` that stands at `where`."""
    return [ConfigFault((*where, *e["loc"]), validation_message(e, kind)) for e in error.errors()]


def validated(kind: type[Any], table: Any, where: Where) -> tuple[Any, list[ConfigFault]]:
    """A table as an object of the pydantic class `kind`, strictly: no text for a number, no true for 1. The object is None where there are
    faults."""
    if not isinstance(table, Mapping):
        return None, [ConfigFault(where, f"needs a table {{...}}, not {shown(table)}")]
    try:
        return kind.model_validate_json(json.dumps(table), strict=True), []
    except ValidationError as error:
        return None, validation_faults(error, kind, where)


def to_json_values(document: Any, where: Where = ()) -> tuple[Any, list[ConfigFault]]:
    """A TOML document as JSON values: instants become text. Faults: numbers that are not finite, instants without an offset."""
    if isinstance(document, Mapping):
        pairs = {str(k): to_json_values(v, (*where, str(k))) for k, v in document.items()}
        return {k: v for k, (v, _) in pairs.items()}, [f for _, faults in pairs.values() for f in faults]
    if isinstance(document, list):
        items = [to_json_values(v, (*where, n)) for n, v in enumerate(document)]
        return [v for v, _ in items], [f for _, faults in items for f in faults]
    if isinstance(document, float) and not math.isfinite(document):
        return 0.0, [ConfigFault(where, f"needs a finite number, not {document}")]
    if isinstance(document, datetime):
        naive = document.tzinfo is None
        return document.isoformat(), [ConfigFault(where, "has no UTC offset: write Z or +hh:mm at its end")] if naive else []
    if isinstance(document, date | time):
        return document.isoformat(), []
    return document, []


def validated_by_kind(
    raw: Mapping[str, Any],
    section: str,
    key: str,
    kinds: Mapping[str, type[Any]],
    default: str | None,
    where: Where | None = None,
) -> tuple[Any, list[ConfigFault]]:
    """The table `section` of `raw` as an object of the class that its `key` ("source", "kind") names. `default` is the name that stands in
    where the table or the key is missing. The object is None where there are faults."""
    where = (section,) if where is None else where
    table = raw.get(section, {key: default} if default else None)
    if not isinstance(table, Mapping):
        return None, [ConfigFault(where, "is missing" if table is None else f"needs a table, not {shown(table)}")]
    kind = table.get(key, default)
    if kind is None:
        return None, [ConfigFault((*where, key), "is missing" + did_you_mean("", kinds))]
    if not isinstance(kind, str) or kind not in kinds:
        return None, [ConfigFault((*where, key), f"{shown(kind)} is not known" + did_you_mean(str(kind), kinds))]
    return validated(kinds[kind], table, where)
