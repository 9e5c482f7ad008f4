"""Values in the bins of a reference, by Spark: what counts, what does not, and what drift makes of it."""

from __future__ import annotations

import csv
import json
import random
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from control_plane import records
from control_plane.simulator.drift import drifting
from control_plane.simulator.generator import generate
from spark_apps.listings.schema import text_schema
from spark_apps.monitoring import tallies
from spark_apps.monitoring.drift_records import Span, drifts
from spark_apps.training.intervals import fit_intervals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame, SparkSession

    from spark_apps.drift.reference import Reference

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
KAFKA = "key binary, value binary, topic string, partition int, offset long, timestamp timestamp"
ROWS = 1_000


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    [part] = generate(ROWS, 21, tmp_path_factory.mktemp("listings"), parts=1).parts
    with part.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["price"]]


@pytest.fixture(scope="module")
def reference(spark: SparkSession, listings: list[dict[str, str]]) -> Reference:
    """As a training makes it, of an ensemble that errs by a tenth of the price."""
    from spark_apps.training.reference import reference as of_training  # noqa: PLC0415

    source = np.random.default_rng(4)
    real = np.array([float(listing["price"]) for listing in listings])
    stacked = real * source.normal(1, 0.1, len(real))
    ensemble: Any = SimpleNamespace(stacked=stacked, real=real, intervals=fit_intervals(stacked, real, 0.9))
    columns = text_schema()
    rows = [[listing[name] or None for name in columns.fieldNames()] for listing in listings]
    return of_training(spark.createDataFrame(rows, columns), ensemble)


def topic(spark: SparkSession, values: Iterable[Any]) -> DataFrame:
    rows = [
        (None, value if isinstance(value, bytes | None) else json.dumps(value).encode(), "t", 0, offset, NOON)
        for offset, value in enumerate(values)
    ]
    return spark.createDataFrame(rows, KAFKA)


def request(number: int, listing: dict[str, str]) -> dict[str, Any]:
    known = {name: value for name, value in listing.items() if value and name != "price"}
    return {"kind": "request", "request_id": f"r-{number}", "listing": known}


def answer(offset: int, price: float | None, width: float | None = 4_000.0, **changes: Any) -> dict[str, Any]:
    bounds = {"low": None, "high": None} if width is None else {"low": 1_000.0, "high": 1_000.0 + width}
    return {
        "request_id": f"r-{offset}", "status": "predicted", "price": price, **bounds, "members": {},
        "model_version": 3, "reason": None, "partition": 0, "offset": offset, "epoch": 1,
        "requested_at": "2026-01-31T12:00:00.000Z",
    } | changes  # fmt: skip


def drift_of(counted: DataFrame, reference: Reference) -> dict[str, records.DriftWindow]:
    rows: Any = [tuple(row) for row in counted.collect()]
    found = [records.metric(value.encode()) for _, value in drifts(Span(0, 1), {3: reference}, rows, 1)]
    return {one.feature: one for one in found if isinstance(one, records.DriftWindow)}


GARBAGE = [
    b"", None, b"no JSON", b"\xff\xfe", b"[" * 5_000, [], {"status": "predicted"}, {"kind": "request"},
    {"kind": "price", "request_id": "r-1", "price": 5.0},
    {"kind": "request", "request_id": "r-1", "listing": {"make_name": "Ford", "year": "abc"}},
]  # fmt: skip


def test_the_rows_of_the_train_set_themselves_have_not_drifted(
    spark: SparkSession, listings: list[dict[str, str]], reference: Reference
) -> None:
    asked = topic(spark, [*GARBAGE, *(request(number, one) for number, one in enumerate(listings))])

    found = drift_of(tallies.of_requests(asked, {3: reference}, 65_536), reference)

    assert set(found) == {*reference.numbers, *reference.categories}
    assert {one.count for one in found.values()} == {len(listings)}, "nothing but requests with a price"
    assert {name: one.psi for name, one in found.items() if one.psi > 0.002} == {}
    missing = sum(listing["mileage"] == "" for listing in listings) / len(listings)
    assert found["mileage"].missing == pytest.approx(missing, abs=1e-6)


