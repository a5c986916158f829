"""Parts of a site read from a scenario's tables, with their faults as those of the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from dispatch.signals.documents import DocumentFault, InvalidDocument, joined_path
from dispatch.site_file import errors


def changed_model(model: Any, changes: Mapping[str, Any], path: str) -> Any:
    """A copy of a frozen pydantic model with changed figures, validated again. Raises InvalidDocument."""
    assert isinstance(model, BaseModel)
    table = {**model.model_dump(mode="json", by_alias=True, exclude_none=True), **changes}
    return read_model(type(model), table, path)


def read_model(kind: type[Any], table: Any, path: str) -> Any:
    """A pydantic model of a table. Raises InvalidDocument with its faults at `path`."""
    read, wrong = errors.validated(kind, table, ())
    if wrong:
        raise InvalidDocument(DocumentFault(joined_path(path, *loc), text) for loc, text in wrong)
    return read
