"""Which answers meet which prices, batch by batch: each file of a folder is one batch of a topic."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from control_plane.settings import load
from spark_apps.monitoring import joining, state
from spark_apps.monitoring.settings import Monitoring

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HORIZON, LEAD = 100, 10

Record = tuple[float, Any]  # seconds after noon by the broker's clock, value


def answer(request: str, offset: int, price: float | None = 20_000.0, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request,
        "status": "rejected" if price is None else "predicted",
        "price": price,
        "low": price and price - 1000,
        "high": price and price + 1000,
        "members": price and {"linear_regression": price + 10, "linear_svm": price - 10},
        "model_version": 1,
        "reason": None if price else "not JSON",
        "partition": 0,
        "offset": offset,
        "epoch": 1,
        "requested_at": "2026-01-31T11:59:59.000Z",
    } | changes


def price(request: str, dollars: Any, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "price",
        "request_id": request,
        "price": dollars,
        "priced_at": "2026-01-31T12:00:00Z",
    } | changes


class Batches:
    """Runs batches of predictions and listings through the join; the folder is its memory and its topics."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark.newSession()
        for key, value in state.options(load(Monitoring)).items():
            self._spark.conf.set(key, value)
        self._folder = folder
        self._written = 0
        for topic in ("predictions", "listings"):
            (folder / topic).mkdir()

    def run(self, *batches: tuple[list[Record], list[Record]]) -> StreamingQuery:
        for predictions, listings in batches:
            self._write("predictions", predictions)
            self._write("listings", listings)
            self._written += 1
        outcomes = joining.outcomes(
            self._read("predictions"), self._read("listings"), horizon=HORIZON, lead=LEAD
        )
        query = (
            outcomes.writeStream.format("json")
            .option("path", str(self._folder / "outcomes"))
            .option("checkpointLocation", str(self._folder / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        return query

    def outcomes(self) -> dict[str, list[tuple[float, float]]]:
        """The (answered price, actual price) of each request."""
        found: dict[str, list[tuple[float, float]]] = {}
        for row in (
            self._spark.read.schema("key string, value string").json(str(self._folder / "outcomes")).collect()
        ):
            outcome = json.loads(row["value"])
            assert outcome["request_id"] == row["key"]
            found.setdefault(row["key"], []).append((outcome["price"], outcome["actual"]))
        return found

    def first(self) -> dict[str, Any]:
        rows = self._spark.read.schema("value string").json(str(self._folder / "outcomes")).collect()
        found: dict[str, Any] = json.loads(rows[0]["value"])
        return found

    def _write(self, topic: str, records: list[Record]) -> None:
        file = self._folder / topic / f"{self._written:04}.json"
        rows = (
            {
                "value": value if isinstance(value, str) else json.dumps(value),
                "offset": 1000 * self._written + place,
                "timestamp": (NOON + timedelta(seconds=second)).isoformat(),
            }
            for place, (second, value) in enumerate(records)
        )
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(file, (self._written, self._written))  # the order in which Spark takes them

    def _read(self, topic: str) -> DataFrame:
        return (
            self._spark.readStream.schema("value string, offset long, timestamp timestamp")
            .option("maxFilesPerTrigger", 1)
            .json(str(self._folder / topic))
            .selectExpr("CAST(value AS BINARY) AS value", "offset", "timestamp")
        )


@pytest.fixture
def batches(spark: SparkSession, tmp_path: Path) -> Batches:
    return Batches(spark, tmp_path)


def test_the_first_answer_meets_the_first_price_within_the_horizon(batches: Batches) -> None:
    first = (
        [
            (0, answer("in-one-batch", 0)),
            (0, answer("price-in-time", 1)),
            (0, answer("price-too-late", 2)),
            (0, answer("second-answer", 3, 10_000.0)),
            (1, answer("second-answer", 3, 99_000.0, epoch=2)),
            (0, answer("second-answer-later", 4, 10_000.0)),
            (0, answer("asked-twice", 5, 10_000.0)),
            (1, answer("asked-twice", 6, 99_000.0)),
            (0, answer("asked-again", 7, None)),
            (1, answer("asked-again", 8, 30_000.0)),
            (0, answer("rejected-first", 9, None)),
            (1, answer("rejected-first", 9, 30_000.0, epoch=2)),
            (0, answer("second-price", 10)),
            (0, answer("bad-price-first", 11)),
            (0, answer("no-price", 12)),
            (30, answer("long-before-its-answer", 13)),
            (30, answer("too-early-then-in-time", 16)),
            (0, "no JSON"),
            (0, "[" * 100_000),
            (0, {"partition": "zero", "offset": 1e300}),
            (0, answer("no-number", 14, float("nan"))),  # json writes NaN, which is not JSON
            (0, answer("no-version", 15, model_version=None)),
        ],
        [
            (12, price("read-before-its-answer", 1)),
            (5, price("before-its-answer", 2)),
            (0, price("long-before-its-answer", 3)),
            (0, price("too-early-then-in-time", 3)),
            (1, price("in-one-batch", 4)),
            (2, price("second-price", 5)),
            (3, price("second-price", 6)),
            (1, price("bad-price-first", 0)),
            (1, price("bad-price-first", -5)),
            (1, price("bad-price-first", 1e12)),
            (1, price("bad-price-first", "23141.0")),
            (1, price("bad-price-first", True)),
            (1, "{'kind': 'price'"),
            (2, price("bad-price-first", 7)),
            (2, price("unknown", 8)),
            (2, price("rejected-first", 9)),
            (2, price("no-number", 10)),
            (2, price("no-version", 11)),
        ],
    )
    second = (
        [
            (10, answer("read-before-its-answer", 20)),
            (10, answer("before-its-answer", 21)),
            (10, answer("second-answer-later", 4, 99_000.0, epoch=2)),
        ],
        [
            (100, price("price-in-time", 12)),
            (101, price("price-too-late", 13)),
            (50, price("too-early-then-in-time", 20)),
            (51, price("too-early-then-in-time", 21)),
            (20, price("second-answer", 14)),
            (20, price("second-answer-later", 15)),
            (20, price("asked-twice", 16)),
            (20, price("asked-again", 17)),
            (20, price("second-price", 18)),
            (20, price("in-one-batch", 19)),
        ],
    )
    batches.run(first, second)
    assert batches.outcomes() == {
        "read-before-its-answer": [(20_000, 1)],
        "before-its-answer": [(20_000, 2)],
        "in-one-batch": [(20_000, 4)],
        "second-price": [(20_000, 5)],
        "bad-price-first": [(20_000, 7)],
        "price-in-time": [(20_000, 12)],
        "second-answer": [(10_000, 14)],
        "second-answer-later": [(10_000, 15)],
        "asked-twice": [(10_000, 16)],
        "asked-again": [(30_000, 17)],
        "too-early-then-in-time": [(20_000, 20)],
    }


def test_of_many_answers_in_one_batch_each_request_keeps_its_first(batches: Batches) -> None:
    ids = [f"r-{n}" for n in range(200)]
    answers = [(0, answer(request, n, 10_000.0)) for n, request in enumerate(ids)]
    again = [(1, answer(request, 1000 + n, 99_000.0)) for n, request in enumerate(reversed(ids))]
    fenced = [(2, answer(request, n, 88_000.0, epoch=2)) for n, request in enumerate(ids)]
    prices = [(3, price(request, 5)) for request in ids] + [(4, price(request, 6)) for request in ids]
    batches.run((answers + again + fenced, prices))
    assert batches.outcomes() == {request: [(10_000, 5)] for request in ids}


def test_an_outcome_is_the_answer_and_its_price_with_nothing_left_out(batches: Batches) -> None:
    asked = answer("r-1", 7, 19_999.99, reason="counted as missing: mileage", members={"a": 1.5, "b": None})
    batches.run(([(0, asked | {"low": None})], [(1, price("r-1", 23_141, priced_at=None))]))
    assert batches.first() == asked | {"low": None, "actual": 23_141.0, "priced_at": None}


def test_state_is_forgotten_once_nothing_can_meet_it_any_more(batches: Batches) -> None:
    crowd = range(50)
    query = batches.run(
        ([(0, answer(f"r-{n}", n)) for n in crowd], [(1, price(f"r-{n}", 5)) for n in crowd]),
    )
    assert sum(operator["numRowsTotal"] for operator in query.lastProgress["stateOperators"]) >= 200

    # What moves time on is neither an answer that counts nor a price.
    rejected, request = answer("r", 100, None), {"kind": "request", "request_id": "r"}
    query = batches.run(([(1000, rejected)], [(1000, request)]))
    remaining = {op["operatorName"]: op["numRowsTotal"] for op in query.lastProgress["stateOperators"]}
    assert sum(remaining.values()) <= 1, remaining  # the rejected answer's own place
