"""The members of the ensemble: what each is fitted with, over which grid, and what it becomes.

All of them predict the logarithm of the price: what makes a car dearer does so by a share of its price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.ml.regression import GBTRegressor, LinearRegression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_apps.training.boosting import XGBoost, XGBoostFit
from spark_apps.training.preparation import PLANE_FEATURES, TREE_FEATURES, tree_arities
from spark_apps.training.svm import LinearSVR

if TYPE_CHECKING:
    from pyspark.ml import Model

    from spark_apps.listings.features import Labels
    from spark_apps.training.settings import TrainingSettings

Params = dict[str, float]

LOG_LABEL = "log_label"
# Rows by which boosting stops early: a tenth of the cars it is given, never those held out.
STOPPING = "stopping"

# A car costs between 7 dollars and 5 million: no garbage in makes an infinite price.
_LOG_MIN, _LOG_MAX = 2.0, 15.5


def log_column(member: str) -> str:
    """Return the column with a member's own prediction, the logarithm of a price."""
    return f"log_{member}"


def price_sql(member: str) -> str:
    """Return the SQL of a member's price in dollars."""
    return f"exp(greatest({_LOG_MIN}D, least({_LOG_MAX}D, {log_column(member)})))"


class Fit(Protocol):
    """What a fitted member can do."""

    def transform(self, df: DataFrame) -> DataFrame:
        """Add the member's log column."""

    def stage(self, scratch: str) -> Model:
        """Return the stock Spark stage that adds it; ``scratch`` is a folder for the making of it."""

    def chosen(self) -> Params:
        """Return what the fit itself has chosen, such as the rounds."""


class Member(Protocol):
    """An estimator with its grid."""

    @property
    def name(self) -> str:
        """The member's name in metrics, columns and answers."""

    @property
    def grid(self) -> tuple[Params, ...]:
        """The settings to choose from by cross-validation."""

    def fit(self, train: DataFrame, labels: Labels, params: Params) -> Fit:
        """Fit on ``train``, which has the feature vectors, ``log_label`` and ``stopping``."""


@dataclass(frozen=True)
class StageFit:
    """A fitted stage of Spark's own."""

    model: Any

    def transform(self, df: DataFrame) -> DataFrame:
        """Add the member's log column."""
        return self.model.transform(df)  # type: ignore[no-any-return]

    def stage(self, scratch: str) -> Model:  # noqa: ARG002  # there is nothing to make
        """Return the stage itself."""
        return self.model  # type: ignore[no-any-return]

    def chosen(self) -> Params:
        """Return nothing: the parameters were all given."""
        return {}


@dataclass(frozen=True)
class LinearRegressionMember:
    """Ridge regression, solved in one pass; one-hot categories shrink towards the mean by their rows."""

    name: str = "linear_regression"
    grid: tuple[Params, ...] = ({"l2": 1e-4}, {"l2": 1e-3})

    def fit(self, train: DataFrame, labels: Labels, params: Params) -> Fit:  # noqa: ARG002
        """Fit ``l2``: the weight of the squared coefficients against half the mean squared error."""
        estimator = LinearRegression(
            featuresCol=PLANE_FEATURES,
            labelCol=LOG_LABEL,
            predictionCol=log_column(self.name),
            regParam=params["l2"],
            standardization=False,
            solver="normal",
        )
        return StageFit(estimator.fit(train))


@dataclass(frozen=True)
class LinearSVMMember:
    """Linear support vector regression, which large errors pull on no more than small ones."""

    name: str = "linear_svm"
    # An iteration is a Spark job, whose overhead is most of a small batch's time: hence a short grid.
    grid: tuple[Params, ...] = ({"epsilon": 0.3, "l2": 1e-3}, {"epsilon": 0.3, "l2": 1e-2})

    def fit(self, train: DataFrame, labels: Labels, params: Params) -> Fit:  # noqa: ARG002
        """Fit ``epsilon`` (in deviations of the label) and ``l2``."""
        estimator = LinearSVR(
            featuresCol=PLANE_FEATURES,
            labelCol=LOG_LABEL,
            predictionCol=log_column(self.name),
            epsilon=params["epsilon"],
            regParam=params["l2"],
        )
        return StageFit(estimator.fit(train))


