"""Errors of predicted prices, as sums that add up over folds."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Errors:
    """Sums over rows of the error (predicted less real, dollars) and of the real price."""

    count: float
    error: float
    absolute: float
    squared: float
    real: float
    real_squared: float

    @classmethod
    def of(cls, predicted: np.ndarray[Any, Any], real: np.ndarray[Any, Any]) -> Self:
        """Measure arrays of dollars."""
        error = predicted - real
        terms = (np.ones(len(real)), error, np.abs(error), error**2, real, real**2)
        return cls(*(float(term.sum()) for term in terms))

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, dollars."""
        return math.sqrt(self.squared / self.count)

    @property
    def mae(self) -> float:
        """Mean absolute error, dollars."""
        return self.absolute / self.count

    @property
    def bias(self) -> float:
        """Mean error, dollars; above 0 where prices are predicted too high."""
        return self.error / self.count

    @property
    def r2(self) -> float:
        """Share of the prices' variance that is explained; 0 when there is none."""
        spread = self.real_squared - self.real**2 / self.count
        return 1 - self.squared / spread if spread > 0 else 0.0

    def named(self, prefix: str) -> dict[str, float]:
        """Return the four figures as ``<prefix>.rmse`` and so on."""
        names = ("rmse", "mae", "r2", "bias")
        return {f"{prefix}.{name}": getattr(self, name) for name in names}


def errors(predicted: DataFrame, columns: Sequence[str], label: str = "label") -> list[Errors]:
    """Measure each of ``columns`` (dollars) against ``label`` in one pass over ``predicted``."""
    real = F.col(label)
    sums = []
    for position, column in enumerate(columns):
        error = F.col(column) - real
        terms = (F.lit(1.0), error, F.abs(error), error * error, real, real * real)
        sums += [F.sum(term).alias(f"_{position}_{n}") for n, term in enumerate(terms)]
    found = predicted.agg(*sums).first()
    assert found is not None  # an aggregate without grouping has one row  # noqa: S101
    width = len(fields(Errors))
    return [Errors(*found[n * width : (n + 1) * width]) for n in range(len(columns))]
