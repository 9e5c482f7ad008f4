"""Linear models not fitted by Spark: ridge regressions of any penalty by one pass, planes as given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np
from pyspark import SparkContext
from pyspark.ml.common import _py2java
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import LinearRegressionModel
from pyspark.mllib.linalg.distributed import RowMatrix
from pyspark.mllib.util import MLUtils
from pyspark.sql import functions as F

from spark_apps.jvm import jvm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

_ONE, _ALL = "one", "features_one_label"


@dataclass(frozen=True)
class NormalEquations:
    """The sums of which every ridge regression on the same rows and features is solved.

    ``gram`` (features by features), ``moments`` (features) and ``means`` (features) are of features and label
    less their means; ``label_mean`` is that of the label. ``priors`` (features) says how much more or less
    than others each is drawn to the mean.
    """

    gram: np.ndarray[Any, Any]
    moments: np.ndarray[Any, Any]
    means: np.ndarray[Any, Any]
    label_mean: float
    priors: np.ndarray[Any, Any]

    def first(self, features: int) -> NormalEquations:
        """Return the equations of the first features alone."""
        return NormalEquations(
            self.gram[:features, :features],
            self.moments[:features],
            self.means[:features],
            self.label_mean,
            self.priors[:features],
        )

    def ridge(self, prior_rows: float) -> tuple[np.ndarray[Any, Any], float]:
        """Return coefficients and intercept, drawn to the mean as if by so many rows times ``priors``."""
        penalised = self.gram.copy()
        penalised[np.diag_indices_from(penalised)] += prior_rows * self.priors
        coefficients = np.linalg.solve(penalised, self.moments)
        return coefficients, self.label_mean - float(coefficients @ self.means)


def normal_equations(
    rows: DataFrame, features: Sequence[str], label: str, priors: np.ndarray[Any, Any]
) -> NormalEquations:
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
        priors=priors,
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
