"""Boosted decision trees as plain arrays: read from JSON, added up for many rows at once. Pure; no learning library is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ROWS_AT_ONCE = 1000  # bounds the memory that a sum takes
_FIELDS = ("roots", "feature", "threshold", "left", "right", "nan_left", "value")


@dataclass(frozen=True, slots=True, eq=False)
class BoostedTrees:
    """The nodes of all trees in one list; `roots` are where the trees begin.

    feature    column that a node asks for; -1 for a leaf
    threshold  a row goes to `left` when its value is at most this, else to `right`; without a value (NaN) to the left where `nan_left`
    value      what a leaf adds to the sum
    """

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    nan_left: NDArray[np.bool_]
    value: Floats

    def sums(self, rows: Floats) -> Floats:
        """The sum over all trees for rows of features, shape (n, columns): shape (n,)."""
        rows = rows.astype(np.float32).astype(np.float64)  # as the trees were trained
        return np.concatenate([self._sums(rows[k : k + ROWS_AT_ONCE]) for k in range(0, len(rows), ROWS_AT_ONCE)] or [np.zeros(0)])

    def _sums(self, rows: Floats) -> Floats:
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots))).copy()
        index = np.arange(len(rows))[:, None]
        while True:
            asked = self.feature[node]
            inner = asked >= 0
            if not inner.any():
                return np.asarray(self.value[node].sum(axis=1))
            x = rows[index, asked]
            to_left = np.where(np.isnan(x), self.nan_left[node], x <= self.threshold[node])
            node = np.where(inner, np.where(to_left, self.left[node], self.right[node]), node)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name).tolist() for name in _FIELDS}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], columns: int) -> BoostedTrees:
        """The trees over rows with so many columns. Raises ValueError for a document that is not whole."""
        try:
            made = cls(
                np.array(document["roots"], dtype=np.int64),
                np.array(document["feature"], dtype=np.int64),
                np.array(document["threshold"], dtype=np.float64),
                np.array(document["left"], dtype=np.int64),
                np.array(document["right"], dtype=np.int64),
                np.array(document["nan_left"], dtype=np.bool_),
                np.array(document["value"], dtype=np.float64),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as fault:
            raise ValueError(f"no boosted trees: {fault!r}") from fault
        made._check(columns)
        return made

    def _check(self, columns: int) -> None:
        nodes = len(self.feature)
        if any(getattr(self, name).shape != (nodes,) for name in _FIELDS if name != "roots") or self.roots.ndim != 1 or not len(self.roots):
            raise ValueError("no boosted trees: their lists differ in length")
        inner = np.flatnonzero(self.feature >= 0)
        children = np.concatenate((self.left[inner], self.right[inner]))
        if (self.feature >= columns).any() or (self.roots < 0).any() or (self.roots >= nodes).any():
            raise ValueError("no boosted trees: a node asks for a column that is not there")
        # A child comes after its parent: following nodes ends.
        if (children <= np.concatenate((inner, inner))).any() or (children >= nodes).any():
            raise ValueError("no boosted trees: a node leads to none after it")
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.value).all()):
            raise ValueError("no boosted trees: a figure is not finite")
