"""The members of the ensemble: what each is fitted with, over which grid, and what it becomes.

All of them predict the logarithm of the price: what makes a car dearer does so by a share of its price. Much
of that adds up, which a plane says best, and by few rows; trees are for what a plane cannot say. So boosting
is fitted on what a ridge regression leaves, which lowers its RMSE: by up to 1 % on real listings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.ml.feature import SQLTransformer
from pyspark.ml.regression import GBTRegressor, LinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_apps.jvm import uncache
from spark_apps.training.boosting import SparkTrees, XGBoost
from spark_apps.training.planes import fit_plane, plane
from spark_apps.training.preparation import FEATURE_COLUMNS, FEATURES, TREE_FEATURES
from spark_apps.training.svm import LinearSVR

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.ml.regression import LinearRegressionModel
    from pyspark.sql import Column

    from spark_apps.training.boosting import Trees
    from spark_apps.training.preparation import Encoding
    from spark_apps.training.settings import TrainingSettings

Params = dict[str, float]

LOG_LABEL = "log_label"
# Rows by which boosting stops early: a tenth of the cars it is given, never those held out.
STOPPING = "stopping"

_RIDGE, _TREES, _RESIDUAL, _WEIGHT = "ridge_part", "trees_part", "residual", "row_weight"
_FINE = 1_000_003  # into how many parts rows are cut, of which some are taken
_USUAL_PRICE = 20_000  # dollars; a row of this price has the weight 1

# The cheapest and the dearest car trained on, dollars.
PriceRange = tuple[float, float]


def log_column(member: str) -> str:
    """Return the column with a member's own prediction, the logarithm of a price."""
    return f"log_{member}"


def price_sql(member: str, within: PriceRange) -> str:
    """Return the SQL of a member's price in dollars, which is never beyond the prices trained on.

    A logarithm that is drawn on a little too far is a price far too high: of one old supercar a new one
    would cost half a million.
    """
    least, most = (math.log(price) for price in within)
    return f"exp(greatest({least!r}D, least({most!r}D, {log_column(member)})))"


class Fit(Protocol):
    """What a fitted member can do."""

    def transform(self, df: DataFrame) -> DataFrame:
        """Add the member's log column."""

    def stages(self, scratch: str) -> list[Transformer]:
        """Return the stock Spark stages that add it; ``scratch`` is a folder for the making of them."""

    def chosen(self) -> Params:
        """Return what the fit itself has chosen, such as the rounds."""

    def curves(self) -> dict[str, tuple[float, ...]]:
        """Return by name the RMSE after each round, on the member's scale; nothing if it has no rounds."""


class Member(Protocol):
    """An estimator with its grid."""

    @property
    def name(self) -> str:
        """The member's name in metrics, columns and answers."""

    @property
    def grid(self) -> tuple[Params, ...]:
        """The settings to choose from by cross-validation."""

    def fit(self, train: DataFrame, encoding: Encoding, params: Params) -> Fit:
        """Fit on ``train``, which has ``features``, ``label``, ``log_label`` and ``stopping``."""


@dataclass(frozen=True)
class StageFit:
    """A fitted stage of Spark's own."""

    model: Any

    def transform(self, df: DataFrame) -> DataFrame:
        """Add the member's log column."""
        return self.model.transform(df)  # type: ignore[no-any-return]

    def stages(self, scratch: str) -> list[Transformer]:  # noqa: ARG002  # there is nothing to make
        """Return the stage itself."""
        return [self.model]

    def chosen(self) -> Params:
        """Return nothing: the parameters were all given."""
        return {}

    def curves(self) -> dict[str, tuple[float, ...]]:
        """Return nothing: there are no rounds."""
        return {}


@dataclass(frozen=True)
class LinearRegressionMember:
    """Linear regression, solved in one pass."""

    name: str = "linear_regression"
    grid: tuple[Params, ...] = ({"l2": 1e-4}, {"l2": 1e-3}, {"l2": 1e-2})

    def fit(self, train: DataFrame, encoding: Encoding, params: Params) -> Fit:  # noqa: ARG002
        """Fit with the penalty ``l2``, of features on one scale."""
        estimator = LinearRegression(
            featuresCol=FEATURES,
            labelCol=LOG_LABEL,
            weightCol=_WEIGHT,
            predictionCol=log_column(self.name),
            solver="normal",
            regParam=params["l2"],
        )
        return StageFit(fit_plane(estimator, train.withColumn(_WEIGHT, row_weight())))


