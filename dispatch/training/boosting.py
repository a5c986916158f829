"""Gradient boosting with LightGBM, which is imported only here and only to train; what comes out are plain trees."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.forecasting.boosted_trees import BoostedTrees

Floats = NDArray[np.float64]

# One thread and a fixed seed: the same rows give the same trees on every machine.
_COMMON = {
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "max_bin": 127,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "verbose": -1,
}


def library() -> str:
    """The library and its version, as it is written into a model."""
    return f"lightgbm {importlib.metadata.version('lightgbm')}"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """Rows of features, shape (n, columns), their targets, how much each weighs and what the trees start from, shape (n,)."""

    rows: Floats
    target: Floats
    weight: Floats | None = None
    start: Floats | None = None


def boosted(training: TrainingRows, rounds: int, settings: Mapping[str, Any]) -> BoostedTrees:
    """Trees that are learned in so many rounds."""
    import lightgbm

    data = lightgbm.Dataset(
        training.rows.astype(np.float32),
        training.target,
        weight=training.weight,
        init_score=training.start,
        params={"max_bin": _COMMON["max_bin"], "verbose": -1},
    )
    booster = lightgbm.train({**_COMMON, **settings, "boost_from_average": False}, data, rounds)
    return _flat([tree["tree_structure"] for tree in booster.dump_model()["tree_info"]])


def _flat(trees: list[dict[str, Any]]) -> BoostedTrees:
    """Nested trees as lists, a parent before its children."""
    nodes: list[list[float]] = []

    def add(node: dict[str, Any]) -> int:
        here = len(nodes)
        if "leaf_value" in node:
            nodes.append([-1, 0.0, 0, 0, 0, node["leaf_value"]])
            return here
        # Without missing values in training, LightGBM reads a missing one as zero.
        missing_left = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0
        nodes.append([node["split_feature"], node["threshold"], 0, 0, missing_left, 0.0])
        nodes[here][2], nodes[here][3] = add(node["left_child"]), add(node["right_child"])
        return here

    roots = [add(tree) for tree in trees]
    feature, threshold, left, right, missing_left, value = (np.array(column, dtype=np.float64) for column in zip(*nodes, strict=True))
    return BoostedTrees(
        np.array(roots, dtype=np.int64),
        feature.astype(np.int64),
        threshold,
        left.astype(np.int64),
        right.astype(np.int64),
        missing_left.astype(np.bool_),
        value,
    )
