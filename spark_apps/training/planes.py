"""Linear models: the sums that ridge regressions are solved of, planes as given, planes of what varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np
from pyspark import SparkContext
from pyspark.ml.common import _py2java
from pyspark.ml.feature import VectorAssembler, VectorSlicer
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import LinearRegressionModel
from pyspark.ml.stat import Summarizer
from pyspark.mllib.linalg.distributed import RowMatrix
from pyspark.mllib.util import MLUtils
from pyspark.sql import functions as F

from spark_apps.jvm import jvm
from spark_apps.training.shrinkage import NormalEquations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.ml import Estimator
    from pyspark.sql import DataFrame

_ONE, _ALL = "one", "features_one_label"
_VARYING = "varying_features"
# A standard deviation of less, of the column's mean, is rounding.
_ROUNDING = 1e-6


def normal_equations(rows: DataFrame, features: Sequence[str], label: str) -> NormalEquations:
    """Sum up, in one pass, over ``features`` (columns of numbers and vectors) and ``label``."""
    assembler = VectorAssembler(inputCols=[*features, _ONE, label], outputCol=_ALL, handleInvalid="keep")
    vectors = assembler.transform(rows.withColumn(_ONE, F.lit(1.0))).select(_ALL)
    sums = RowMatrix(MLUtils.convertVectorColumnsFromML(vectors, _ALL)).computeGramianMatrix().toArray()
    *_, ones, labels = sums
    count = max(ones[-2], 1.0)
    means, label_mean = ones[:-2] / count, float(ones[-1] / count)
    return NormalEquations(
        gram=sums[:-2, :-2] - count * np.outer(means, means),
        moments=labels[:-2] - count * means * label_mean,
        means=means,
        label_mean=label_mean,
        label_square=float(labels[-1] - count * label_mean**2),
        rows=float(count),
    )


def plane(
    coefficients: Sequence[float] | np.ndarray[Any, Any], intercept: float, *, features: str, to: str
) -> LinearRegressionModel:
    """Return the linear model with these coefficients; PySpark can make one only by fitting it."""
    context = SparkContext._active_spark_context
    java_model = jvm().org.apache.spark.ml.regression.LinearRegressionModel(
        f"LinearRegression_{uuid4().hex[:12]}",
        _py2java(cast("SparkContext", context), Vectors.dense(coefficients)),
        float(intercept),
        1.0,
    )
    return LinearRegressionModel(java_model).setFeaturesCol(features).setPredictionCol(to)


def fit_plane(estimator: Estimator[LinearRegressionModel], rows: DataFrame) -> LinearRegressionModel:
    """Fit a linear ``estimator`` on the features that vary, and return its plane, over all of them.

    Of a column that is constant Spark takes rounding for a variance and divides by it, so its coefficient
    could be anything: which shows in the price of the first listing that has another value.
    """
    features, to = estimator.getOrDefault("featuresCol"), estimator.getOrDefault("predictionCol")
    size, places = _varying(rows, features)
    if len(places) == size:
        return estimator.fit(rows)
    sliced = VectorSlicer(inputCol=features, outputCol=_VARYING, indices=places).transform(rows)
    fitted = estimator.fit(sliced, {estimator.getParam("featuresCol"): _VARYING})
    coefficients = np.zeros(size)
    coefficients[places] = fitted.coefficients.toArray()
    return plane(coefficients, fitted.intercept, features=features, to=to)


def _varying(rows: DataFrame, features: str) -> tuple[int, list[int]]:
    """Return how many features there are, and the places of those that vary, of one at least."""
    summary = Summarizer.metrics("mean", "std").summary(F.col(features)).alias("found")
    found = cast("Any", rows.select(summary).first())["found"]
    means, deviations = found["mean"].toArray(), found["std"].toArray()
    places = np.flatnonzero(deviations > _ROUNDING * np.abs(means))
    return len(means), places.tolist() or [0]