@dataclass(frozen=True)
class LinearSVMMember:
    """Linear support vector regression, which large errors pull on no more than small ones.

    A plane of some hundred numbers is no better by more than ``rows_at_most`` rows, and takes that much
    longer: each of its rounds reads all of them twice.
    """

    rows_at_most: int
    name: str = "linear_svm"
    grid: tuple[Params, ...] = (
        {"epsilon": 0.1, "l2": 1e-4},
        {"epsilon": 0.3, "l2": 1e-4},
        {"epsilon": 0.03, "l2": 1e-5},
    )

    def fit(self, train: DataFrame, encoding: Encoding, params: Params) -> Fit:  # noqa: ARG002
        """Fit ``epsilon`` (in deviations of the label) and ``l2``."""
        estimator = LinearSVR(
            featuresCol=FEATURES,
            labelCol=LOG_LABEL,
            predictionCol=log_column(self.name),
            epsilon=params["epsilon"],
            regParam=params["l2"],
        )
        taken = at_most(self.rows_at_most, train)
        if taken is train:
            return StageFit(fit_plane(estimator, train))
        # A fit reads its rows some six times; without a copy it would search all rows for them each time.
        copied = taken.localCheckpoint()
        try:
            return StageFit(fit_plane(estimator, copied))
        finally:
            uncache(copied)


def at_most(rows: int, train: DataFrame) -> DataFrame:
    """Return ``train``, or about so many of its rows by their ``row``: the same ones in every attempt."""
    found = train.count()
    if found <= rows:
        return train
    return train.where(F.pmod(F.col("row"), F.lit(_FINE)) < F.lit(rows / found * _FINE))


@dataclass(frozen=True)
class BoostingFit:
    """A ridge regression, and trees for what it leaves."""

    name: str
    ridge: LinearRegressionModel
    trees: Trees

    def transform(self, df: DataFrame) -> DataFrame:
        """Add the member's log column, by the trees' own library."""
        said = self.trees.transform(self.ridge.transform(df), FEATURES, _TREES)
        return said.withColumn(log_column(self.name), F.col(_RIDGE) + F.col(_TREES)).drop(_RIDGE, _TREES)

    def stages(self, scratch: str) -> list[Transformer]:
        """Return the same as stages of Spark's own."""
        trees = self.trees.native(f"{scratch}/{self.name}", len(FEATURE_COLUMNS))
        both = SQLTransformer(
            statement=f"SELECT * EXCEPT ({_RIDGE}, {_TREES}), {_RIDGE} + {_TREES} AS {log_column(self.name)} "  # noqa: S608
            "FROM __THIS__"
        )
        return [self.ridge, trees.setFeaturesCol(FEATURES).setPredictionCol(_TREES), both]

    def chosen(self) -> Params:
        """Return how many rounds were best."""
        return {"rounds": float(self.trees.rounds)}

    def curves(self) -> dict[str, tuple[float, ...]]:
        """Return the RMSE on the rows fitted on and on those that stop the rounds."""
        curve = self.trees.curve()
        return {"train": curve.train, "stopping": curve.validation} if curve.train else {}


def _ridge(encoding: Encoding) -> LinearRegressionModel:
    """Return the ridge regression that the levels and slopes of labels were learned by."""
    embedding = encoding.embedding
    coefficients = embedding.coefficients(FEATURE_COLUMNS)
    return plane(coefficients, embedding.intercept, features=FEATURES, to=_RIDGE)


def row_weight() -> Column:
    """Return the weight of a row by its ``label`` (dollars).

    An error of the logarithm costs the more dollars the dearer the car, but the dear ones are few and
    their prices spread: a weight of the root of the price gives the least RMSE and MAE on real listings.
    """
    return F.sqrt(F.col("label") / _USUAL_PRICE)


