"""The catalogue of rig models, and the expansion of a site file's groups by it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from dispatch import ConfigError
from dispatch.site_file import errors
from dispatch.site_file.errors import ConfigFault
from optimizer.domain.site import SLEEP, Mode, NotNegative, Written

DEFAULT_MODES = (SLEEP, "normal")


class RigModel(Written):
    """One rig model, with figures at 25 C at the wall. `figures` has the source of each (stated, listed, measured, assumed), `make` decides
    the driver and dialect, `maker` is the company whose firmware controls the rig."""

    make: str
    maker: str = ""
    name: str
    wire_model: str | None = None
    wake_min: NotNegative
    standby_watts: NotNegative
    modes: tuple[Mode, ...]
    figures: Mapping[str, str] = Field(default_factory=dict)
    sources: str

    @model_validator(mode="after")
    def _sleeps_and_hashes(self) -> RigModel:
        names = [m.name for m in self.modes]
        if SLEEP not in names or len(names) < 2 or len(set(names)) < len(names):
            raise ValueError("modes needs sleep and at least one more, each name once")
        return self

    def mode(self, name: str) -> Mode | None:
        return next((m for m in self.modes if m.name == name), None)


@dataclass(frozen=True, slots=True)
class RigCatalogue:
    """Rig models by the name that a group's `model` uses."""

    models: Mapping[str, RigModel]

    def assumed(self, model: str) -> tuple[str, ...]:
        """The names of a model's figures that are assumed because none is published."""
        found = self.models.get(model)
        return tuple(sorted(k for k, basis in found.figures.items() if basis == "assumed")) if found else ()


def read_rig_catalogue(path: Path) -> RigCatalogue:
    """Raises ConfigError with every fault of the file."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    models: dict[str, RigModel] = {}
    wrong: list[ConfigFault] = []
    for name, raw in document.get("models", {}).items():
        try:
            models[name] = RigModel.model_validate(raw)
        except ValidationError as error:
            wrong += errors.validation_faults(error, RigModel, ("models", name))
    if wrong:
        raise ConfigError([f"{path.name}: {errors.key_path(document, fault.where)}: {fault.what}" for fault in wrong])
    return RigCatalogue(models)


def expand_group(raw: Mapping[str, Any], catalogue: RigCatalogue) -> tuple[dict[str, Any], list[ConfigFault]]:
    """A group with its modes in full and its wake time, ready to be validated as a RigGroup, and what is wrong with it. What the site file
    says wins over the catalogue.

    A mode is the name of one in the catalogue, or a table {name, watts, ths}; missing watts or ths are filled from the catalogue.
    Expanding an expanded group changes nothing.
    """
    group = dict(raw)
    standby_watts = group.pop("standby_watts", None)
    model = catalogue.models.get(str(group.get("model")))
    written = group.get("modes", list(DEFAULT_MODES))
    wrong: list[ConfigFault] = []
    if not isinstance(written, list):
        return group, [ConfigFault(("modes",), "needs a list [...]")] if written is None else []
    in_full = all(isinstance(m, Mapping) and {"watts", "ths"} <= m.keys() for m in written)
    if model is None and isinstance(group.get("model"), str) and not in_full:
        text = f"{group['model']!r} is not in the catalogue" + errors.did_you_mean(group["model"], catalogue.models)
        return {**group, "modes": None}, [ConfigFault(("model",), text + "; or write each mode with its watts and ths")]
    modes = []
    for n, mode in enumerate(written):
        table, text = _mode(mode, model, standby_watts)
        wrong += [ConfigFault(("modes", n), text)] if text else []
        modes += [table] if table is not None else []
    group["modes"] = None if wrong else sorted(modes, key=_place)
    wrong += [] if wrong else _mode_faults(modes)
    if model is not None:
        group.setdefault("wake_min", model.wake_min)
        if model.maker:
            group.setdefault("maker", model.maker)
    return group, wrong


def _mode(mode: Any, model: RigModel | None, standby_watts: Any) -> tuple[dict[str, Any] | None, str]:
    if isinstance(mode, Mapping):
        known = model.mode(str(mode.get("name"))) if model else None
        return ({**known.model_dump(), **mode} if known else dict(mode)), ""
    if not isinstance(mode, str):
        return None, f"needs the name of a mode or a table {{name, watts, ths}}, not {errors.shown(mode)}"
    known = model.mode(mode) if model else None
    if model is None or known is None:
        return None, f"the catalogue has no mode {mode!r} of it" + errors.did_you_mean(mode, [m.name for m in model.modes] if model else [])
    table = known.model_dump()
    if mode == SLEEP and standby_watts is not None:
        table["watts"] = standby_watts
    return table, ""


def _mode_faults(modes: list[dict[str, Any]]) -> list[ConfigFault]:
    names = [m.get("name") for m in modes]
    twice = sorted({str(n) for n in names if names.count(n) > 1})
    wrong: list[ConfigFault] = [ConfigFault(("modes",), f"{name!r} is used twice") for name in twice]
    if SLEEP not in names:
        wrong.append(ConfigFault(("modes",), "needs sleep: a group that can never stop is not a flexible load"))
    if all(n == SLEEP for n in names):
        wrong.append(ConfigFault(("modes",), "needs a mode besides sleep"))
    return wrong


def _place(mode: Mapping[str, Any]) -> tuple[bool, float]:
    watts = mode.get("watts")
    return mode.get("name") != SLEEP, float(watts) if isinstance(watts, int | float) else 0.0