def test_a_world_that_has_moved_on_shows_in_what_has_moved(
    spark: SparkSession, listings: list[dict[str, str]], reference: Reference
) -> None:
    moved = list(drifting(listings, 1.0))
    asked = topic(spark, (request(number, one) for number, one in enumerate(moved)))

    found = drift_of(tallies.of_requests(asked, {3: reference}, 65_536), reference)

    beyond = {name for name, one in found.items() if one.psi >= 0.25 and one.psi > one.chance}
    assert {"mileage", "make"} <= beyond
    assert not {"daysonmarket", "has_accidents"} & beyond


def test_each_request_is_held_against_every_version(
    spark: SparkSession, listings: list[dict[str, str]], reference: Reference
) -> None:
    fewer = reference.model_copy(update={"numbers": {}, "categories": {"make": reference.categories["make"]}})
    asked = topic(spark, (request(number, one) for number, one in enumerate(listings[:50])))

    counted = tallies.of_requests(asked, {3: reference, 4: fewer}, 65_536).collect()

    by_version = {version: [row for row in counted if row["model_version"] == version] for version in (3, 4)}
    assert {row["feature"] for row in by_version[4]} == {"make"}
    makes = [row["bin"] for row in by_version[3] if row["feature"] == "make"]
    assert sorted(makes) == sorted(row["bin"] for row in by_version[4])
    assert sum(row["count"] for row in by_version[4]) == 50


def test_the_first_answer_to_each_request_counts_by_its_version(
    spark: SparkSession, reference: Reference
) -> None:
    prices = [float(number) for number in range(5_000, 65_000, 500)]
    widths = [price / 4 for price in prices]
    good = [answer(n, price, width) for n, (price, width) in enumerate(zip(prices, widths, strict=True))]
    answers = topic(
        spark,
        [
            *GARBAGE,
            *good,
            *(answer(n, 1e6, epoch=9) for n in range(20)),  # of a server that woke too late
            answer(900, None, status="rejected"),
            answer(901, 1e12),
            answer(902, 9_000.0, model_version=None),
            answer(903, 9_000.0, partition=None),
            answer(904, 9_000.0, model_version=8),
            answer(905, 9_000.0, None),
        ],
    )

    answered = tallies.answers(answers)
    found = drift_of(tallies.of_answers(answered, {3: reference}), reference)
    [estimated] = tallies.estimates(answered, {3: reference}).collect()

    bins = reference.outputs["prediction"]
    held = np.bincount(np.searchsorted(bins.edges, [*prices, 9_000.0]), minlength=len(bins.counts))
    rows = tallies.of_answers(answered, {3: reference}).where("feature = 'prediction'").collect()
    assert {row["bin"]: row["count"] for row in rows} == {
        number: count for number, count in enumerate(held.tolist()) if count
    }
    assert found["prediction"].count == found["interval_width"].count == len(prices) + 1
    assert found["interval_width"].missing == pytest.approx(1 / (len(prices) + 1), abs=1e-6)
    half = np.array(widths) / 2
    band = np.searchsorted(reference.errors.edges, half)
    assert (estimated["model_version"], estimated["count"]) == (3, len(prices))
    assert estimated["half_width"] == pytest.approx(half.mean())
    assert estimated["mae"] == pytest.approx((half * np.array(reference.errors.mae)[band]).mean())
    rmse = np.sqrt(((half * np.array(reference.errors.rmse)[band]) ** 2).mean())
    assert estimated["rmse"] == pytest.approx(rmse)


def test_the_same_answers_in_another_order_give_the_same_bits(
    spark: SparkSession, reference: Reference
) -> None:
    source = random.Random(5)
    some = [answer(n, source.uniform(1e3, 1e5), source.uniform(1, 1e4) / 7) for n in range(500)]

    def expected(answers: list[Any], partitions: int) -> list[Any]:
        read = topic(spark, answers).repartition(partitions)
        return tallies.estimates(tallies.answers(read), {3: reference}).collect()

    assert expected(some, 1) == expected(source.sample(some, len(some)), 5)
