"""What becomes of every record of ``listings``: the column expressions, tried on real bytes in one batch."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import functions as F

from control_plane.prices import MAX_DEPTH, MAX_PRICE_BYTES, is_price
from spark_apps.listings.facts import Facts
from spark_apps.listings.features import statement
from spark_apps.listings.samples import LISTING
from spark_apps.serving.answers import answers
from spark_apps.serving.requests import prices, requests

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MAX_BYTES = 65_536
COLUMNS = "key binary, value binary, partition int, offset long, timestamp timestamp"
WHEN = datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
GOOD = {"make_name": "Ford", "model_name": "F-150", "year": 2019, "mileage": 31_250.0}


def records(spark: SparkSession, *values: bytes | None) -> DataFrame:
    rows = [(b"the key", value, offset % 2, offset, WHEN) for offset, value in enumerate(values)]
    return spark.createDataFrame(rows, COLUMNS)


PRICE = """SELECT *, 1000D * (try_cast(year AS DOUBLE) - 2000)
                     - 0.1D * coalesce(try_cast(mileage AS DOUBLE), 0D) AS prediction FROM __THIS__"""
REST = """SELECT *, prediction - 500 AS low, prediction + 500 AS high, named_struct(
          'linear_svm', prediction + 1, 'gradient_boosting', prediction - 1) AS members FROM __THIS__"""
NO_PRICE = """SELECT *, double('NaN') AS prediction, double('NaN') AS low, double('Infinity') AS high,
              named_struct('linear_svm', double('NaN')) AS members FROM __THIS__"""


def stand_in() -> PipelineModel:
    """A model that reads listings as every model does, and prices by year and mileage alone."""
    return PipelineModel([SQLTransformer(statement=sql) for sql in (statement(Facts(2020.7)), PRICE, REST)])


def answered(spark: SparkSession, *values: bytes | None) -> list[Any]:
    rows = requests(records(spark, *values), max_bytes=MAX_BYTES)
    collected = answers(stand_in().transform(rows), epoch=F.lit(7), model_version=3).collect()
    return sorted((json.loads(row.value) for row in collected), key=lambda answer: answer["offset"])


def request(listing: Any, **fields: Any) -> bytes:
    return json.dumps({"kind": "request", "request_id": "r-1", "listing": listing} | fields).encode()


def price(**fields: Any) -> bytes:
    return json.dumps({"kind": "price", "request_id": "r-1", "price": 23_141.0} | fields).encode()


def test_an_answer_has_exactly_the_fields_of_the_contract(spark):
    [answer] = answered(spark, request(GOOD))
    assert answer == {
        "request_id": "r-1",
        "status": "predicted",
        "price": 15_875.0,
        "low": 15_375.0,
        "high": 16_375.0,
        "members": {"linear_svm": 15_876.0, "gradient_boosting": 15_874.0},
        "model_version": 3,
        "reason": None,
        "partition": 0,
        "offset": 0,
        "epoch": 7,
        "requested_at": "2026-01-31T12:00:00.123Z",
    }


def test_an_answer_goes_to_its_requests_partition_under_its_requests_id(spark):
    rows = requests(records(spark, request(GOOD), request(GOOD, request_id="r-2")), max_bytes=MAX_BYTES)
    collected = answers(stand_in().transform(rows), epoch=F.lit(1), model_version=1).collect()
    assert {(row.key, row.partition) for row in collected} == {("r-1", 0), ("r-2", 1)}


def test_a_rejected_answer_has_its_prices_as_nulls(spark):
    [answer] = answered(spark, request({}))
    assert answer["status"] == "rejected"
    assert [answer[field] for field in ("price", "low", "high", "members")] == [None] * 4


NO_ID = "no usable request_id: it must be a text that is not empty"
NO_KIND = "kind is neither request nor price"
NO_LISTING = "no listing: it must be an object"
NO_NUMBER = "a price that is not a finite number"


REJECTED = [
    (None, "not JSON: the record has no value"),
    (b"", "not JSON"),
    (b"far", "not JSON"),
    (b'{"kind": "request", "request_id": "r-1"', "not JSON"),
    (request(GOOD) + b"}", "not JSON"),
    (request(GOOD) + b" " + request(GOOD), "not JSON"),
    (request(GOOD) + b', "more": 1', "not JSON"),
    (request(GOOD) + b'], "more": [{}', "not JSON"),
    (request(GOOD).replace(b'"', b"'"), "not JSON"),
    (request({"year": 2019}).replace(b"2019", b"tru"), "not JSON"),
    (b"\xef\xbb\xbf" + request(GOOD), "not JSON"),
    (b'{"kind": "request\xff"}', "not JSON: not UTF-8"),
    (b"[" + request(GOOD) + b"]", "not an object"),
    (b"5", "not an object"),
    (b"null", "not an object"),
    (b'"request"', "not an object"),
    (request(GOOD, more="x" * MAX_BYTES), "longer than 65,536 bytes"),
    (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "nested deeper than 64 levels"),
    (b"[" * 30_000 + b"]" * 30_000, "not JSON"),
    (request(GOOD, kind="offer"), NO_KIND),
    (request(GOOD, kind=None), NO_KIND),
    (request(GOOD, kind=["request"]), NO_KIND),
    (b"{}", NO_KIND),
    (request(GOOD, request_id=""), NO_ID),
    (request(GOOD, request_id=5), NO_ID),
    (request(GOOD, request_id=None), NO_ID),
    (request(GOOD, request_id={"a": 1}), NO_ID),
    (request(None), NO_LISTING),
    (request([GOOD]), NO_LISTING),
    (request("a Ford"), NO_LISTING),
    (b'{"kind": "request", "request_id": "r-1"}', NO_LISTING),
    (request({}), "required columns missing: make_name, model_name, year"),
    (request(GOOD | {"make_name": "  "}), "required columns missing: make_name"),
    (request(GOOD | {"model_name": None}), "required columns missing: model_name"),
    (request(GOOD | {"year": "new"}), "required columns missing: year"),
    (request(GOOD | {"year": float("nan")}), "required columns missing: year"),
    (price(price="23141"), NO_NUMBER),
    (price(price=None), NO_NUMBER),
    (price(price=True), NO_NUMBER),
    (price(price=float("inf")), NO_NUMBER),
    (price().replace(b"23141.0", b"1e999"), NO_NUMBER),
    (price(request_id=""), "a price without a usable request_id: it must be a text that is not empty"),
    (price(note="x" * MAX_PRICE_BYTES), "a price of more than 1,000 bytes"),
    (price(note=float("nan")), "a price with numbers that JSON does not know"),
]  # fmt: skip


@pytest.mark.parametrize(("at", "reason"), [(at, reason) for at, (_, reason) in enumerate(REJECTED)])
def test_a_record_that_cannot_be_priced_is_rejected_with_the_reason(table, at, reason):
    assert (table[at]["status"], table[at]["reason"]) == ("rejected", reason)


READ = [
    (GOOD, None),
    (LISTING, None),
    (GOOD | {"price": "a lot", "colour": "red", "nested": {"a": [1]}}, None),
    ({name: str(value) for name, value in GOOD.items()}, None),
    (GOOD | {"mileage": "far"}, "mileage"),
    (GOOD | {"mileage": float("nan")}, "mileage"),
    (GOOD | {"mileage": float("-inf"), "width": "wide"}, "width, mileage"),
    (GOOD | {"mileage": {"a": 1}, "horsepower": [300]}, "horsepower, mileage"),
    (GOOD | {"is_new": True, "mileage": None}, None),
]


@pytest.fixture(scope="module")
def table(spark: SparkSession) -> list[Any]:
    """The answers to all of REJECTED and then all of READ, from one batch: a plan takes longer than a row."""
    return answered(spark, *(value for value, _ in REJECTED), *(request(listing) for listing, _ in READ))


@pytest.mark.parametrize(("at", "names"), [(at, names) for at, (_, names) in enumerate(READ)])
def test_a_value_that_cannot_be_read_counts_as_missing_and_is_named(table, at, names):
    answer = table[len(REJECTED) + at]
    assert answer["status"] == "predicted"
    named = (answer["reason"] or "counted as missing: ").removeprefix("counted as missing: ")
    assert sorted(named.split(", ")) == sorted((names or "").split(", "))


def test_without_an_id_the_answer_carries_the_records_key_where_that_is_text(spark):
    keys = [b"the key", None, b"", b"\xff"]
    rows = [(key, b"far", 0, offset, WHEN) for offset, key in enumerate(keys)]
    found = requests(spark.createDataFrame(rows, COLUMNS), max_bytes=MAX_BYTES).select("request.id").collect()
    assert [row.id for row in found] == ["the key", None, None, None]


def test_the_same_id_twice_is_answered_twice(spark):
    assert len(answered(spark, request(GOOD), request(GOOD))) == 2


def test_a_well_formed_price_gets_no_answer(spark):
    priced_at = "2026-01-31T12:00:00Z"
    assert answered(spark, price(), price(price=23_141), price(priced_at=priced_at, note={"a": [1]})) == []


def test_a_price_that_the_model_does_not_give_is_a_rejection_too(spark):
    no_price = PipelineModel([SQLTransformer(statement=NO_PRICE)])
    rows = requests(records(spark, request(GOOD)), max_bytes=MAX_BYTES)
    [row] = answers(no_price.transform(rows), epoch=F.lit(1), model_version=1).collect()
    answer = json.loads(row.value)
    assert (answer["status"], answer["reason"], answer["high"]) == (
        "rejected",
        "the model gave no price",
        None,
    )


# Arbitrary bytes are hardly ever prices, so most of what is tried is nearly one.
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner), max_leaves=5
)
NEARLY_PRICES = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.just("price") | SCALARS,
        "request_id": st.text(min_size=1, max_size=5) | VALUES,
        "price": st.floats() | st.integers() | VALUES,
        "priced_at": VALUES,
        "note": VALUES,
    },
)
TRAILS = st.sampled_from(["", "", "", " ", "}", "]", ", 1", "\n{}", "\x00"])
DEPTHS = st.integers(MAX_DEPTH - 3, MAX_DEPTH + 3)


def _mutated(value: bytes, at: int, byte: int) -> bytes:
    at %= len(value) + 1
    return value[:at] + bytes([byte]) + value[at + 1 :]


JSON_BYTES = st.builds(
    lambda value, trail, ascii_only: (json.dumps(value, ensure_ascii=ascii_only) + trail).encode(
        "utf-8", "surrogatepass"
    ),
    NEARLY_PRICES | VALUES,
    TRAILS,
    st.booleans(),
)
DEEP = st.builds(lambda depth: price(note=json.loads("[" * (depth - 1) + "]" * (depth - 1))), DEPTHS)
LONG = st.builds(lambda size: price(note="") + b" " * (size - len(price(note=""))), st.integers(995, 1005))
NUMBERS = st.builds(
    lambda number: price().replace(b"23141.0", number.encode()),
    st.from_regex(r"-?[0-9.]{1,6}([eE][+-]?[0-9]{1,4})?", fullmatch=True)
    | st.sampled_from(["NaN", "+INF", "-Infinity", "9" * 400]),
)
RECORDS = st.one_of(
    st.binary(max_size=40),
    JSON_BYTES,
    JSON_BYTES,
    st.builds(_mutated, JSON_BYTES, st.integers(0, 200), st.integers(0, 255)),
    DEEP,
    LONG,
    NUMBERS,
    st.just(b'{"\\u006bind": "\\u0070rice", "request_id": "\\ud800", "price": 1}'),
    st.just(b'{"\\u006bind": "\\u0070rice", "request_id": "\\ud83d\\ude00", "price": 1}'),
)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(RECORDS, min_size=150, max_size=250))
@example([price()])
def test_python_and_the_query_agree_on_what_a_price_is_and_the_rest_gets_one_answer_each(spark, values):
    listings = records(spark, *values).coalesce(1)
    by_query = {row.offset for row in prices(listings).select("offset").collect()}
    assert by_query == {offset for offset, value in enumerate(values) if is_price(value)}
    rows = requests(listings, max_bytes=MAX_BYTES)
    offsets = [
        json.loads(row.value)["offset"]
        for row in answers(stand_in().transform(rows), epoch=F.lit(1), model_version=1).collect()
    ]
    assert sorted(offsets) == sorted(set(range(len(values))) - by_query)