@dataclass(frozen=True)
class BoostingFit:
    """A fitted XGBoost, still in its own form."""

    fitted: XGBoostFit
    name: str
    train: DataFrame

    def transform(self, df: DataFrame) -> DataFrame:
        """Add the member's log column, by XGBoost itself."""
        return self.fitted.transform(df, TREE_FEATURES, log_column(self.name))

    def stage(self, scratch: str) -> Model:
        """Return the same trees as Spark's own model."""
        model = self.fitted.native(self.train.sparkSession, f"{scratch}/{self.name}")
        return model.setFeaturesCol(TREE_FEATURES).setPredictionCol(log_column(self.name))

    def chosen(self) -> Params:
        """Return how many rounds were best."""
        return {"rounds": float(self.fitted.rounds)}


@dataclass(frozen=True)
class XGBoostMember:
    """Gradient boosting by XGBoost; early stopping chooses the rounds, a budget of nodes bounds them."""

    rounds: int
    nodes: int
    name: str = "gradient_boosting"
    workers: int = 1
    grid: tuple[Params, ...] = (
        {"leaves": 32, "learning_rate": 0.1},
        {"leaves": 64, "learning_rate": 0.1},
    )

    def fit(self, train: DataFrame, labels: Labels, params: Params) -> Fit:
        """Fit ``leaves`` a tree and ``learning_rate``; ``rounds``, if given, instead of stopping early."""
        leaves = int(params["leaves"])
        most = min(self.rounds, self.nodes // (2 * leaves))
        mean = train.agg(F.mean(LOG_LABEL)).first()
        settings = XGBoost(
            arities=tree_arities(labels),
            rounds=int(params.get("rounds", most)),
            depth=10,
            leaves=leaves,
            learning_rate=params["learning_rate"],
            base_score=mean[0] if mean else 0.0,
            workers=self.workers,
        )
        if "rounds" in params:
            fitted = settings.fit(train, None, label=LOG_LABEL, features=TREE_FEATURES)
        else:
            stopping = F.col(STOPPING)
            fitted = settings.fit(
                train.where(~stopping), train.where(stopping), label=LOG_LABEL, features=TREE_FEATURES
            )
        return BoostingFit(fitted, self.name, train)


@dataclass(frozen=True)
class SparkBoostingMember:
    """Gradient boosting by Spark's own ``GBTRegressor``: slower by ten times, without a foreign library."""

    labels: int
    name: str = "gradient_boosting"
    grid: tuple[Params, ...] = ({"depth": 5, "rounds": 40}, {"depth": 7, "rounds": 40})

    def fit(self, train: DataFrame, labels: Labels, params: Params) -> Fit:  # noqa: ARG002
        """Fit trees of ``depth`` for ``rounds``."""
        estimator = GBTRegressor(
            featuresCol=TREE_FEATURES,
            labelCol=LOG_LABEL,
            predictionCol=log_column(self.name),
            maxDepth=int(params["depth"]),
            maxIter=int(params["rounds"]),
            # a split over categories needs a bin for each of them
            maxBins=max(64, self.labels + 1),
            stepSize=0.15,
            subsamplingRate=0.8,
            seed=0,
        )
        return StageFit(estimator.fit(train))


def members(settings: TrainingSettings, partitions: int) -> tuple[Member, ...]:
    """Return the ensemble, the member that takes longest first.

    XGBoost gets a worker for each of the rows' ``partitions``, but never more than can run at once.
    """
    workers = min(partitions, settings.cores)
    boosting = (
        XGBoostMember(settings.boosting_rounds, settings.boosting_nodes, workers=workers)
        if settings.boosting == "xgboost"
        else SparkBoostingMember(settings.labels)
    )
    ensemble = (boosting, LinearSVMMember(), LinearRegressionMember())
    return tuple(replace(member, grid=member.grid[: settings.grid]) for member in ensemble)
