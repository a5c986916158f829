"""Faults of a written file in its author's words: where it is, what is wrong, what was probably meant."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

ConfigFault = tuple[tuple[str | int, ...], str]
# Words of the contract that this version knows and has not built: a clear fault instead of "unknown".
NOT_BUILT_TEXT = "is not built in this version"
NOT_BUILT: dict[str, tuple[str, ...]] = {}
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


def meant(word: str, known: Iterable[str]) -> str:
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


def key_path(document: Any, loc: Sequence[str | int]) -> str:
    """Where in the file, by names: "groups.a-s21.rigs". An item of a list goes by its name, id or type when no sibling shares it,
    else by its position counted from 1: "groups#3.rigs"."""
    out = ""
    for part in loc:
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


def fields(model: Any) -> tuple[str, ...]:
    """The keys a file may use for a pydantic model or a dataclass."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return tuple(field.alias or name for name, field in model.model_fields.items())
    return tuple(f.name for f in dataclasses.fields(model)) if dataclasses.is_dataclass(model) else ()


def _keys_at(model: Any, loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys known at the table that `loc` leads into."""
    for part in loc:
        if isinstance(part, int):
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return ()
        found = [f.annotation for name, f in model.model_fields.items() if part in (name, f.alias)]
        model = _table_type(found[0]) if found else None
    return fields(model)


def _table_type(annotation: Any) -> Any:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _table_type(arg))), None)


def words(error: Mapping[str, Any], model: Any) -> str:
    """One of pydantic's errors in the user's words."""
    kind, got, ctx = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not a key here" + meant(str(error["loc"][-1]), _keys_at(model, error["loc"][:-1]))
    if kind in _NEEDS:
        return f"{_NEEDS[kind]}, not {shown(got)}" if kind not in ("timezone_aware", "finite_number") else _NEEDS[kind]
    if kind in _LIMITS:
        phrase, key = _LIMITS[kind]
        return f"must be {phrase} {ctx[key]:g}, not {shown(got)}"
    if kind in ("enum", "literal_error"):
        return f"must be one of {ctx['expected']}, not {shown(got)}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    text = str(ctx["error"]) if kind in ("value_error", "assertion_error") and "error" in ctx else str(error["msg"])
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def of(error: ValidationError, model: Any) -> list[ConfigFault]:
    """Each of pydantic's errors as (where in the validated document, what is wrong)."""
    return [(tuple(e["loc"]), words(e, model)) for e in error.errors()]


def model(kind: type[Any], table: Any, at: tuple[str | int, ...]) -> tuple[Any, list[ConfigFault]]:
    """A table as a pydantic model, strictly: no text for a number, no true for 1. None beside its faults."""
    if not isinstance(table, Mapping):
        return None, [(at, f"needs a table {{...}}, not {shown(table)}")]
    try:
        return kind.model_validate_json(json.dumps(table), strict=True), []
    except ValidationError as error:
        return None, [((*at, *loc), text) for loc, text in of(error, kind)]


def plain(document: Any, loc: tuple[str | int, ...] = ()) -> tuple[Any, list[ConfigFault]]:
    """A TOML document as JSON values: instants become text. Faults: numbers that are not finite, instants without an offset."""
    if isinstance(document, Mapping):
        pairs = {str(k): plain(v, (*loc, str(k))) for k, v in document.items()}
        return {k: v for k, (v, _) in pairs.items()}, [f for _, faults in pairs.values() for f in faults]
    if isinstance(document, list):
        items = [plain(v, (*loc, n)) for n, v in enumerate(document)]
        return [v for v, _ in items], [f for _, faults in items for f in faults]
    if isinstance(document, float) and not math.isfinite(document):
        return 0.0, [(loc, f"needs a finite number, not {document}")]
    if isinstance(document, datetime):
        naive = document.tzinfo is None
        return document.isoformat(), [(loc, "has no UTC offset: write Z or +hh:mm at its end")] if naive else []
    if isinstance(document, date | time):
        return document.isoformat(), []
    return document, []


def chosen(
    raw: Mapping[str, Any],
    section: str,
    key: str,
    kinds: Mapping[str, type[Any]],
    default: str | None,
    at: tuple[str | int, ...] | None = None,
) -> tuple[Any, list[ConfigFault]]:
    """The settings a table chooses by one of its keys."""
    at = (section,) if at is None else at
    table = raw.get(section, {key: default} if default else None)
    if not isinstance(table, Mapping):
        return None, [(at, "is missing" if table is None else f"needs a table, not {shown(table)}")]
    kind = table.get(key, default)
    if kind is None:
        return None, [((*at, key), "is missing" + meant("", kinds))]
    if kind in NOT_BUILT.get(section, ()):
        return None, [((*at, key), f"{kind!r} {NOT_BUILT_TEXT}")]
    if not isinstance(kind, str) or kind not in kinds:
        return None, [((*at, key), f"{shown(kind)} is not known" + meant(str(kind), kinds))]
    return model(kinds[kind], table, at)
