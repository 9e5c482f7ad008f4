"""Windows of errors: the numbers by numpy, and which outcomes and ticks make which windows."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from control_plane.settings import load
from spark_apps.monitoring import state, windows
from spark_apps.monitoring.settings import Monitoring

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WINDOW, DELAY, REPLAY = 60, 5, 600
PREDICTION = (
    "recorded_at timestamp, model_version long, model string, "
    "predicted double, actual double, covered boolean"
)


def predictions(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    """Rows of seconds after noon, model version, model, predicted, actual, covered."""
    timed = [(NOON + timedelta(seconds=second), *rest) for second, *rest in rows]
    return spark.createDataFrame(timed, PREDICTION)


def published(df: DataFrame) -> dict[str, dict[str, Any]]:
    return {row["key"]: json.loads(row["value"]) for row in windows.as_records(df).collect()}


def errors(spark: SparkSession, *rows: tuple[Any, ...]) -> dict[str, dict[str, Any]]:
    return published(windows.error_windows(predictions(spark, *rows), WINDOW, WINDOW))


def test_a_window_is_flat_and_has_the_numbers_that_numpy_finds(spark: SparkSession) -> None:
    source = random.Random(4)
    actual = np.array([source.uniform(500, 90_000) for _ in range(500)])
    predicted = actual + np.array([source.gauss(300, 2_500) for _ in range(500)])
    covered = [source.random() < 0.8 for _ in range(500)]
    rows = [
        (source.uniform(0, 59), 3, "stack", float(p), float(a), c)
        for p, a, c in zip(predicted, actual, covered, strict=True)
    ]
    error = predicted - actual

    found = errors(spark, *rows)

    key = "error/2026-01-31T12:00:00.000Z/2026-01-31T12:01:00.000Z/3/stack"
    assert list(found) == [key]
    assert found[key] == {
        "kind": "error",
        "window_start": "2026-01-31T12:00:00.000Z",
        "window_end": "2026-01-31T12:01:00.000Z",
        "model_version": 3,
        "model": "stack",
        "count": 500,
        "rmse": pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-12),
        "mae": pytest.approx(np.mean(np.abs(error)), rel=1e-12),
        "mape": pytest.approx(np.mean(np.abs(error) / actual), rel=1e-11),
        "bias": pytest.approx(np.mean(error), rel=1e-12),
        "r2": pytest.approx(1 - np.sum(error**2) / np.sum((actual - actual.mean()) ** 2), rel=1e-11),
        "coverage": pytest.approx(np.mean(covered), rel=1e-12),
    }


def test_the_same_outcomes_in_another_order_give_the_same_bits(spark: SparkSession) -> None:
    source = random.Random(5)
    rows = [
        (0, 1, "stack", source.uniform(0, 1e5) / 3, source.uniform(1, 1e5) / 7, True) for _ in range(2000)
    ]
    once = predictions(spark, *rows).coalesce(1)
    again = predictions(spark, *random.Random(6).sample(rows, len(rows))).repartition(5)
    assert published(windows.error_windows(once, WINDOW, WINDOW)) == published(
        windows.error_windows(again, WINDOW, WINDOW)
    )


def test_windows_that_overlap_hold_an_outcome_each(spark: SparkSession) -> None:
    rows = predictions(spark, (0, 1, "stack", 110.0, 100.0, True), (50, 1, "stack", 90.0, 100.0, True))

    found = published(windows.error_windows(rows, WINDOW, 20))

    assert {window["window_start"][11:19]: window["count"] for window in found.values()} == {
        "11:59:20": 1,
        "11:59:40": 1,
        "12:00:00": 2,
        "12:00:20": 1,
        "12:00:40": 1,
    }


def test_windows_versions_and_models_are_kept_apart(spark: SparkSession) -> None:
    found = errors(
        spark,
        (0, 1, "stack", 110.0, 100.0, True),
        (59.999, 1, "stack", 90.0, 100.0, False),
        (60, 1, "stack", 100.0, 100.0, True),
        (0, 2, "stack", 101.0, 100.0, None),
        (0, 1, "linear_svm", 70.0, 100.0, None),
    )
    numbers = {
        (window["window_start"][11:16], window["model_version"], window["model"]): (
            window["count"],
            window["rmse"],
            window["bias"],
            window["coverage"],
        )
        for window in found.values()
    }
    assert numbers == {
        ("12:00", 1, "stack"): (2, 10, 0, 0.5),
        ("12:01", 1, "stack"): (1, 0, 0, 1),
        ("12:00", 2, "stack"): (1, 1, 1, None),
        ("12:00", 1, "linear_svm"): (1, 30, -30, None),
    }
    assert len(found) == len(numbers)  # each has a key of its own


@pytest.mark.parametrize(
    ("rows", "r2"),
    [
        ([(0, 1, "stack", 110.1, 100.1, True)], None),
        ([(0, 1, "stack", 110.1, 100.1, True)] * 3, None),
        ([(0, 1, "stack", 10.0, 10.0, True), (0, 1, "stack", 20.0, 20.0, True)], 1.0),
        ([(0, 1, "stack", 15.0, 10.0, True), (0, 1, "stack", 15.0, 20.0, True)], 0.0),
    ],
    ids=["one price", "equal prices", "perfect", "as good as the mean"],
)
def test_r2_is_null_where_the_prices_do_not_differ(
    spark: SparkSession, rows: list[tuple[Any, ...]], r2: float | None
) -> None:
    assert [window["r2"] for window in errors(spark, *rows).values()] == [r2]


def test_absurd_numbers_break_no_window(spark: SparkSession) -> None:
    largest = [(0, 1, "stack", -1e9, 1e9, False), (0, 1, "stack", 1e9, 0.01, False)] * 10
    (window,) = errors(spark, *largest).values()
    assert window["rmse"] == pytest.approx(np.sqrt((4e18 + (1e9 - 0.01) ** 2) / 2), rel=1e-12)
    assert window["mape"] == pytest.approx((2 + (1e9 - 0.01) / 0.01) / 2, rel=1e-12)


OUTCOME: dict[str, Any] = {
    "status": "predicted",
    "price": 110.0,
    "low": 90.0,
    "high": 120.0,
    "members": {"linear_svm": 130.0, "linear_regression": None},
    "model_version": 1,
    "actual": 100.0,
}


def outcome(request: str, **changes: Any) -> tuple[str, Any]:
    return "outcomes", OUTCOME | {"request_id": request} | changes


TICK = ("ticks", {"kind": "tick"})
Record = tuple[float, tuple[str, Any]]


class Batches:
    """Runs batches of ``outcomes`` and ticks through the windows; each file of a folder is one batch."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark.newSession()
        for key, value in state.options(load(Monitoring)).items():
            self._spark.conf.set(key, value)
        self._folder = folder
        (folder / "in").mkdir()

    def run(self, *batches: list[Record]) -> list[tuple[str, str, int]]:
        """Return (start of the window, model, count) of all windows published so far, repeated ones too."""
        for batch in batches:
            self._write(batch)
        records = (
            self._spark.readStream.schema("topic string, value string, timestamp timestamp")
            .option("maxFilesPerTrigger", 1)
            .json(str(self._folder / "in"))
        )
        query = (
            windows.known_once(records, ticks="ticks", delay=DELAY, replay=REPLAY)
            .transform(windows.by_model)
            .transform(windows.error_windows, WINDOW, WINDOW)
            .transform(windows.as_records)
            .writeStream.format("json")
            .option("path", str(self._folder / "out"))
            .option("checkpointLocation", str(self._folder / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        rows = self._spark.read.schema("value string").json(str(self._folder / "out")).collect()
        published = (json.loads(row["value"]) for row in rows)
        return sorted((w["window_start"][11:19], w["model"], w["count"]) for w in published)

    def _write(self, batch: list[Record]) -> None:
        number = len(list((self._folder / "in").iterdir()))
        file = self._folder / "in" / f"{number:04}.json"
        lines = (
            {
                "topic": topic,
                "value": value if isinstance(value, str) else json.dumps(value),
                "timestamp": (NOON + timedelta(seconds=second)).isoformat(),
            }
            for second, (topic, value) in batch
        )
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        os.utime(file, (number, number))  # the order in which Spark takes them


@pytest.fixture
def batches(spark: SparkSession, tmp_path: Path) -> Batches:
    return Batches(spark, tmp_path)


def test_ticks_close_windows_and_outcomes_do_not(batches: Batches) -> None:
    assert batches.run([(1, outcome("a"))], [(130, outcome("b"))]) == []
    assert batches.run([(64.999, TICK)]) == []
    assert batches.run([(65, TICK)]) == [("12:00:00", "linear_svm", 1), ("12:00:00", "stack", 1)]


def test_a_backlog_read_together_with_the_tick_of_now_is_complete(batches: Batches) -> None:
    backlog = [(second, outcome(f"r-{second}")) for second in range(0, 180, 10)]
    found = batches.run([(7200, TICK), *reversed(backlog)])
    assert [window for window in found if window[1] == "stack"] == [
        ("12:00:00", "stack", 6),
        ("12:01:00", "stack", 6),
        ("12:02:00", "stack", 6),
    ]


def test_an_outcome_written_again_counts_once_even_after_its_window_is_closed(batches: Batches) -> None:
    found = batches.run(
        [(1, outcome("a")), (2, outcome("b")), (2, outcome("a"))],
        [(70, TICK)],  # closes 12:00
        [(71, TICK)],  # what may be forgotten is forgotten at the end of this batch
        [(300, outcome("a")), (300, outcome("b")), (301, outcome("c"))],
        [(400, TICK)],  # closes 12:05
    )
    assert [window for window in found if window[1] == "stack"] == [
        ("12:00:00", "stack", 2),
        ("12:05:00", "stack", 1),
    ]


def test_garbage_among_the_outcomes_is_passed_over(batches: Batches) -> None:
    garbage = [
        "no JSON",
        "[]",
        "{}",
        OUTCOME,  # without a request id
        *(OUTCOME | {"request_id": "r", field: value} for field, value in GARBAGE.items()),
    ]
    found = batches.run(
        [(1, ("outcomes", value)) for value in garbage]
        + [(1, outcome("no-members", members=None)), (1, outcome("odd-member", members={"m": 1e300}))],
        [(70, TICK)],
    )
    assert found == [("12:00:00", "stack", 2)]


GARBAGE = {"actual": 0, "price": None, "model_version": "one"}
