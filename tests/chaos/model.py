"""A small real model for the campaign: boosted trees on four columns, in the form that serving takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.ml.regression import GBTRegressor

from control_plane.simulator.generator import listings
from spark_apps.listings.schema import text_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ROWS = 1_000
_NUMBERS = ("year", "mileage", "horsepower", "city_fuel_economy")


def fitted(spark: SparkSession) -> PipelineModel:
    """Learn from generated listings."""
    numbers = ", ".join(f"coalesce(try_cast({name} AS DOUBLE), 0) AS {name}_number" for name in _NUMBERS)
    columns = ("price", *_NUMBERS)
    rows = [{name: row[name] or None for name in columns} for row in listings(_ROWS, seed=1) if row["price"]]
    train = spark.createDataFrame(rows, text_schema(columns)).selectExpr("*", "DOUBLE(price) AS label")
    stages: list[Any] = [
        SQLTransformer(statement=f"SELECT *, {numbers} FROM __THIS__"),  # noqa: S608
        VectorAssembler(inputCols=[f"{name}_number" for name in _NUMBERS], outputCol="features"),
        GBTRegressor(maxIter=10, maxDepth=4, seed=1),
        SQLTransformer(
            statement="""SELECT *, 0.9 * prediction AS low, 1.1 * prediction AS high,
                         named_struct('gradient_boosting', prediction) AS members FROM __THIS__"""
        ),
    ]
    return Pipeline(stages=stages).fit(train)
