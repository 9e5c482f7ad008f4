"""Linear support vector regression on Spark's linear classifier.

Epsilon-SVR reduces exactly to separating (x, y + epsilon) from (x, y - epsilon) with y as one more feature
(Bi and Bennett 2003, "A geometric approach to support vector regression"): the plane w·x + d·y + b = 0
that separates them is the regression y = -(w·x + b) / d. It is kept as a ``LinearRegressionModel``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import Estimator
from pyspark.ml.classification import LinearSVC
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasMaxIter,
    HasPredictionCol,
    HasRegParam,
)
from pyspark.ml.regression import LinearRegressionModel
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F

from spark_apps.training.planes import plane

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_TARGET, _SIDE, _BOTH = "svr_target", "svr_side", "svr_features"


class LinearSVR(
    Estimator[LinearRegressionModel],
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasMaxIter,
    HasRegParam,
    DefaultParamsReadable["LinearSVR"],
    DefaultParamsWritable,
):
    """Epsilon-SVR with a linear kernel; ``epsilon`` is in standard deviations of the label."""

    epsilon: Param[float] = Param(
        Params._dummy(),  # how every Param of Spark ML is declared
        "epsilon",
        "half the width of the tube without loss, in standard deviations of the label",
        typeConverter=TypeConverters.toFloat,
    )

    def __init__(
        self,
        *,
        featuresCol: str = "features",  # noqa: N803  # Spark ML's names
        labelCol: str = "label",  # noqa: N803
        predictionCol: str = "prediction",  # noqa: N803
        epsilon: float = 0.1,
        regParam: float = 1e-4,  # noqa: N803
        maxIter: int = 100,  # noqa: N803
    ) -> None:
        super().__init__()
        self._set(
            featuresCol=featuresCol,
            labelCol=labelCol,
            predictionCol=predictionCol,
            epsilon=epsilon,
            regParam=regParam,
            maxIter=maxIter,
        )

    def _fit(self, dataset: DataFrame) -> LinearRegressionModel:
        label, features = self.getLabelCol(), self.getFeaturesCol()
        mean, deviation = dataset.agg(F.mean(label), F.stddev_pop(label)).first() or (0.0, 0.0)
        deviation = deviation or 1.0
        centred = dataset.withColumn(_TARGET, (F.col(label) - mean) / deviation)
        coefficients = self._slopes(centred, features) * deviation
        # The separating plane's own offset is where wide tubes leave it; the median residual is robust.
        flat = plane(coefficients, mean, features=features, to=_TARGET)
        residual = F.col(label) - F.col(_TARGET)
        offset = flat.transform(dataset).agg(F.percentile_approx(residual, 0.5)).first()
        intercept = mean + (offset[0] if offset else 0.0)
        return plane(coefficients, intercept, features=features, to=self.getPredictionCol())

    def _slopes(self, centred: DataFrame, features: str) -> np.ndarray[Any, Any]:
        """Return the regression's slopes, in deviations of the label."""
        epsilon = self.getOrDefault(self.epsilon)
        sides = F.explode(
            F.array(F.struct(_shifted(epsilon), F.lit(1.0)), F.struct(_shifted(-epsilon), F.lit(0.0)))
        )
        doubled = centred.select(features, sides.alias("side")).select(
            features, F.col("side.col1").alias(_TARGET), F.col("side.col2").alias(_SIDE)
        )
        both = VectorAssembler(inputCols=[features, _TARGET], outputCol=_BOTH).transform(doubled)
        separator = LinearSVC(
            featuresCol=_BOTH,
            labelCol=_SIDE,
            regParam=self.getRegParam(),
            maxIter=self.getMaxIter(),
            standardization=True,  # without it, 60 rounds end farther from the best than 15
        ).fit(both.select(_BOTH, _SIDE))
        plane_and_slope = separator.coefficients.toArray()
        slope = plane_and_slope[-1]
        if slope <= 0:  # regularised until nothing is left: no feature says anything
            return np.zeros(len(plane_and_slope) - 1)
        return np.asarray(-plane_and_slope[:-1] / slope)


def _shifted(by: float) -> Any:
    return (F.col(_TARGET) + by).alias("col1")
