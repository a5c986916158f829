"""Every key that a site file may say is read by some code: a key that changes nothing is refused until it does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest
from pydantic import BaseModel

from dispatch import ConfigError
from dispatch.site_file import plugins
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import ApiSettings, ReportSettings
from optimizer.domain.site import Site
from tests.sites import document
from tests.test_architecture import MODULES

# Keys that are accepted and that nothing reads: none.
EXCEPTIONS: frozenset[str] = frozenset()
GROUPS = (
    plugins.SOURCES,
    plugins.HASHPRICES,
    plugins.GENERATION,
    plugins.WEATHER,
    plugins.OBLIGATIONS,
    plugins.DRIVERS,
    plugins.METERS,
    plugins.COOLING,
    plugins.GENERATORS,
)
# The word that chooses the class of a table, and the names of tables: read by the loader, as text.
CHOOSES = {"kind", "source", "name"}


@cache
def names_read() -> frozenset[tuple[str, str]]:
    """(class, name) of attributes that methods read of `self`, and ("", name) of those read of anything else."""
    found = set()
    for path in MODULES:
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            owner = node.name if isinstance(node, ast.ClassDef) else ""
            for part in ast.walk(node):
                if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Load):
                    of_self = isinstance(part.value, ast.Name) and part.value.id == "self"
                    found.add((owner if of_self else "", part.attr))
    return frozenset(found)


def is_read(model: type[BaseModel], key: str) -> bool:
    return any((owner, key) in names_read() for owner in ("", *(c.__name__ for c in model.__mro__)))


def tables() -> Iterator[type[BaseModel]]:
    """Every class that holds keys of a site file: the sections, the registered classes, and the tables inside them."""
    seen: set[type[BaseModel]] = set()
    waiting: list[type[BaseModel]] = [Site, ApiSettings, ReportSettings]
    for group in GROUPS:
        waiting += [kind for name in plugins.installed(group) if issubclass(kind := plugins.installed(group)[name], BaseModel)]
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        waiting += [inner for f in model.model_fields.values() for inner in models_in(f.annotation)]
        yield model


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from models_in(part)


def test_every_key_of_a_site_file_is_read_somewhere() -> None:
    dead = {f"{m.__name__}.{key}" for m in tables() for key in m.model_fields if key not in CHOOSES and not is_read(m, key)}
    assert dead == EXCEPTIONS


def test_a_link_loss_without_a_link_is_refused_with_a_sentence() -> None:
    site = document()["site"]
    link = {"name": "desk", "kind": "modbus", "obligation": "plant", "listen": "127.0.0.1:502"}
    assert setup_from_document(document(site={**site, "link_loss": "sleep"}, links=[link])).site.link_loss.value == "sleep"
    with pytest.raises(ConfigError) as refused:
        setup_from_document(document(site={**site, "link_loss": "sleep"}))
    assert refused.value.faults == ["(journal): site.link_loss: 'sleep' says what a lost link does, and the site has no [[links]]"]


def test_every_fault_of_links_and_envelopes_is_named() -> None:
    links = [
        {"name": "desk", "kind": "dnp3", "obligation": "nobody", "listen": "here"},
        {"name": "desk", "kind": "fax", "obligation": "plant"},
    ]
    envelopes = [{"key": "link other", "least_mw": -1.0, "obligations": ["nobody"]}]
    with pytest.raises(ConfigError) as refused:
        setup_from_document(document(links=links, envelopes=envelopes))
    text = "\n".join(refused.value.faults)
    for part in ("'nobody'", "'here' is not HOST:PORT", "'fax' is not known", "'desk' is used twice", "no link 'other'", "least_mw"):
        assert part in text
