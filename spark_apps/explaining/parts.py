"""The parts of a saved model as arrays: planes and trees whose answers add up to a member's logarithm."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from spark_apps.explaining.errors import ExplanationError
from spark_apps.explaining.tree_shap import Forest, Nodes
from spark_apps.training.stacking import STACK, STACK_FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spark_apps.explaining.saved import Stage

Numbers = np.ndarray[Any, Any]

_LOG = re.compile(r"log_(\w+)")


class Part(Protocol):
    """What adds to the logarithm of a price."""

    @property
    def features(self) -> str:
        """The vector that it looks at."""

    @property
    def base(self) -> float:
        """What it says of the average training row."""

    def contributions(self, row: Numbers) -> Numbers:
        """Return by how much each feature moves its answer: together, the answer less the base."""


@dataclass(frozen=True)
class Plane:
    """A linear model; ``means`` are those of its features over the training rows.

    The Shapley value of a feature is coefficient · (value - mean) when the others are not conditioned on
    (Štrumbelj and Kononenko 2014, "Explaining prediction models and individual predictions with feature
    contributions").
    """

    features: str
    coefficients: Numbers
    intercept: float
    means: Numbers

    @property
    def base(self) -> float:
        """What it says of the average training row."""
        return self.intercept + float(self.coefficients @ self.means)

    def contributions(self, row: Numbers) -> Numbers:
        """Return by how much each feature moves its answer."""
        return np.asarray(self.coefficients * (row - self.means))


@dataclass(frozen=True)
class Trees:
    """Boosted trees."""

    features: str
    forest: Forest

    @cached_property
    def base(self) -> float:
        """What they say of the average training row, by their covers."""
        return self.forest.expectation

    def contributions(self, row: Numbers) -> Numbers:
        """Return by how much each feature moves their answer."""
        return self.forest.contributions(row)


@dataclass
class Parts:
    """A model taken apart: each member's parts by its name, and the stack's weights and intercept."""

    members: dict[str, list[Part]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    intercept: float = 0.0


def read(stages: Sequence[Stage], means: Mapping[str, Numbers]) -> Parts:
    """Take a saved model apart; ``means`` are those of the features, by the name of their vector.

    A member is the parts that stand before the stage which makes its logarithm.
    """
    result, parts, price_columns = Parts(), list[Part](), list[str]()
    for stage in stages:
        if stage.makes == STACK_FEATURES:
            price_columns = stage.params["inputCols"]
        elif stage.makes == STACK:
            weights, result.intercept = _plane(stage)
            names = [column.removeprefix("price_") for column in price_columns]
            result.weights = dict(zip(names, weights.tolist(), strict=True))
        elif stage.kind == "LinearRegressionModel":
            vector = stage.params["featuresCol"]
            parts.append(Plane(vector, *_plane(stage), _means(means, vector)))
        elif stage.kind == "GBTRegressionModel":
            parts.append(_trees(stage))
        if parts and (member := _LOG.fullmatch(stage.makes or "")):
            result.members[member[1]], parts = parts, []
    return result


def _means(means: Mapping[str, Numbers], vector: str) -> Numbers:
    if vector not in means:
        raise ExplanationError(f"the model was registered without the means of its {vector}")
    return means[vector]


def _plane(stage: Stage) -> tuple[Numbers, float]:
    row = pq.read_table(stage.folder / "data").to_pylist()[0]
    vector = row["coefficients"]
    dense = np.array(vector["values"])
    if vector["indices"] is None:
        return dense, row["intercept"]
    sparse = np.zeros(vector["size"])
    sparse[vector["indices"]] = dense
    return sparse, row["intercept"]


def _trees(stage: Stage) -> Trees:
    weights = pq.read_table(stage.folder / "treesMetadata").sort_by("_1")["_3"].to_numpy()
    nodes = Nodes.of(pq.read_table(stage.folder / "data"), weights)
    return Trees(stage.params["featuresCol"], Forest(nodes, stage.about["numFeatures"]))
