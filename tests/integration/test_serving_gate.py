"""The gate on a real Spark: it holds records back, then lets pass exactly those that nobody has answered."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from spark_apps.serving.gate import Gate
from spark_apps.serving.ledger import Resume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

PATIENCE_S = 60


@pytest.fixture
def gate(spark: SparkSession, tmp_path: Path) -> Iterator[Gate]:
    folder = tmp_path / "a seller's"  # a path is part of the plan's SQL
    folder.mkdir()
    gate = Gate(spark, "gate-tests", folder)
    yield gate
    gate.close()


def records(spark: SparkSession) -> DataFrame:
    """Offsets 0 to 9 of two partitions."""
    return spark.range(20, numPartitions=1).selectExpr(
        "CAST(id % 2 AS INT) AS partition", "id DIV 2 AS offset"
    )


def passed(gate: Gate, records: DataFrame) -> dict[int, list[int]]:
    rows = records.where(gate.passes()).collect()
    return {number: sorted(row.offset for row in rows if row.partition == number) for number in (0, 1)}


def test_what_lies_before_the_beginning_or_is_answered_beyond_a_hole_does_not_pass(spark, gate):
    gate.open({0: Resume(3, ((4, 6), (8, 9))), 1: Resume(7)}, epoch=2)
    assert passed(gate, records(spark)) == {0: [3, 6, 7, 9], 1: [7, 8, 9]}


def test_nothing_passes_before_the_gate_opens_and_a_query_that_waits_learns_where_to_begin(spark, gate):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(passed, gate, records(spark))
        until_a_task_runs(spark)
        assert not waiting.done()
        gate.open({0: Resume(9), 1: Resume(10)}, epoch=1)
        assert waiting.result(PATIENCE_S) == {0: [9], 1: []}


def test_a_closed_gate_forgets_and_serves_the_next_query(spark, gate):
    gate.open({0: Resume(0), 1: Resume(9)}, epoch=1)
    gate.close()
    gate.open({0: Resume(8), 1: Resume(10)}, epoch=4)
    assert passed(gate, records(spark)) == {0: [8, 9], 1: []}
    [epoch] = records(spark).limit(1).select(gate.epoch().alias("epoch")).collect()
    assert epoch.epoch == 4


def until_a_task_runs(spark: SparkSession) -> None:
    tracker, give_up = spark.sparkContext.statusTracker(), time.monotonic() + PATIENCE_S
    while True:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        if any(stage is not None and stage.numActiveTasks for stage in stages):
            return
        assert time.monotonic() < give_up
        time.sleep(0.05)
