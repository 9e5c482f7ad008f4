"""What came of a contestant. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.benchmarks.processes import Usage

WHOLE_JOB, SPARKS_JOB = "the whole job", "the whole job on Spark's GBTRegressor"
XGBOOST, LIGHTGBM = "XGBoost alone", "LightGBM alone"


@dataclass(frozen=True)
class Result:
    """What a contestant took and how well it prices; ``rows`` are those it learned from.

    ``rmse`` is what it ends up with, ``boosting_rmse`` that of boosting alone: dollars, of the rows when they
    were held out; ``test_rmse`` is that of the job's model, fitted on all rows, of the cars of its test.
    ``rounds`` are those kept of all fits of boosting, 0 where nobody counts them. ``steps``
    and ``fit_seconds`` (by member, side by side) are the job's own.
    """

    contestant: str
    command: str
    version: str
    rows: int
    usage: Usage
    rmse: float
    boosting_rmse: float
    test_rmse: float | None
    rounds: int
    steps: Mapping[str, float]
    fit_seconds: Mapping[str, float]
