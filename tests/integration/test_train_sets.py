"""What a training keeps of all that came before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from spark_apps.training.train_sets import newest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def batches(spark: SparkSession) -> DataFrame:
    """Three batches of 400 cars each."""
    rows = spark.range(1_200)
    return rows.select(
        F.expr("cast(id AS string) AS car"), F.expr("cast(id div 400 AS int) AS arrival")
    ).cache()


def by_arrival(rows: DataFrame) -> dict[int, int]:
    return {row["arrival"]: row["count"] for row in rows.groupBy("arrival").count().collect()}


def test_all_are_kept_while_there_is_room(batches: DataFrame) -> None:
    kept, older = newest(batches, 1_200)
    assert (kept.count(), older) == (1_200, 0)


@pytest.mark.parametrize("at_most", [1_000, 600, 400])
def test_the_batches_that_came_last_are_kept_whole(batches: DataFrame, at_most: int) -> None:
    kept, older = newest(batches, at_most)
    found = by_arrival(kept)

    assert found[2] == 400
    assert found.get(1, 0) == 400 or at_most < 800
    assert sum(found.values()) == pytest.approx(at_most, abs=40)
    assert older == 1_200 - sum(found.values())


def test_the_same_cars_are_kept_again(batches: DataFrame) -> None:
    first, second = (newest(batches, 500)[0].select("car").collect() for _ in range(2))
    assert sorted(first) == sorted(second)
