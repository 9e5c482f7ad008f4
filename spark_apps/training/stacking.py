"""The stack: a linear regression on what the members said of rows they were not fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import LinearRegression, LinearRegressionModel
from pyspark.sql import functions as F

from spark_apps.training.planes import plane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

STACK_FEATURES = "member_prices"
STACK = "stack"


@dataclass(frozen=True)
class Stack:
    """A weight for each member, and dollars added."""

    members: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float

    def predict(self, prices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Predict from members' prices (rows by members, dollars)."""
        return np.asarray(prices @ np.asarray(self.weights) + self.intercept)

    def stages(self) -> list[VectorAssembler | LinearRegressionModel]:
        """Return the stages that add ``stack``; they need ``price_<member>``."""
        return [
            _assembler(self.members),
            plane(self.weights, self.intercept, features=STACK_FEATURES, to=STACK),
        ]


def price_column(member: str) -> str:
    """Return the column with a member's price in dollars."""
    return f"price_{member}"


def _assembler(members: Sequence[str]) -> VectorAssembler:
    return VectorAssembler(
        inputCols=[price_column(member) for member in members], outputCol=STACK_FEATURES, handleInvalid="keep"
    )


def fit_stack(out_of_fold: DataFrame, members: Sequence[str]) -> Stack:
    """Fit by least squares with no weight below 0: members that would get one are left out.

    Needs: ``label`` and ``price_<member>``, dollars. A negative weight would bet on the difference of two
    members that know the same, and such a bet does not hold on other rows.
    """
    used = list(members)
    while True:
        fitted = LinearRegression(
            featuresCol=STACK_FEATURES, labelCol="label", solver="normal", regParam=0.0
        ).fit(_assembler(used).transform(out_of_fold))
        weights = dict(zip(used, fitted.coefficients.toArray(), strict=True))
        worst = min(weights, key=lambda member: weights[member])
        if weights[worst] >= 0 or len(used) == 1:
            return Stack(
                tuple(members),
                tuple(max(float(weights.get(member, 0.0)), 0.0) for member in members),
                float(fitted.intercept),
            )
        used.remove(worst)


def alone(member: str, members: Sequence[str]) -> Stack:
    """Return the stack that says what ``member`` says."""
    return Stack(tuple(members), tuple(float(one == member) for one in members), 0.0)


def member_prices(
    out_of_fold: DataFrame, members: Sequence[str]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Bring the real prices and the members' (rows by members, dollars) to the driver, in order."""
    rows = out_of_fold.select("label", *map(price_column, members)).toArrow()
    prices = np.column_stack([rows.column(price_column(member)).to_numpy() for member in members])
    return rows.column("label").to_numpy(), prices


def honest_stack(out_of_fold: DataFrame, members: Sequence[str]) -> Stack:
    """Fit a stack, and take the best member alone unless the stack is surely better.

    Surely: each fold's rows are predicted by a stack fitted on the other folds, and the squared errors saved
    are more than two standard errors above none. Needs: ``label``, ``fold`` and ``price_<member>``.
    """
    label, prices = member_prices(out_of_fold, members)
    fold = out_of_fold.select("fold").toArrow().column("fold").to_numpy()
    squared = (prices - label[:, None]) ** 2
    best = int(squared.mean(axis=0).argmin())
    stacked = np.empty(len(label))
    for number in np.unique(fold):
        others = fit_stack(out_of_fold.where(F.col("fold") != int(number)), members)
        stacked[fold == number] = others.predict(prices[fold == number])
    saved = squared[:, best] - (stacked - label) ** 2
    if saved.mean() <= 2 * saved.std() / np.sqrt(len(saved)):
        return alone(members[best], members)
    return fit_stack(out_of_fold, members)
