"""Gradient boosting: XGBoost on the JVM as an estimator, fitted there and turned into Spark's own trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_apps.jvm import floats, jvm, texts
from spark_apps.training.trees import Node, gbt_model, parse

if TYPE_CHECKING:
    from pyspark.ml.regression import GBTRegressionModel

_ARRAY = "xgboost_features"


@dataclass(frozen=True)
class XGBoost:
    """What XGBoost is told; it sees the first ``seen`` features.

    Its label should be near 0: it adds its trees' answers up in float32, and the farther the sum is from 0,
    the more is rounded away of each.
    """

    rounds: int
    depth: int
    leaves: int
    seen: int
    learning_rate: float = 0.1
    min_child_weight: float = 1.0
    subsample: float = 1.0
    columns_a_tree: float = 0.6
    l2: float = 2.0
    workers: int = 1
    seed: int = 0

    def fit(
        self,
        train: DataFrame,
        validation: DataFrame | None,
        *,
        label: str,
        weight: str,
        features: str,
        patience: int = 50,
    ) -> XGBoostFit:
        """Fit on ``train``; with ``validation`` the rounds end when ``patience`` of them bring nothing."""
        estimator = self._estimator(label, weight)
        if validation is not None:
            estimator.setNumEarlyStoppingRounds(patience)
            estimator.setEvalDataset(_with_array(validation, features, self.seen)._jdf)
        model = estimator.train(_with_array(train, features, self.seen)._jdf)
        best = model.nativeBooster().getAttrs().get("best_iteration")
        rounds = int(best.get()) + 1 if best.isDefined() else self.rounds
        return XGBoostFit(model, rounds)

    def _estimator(self, label: str, weight: str) -> Any:
        estimator = jvm().ml.dmlc.xgboost4j.scala.spark.XGBoostRegressor()
        estimator.setObjective("reg:squarederror").setTreeMethod("hist").setGrowPolicy("lossguide")
        estimator.setNumWorkers(self.workers).setNthread(1).setSeed(self.seed)
        estimator.setNumRound(self.rounds).setMaxDepth(self.depth).setMaxLeaves(self.leaves)
        estimator.setEta(self.learning_rate).setMinChildWeight(float(self.min_child_weight))
        estimator.setSubsample(self.subsample).setColsampleBytree(self.columns_a_tree).setLambda(self.l2)
        estimator.setBaseScore(0.0)
        estimator.setLabelCol(label)
        estimator.setWeightCol(weight)
        estimator.setFeaturesCol(_ARRAY)
        return estimator


def _with_array(df: DataFrame, features: str, seen: int) -> DataFrame:
    """Give features as an array: in a sparse vector XGBoost takes what is not there for missing."""
    return df.withColumn(_ARRAY, F.slice(vector_to_array(F.col(features), "float32"), 1, seen))


@dataclass(frozen=True)
class LearningCurve:
    """RMSE after each round, in units of the label; of the validation rows only where there were some."""

    train: tuple[float, ...]
    validation: tuple[float, ...]


class Trees(Protocol):
    """Fitted trees whose answers add up."""

    @property
    def rounds(self) -> int:
        """How many of them were best."""

    def transform(self, df: DataFrame, features: str, to: str) -> DataFrame:
        """Add their answer as the column ``to``."""

    def native(self, folder: str, features: int) -> GBTRegressionModel:
        """Return them as Spark's own model of so many features; ``folder`` is for the making of it."""

    def curve(self) -> LearningCurve:
        """Return how the rounds went."""


@dataclass(frozen=True)
class SparkTrees:
    """Trees of Spark's own."""

    model: GBTRegressionModel

    @property
    def rounds(self) -> int:
        """How many there are."""
        return int(self.model.getNumTrees)

    def transform(self, df: DataFrame, features: str, to: str) -> DataFrame:
        """Add their answer as the column ``to``."""
        return self.model.setFeaturesCol(features).setPredictionCol(to).transform(df)

    def native(self, folder: str, features: int) -> GBTRegressionModel:  # noqa: ARG002  # it is made
        """Return the model."""
        return self.model

    def curve(self) -> LearningCurve:
        """Return nothing: it keeps none."""
        return LearningCurve((), ())


@dataclass(frozen=True)
class XGBoostFit:
    """A fitted booster, in the JVM; after ``rounds`` of its trees it was best.

    It predicts with all of them, also those that early stopping waited for: so xgboost4j-spark has it, and
    by then they change next to nothing.
    """

    model: Any
    rounds: int

    def transform(self, df: DataFrame, features: str, to: str) -> DataFrame:
        """Add XGBoost's own prediction as the column ``to``."""
        self.model.setPredictionCol(to)
        seen = int(self.model.nativeBooster().getNumFeature())
        predicted = DataFrame(self.model.transform(_with_array(df, features, seen)._jdf), df.sparkSession)
        return predicted.withColumn(to, F.col(to).cast("double")).drop(_ARRAY)

    def curve(self) -> LearningCurve:
        """Return how the rounds went, those after the best one too."""
        summary = self.model.summary().get()
        validation = summary.validationObjectiveHistory()
        return LearningCurve(
            floats(summary.trainObjectiveHistory()),
            floats(validation.apply(0)._2()) if validation.nonEmpty() else (),
        )

    def trees(self) -> list[list[Node]]:
        """Return the trees, whose answers add up."""
        dumps = texts(self.model.nativeBooster().getModelDump("", True, "json"))
        return [parse(dump) for dump in dumps]

    def native(self, folder: str, features: int) -> GBTRegressionModel:
        """Return Spark's own model of the same trees, by way of ``folder``."""
        return gbt_model(SparkSession.active(), self.trees(), features=features, folder=folder)
