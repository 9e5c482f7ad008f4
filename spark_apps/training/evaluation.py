"""How the finished model does on the cars that it has never seen, and on those it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from spark_apps.training.metrics import Errors, errors
from spark_apps.training.rows import TEST, TRAIN
from spark_apps.training.stacking import STACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

_PICTURED = 20_000  # rows
_SHARES = 10_000


@dataclass(frozen=True)
class Evaluation:
    """Errors by part and model (the stack and each member), the interval's figures, and rows to draw."""

    errors: dict[str, dict[str, Errors]]
    coverage: float
    width: float
    predicted: np.ndarray[Any, Any]
    real: np.ndarray[Any, Any]


def evaluate(model: PipelineModel, rows: DataFrame, members: Sequence[str]) -> Evaluation:
    """Price the test rows, and about as many of the others, by the model that will serve.

    Needs: the kept raw columns, ``label``, ``car`` and ``part``.
    """
    is_test = F.col("part") == TEST
    sizes = rows.agg(F.count_if(is_test), F.count_if(~is_test)).first()
    assert sizes is not None  # an aggregate without grouping has one row  # noqa: S101
    drawn = F.pmod(F.xxhash64("car", F.lit("drawn")), F.lit(_SHARES)) <= _SHARES * sizes[0] // sizes[1]
    columns = {STACK: "prediction", **{member: f"members.{member}" for member in members}}
    # Cut off from the model, which would be sent along with every figure that is asked for below.
    priced = (
        model.transform(rows.where(is_test | drawn))
        .select(
            "part", "label", "low", "high", *(F.col(column).alias(name) for name, column in columns.items())
        )
        .localCheckpoint()
    )
    found = {
        part: dict(zip(columns, errors(priced.where(F.col("part") == part), list(columns)), strict=True))
        for part in (TRAIN, TEST)
    }
    test = priced.where(F.col("part") == TEST)
    interval = test.agg(
        F.avg(F.col("label").between(F.col("low"), F.col("high")).cast("double")).alias("coverage"),
        F.avg(F.col("high") - F.col("low")).alias("width"),
    ).first()
    assert interval is not None  # an aggregate without grouping has one row  # noqa: S101
    pictured = test.select("label", STACK).limit(_PICTURED).toArrow()
    return Evaluation(
        errors=found,
        coverage=interval["coverage"],
        width=interval["width"],
        predicted=pictured.column(STACK).to_numpy(),
        real=pictured.column("label").to_numpy(),
    )
