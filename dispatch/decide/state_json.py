"""The folded state as one JSON document and back: a start from it equals a start from the journal's first row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from dispatch.decide.state import State
from dispatch.decide.value_json import value_from_json, value_to_json

# What the program brings itself, and the plan, which is JSON already.
_FROM_PROGRAM, _PLAIN = ("setup", "setup_from"), ("plan",)


def state_to_json(state: State) -> dict[str, Any]:
    """Every field of the state but the setup, which its run's site file gives. Raises TypeError for a value that JSON cannot hold."""
    document = {f.name: value_to_json(getattr(state, f.name)) for f in fields(State) if f.name not in (*_FROM_PROGRAM, *_PLAIN)}
    return {**document, **{name: json.loads(json.dumps(getattr(state, name))) for name in _PLAIN}}


def state_from_json(document: Mapping[str, Any], blank: State) -> State:
    """The state that `state_to_json` made; `blank` is the state before the first entry. Raises ValueError, KeyError or TypeError for
    another document, ConfigError when the site file of its run can no longer be read."""
    values = {name: value if name in _PLAIN else value_from_json(value) for name, value in document.items()}
    state = replace(blank, **values)
    if state.run is None or state.run.config_hash == blank.setup.hash_id:
        return state
    return replace(state, setup=blank.setup_from(state.run.config))