def _with_residual(train: DataFrame, ridge: LinearRegressionModel) -> DataFrame:
    """Add what the ridge leaves of the logarithm, and the weight of a row."""
    left = {_RESIDUAL: F.col(LOG_LABEL) - F.col(_RIDGE), _WEIGHT: row_weight()}
    return ridge.transform(train).withColumns(left)


@dataclass(frozen=True)
class XGBoostMember:
    """XGBoost on what a ridge regression leaves.

    Early stopping chooses the rounds, a budget of nodes bounds them. The ridge is of all rows, trees are of
    ``rows_at_most``: XGBoost holds its rows in memory, with all features, beside the heap.
    """

    rounds: int
    nodes: int
    rows_at_most: int
    name: str = "gradient_boosting"
    workers: int = 1
    validation_workers: int = 1
    grid: tuple[Params, ...] = (
        {"leaves": 64, "learning_rate": 0.07, "l2": 4.0},
        {"leaves": 32, "learning_rate": 0.1, "l2": 2.0},
        {"leaves": 64, "learning_rate": 0.1, "l2": 2.0},
        {"leaves": 128, "learning_rate": 0.07, "l2": 10.0},
    )

    def fit(self, train: DataFrame, encoding: Encoding, params: Params) -> Fit:
        """Fit ``leaves`` a tree, ``learning_rate`` and ``l2``, for ``rounds`` or until stopped early."""
        settings = self.settings(params)
        ridge = _ridge(encoding)
        rows, stopping = _with_residual(at_most(self.rows_at_most, train), ridge), F.col(STOPPING)
        parts = (rows, None) if "rounds" in params else (rows.where(~stopping), rows.where(stopping))
        trees = settings.fit(*parts, label=_RESIDUAL, weight=_WEIGHT, features=FEATURES)
        return BoostingFit(self.name, ridge, trees)

    def settings(self, params: Params) -> XGBoost:
        """Return what XGBoost is told; with ``rounds`` given it is the last fit, on all rows.

        Fits of a validation run beside each other: a second worker in one would only talk to the first.
        """
        leaves = int(params["leaves"])
        most = min(self.rounds, self.nodes // (2 * leaves))
        return XGBoost(
            rounds=min(int(params.get("rounds", most)), most),
            depth=12,
            leaves=leaves,
            seen=len(TREE_FEATURES),
            learning_rate=params["learning_rate"],
            l2=params["l2"],
            workers=self.workers if "rounds" in params else self.validation_workers,
        )


@dataclass(frozen=True)
class SparkBoostingMember:
    """Spark's own ``GBTRegressor`` on what a ridge leaves: slower by ten times, without a foreign library."""

    name: str = "gradient_boosting"
    grid: tuple[Params, ...] = (
        {"depth": 5, "rounds": 40},
        {"depth": 7, "rounds": 40},
        {"depth": 5, "rounds": 80},
        {"depth": 7, "rounds": 80},
    )

    def fit(self, train: DataFrame, encoding: Encoding, params: Params) -> Fit:
        """Fit trees of ``depth`` for ``rounds``."""
        estimator = GBTRegressor(
            featuresCol=FEATURES,
            labelCol=_RESIDUAL,
            weightCol=_WEIGHT,
            maxDepth=int(params["depth"]),
            maxIter=int(params["rounds"]),
            maxBins=64,
            stepSize=0.15,
            subsamplingRate=0.8,
            seed=0,
        )
        ridge = _ridge(encoding)
        return BoostingFit(self.name, ridge, SparkTrees(estimator.fit(_with_residual(train, ridge))))


def members(settings: TrainingSettings, partitions: int) -> tuple[Member, ...]:
    """Return the ensemble, the member that takes longest first.

    XGBoost gets a worker for each of the rows' ``partitions``, but never more than can run at once; in the
    validation as many as can while other fits run.
    """
    boosting = (
        XGBoostMember(
            settings.boosting_rounds,
            settings.boosting_nodes,
            settings.boosting_rows,
            workers=min(partitions, settings.cores),
            validation_workers=max(1, min(partitions, settings.cores // settings.parallelism)),
        )
        if settings.boosting == "xgboost"
        else SparkBoostingMember()
    )
    ensemble = (boosting, LinearSVMMember(settings.svm_rows), LinearRegressionMember())
    return tuple(replace(member, grid=member.grid[: settings.grid]) for member in ensemble)
