"""What a tree is told of a label: numbers that a ridge regression has learned of it.

Of a category with many labels trees get the coefficients: how much dearer a label is, and how much faster it
loses with age and with miles. So every split is one of a number, which Spark's trees are quick at; one over
a set of labels is searched in a set of boxed numbers. On real listings the error is that of splits over all
labels, on generated ones with their 1,400 models it is less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np
from pyspark import SparkContext
from pyspark.ml.common import _py2java
from pyspark.ml.feature import PCAModel
from pyspark.ml.linalg import DenseMatrix, Vectors

from spark_apps.jvm import jvm
from spark_apps.listings.features import CATEGORIES, Labels

if TYPE_CHECKING:
    from spark_apps.training.planes import NormalEquations

# The categories of many labels; of the others trees get the one-hot vectors.
WIDE = ("body_type", "engine_type", "listing_color", "make", "model", "transmission_display", "trim")
NARROW = tuple(name for name in CATEGORIES if name not in WIDE)
# Categories whose labels have slopes of their own over a number.
INTERACTIONS = (("model", "age"), ("model", "mileage"), ("make", "mileage"))

# How many labels, the most frequent ones, have slopes.
_SLOPES_AT_MOST = 500

_PRIOR_ROWS = 2.0
# How much less than other features these are drawn to the mean: they explain so much of a price that a car
# or two tell what they are worth.
_FIRMER = {"make": 0.5, "model": 0.1, "trim": 0.25}


@dataclass(frozen=True)
class Embedding:
    """Columns of numbers by the place of a label in the one-hot vectors, one after another.

    ``weights`` is one-hot places by columns; each column has the numbers of one category's labels.
    """

    names: tuple[str, ...]
    weights: np.ndarray[Any, Any]

    def stage(self, one_hots: str, to: str) -> PCAModel:
        """Return the stage that looks a listing's labels up: what a PCA's model does is a linear map."""
        context = cast("SparkContext", SparkContext._active_spark_context)
        places, columns = self.weights.shape
        matrix = DenseMatrix(places, columns, self.weights.ravel(order="F"))
        java_model = jvm().org.apache.spark.ml.feature.PCAModel(
            f"PCA_{uuid4().hex[:12]}",
            _py2java(context, matrix),
            _py2java(context, Vectors.dense(np.zeros(len(self.names)))),
        )
        model = cast("PCAModel", PCAModel._from_java(java_model))
        model.set(model.k, len(self.names))
        return model.setInputCol(one_hots).setOutputCol(to)


def one_hot_widths(labels: Labels) -> tuple[int, ...]:
    """Return the width of each category's one-hot vector: its indices, and one that no listing has."""
    return tuple(arity + 1 for arity in labels.arities)


def slope_widths(labels: Labels) -> tuple[int, ...]:
    """Return of how many labels each interaction has slopes."""
    widths = dict(zip(CATEGORIES, one_hot_widths(labels), strict=True))
    return tuple(min(widths[category], _SLOPES_AT_MOST) for category, _ in INTERACTIONS)


def priors(labels: Labels, *, numbers: int) -> np.ndarray[Any, Any]:
    """Return how much each feature is drawn to the mean: of numbers, one-hot vectors and interactions."""
    widths = dict(zip(CATEGORIES, one_hot_widths(labels), strict=True))
    of_labels = [np.full(width, _FIRMER.get(category, 1.0)) for category, width in widths.items()]
    return np.concatenate([np.ones(numbers), *of_labels, np.ones(sum(slope_widths(labels)))])


def embed(labels: Labels, equations: NormalEquations, *, numbers: int) -> Embedding:
    """Learn the columns by a ridge regression on so many numbers, the one-hot vectors and interactions."""
    coefficients, _ = equations.ridge(_PRIOR_ROWS)
    widths = dict(zip(CATEGORIES, one_hot_widths(labels), strict=True))
    starts = dict(zip(widths, np.cumsum([0, *widths.values()]).tolist(), strict=False))
    places = sum(widths.values())

    def column(category: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        whole = np.zeros(places)
        # As trees and XGBoost see it, so that both split alike.
        whole[starts[category] : starts[category] + len(values)] = values.astype(np.float32)
        return whole

    def level(category: str) -> np.ndarray[Any, Any]:
        start = numbers + starts[category]
        return coefficients[start : start + widths[category]]

    columns = {f"level_{name}": column(name, level(name)) for name in WIDE}
    start = numbers + places
    for (category, number), width in zip(INTERACTIONS, slope_widths(labels), strict=True):
        columns[f"{category}_by_{number}"] = column(category, coefficients[start : start + width])
        start += width
    return Embedding(tuple(columns), np.column_stack(list(columns.values())))
