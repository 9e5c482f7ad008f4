"""Answers meet prices: from ``predictions`` and ``listings`` to ``outcomes``.

What counts, in words:

- An answer counts when it is the first for its request's (partition, offset): the reader's rule.
- A price counts when it is well-formed (serving tells prices from requests by the same rule), and between a
  cent and a billion dollars.
- The two meet when the price came at most ``price_horizon`` after its answer, or at most ``price_lead``
  before it, by the broker's clock. Which of them this application reads first does not matter.
- Of a request id that meets more than once, the first answer that got a price predicted counts, with the
  first price that it meets.

"First" is by order in the topic. What belongs together is in one partition (a key's records are, and an
answer is written to its request's partition), so nothing is read before what stands before it, and the first
two that meet do so in the first batch in which the request id meets at all. The pairs of that batch are
sorted; those of later batches come too late. That is why first and second ones are told apart only where they
meet: what is remembered for it grows with the outcomes, not with the requests.

The watermark here only says when to forget. Its delay is as long as a price may be away from its answer, so
whatever may still meet is remembered, no record of the last ``price_horizon`` is ever late, and nothing has
to move it on while no records come: state does not grow then either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_apps.serving import requests

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_DOLLARS = 1e9
MIN_DOLLARS = 0.01

ANSWER = """
    request_id STRING, status STRING, price DOUBLE, low DOUBLE, high DOUBLE, members MAP<STRING, DOUBLE>,
    model_version BIGINT, reason STRING, partition INT, offset BIGINT, epoch BIGINT, requested_at STRING
"""
PRICE = "kind STRING, request_id STRING, price DOUBLE, priced_at STRING"


def seconds(duration: float) -> str:
    """Return a duration as Spark reads it."""
    return f"{round(duration * 1000)} milliseconds"


def parsed(schema: str) -> Column:
    """Return the record's JSON value by ``schema``; null in whole or in part where it cannot be read."""
    return F.from_json(F.col("value").cast("string"), schema)


def is_between(column: str, low: float, high: float) -> Column:
    """Return whether a number lies between two; NaN, infinity and null do not."""
    return F.coalesce(F.col(column).between(low, high), F.lit(False))


def answers(predictions: DataFrame, remembered: float) -> DataFrame:
    """Return all answers, second ones and rejections included.

    Needs: value, offset, timestamp of ``predictions``. Gives: answer (struct as in the contract), answered_at
    (the broker's time), answer_order (within the request's partition), request_id, is_usable (whether it
    holds a price that can be judged). ``remembered`` is in seconds.
    """
    answer = F.col("answer")
    placed = answer["partition"].isNotNull() & answer["offset"].isNotNull()
    predicted = F.coalesce(answer["status"] == "predicted", F.lit(False))
    usable = answer["model_version"].isNotNull() & is_between("answer.price", -MAX_DOLLARS, MAX_DOLLARS)
    named = answer["request_id"].isNotNull()
    return (
        predictions.select(
            parsed(ANSWER).alias("answer"),
            F.col("offset").alias("answer_order"),
            F.col("timestamp").alias("answered_at"),
        )
        .withWatermark("answered_at", seconds(remembered))
        .observe(
            "answers",
            F.count(F.lit(1)).alias("read"),
            F.count_if(~placed | (predicted & ~(named & usable))).alias("unusable"),
        )
        .where(placed & named)
        .withColumns({"request_id": answer["request_id"], "is_usable": predicted & usable})
    )


def prices(listings: DataFrame, remembered: float) -> DataFrame:
    """Return the prices that count, second ones included.

    Needs: value, offset, timestamp of ``listings``, requests included: they move the watermark on. Gives:
    priced_id (the request id), actual (US dollars), priced_at (text, the manager's), came_at (the broker's
    time), price_order (within the request's partition).
    """
    price = F.col("price")
    usable = is_between("price.price", MIN_DOLLARS, MAX_DOLLARS)
    all_records = listings.withWatermark("timestamp", seconds(remembered)).observe(
        "listings", F.count(F.lit(1)).alias("read")
    )
    return (
        # No filter is pushed below an observation: requests reach the watermark before they are dropped.
        requests.prices(all_records)
        .select(
            parsed(PRICE).alias("price"),
            F.col("offset").alias("price_order"),
            F.col("timestamp").alias("came_at"),
        )
        .observe("prices", F.count(F.lit(1)).alias("read"), F.count_if(~usable).alias("unusable"))
        .where(usable)
        .select(
            price["request_id"].alias("priced_id"),
            price["price"].alias("actual"),
            price["priced_at"].alias("priced_at"),
            "came_at",
            "price_order",
        )
    )


def outcomes(predictions: DataFrame, listings: DataFrame, *, horizon: float, lead: float) -> DataFrame:
    """Join the answers with the prices that came ``lead`` seconds before them to ``horizon`` after.

    Needs: value, offset, timestamp of both topics. Gives: key (the request id) and value (JSON).
    """
    # A request id is new again only when neither its answer nor its price can meet anything any more.
    remembered = horizon + lead
    pairs = answers(predictions, remembered).join(
        prices(listings, remembered),
        F.expr(
            f"""request_id = priced_id
            AND came_at >= answered_at - INTERVAL {round(lead * 1000)} MILLISECONDS
            AND came_at <= answered_at + INTERVAL {round(horizon * 1000)} MILLISECONDS"""
        ),
    )
    met = (
        pairs.drop("came_at")  # one event time is what the next steps need
        .withColumns({"at_partition": F.col("answer.partition"), "at_offset": F.col("answer.offset")})
        .transform(_first, "request_id", "at_partition", "at_offset")
        .where("is_usable")
        .transform(_first, "request_id")
    )
    outcome = F.struct("answer.*", "actual", "priced_at")
    return met.select(
        F.col("request_id").alias("key"), F.to_json(outcome, {"ignoreNullFields": "false"}).alias("value")
    )


def _first(pairs: DataFrame, *keys: str) -> DataFrame:
    """Keep the first of the pairs that are alike in ``keys``: also of those of batches before."""
    return (
        pairs.repartition(*keys)  # as the next step but one wants it: it would shuffle, and lose the order
        .sortWithinPartitions("at_partition", "answer_order", "price_order")
        .dropDuplicatesWithinWatermark([*keys])
    )
